//! One attempt: one call to one provider and model, and its span.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::Response;
use tokio::time::timeout;
use tracing::Span;

use super::relay::Relay;
use super::{Gateway, REQUEST_ID};
use crate::catalog::Target;
use crate::chat::{Chat, Refusal, Reply, Usage};
use crate::clock;

pub(super) enum Answer {
    Whole(Reply),
    Stream(Box<Relay>),
}

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    Status {
        refusal: Refusal,
    },
    Timeout,
    Connection,
    /// The answer stopped short, or is none.
    Broken,
}

impl Failure {
    pub(super) fn another_may_do_better(&self) -> bool {
        match self {
            Self::Status { refusal } => matches!(refusal.status, 408 | 429 | 500..),
            Self::Timeout | Self::Connection | Self::Broken => true,
        }
    }

    /// In a word: one of the values that `error.type` has.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Status { refusal } => match refusal.status {
                429 => "429",
                500 => "500",
                503 => "503",
                529 => "529",
                _ => "_OTHER",
            },
            Self::Timeout => "timeout",
            Self::Connection => "connection_reset",
            Self::Broken => "stream_broken",
        }
    }

    /// What the client is told when nobody else can answer either.
    pub(super) fn refusal(self) -> Refusal {
        match self {
            Self::Status { refusal } if refusal.status < 500 => refusal,
            Self::Status { .. } => Refusal::new(503, "no provider could answer"),
            Self::Timeout => Refusal::new(504, "the provider did not answer in time"),
            Self::Connection => Refusal::new(502, "the provider could not be reached"),
            Self::Broken => Refusal::new(502, "the provider's answer was cut off"),
        }
    }
}

/// Calls a provider. A streamed answer comes back with its first token, and with it the span,
/// which ends when the stream does.
#[tracing::instrument(
    name = "attempt",
    skip_all,
    fields(
        provider = target.provider.name,
        model = target.model.name,
        operation = "chat",
        status_code, error_type, ttft_ms, input_tokens, output_tokens, cost,
    )
)]
pub(super) async fn call(
    gateway: &Gateway,
    target: Target,
    chat: &Chat,
    request_id: &str,
) -> Result<Answer, Failure> {
    let mut attempt = Attempt::begin(target);
    let limits = gateway.time_limits;
    let limit = if chat.stream {
        limits.first_token
    } else {
        limits.whole_answer
    };
    let began = clock::now();
    let request = send(gateway, &mut attempt, chat, request_id);
    let response = match timeout(limit, request)
        .await
        .unwrap_or(Err(Failure::Timeout))
    {
        Ok(response) => response,
        Err(failure) => return Err(attempt.fail(failure)),
    };
    let left = limit.saturating_sub(clock::now() - began);
    if chat.stream {
        let relay = Relay::begin(response, attempt, left, limits.next_token).await?;
        return Ok(Answer::Stream(Box::new(relay)));
    }
    match timeout(left, read(response, target))
        .await
        .unwrap_or(Err(Failure::Timeout))
    {
        Ok(reply) => {
            attempt.succeed(reply.usage);
            Ok(Answer::Whole(reply))
        }
        Err(failure) => Err(attempt.fail(failure)),
    }
}

async fn send(
    gateway: &Gateway,
    attempt: &mut Attempt,
    chat: &Chat,
    request_id: &str,
) -> Result<Response, Failure> {
    let Target { provider, model } = attempt.target;
    let url = gateway.urls.get(provider.name).ok_or(Failure::Connection)?;
    let body = provider.dialect.write_request(chat, model.name).to_string();
    let response = gateway
        .http
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header(REQUEST_ID, request_id)
        .body(body)
        .send()
        .await
        .map_err(|_| Failure::Connection)?;
    let status = response.status();
    attempt.status(status);
    if status.is_success() {
        return Ok(response);
    }
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    let retry_after_seconds = retry_after.and_then(|seconds| seconds.parse().ok());
    let body = response.bytes().await.unwrap_or_default();
    let message = provider.dialect.read_error(&body);
    let message = message.unwrap_or_else(|| format!("the provider answered {status}"));
    let refusal = Refusal {
        status: status.as_u16(),
        message,
        retry_after_seconds,
    };
    Err(Failure::Status { refusal })
}

async fn read(response: Response, target: Target) -> Result<Reply, Failure> {
    let body = response.bytes().await.map_err(|_| Failure::Broken)?;
    target
        .provider
        .dialect
        .read_reply(&body)
        .ok_or(Failure::Broken)
}

/// What is written on the attempt's span as it comes to be known.
pub(super) struct Attempt {
    pub(super) target: Target,
    span: Span,
    began: Instant,
    over: bool,
}

impl Attempt {
    /// Takes hold of the current span.
    fn begin(target: Target) -> Self {
        Self {
            target,
            span: Span::current(),
            began: clock::now(),
            over: false,
        }
    }

    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    fn status(&self, status: StatusCode) {
        self.span.record("status_code", u64::from(status.as_u16()));
    }

    pub(super) fn first_token(&self) {
        let taken = clock::now() - self.began;
        self.span.record("ttft_ms", milliseconds(taken));
    }

    pub(super) fn succeed(&mut self, usage: Usage) {
        self.over = true;
        let cost = self
            .target
            .model
            .cost_usd(usage.input_tokens, usage.output_tokens);
        self.span.record("input_tokens", usage.input_tokens);
        self.span.record("output_tokens", usage.output_tokens);
        self.span.record("cost", cost);
    }

    /// An error status speaks for itself; what has none is named.
    pub(super) fn fail(&mut self, failure: Failure) -> Failure {
        self.over = true;
        match &failure {
            Failure::Status { .. } => {}
            Failure::Timeout => {
                self.span.record("error_type", failure.reason());
                self.span
                    .in_scope(|| tracing::warn!(aimux.event = "timeout"));
            }
            Failure::Connection | Failure::Broken => {
                self.span.record("error_type", failure.reason());
            }
        }
        failure
    }
}

impl Drop for Attempt {
    /// Dropped on the way: the client has hung up, and nobody waits for the answer any more.
    fn drop(&mut self) {
        if !self.over {
            self.span.record("error_type", "cancelled");
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
