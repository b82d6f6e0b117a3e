//! The guard by itself.

use crate::{app::monitor, gateway::Call};
use aimux_otel::{PerformanceMonitor, ProviderCall, TokenUsage, Window};
use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
};
use tokio::time::Instant;

fn call(monitor: &PerformanceMonitor) -> ProviderCall {
    monitor.provider_call("openai", "gpt-4o-mini")
}

/// Why a call failed with which this was done.
fn error_after(then: impl FnOnce(ProviderCall)) -> Option<String> {
    let monitor = monitor();
    // What is done may panic.
    catch_unwind(AssertUnwindSafe(|| then(call(&monitor)))).ok();
    Call::only(&monitor).error().map(str::to_owned)
}

#[test]
fn what_is_told_by_hand_is_what_counts() {
    let monitor = monitor();
    let mut call = call(&monitor);
    call.operation("embeddings")
        .first_token()
        .usage(TokenUsage::new(1_200, 0).cache_read(1_000).cache_write(100))
        .usage(TokenUsage::default().reasoning(7))
        .cost(0.25)
        .status(200)
        .answer(br#"{"usage":{"prompt_tokens":1,"completion_tokens":2}}"#);
    call.finish();
    let told = Call::only(&monitor);
    assert_eq!(told.event().operation, "embeddings");
    for (key, value) in [
        ("input_tokens", "1200"),
        ("output_tokens", "0"),
        ("cache_read_tokens", "1000"),
        ("cache_write_tokens", "100"),
        ("reasoning_tokens", "7"),
        ("cost", "0.25"),
        ("status_code", "200"),
    ] {
        assert_eq!(told.get(key), Some(value), "{key}");
    }
    assert_eq!(told.error(), None);
}

#[test]
fn only_the_first_token_is_the_first() {
    let monitor = monitor();
    let start = Instant::now();
    let mut call = call(&monitor);
    call.first_token();
    let first_by = start.elapsed();
    // Whenever within that the call began: from there on it is longer now.
    while start.elapsed() <= 2 * first_by {
        std::hint::spin_loop();
    }
    call.first_token();
    call.finish();
    let call = Call::only(&monitor);
    let told: f64 = call.get("ttft_ms").unwrap().parse().unwrap();
    assert!(told <= first_by.as_secs_f64() * 1e3, "{told}");
}

#[test]
fn a_call_that_is_dropped_was_cancelled_unless_it_said_why() {
    assert_eq!(error_after(drop).as_deref(), Some("cancelled"));
    let timeout = error_after(|mut call| {
        call.error("timeout").first_token();
    });
    assert_eq!(timeout.as_deref(), Some("timeout"));
    let refused = error_after(|mut call| {
        call.status(503);
    });
    assert_eq!(refused.as_deref(), Some("503"));
    let panicked = error_after(|_call| std::panic::resume_unwind(Box::new("as it should")));
    assert_eq!(panicked.as_deref(), Some("internal"));
    assert_eq!(error_after(ProviderCall::finish), None);
}

#[test]
fn the_body_of_a_refusal_says_more_than_its_status() {
    let quota = br#"{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}"#;
    let read = error_after(|mut call| {
        call.status(429).answer(quota);
    });
    assert_eq!(read.as_deref(), Some("quota_exceeded"));
}

fn events(monitor: &PerformanceMonitor) -> ProviderCall {
    let mut call = call(monitor);
    let mut headers = HeaderMap::new();
    let form = HeaderValue::from_static("text/event-stream; charset=utf-8");
    headers.insert(CONTENT_TYPE, form);
    call.head(StatusCode::OK, &headers);
    call
}

#[test]
fn a_stream_that_panics_is_an_internal_error_and_may_be_polled_again() {
    let monitor = monitor();
    let panics = stream::poll_fn(|_| -> std::task::Poll<Option<Result<&[u8], Infallible>>> {
        std::panic::resume_unwind(Box::new("as it should"))
    });
    let mut passing = Box::pin(events(&monitor).stream(panics));
    for _ in 0..2 {
        let polled = catch_unwind(AssertUnwindSafe(|| passing.next().now_or_never()));
        assert!(polled.is_err(), "the panic goes on");
    }
    drop(passing);
    assert_eq!(Call::only(&monitor).error(), Some("internal"));
}

#[test]
fn it_is_recorded_once_and_before_the_end_is_told() {
    let monitor = monitor();
    let chunks = [Ok::<_, Infallible>("data: [DONE]\n\n")];
    let mut passing = Box::pin(events(&monitor).stream(stream::iter(chunks)));
    assert!(passing.next().now_or_never().unwrap().is_some());
    assert_eq!(monitor.health().offered, 0);
    for _ in 0..3 {
        assert!(passing.next().now_or_never().unwrap().is_none());
        assert_eq!(monitor.health().offered, 1);
    }
    drop(passing);
    assert_eq!(Call::only(&monitor).error(), None);
    let view = monitor.providers(Window::SinceStart).unwrap();
    assert_eq!(view.providers["openai"].total_requests, 1);
}

#[test]
fn without_a_runtime_nothing_is_given_up_and_nothing_panics() {
    let monitor = monitor();
    let pending = stream::pending::<Result<&[u8], Infallible>>();
    let stalling = events(&monitor)
        .stream(pending)
        .stall_after(std::time::Duration::ZERO);
    let mut stalling = Box::pin(stalling);
    assert!(stalling.next().now_or_never().is_none());
    let timeless = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _entered = timeless.enter();
    assert!(stalling.next().now_or_never().is_none());
    assert!(stalling.next().now_or_never().is_none());
    drop(stalling);
    assert_eq!(Call::only(&monitor).error(), Some("cancelled"));
}
