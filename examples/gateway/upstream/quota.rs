//! What a provider has left for the gateway, which it tells with each answer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::response::Response;

use crate::dialect::Dialect;

/// Requests in a minute. It is told, and never enforced: what is refused is drawn by fate.
const LIMIT: u64 = 3_000;

/// What was used of the minute that goes on.
#[derive(Default)]
pub(super) struct Quota(Mutex<Minute>);

#[derive(Default)]
struct Minute {
    number: u64,
    used: u64,
}

impl Quota {
    /// Takes one more after so much time; what is left.
    pub(super) fn take(&self, played: Duration) -> u64 {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = played.as_secs() / 60;
        if minute.number != number {
            *minute = Minute { number, used: 0 };
        }
        minute.used += 1;
        LIMIT.saturating_sub(minute.used)
    }
}

/// Tells it as providers of that dialect do.
pub(super) fn tell(dialect: Dialect, left: u64, response: &mut Response) {
    let (limit, remaining) = match dialect {
        Dialect::OpenAi => (
            "x-ratelimit-limit-requests",
            "x-ratelimit-remaining-requests",
        ),
        Dialect::Anthropic => (
            "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-remaining",
        ),
    };
    response.headers_mut().insert(limit, LIMIT.into());
    response.headers_mut().insert(remaining, left.into());
}
