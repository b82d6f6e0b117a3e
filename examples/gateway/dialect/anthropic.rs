//! Anthropic's Messages: requests, replies, errors and streams.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::content::{self, Content};
use super::{Event, StreamHead, sse};
use crate::chat::{Chat, Message, Piece, Refusal, Reply, Role, Stop, Usage};

#[derive(Deserialize)]
struct Request {
    model: String,
    max_tokens: u32,
    messages: Vec<RequestMessage>,
    system: Option<Content>,
    temperature: Option<f64>,
    stream: Option<bool>,
}

#[derive(Deserialize)]
struct RequestMessage {
    role: String,
    content: Content,
}

pub(super) fn read_request(body: &[u8]) -> Result<Chat, String> {
    let request: Request = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    content::check(
        request.messages.len(),
        Some(request.max_tokens),
        request.temperature,
    )?;
    let mut messages = Vec::with_capacity(request.messages.len() + 1);
    if let Some(system) = &request.system {
        messages.push(Message {
            role: Role::System,
            text: system.text("system")?,
        });
    }
    for (at, message) in request.messages.iter().enumerate() {
        let role = match message.role.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            other => return Err(format!("messages.{at}.role: \"{other}\" is not supported")),
        };
        let text = message.content.text(&format!("messages.{at}.content"))?;
        messages.push(Message { role, text });
    }
    Ok(Chat {
        model: request.model,
        messages,
        max_tokens: Some(request.max_tokens),
        temperature: request.temperature,
        stream: request.stream.unwrap_or(false),
        include_usage: true,
    })
}

#[derive(Serialize)]
struct OutRequest<'a> {
    model: &'a str,
    max_tokens: u32,
    messages: Vec<OutMessage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    stream: bool,
}

#[derive(Serialize)]
struct OutMessage<'a> {
    role: &'static str,
    content: &'a str,
}

pub(super) fn write_request(chat: &Chat, model: &str) -> Value {
    /// Anthropic's dialect demands a limit; OpenAI's clients need not send one.
    const DEFAULT_MAX_TOKENS: u32 = 4_096;

    let (system, messages): (Vec<&Message>, Vec<&Message>) = chat
        .messages
        .iter()
        .partition(|message| message.role == Role::System);
    let system: Vec<&str> = system.iter().map(|message| message.text.as_str()).collect();
    let messages = messages
        .into_iter()
        .map(|message| OutMessage {
            role: message.role.name(),
            content: &message.text,
        })
        .collect();
    json!(OutRequest {
        model,
        max_tokens: chat.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS),
        messages,
        system: (!system.is_empty()).then(|| system.concat()),
        temperature: chat.temperature,
        stream: chat.stream,
    })
}

pub(super) fn write_reply(reply: &Reply, request_id: &str) -> Value {
    json!({
        "id": answer_id(request_id),
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": [{ "type": "text", "text": reply.text }],
        "stop_reason": stop_reason(reply.stop),
        "stop_sequence": null,
        "usage": usage(reply.usage),
    })
}

pub(super) fn read_reply(reply: &Value) -> Option<Reply> {
    Some(Reply {
        model: reply.pointer("/model")?.as_str()?.to_owned(),
        text: reply.pointer("/content/0/text")?.as_str()?.to_owned(),
        stop: read_stop_reason(reply.pointer("/stop_reason"))?,
        usage: Usage {
            input_tokens: reply.pointer("/usage/input_tokens")?.as_u64()?,
            output_tokens: reply.pointer("/usage/output_tokens")?.as_u64()?,
        },
    })
}

pub(super) fn write_error(refusal: &Refusal, request_id: &str) -> Value {
    let kind = match refusal.status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        status if status < 500 => "invalid_request_error",
        _ => "api_error",
    };
    json!({
        "type": "error",
        "error": { "type": kind, "message": refusal.message },
        "request_id": request_id,
    })
}

fn answer_id(request_id: &str) -> String {
    format!("msg_{request_id}")
}

