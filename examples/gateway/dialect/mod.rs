//! The two dialects: what goes over the wire between clients, the gateway and its providers.

mod anthropic;
mod content;
mod openai;
mod sse;

use serde_json::Value;

use crate::chat::{Chat, Piece, Refusal, Reply};
pub(crate) use sse::{Event, Parser};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Dialect {
    OpenAi,
    Anthropic,
}

impl Dialect {
    /// The path of the gateway's endpoint.
    pub(crate) fn endpoint(self) -> &'static str {
        match self {
            Self::OpenAi => "/v1/chat/completions",
            Self::Anthropic => "/anthropic/v1/messages",
        }
    }

    /// The path that a provider of this dialect serves.
    pub(crate) fn provider_path(self) -> &'static str {
        match self {
            Self::OpenAi => "/v1/chat/completions",
            Self::Anthropic => "/v1/messages",
        }
    }

    /// Reads a request. The error says what is wrong with it, for the one who sent it.
    pub(crate) fn read_request(self, body: &[u8]) -> Result<Chat, String> {
        match self {
            Self::OpenAi => openai::read_request(body),
            Self::Anthropic => anthropic::read_request(body),
        }
    }

    /// Writes a request for `model`, which need not be the one that the client named.
    pub(crate) fn write_request(self, chat: &Chat, model: &str) -> Value {
        match self {
            Self::OpenAi => openai::write_request(chat, model),
            Self::Anthropic => anthropic::write_request(chat, model),
        }
    }

    pub(crate) fn read_reply(self, body: &[u8]) -> Option<Reply> {
        let reply: Value = serde_json::from_slice(body).ok()?;
        match self {
            Self::OpenAi => openai::read_reply(&reply),
            Self::Anthropic => anthropic::read_reply(&reply),
        }
    }

    pub(crate) fn write_reply(self, reply: &Reply, request_id: &str) -> Value {
        match self {
            Self::OpenAi => openai::write_reply(reply, request_id),
            Self::Anthropic => anthropic::write_reply(reply, request_id),
        }
    }

    /// The message of an error body; both dialects keep it in the same place.
    pub(crate) fn read_error(self, body: &[u8]) -> Option<String> {
        let error: Value = serde_json::from_slice(body).ok()?;
        Some(error.pointer("/error/message")?.as_str()?.to_owned())
    }

    pub(crate) fn write_error(self, refusal: &Refusal, request_id: &str) -> Value {
        match self {
            Self::OpenAi => openai::write_error(refusal),
            Self::Anthropic => anthropic::write_error(refusal, request_id),
        }
    }

    /// Reads the events of a stream into pieces, one after the other.
    pub(crate) fn stream_reader(self) -> StreamReader {
        match self {
            Self::OpenAi => StreamReader::OpenAi(openai::StreamReader::default()),
            Self::Anthropic => StreamReader::Anthropic(anthropic::StreamReader::default()),
        }
    }

    /// Writes pieces as the text of a stream, one after the other.
    pub(crate) fn stream_writer(self, head: StreamHead) -> StreamWriter {
        match self {
            Self::OpenAi => StreamWriter::OpenAi(openai::StreamWriter::new(head)),
            Self::Anthropic => StreamWriter::Anthropic(anthropic::StreamWriter::new(head)),
        }
    }
}

/// What the beginning of a stream tells.
pub(crate) struct StreamHead {
    pub(crate) request_id: String,
    pub(crate) model: String,
    pub(crate) input_tokens: u64,
    pub(crate) include_usage: bool,
}

pub(crate) enum StreamReader {
    OpenAi(openai::StreamReader),
    Anthropic(anthropic::StreamReader),
}

impl StreamReader {
    pub(crate) fn read(&mut self, event: &Event) -> Option<Piece> {
        match self {
            Self::OpenAi(reader) => reader.read(event),
            Self::Anthropic(reader) => reader.read(event),
        }
    }
}

pub(crate) enum StreamWriter {
    OpenAi(openai::StreamWriter),
    Anthropic(anthropic::StreamWriter),
}

impl StreamWriter {
    pub(crate) fn write(&mut self, piece: &Piece) -> String {
        match self {
            Self::OpenAi(writer) => writer.write(piece),
            Self::Anthropic(writer) => writer.write(piece),
        }
    }
}
