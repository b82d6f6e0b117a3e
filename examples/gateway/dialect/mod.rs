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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Stop, Usage};
    use serde_json::json;

    const BOTH: [Dialect; 2] = [Dialect::OpenAi, Dialect::Anthropic];

    #[test]
    fn a_request_reads_the_same_in_both_dialects() {
        let asked = json!({
            "model": "gpt-4o", "max_tokens": 9, "stream": true, "temperature": 0.5,
            "messages": [
                { "role": "system", "content": "be brief" },
                { "role": "user", "content": [{ "type": "text", "text": "hello" }] },
            ],
        });
        let asked = Dialect::OpenAi
            .read_request(asked.to_string().as_bytes())
            .unwrap();
        for dialect in BOTH {
            let written = dialect.write_request(&asked, "other").to_string();
            let read = dialect.read_request(written.as_bytes()).unwrap();
            assert_eq!(read.model, "other");
            assert_eq!(read.messages, asked.messages);
            assert_eq!(read.max_tokens, Some(9));
            assert_eq!(read.temperature, Some(0.5));
            assert!(read.stream && read.include_usage);
        }
    }

    #[test]
    fn a_stream_reads_as_it_was_written_whatever_its_chunks() {
        let usage = Usage {
            input_tokens: 7,
            output_tokens: 2,
        };
        for dialect in BOTH {
            let mut writer = dialect.stream_writer(StreamHead {
                request_id: "1".to_owned(),
                model: "gpt-4o".to_owned(),
                input_tokens: 7,
                include_usage: true,
            });
            let mut text = writer.write(&Piece::Text("the ".to_owned()));
            text += &writer.write(&Piece::Text("sea\n\n".to_owned()));
            text += &writer.write(&Piece::End {
                stop: Stop::Length,
                usage,
            });
            let (mut parser, mut reader) = (Parser::default(), dialect.stream_reader());
            let (mut said, mut ended) = (String::new(), false);
            for byte in text.bytes() {
                parser.push(&[byte]);
                match parser.next_event().and_then(|event| reader.read(&event)) {
                    Some(Piece::Text(text)) => said += &text,
                    Some(Piece::End { stop, usage: spent }) => {
                        assert_eq!((stop, spent), (Stop::Length, usage));
                        ended = true;
                    }
                    Some(Piece::Fault(fault)) => panic!("{fault}"),
                    None => {}
                }
            }
            assert_eq!(said, "the sea\n\n");
            assert!(ended);
        }
    }

    #[test]
    fn a_stream_that_stops_short_has_no_end() {
        let mut reader = Dialect::OpenAi.stream_reader();
        let done = Event {
            name: String::new(),
            data: "[DONE]".to_owned(),
        };
        assert!(matches!(reader.read(&done), Some(Piece::Fault(_))));
    }

    #[test]
    fn what_is_wrong_with_a_request_is_said() {
        let bodies = [
            ("{\"messages\": 7}", "messages"),
            (
                "{\"model\": \"m\", \"max_tokens\": 1, \"messages\": []}",
                "at least one",
            ),
            ("nonsense", "expected"),
        ];
        for dialect in BOTH {
            for (body, expected) in bodies {
                let said = dialect.read_request(body.as_bytes()).unwrap_err();
                assert!(
                    said.contains(expected) || said.contains("invalid"),
                    "{said}"
                );
            }
        }
    }
}
