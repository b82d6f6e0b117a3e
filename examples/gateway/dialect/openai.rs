//! OpenAI's Chat Completions: requests, replies, errors and streams.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::content::{self, Content};
use super::{Event, StreamHead, sse};
use crate::chat::{Chat, Message, Piece, Refusal, Reply, Role, Stop, Usage};
use crate::clock;

#[derive(Deserialize)]
struct Request {
    model: String,
    messages: Vec<RequestMessage>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    temperature: Option<f64>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<u32>,
}

#[derive(Deserialize)]
struct RequestMessage {
    role: String,
    content: Option<Content>,
}

#[derive(Deserialize, Serialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

pub(super) fn read_request(body: &[u8]) -> Result<Chat, String> {
    let request: Request = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let max_tokens = request.max_completion_tokens.or(request.max_tokens);
    content::check(request.messages.len(), max_tokens, request.temperature)?;
    if request.n.is_some_and(|n| n != 1) {
        return Err("n: only one choice is supported".to_owned());
    }
    let messages = request.messages.iter().enumerate().map(|(at, message)| {
        let place = format!("messages[{at}]");
        let role = match message.role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            other => return Err(format!("{place}.role: \"{other}\" is not supported")),
        };
        let text = match &message.content {
            Some(content) => content.text(&format!("{place}.content"))?,
            None => String::new(),
        };
        Ok(Message { role, text })
    });
    Ok(Chat {
        model: request.model,
        messages: messages.collect::<Result<_, String>>()?,
        max_tokens,
        temperature: request.temperature,
        stream: request.stream.unwrap_or(false),
        include_usage: request
            .stream_options
            .and_then(|options| options.include_usage)
            .unwrap_or(false),
    })
}

#[derive(Serialize)]
struct OutRequest<'a> {
    model: &'a str,
    messages: Vec<OutMessage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct OutMessage<'a> {
    role: &'static str,
    content: &'a str,
}

/// Asks for the usage of every stream: we want to know what it costs, even if the client does not.
pub(super) fn write_request(chat: &Chat, model: &str) -> Value {
    let messages = chat
        .messages
        .iter()
        .map(|message| OutMessage {
            role: message.role.name(),
            content: &message.text,
        })
        .collect();
    json!(OutRequest {
        model,
        messages,
        max_completion_tokens: chat.max_tokens,
        temperature: chat.temperature,
        stream: chat.stream,
        stream_options: chat.stream.then_some(StreamOptions {
            include_usage: Some(true)
        }),
    })
}

pub(super) fn write_reply(reply: &Reply, request_id: &str) -> Value {
    json!({
        "id": answer_id(request_id),
        "object": "chat.completion",
        "created": clock::unix_seconds(),
        "model": reply.model,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": reply.text, "refusal": null },
            "logprobs": null,
            "finish_reason": finish_reason(reply.stop),
        }],
        "usage": usage(reply.usage),
    })
}

pub(super) fn read_reply(reply: &Value) -> Option<Reply> {
    Some(Reply {
        model: reply.get("model")?.as_str()?.to_owned(),
        text: reply
            .pointer("/choices/0/message/content")?
            .as_str()?
            .to_owned(),
        stop: read_finish_reason(reply.pointer("/choices/0/finish_reason"))?,
        usage: read_usage(reply.get("usage"))?,
    })
}

pub(super) fn write_error(refusal: &Refusal) -> Value {
    let (kind, code) = match refusal.status {
        400 => ("invalid_request_error", None),
        401 => ("invalid_request_error", Some("invalid_api_key")),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("rate_limit_error", Some("rate_limit_exceeded")),
        504 => ("timeout_error", Some("timeout")),
        503 => ("server_error", Some("service_unavailable")),
        status if status < 500 => ("invalid_request_error", None),
        _ => ("server_error", None),
    };
    json!({ "error": { "message": refusal.message, "type": kind, "param": null, "code": code } })
}

fn answer_id(request_id: &str) -> String {
    format!("chatcmpl-{request_id}")
}

fn finish_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "stop",
        Stop::Length => "length",
    }
}

fn read_finish_reason(value: Option<&Value>) -> Option<Stop> {
    match value?.as_str()? {
        "length" => Some(Stop::Length),
        _ => Some(Stop::End),
    }
}

fn usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    })
}

fn read_usage(value: Option<&Value>) -> Option<Usage> {
    Some(Usage {
        input_tokens: value?.get("prompt_tokens")?.as_u64()?,
        output_tokens: value?.get("completion_tokens")?.as_u64()?,
    })
}

/// Text comes in `choices`, the usage in a chunk of its own after them, and `[DONE]` ends it.
#[derive(Default)]
pub(crate) struct StreamReader {
    stop: Option<Stop>,
    usage: Usage,
}

impl StreamReader {
    pub(super) fn read(&mut self, event: &Event) -> Option<Piece> {
        if event.data == "[DONE]" {
            return Some(match self.stop {
                Some(stop) => Piece::End {
                    stop,
                    usage: self.usage,
                },
                None => Piece::Fault("the stream ended without a finish_reason".to_owned()),
            });
        }
        let Ok(chunk) = serde_json::from_str::<Value>(&event.data) else {
            return Some(Piece::Fault("a chunk is not JSON".to_owned()));
        };
        if let Some(message) = chunk.pointer("/error/message").and_then(Value::as_str) {
            return Some(Piece::Fault(message.to_owned()));
        }
        self.usage = read_usage(chunk.get("usage")).unwrap_or(self.usage);
        self.stop = read_finish_reason(chunk.pointer("/choices/0/finish_reason")).or(self.stop);
        match chunk.pointer("/choices/0/delta/content")?.as_str()? {
            "" => None,
            text => Some(Piece::Text(text.to_owned())),
        }
    }
}

pub(crate) struct StreamWriter {
    head: StreamHead,
    created: u64,
    begun: bool,
}

impl StreamWriter {
    pub(super) fn new(head: StreamHead) -> Self {
        Self {
            head,
            created: clock::unix_seconds(),
            begun: false,
        }
    }

    pub(super) fn write(&mut self, piece: &Piece) -> String {
        let mut out = String::new();
        if !std::mem::replace(&mut self.begun, true) {
            out += &self.chunk(&json!({ "role": "assistant", "content": "" }), None);
        }
        match piece {
            Piece::Text(text) => out += &self.chunk(&json!({ "content": text }), None),
            Piece::End { stop, usage } => {
                out += &self.chunk(&json!({}), Some(finish_reason(*stop)));
                if self.head.include_usage {
                    out += &self.event(&[], Some(*usage));
                }
                out += &sse::write(None, "[DONE]");
            }
            Piece::Fault(message) => {
                let error = write_error(&Refusal::new(502, message.as_str()));
                out += &sse::write(None, &error.to_string());
            }
        }
        out
    }

    fn chunk(&self, delta: &Value, finish_reason: Option<&str>) -> String {
        let choice = json!({
            "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason,
        });
        self.event(&[choice], None)
    }

    fn event(&self, choices: &[Value], spent: Option<Usage>) -> String {
        let chunk = json!({
            "id": answer_id(&self.head.request_id),
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.head.model,
            "choices": choices,
            "usage": spent.map(usage),
        });
        sse::write(None, &chunk.to_string())
    }
}
