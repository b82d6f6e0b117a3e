//! The providers: real HTTP servers on loopback that answer, stall and fail like the ones outside.

mod answer;
mod fate;
mod quota;

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;

use crate::catalog::{Model, PROVIDERS, Provider};
use crate::chat::Refusal;
use crate::clock::{self, Pace};
use crate::proxy::{BODY_LIMIT, REQUEST_ID};
use crate::server::Server;
use quota::Quota;

/// All providers, each on a port of its own.
pub(crate) struct Upstreams {
    all: Vec<(Server, Arc<Upstream>)>,
}

struct Upstream {
    provider: &'static Provider,
    seed: u64,
    pace: Pace,
    started: Instant,
    attempts: Vec<(&'static Model, AtomicU64)>,
    quota: Quota,
}

/// Attempts by provider and model.
pub(crate) type Attempts = BTreeMap<&'static str, BTreeMap<&'static str, u64>>;

impl Upstreams {
    pub(crate) async fn start(seed: u64, pace: Pace) -> io::Result<Self> {
        let mut all = Vec::new();
        for provider in &PROVIDERS {
            let models = provider.models.iter();
            let upstream = Arc::new(Upstream {
                provider,
                seed,
                pace,
                started: clock::now(),
                attempts: models.map(|model| (model, AtomicU64::new(0))).collect(),
                quota: Quota::default(),
            });
            let router = Router::new()
                .route(provider.dialect.provider_path(), post(receive))
                .layer(DefaultBodyLimit::max(BODY_LIMIT))
                .with_state(Arc::clone(&upstream));
            let any_port = (Ipv4Addr::LOCALHOST, 0).into();
            all.push((Server::start(any_port, router).await?, upstream));
        }
        Ok(Self { all })
    }

    /// Where the chat endpoint of each provider is.
    pub(crate) fn urls(&self) -> BTreeMap<&'static str, String> {
        self.all
            .iter()
            .map(|(server, upstream)| {
                let address = server.address;
                let path = upstream.provider.dialect.provider_path();
                (upstream.provider.name, format!("http://{address}{path}"))
            })
            .collect()
    }

    /// What the providers counted themselves.
    pub(crate) fn attempts(&self) -> Attempts {
        self.all
            .iter()
            .map(|(_, upstream)| {
                let models = upstream.attempts.iter();
                let models = models.map(|(model, n)| (model.name, n.load(Ordering::Relaxed)));
                (upstream.provider.name, models.collect())
            })
            .collect()
    }
}

async fn receive(
    State(upstream): State<Arc<Upstream>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let provider = upstream.provider;
    let request_id = headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let chat = match provider.dialect.read_request(&body) {
        Ok(chat) => chat,
        Err(message) => {
            return answer::refuse(provider.dialect, &Refusal::new(400, message), request_id);
        }
    };
    let known = upstream
        .attempts
        .iter()
        .find(|(model, _)| model.name == chat.model);
    let Some((model, attempts)) = known else {
        let message = format!("the model \"{}\" does not exist", chat.model);
        return answer::refuse(provider.dialect, &Refusal::new(404, message), request_id);
    };
    attempts.fetch_add(1, Ordering::Relaxed);
    let played = upstream.pace.played(clock::now() - upstream.started);
    let fate = fate::draw(upstream.seed, provider, model, &chat, request_id, played);
    let left = upstream.quota.take(played);
    let mut response = answer::give(provider, &chat, fate, upstream.pace, request_id).await;
    quota::tell(provider.dialect, left, &mut response);
    response
}
