//! Rate limits: a bucket of tokens for each client.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::chat::Refusal;
use crate::clock::{self, Pace};

/// How many seconds of its rate a client may use up at once.
const BURST_SECONDS: f64 = 6.0;
/// Clients remembered at a time.
const CLIENTS: usize = 10_000;

pub(super) struct Limiter {
    limit: Option<Limit>,
    hasher: RandomState,
    /// By the hash of the client's key, so that no key is kept.
    buckets: Mutex<HashMap<u64, Bucket>>,
}

#[derive(Clone, Copy)]
struct Limit {
    per_second: f64,
    at_once: f64,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Limiter {
    /// Takes the played requests per second of a client; none is no limit.
    pub(super) fn new(per_second: Option<f64>, pace: Pace) -> Self {
        let limit = per_second.map(|per_second| Limit {
            per_second: per_second * pace.speed(),
            at_once: (per_second * BURST_SECONDS).max(1.0),
        });
        Self {
            limit,
            hasher: RandomState::new(),
            buckets: Mutex::default(),
        }
    }

    /// Takes a token from the client's bucket, or says when there will be one.
    #[tracing::instrument(skip_all, fields(component = "rate_limiter", operation = "admit"))]
    pub(super) fn admit(&self, client: &[u8]) -> Result<(), Refusal> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        let now = clock::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CLIENTS {
            // A bucket that has filled up again is as good as none.
            buckets.retain(|_, bucket| bucket.at(now, limit) < limit.at_once);
        }
        let full = || Bucket {
            tokens: limit.at_once,
            filled: now,
        };
        let bucket = buckets
            .entry(self.hasher.hash_one(client))
            .or_insert_with(full);
        bucket.tokens = bucket.at(now, limit);
        bucket.filled = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - bucket.tokens) / limit.per_second;
        drop(buckets);
        tracing::warn!(aimux.event = "rate_limit_hit");
        // Not the fault of a provider, as a 429 would be otherwise.
        tracing::Span::current().record("error_type", "gateway_rate_limited");
        let mut refusal = Refusal::new(429, "too many requests from this client");
        refusal.retry_after_seconds = Some(wait.ceil().max(1.0) as u64);
        Err(refusal)
    }
}

impl Bucket {
    /// What is in it by now.
    fn at(&self, now: Instant, limit: Limit) -> f64 {
        let since = (now - self.filled).as_secs_f64();
        (self.tokens + since * limit.per_second).min(limit.at_once)
    }
}