fn stop_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "end_turn",
        Stop::Length => "max_tokens",
    }
}

fn read_stop_reason(value: Option<&Value>) -> Option<Stop> {
    match value?.as_str()? {
        "max_tokens" => Some(Stop::Length),
        _ => Some(Stop::End),
    }
}

fn usage(usage: Usage) -> Value {
    json!({ "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens })
}

/// The input's size comes at the start, the output's with the reason at the end.
#[derive(Default)]
pub(crate) struct StreamReader {
    stop: Option<Stop>,
    usage: Usage,
}

impl StreamReader {
    pub(super) fn read(&mut self, event: &Event) -> Option<Piece> {
        let Ok(data) = serde_json::from_str::<Value>(&event.data) else {
            return Some(Piece::Fault("an event is not JSON".to_owned()));
        };
        match data.get("type")?.as_str()? {
            "message_start" => self.add_usage(data.pointer("/message/usage")?),
            "content_block_delta" => {
                return Some(Piece::Text(
                    data.pointer("/delta/text")?.as_str()?.to_owned(),
                ));
            }
            "message_delta" => {
                self.stop = read_stop_reason(data.pointer("/delta/stop_reason")).or(self.stop);
                self.add_usage(data.get("usage")?);
            }
            "message_stop" => {
                let stop = self.stop.unwrap_or(Stop::End);
                return Some(Piece::End {
                    stop,
                    usage: self.usage,
                });
            }
            "error" => {
                let message = data.pointer("/error/message").and_then(Value::as_str);
                return Some(Piece::Fault(message.unwrap_or("unknown error").to_owned()));
            }
            _ => {}
        }
        None
    }

    fn add_usage(&mut self, usage: &Value) {
        let tokens = |name| usage.get(name).and_then(Value::as_u64);
        let Usage {
            input_tokens,
            output_tokens,
        } = self.usage;
        self.usage = Usage {
            input_tokens: tokens("input_tokens").unwrap_or(input_tokens),
            output_tokens: tokens("output_tokens").unwrap_or(output_tokens),
        };
    }
}

pub(crate) struct StreamWriter {
    head: StreamHead,
    begun: bool,
}

impl StreamWriter {
    pub(super) fn new(head: StreamHead) -> Self {
        Self { head, begun: false }
    }

    pub(super) fn write(&mut self, piece: &Piece) -> String {
        let mut out = String::new();
        if !std::mem::replace(&mut self.begun, true) {
            out += &self.beginning();
        }
        match piece {
            Piece::Text(text) => {
                out += &event(&json!({
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": { "type": "text_delta", "text": text },
                }));
            }
            Piece::End { stop, usage: spent } => {
                out += &event(&json!({ "type": "content_block_stop", "index": 0 }));
                out += &event(&json!({
                    "type": "message_delta",
                    "delta": { "stop_reason": stop_reason(*stop), "stop_sequence": null },
                    "usage": usage(*spent),
                }));
                out += &event(&json!({ "type": "message_stop" }));
            }
            Piece::Fault(message) => {
                let refusal = Refusal::new(502, message.as_str());
                out += &event(&write_error(&refusal, &self.head.request_id));
            }
        }
        out
    }

    fn beginning(&self) -> String {
        let spent = Usage {
            input_tokens: self.head.input_tokens,
            output_tokens: 1,
        };
        let start = event(&json!({
            "type": "message_start",
            "message": {
                "id": answer_id(&self.head.request_id),
                "type": "message",
                "role": "assistant",
                "model": self.head.model,
                "content": [],
                "stop_reason": null,
                "stop_sequence": null,
                "usage": usage(spent),
            },
        }));
        let block = event(&json!({
            "type": "content_block_start",
            "index": 0,
            "content_block": { "type": "text", "text": "" },
        }));
        start + &block + &event(&json!({ "type": "ping" }))
    }
}

/// An event named after the type of its data.
fn event(data: &Value) -> String {
    sse::write(data.get("type").and_then(Value::as_str), &data.to_string())
}
