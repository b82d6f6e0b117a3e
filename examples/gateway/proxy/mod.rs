//! The gateway itself: what it keeps between requests, and its routes.

mod attempt;
mod cache;
mod endpoint;
mod limit;
mod relay;
mod respond;
mod route;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aimux_otel::PerformanceMonitor;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::HeaderMap;
use axum::routing::{get, post};

use crate::clock::Pace;
use crate::dialect::Dialect;
use cache::Cache;
use limit::Limiter;

/// The header that names a request from the client through to the provider.
pub(crate) const REQUEST_ID: &str = "x-request-id";
/// Tells the client whether the answer came from the cache, and else which provider gave it.
pub(crate) const CACHE: &str = "x-cache";
pub(crate) const PROVIDER: &str = "x-provider";

/// Bytes that a request may have.
pub(crate) const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// The endpoints, which are also configured at the monitor.
pub(crate) const MODELS: &str = "/v1/models";
pub(crate) const HEALTH: &str = "/healthz";

pub(crate) struct Gateway {
    monitor: PerformanceMonitor,
    http: reqwest::Client,
    urls: BTreeMap<&'static str, String>,
    time_limits: TimeLimits,
    limiter: Limiter,
    cache: Cache,
    requests: AtomicU64,
}

/// How long a provider may take.
#[derive(Clone, Copy)]
struct TimeLimits {
    whole_answer: Duration,
    /// Between two tokens, or before the first.
    next_token: Duration,
}

impl TimeLimits {
    /// Below this a busy machine would be taken for a slow provider.
    const LEAST: Duration = Duration::from_secs(1);

    fn new(pace: Pace) -> Self {
        let limit = |seconds| pace.real(Duration::from_secs(seconds)).max(Self::LEAST);
        Self {
            whole_answer: limit(45),
            next_token: limit(15),
        }
    }
}

impl Gateway {
    pub(crate) fn new(
        monitor: PerformanceMonitor,
        urls: BTreeMap<&'static str, String>,
        requests_per_second: Option<f64>,
        pace: Pace,
    ) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .pool_max_idle_per_host(64)
            .build()?;
        Ok(Self {
            monitor,
            http,
            urls,
            time_limits: TimeLimits::new(pace),
            limiter: Limiter::new(requests_per_second, pace),
            cache: Cache::new(pace.real(Duration::from_secs(300))),
            requests: AtomicU64::new(0),
        })
    }

    pub(crate) fn router(self) -> Router {
        Router::new()
            .route(Dialect::OpenAi.endpoint(), post(endpoint::chat_completions))
            .route(Dialect::Anthropic.endpoint(), post(endpoint::messages))
            .route(MODELS, get(endpoint::models))
            .route(HEALTH, get(endpoint::health))
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .with_state(Arc::new(self))
    }

    /// The id that the client gave its request, else the next of our own.
    fn request_id(&self, headers: &HeaderMap) -> String {
        let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        let plain = |id: &&str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            (1..=64).contains(&id.len()) && id.bytes().all(allowed)
        };
        match given.filter(plain) {
            Some(id) => id.to_owned(),
            None => format!("req-{}", self.requests.fetch_add(1, Ordering::Relaxed) + 1),
        }
    }
}
