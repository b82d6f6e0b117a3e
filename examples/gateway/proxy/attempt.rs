//! One attempt: one call to one provider and model, measured by a `ProviderCall`.

use aimux_otel::{OperationHandle, ProviderCall};
use axum::http::{
    HeaderMap,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use reqwest::Response;
use tokio::time::timeout;

use super::relay::Relay;
use super::{Gateway, REQUEST_ID};
use crate::catalog::Target;
use crate::chat::{Chat, Refusal, Reply};
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

    /// The same, told to the call that failed so; a status speaks for itself.
    fn told(self, call: &mut ProviderCall) -> Self {
        if !matches!(self, Self::Status { .. }) {
            call.error(self.reason());
        }
        self
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

/// Calls a provider. A streamed answer comes back with its first token, and the call is measured
/// until the stream ends.
pub(super) async fn call(
    gateway: &Gateway,
    operation: &OperationHandle,
    target: Target,
    chat: &Chat,
    request_id: &str,
) -> Result<Answer, Failure> {
    let mut call = operation.provider_call(target.provider.name, target.model.name);
    let limits = gateway.time_limits;
    let limit = if chat.stream {
        limits.next_token
    } else {
        limits.whole_answer
    };
    let began = clock::now();
    let request = send(gateway, &mut call, target, chat, request_id);
    let response = match timeout(limit, request)
        .await
        .unwrap_or(Err(Failure::Timeout))
    {
        Ok(response) => response,
        Err(failure) => return Err(failure.told(&mut call)),
    };
    if chat.stream {
        let relay = Relay::begin(response, call, target, limit).await?;
        return Ok(Answer::Stream(Box::new(relay)));
    }
    let left = limit.saturating_sub(clock::now() - began);
    let read = read(response, &mut call, target);
    match timeout(left, read).await.unwrap_or(Err(Failure::Timeout)) {
        Ok(reply) => {
            call.finish();
            Ok(Answer::Whole(reply))
        }
        Err(failure) => Err(failure.told(&mut call)),
    }
}

async fn send(
    gateway: &Gateway,
    call: &mut ProviderCall,
    target: Target,
    chat: &Chat,
    request_id: &str,
) -> Result<Response, Failure> {
    let Target { provider, model } = target;
    let url = gateway.urls.get(provider.name).ok_or(Failure::Connection)?;
    let body = provider.dialect.write_request(chat, model.name).to_string();
    let mut trace = HeaderMap::new();
    call.inject_trace(&mut trace);
    let response = gateway
        .http
        .post(url)
        .headers(trace)
        .header(CONTENT_TYPE, "application/json")
        .header(REQUEST_ID, request_id)
        .body(body)
        .send()
        .await
        .map_err(|_| Failure::Connection)?;
    call.head(response.status(), response.headers());
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    let retry_after_seconds = retry_after.and_then(|seconds| seconds.parse().ok());
    let body = response.bytes().await.unwrap_or_default();
    call.answer(&body);
    let message = provider.dialect.read_error(&body);
    let message = message.unwrap_or_else(|| format!("the provider answered {status}"));
    let refusal = Refusal {
        status: status.as_u16(),
        message,
        retry_after_seconds,
    };
    Err(Failure::Status { refusal })
}

async fn read(
    response: Response,
    call: &mut ProviderCall,
    target: Target,
) -> Result<Reply, Failure> {
    let body = response.bytes().await.map_err(|_| Failure::Broken)?;
    call.answer(&body);
    let dialect = target.provider.dialect;
    dialect.read_reply(&body).ok_or(Failure::Broken)
}
