//! Giving the answer that fate has in store, at its pace.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::time::{Instant, sleep, sleep_until};

use super::fate::{Ending, Fate};
use crate::catalog::Provider;
use crate::chat::{Chat, Piece, Refusal, Reply, Stop, Usage};
use crate::clock::{self, Pace};
use crate::dialect::{Dialect, StreamHead, StreamWriter};
use crate::proxy::REQUEST_ID;

/// Tokens go out in chunks no closer than this, as real providers send several at once.
const SHORTEST_GAP: Duration = Duration::from_millis(8);

pub(super) async fn give(
    provider: &Provider,
    chat: &Chat,
    fate: Fate,
    pace: Pace,
    request_id: &str,
) -> Response {
    let dialect = provider.dialect;
    match fate.ending {
        Ending::Refusal(status) => {
            sleep(pace.real(fate.first_token)).await;
            let mut refusal = Refusal::new(status, words(status));
            refusal.retry_after_seconds = (status == 429).then_some(1);
            refuse(dialect, &refusal, request_id)
        }
        Ending::Hang => std::future::pending().await,
        Ending::Whole | Ending::Break(_) if chat.stream => {
            streamed(dialect, chat, &fate, pace, request_id)
        }
        Ending::Whole | Ending::Break(_) => whole(dialect, chat, &fate, pace, request_id).await,
    }
}

pub(super) fn refuse(dialect: Dialect, refusal: &Refusal, request_id: &str) -> Response {
    let body = dialect.write_error(refusal, request_id).to_string();
    let mut response = json(refusal.status, body, request_id);
    if let Some(seconds) = refusal.retry_after_seconds {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

async fn whole(
    dialect: Dialect,
    chat: &Chat,
    fate: &Fate,
    pace: Pace,
    request_id: &str,
) -> Response {
    let generating = fate.answer_tokens as f64 / fate.tokens_per_second;
    sleep(pace.real(fate.first_token + Duration::from_secs_f64(generating))).await;
    let usage = usage(chat, fate);
    let reply = Reply {
        model: chat.model.clone(),
        text: text(0, usage.output_tokens),
        stop: stop(chat, fate),
        usage,
    };
    let body = dialect.write_reply(&reply, request_id).to_string();
    if matches!(fate.ending, Ending::Break(_)) {
        return broken(&body);
    }
    json(200, body, request_id)
}

/// Half of the body, and then the connection ends.
fn broken(body: &str) -> Response {
    let half: String = body.chars().take(body.len() / 2).collect();
    let parts = [
        Ok(half),
        Err(io::Error::from(io::ErrorKind::ConnectionReset)),
    ];
    (
        [(CONTENT_TYPE, "application/json")],
        Body::from_stream(stream::iter(parts)),
    )
        .into_response()
}

fn streamed(dialect: Dialect, chat: &Chat, fate: &Fate, pace: Pace, request_id: &str) -> Response {
    let gap = pace.real(Duration::from_secs_f64(1.0 / fate.tokens_per_second));
    let step = (SHORTEST_GAP.as_secs_f64() / gap.as_secs_f64())
        .ceil()
        .max(1.0) as u64;
    let tokens = Tokens {
        writer: dialect.stream_writer(StreamHead {
            request_id: request_id.to_owned(),
            model: chat.model.clone(),
            input_tokens: chat.prompt_tokens(),
            include_usage: chat.include_usage,
        }),
        first: Instant::from_std(clock::now()) + pace.real(fate.first_token),
        gap,
        step,
        sent: 0,
        usage: usage(chat, fate),
        stop: stop(chat, fate),
        breaks_after: match fate.ending {
            Ending::Break(tokens) => Some(tokens),
            _ => None,
        },
        ended: false,
    };
    let body = Body::from_stream(stream::unfold(tokens, Tokens::next));
    let headers = [
        (CONTENT_TYPE.as_str(), "text/event-stream"),
        (REQUEST_ID, request_id),
    ];
    (headers, body).into_response()
}

/// A stream of tokens on a schedule.
struct Tokens {
    writer: StreamWriter,
    first: Instant,
    gap: Duration,
    step: u64,
    sent: u64,
    usage: Usage,
    stop: Stop,
    breaks_after: Option<u64>,
    ended: bool,
}

impl Tokens {
    async fn next(mut self) -> Option<(io::Result<String>, Self)> {
        if self.ended {
            return None;
        }
        let until = (self.sent + self.step).min(self.usage.output_tokens);
        sleep_until(self.first + self.gap.mul_f64(until.saturating_sub(1) as f64)).await;
        if self.breaks_after.is_some_and(|tokens| tokens < until) {
            self.ended = true;
            return Some((Err(io::ErrorKind::ConnectionReset.into()), self));
        }
        let mut out = self.writer.write(&Piece::Text(text(self.sent, until)));
        self.sent = until;
        if until == self.usage.output_tokens {
            self.ended = true;
            out += &self.writer.write(&Piece::End {
                stop: self.stop,
                usage: self.usage,
            });
        }
        Some((Ok(out), self))
    }
}

fn json(status: u16, body: String, request_id: &str) -> Response {
    let headers = [
        (CONTENT_TYPE.as_str(), "application/json"),
        (REQUEST_ID, request_id),
    ];
    let mut response = (headers, body).into_response();
    if let Ok(status) = axum::http::StatusCode::from_u16(status) {
        *response.status_mut() = status;
    }
    response
}

fn usage(chat: &Chat, fate: &Fate) -> Usage {
    Usage {
        input_tokens: chat.prompt_tokens(),
        output_tokens: fate.answer_tokens,
    }
}

fn stop(chat: &Chat, fate: &Fate) -> Stop {
    match chat.max_tokens {
        Some(limit) if u64::from(limit) == fate.answer_tokens => Stop::Length,
        _ => Stop::End,
    }
}

/// The words of the tokens from one number to another; a token is four bytes.
fn text(from: u64, to: u64) -> String {
    const WORDS: [&str; 8] = [
        "the ", "sea ", "and ", "sky ", "met ", "far ", "out ", "now ",
    ];
    let words = WORDS
        .iter()
        .cycle()
        .skip((from % WORDS.len() as u64) as usize);
    words.take((to - from) as usize).copied().collect()
}

fn words(status: u16) -> &'static str {
    match status {
        429 => "Rate limit reached for requests",
        503 => "The service is unavailable, please try again later",
        529 => "Overloaded",
        _ => "The server had an error while processing your request",
    }
}
