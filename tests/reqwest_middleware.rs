//! Calls that a `reqwest` client makes, measured by a middleware of it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

#[path = "http_layer/app.rs"]
mod app;
#[path = "calls/upstream.rs"]
#[allow(dead_code, reason = "not every test needs all of it")]
mod upstream;

use aimux_otel::{
    CallMiddleware, CallTarget, PerformanceEvent, PerformanceEventType, PerformanceMonitor, Stalled,
};
use app::{monitor, within};
use reqwest::dns::{Name, Resolve, Resolving};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use upstream::{DONE, HELLO, Step, USAGE, WORLD, chunk, events, json, last, upstream};

fn client(middleware: CallMiddleware) -> ClientWithMiddleware {
    ClientBuilder::new(reqwest::Client::new())
        .with(middleware)
        .build()
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}/v1/chat/completions?key=sk")
}

fn target() -> CallTarget {
    CallTarget::new("openai", "gpt-4o-mini")
}

fn calls(monitor: &PerformanceMonitor) -> Vec<PerformanceEvent> {
    monitor.collect();
    let mut calls = monitor.recent_events();
    calls.retain(|event| event.event_type == PerformanceEventType::ProviderEnd);
    calls
}

/// Why the only call failed.
fn error(monitor: &PerformanceMonitor) -> Option<String> {
    let calls = calls(monitor);
    assert_eq!(calls.len(), 1, "{calls:#?}");
    calls[0].metadata.get("error_type").cloned()
}

#[tokio::test]
async fn a_request_with_a_target_is_measured_to_the_end_of_its_answer() {
    let monitor = monitor();
    let client = client(CallMiddleware::new(&monitor));
    let stream = [HELLO, WORLD, USAGE, DONE];
    let mut steps = vec![events()];
    steps.extend(stream.iter().map(|event| chunk(event)));
    steps.push(last());
    let address = upstream(steps).await;
    let request = client.get(url(address)).with_extension(target());
    let answer = within(request.send()).await.unwrap();
    assert_eq!(answer.url().as_str(), url(address));
    assert_eq!(answer.remote_addr(), Some(address));
    assert!(calls(&monitor).is_empty(), "it has not ended");
    assert_eq!(within(answer.text()).await.unwrap(), stream.concat());
    assert_eq!(error(&monitor), None);
    let call = &calls(&monitor)[0];
    for (key, value) in [
        ("provider", "openai"),
        ("model", "gpt-4o-mini"),
        ("status_code", "200"),
        ("input_tokens", "12"),
        ("output_tokens", "34"),
        ("output_chunks", "2"),
    ] {
        assert_eq!(call.metadata[key], value, "{key}");
    }
}

#[tokio::test]
async fn a_closure_may_know_the_target_and_all_else_passes_as_it_is() {
    let monitor = monitor();
    let middleware = CallMiddleware::new(&monitor).with_resolver(|request| {
        let is_embedding = request.url().path() == "/v1/embeddings";
        is_embedding.then(|| CallTarget::new("openai", "small").operation("embeddings"))
    });
    let client = client(middleware);
    let address = upstream([json("200 OK", "", "{}")]).await;
    for path in ["/v1/embeddings", "/v1/models"] {
        let answer = client.get(format!("http://{address}{path}")).send();
        let answer = within(answer).await.unwrap();
        assert_eq!(answer.content_length(), Some(2));
        assert_eq!(within(answer.text()).await.unwrap(), "{}");
    }
    let calls = calls(&monitor);
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert_eq!(calls[0].operation, "embeddings");
}

/// Knows no address of anybody.
struct Nameless;

impl Resolve for Nameless {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(std::future::ready(Err("no such name".into())))
    }
}

#[tokio::test]
async fn what_fails_before_an_answer_says_why_where_that_can_be_told() {
    // Nobody listens here any more.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = closed.local_addr().unwrap();
    drop(closed);
    let silent = upstream([Step::Hang]).await;
    let gone = upstream([]).await;
    for (address, reason) in [
        (refused, "connection_refused"),
        (silent, "timeout"),
        (gone, "connection_reset"),
    ] {
        let monitor = monitor();
        let client = client(CallMiddleware::new(&monitor));
        let request = client.get(url(address)).with_extension(target());
        let request = request.timeout(Duration::from_millis(500));
        assert!(within(request.send()).await.is_err());
        assert_eq!(error(&monitor).as_deref(), Some(reason));
    }
    let monitor = monitor();
    let nameless = reqwest::Client::builder().dns_resolver(Arc::new(Nameless));
    let client = ClientBuilder::new(nameless.build().unwrap())
        .with(CallMiddleware::new(&monitor))
        .build();
    let request = client
        .get("http://nowhere.invalid/")
        .with_extension(target());
    assert!(within(request.send()).await.is_err());
    assert_eq!(error(&monitor).as_deref(), Some("dns"));
}

#[tokio::test]
async fn a_request_that_is_dropped_was_cancelled() {
    let monitor = monitor();
    let client = client(CallMiddleware::new(&monitor));
    let silent = upstream([Step::Hang]).await;
    let request = client.get(url(silent)).with_extension(target());
    let mut sending = Box::pin(request.send());
    assert!(futures_util::poll!(&mut sending).is_pending());
    drop(sending);
    assert_eq!(error(&monitor).as_deref(), Some("cancelled"));

    let monitor = app::monitor();
    let client = self::client(CallMiddleware::new(&monitor));
    let hangs = upstream([events(), chunk(HELLO), Step::Hang]).await;
    let request = client.get(url(hangs)).with_extension(target());
    let mut answer = within(request.send()).await.unwrap();
    assert!(within(answer.chunk()).await.unwrap().is_some());
    drop(answer);
    assert_eq!(error(&monitor).as_deref(), Some("cancelled"));
}

#[tokio::test]
async fn an_answer_that_stalls_is_given_up() {
    let monitor = monitor();
    let limit = Duration::from_millis(50);
    let client = client(CallMiddleware::new(&monitor).stall_after(limit));
    let hangs = upstream([events(), chunk(HELLO), Step::Hang]).await;
    let request = client.get(url(hangs)).with_extension(target());
    let answer = within(request.send()).await.unwrap();
    let failed = within(answer.text()).await.unwrap_err();
    let mut causes = std::iter::successors(failed.source(), |error| (*error).source());
    assert!(causes.any(|error| error.is::<Stalled>()), "{failed:?}");
    assert_eq!(error(&monitor).as_deref(), Some("timeout"));
}
