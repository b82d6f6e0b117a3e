//! Spans below the tower layer: they find the operation that it keeps.

use crate::app::{App, active_requests, monitor, only, outcome, watch, within};
use aimux_otel::{PerformanceMonitor, Window};
use axum::{Router, http::StatusCode, routing::get};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;
use tower_http::trace::TraceLayer;
use tracing::{Instrument, Span, field::Empty, info_span, instrument};
use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt};

#[instrument(skip_all, fields(provider = "cerebras", model, status_code))]
async fn call(model: &str, status: u64) {
    tokio::task::yield_now().await;
    let span = Span::current();
    span.record("model", model);
    span.record("status_code", status);
}

/// The operations and the attempts that came of one request to `/v1/chat/{id}`.
async fn counts(monitor: &PerformanceMonitor, routes: Router) -> (u64, u64) {
    let app = App::serve(monitor, routes).await;
    within(reqwest::get(app.url("/v1/chat/7"))).await.unwrap();
    let endpoints = app.finish().await;
    let providers = monitor.providers(Window::SinceStart).unwrap();
    let health = monitor.health();
    let operations = endpoints.aggregated.total_operations;
    let attempts = providers.summary.total_requests;
    assert_eq!(health.counted, operations + attempts);
    assert_eq!(health.offered, health.counted);
    (operations, attempts)
}

#[tokio::test]
async fn attempts_below_belong_to_the_operation() {
    let monitor = monitor();
    let _watching = watch(&monitor);
    let answer = async || {
        call("llama3.1-70b", 503).await;
        async { call("llama3.1-8b", 200).await }
            .instrument(info_span!("not ours"))
            .await;
        "answer"
    };
    let routes = Router::new().route("/v1/chat/{id}", get(answer));
    let routes = routes.layer(monitor.http_layer());
    assert_eq!(counts(&monitor, routes).await, (1, 2));
}

#[tokio::test]
async fn an_endpoint_span_below_enriches_the_operation_and_is_no_second_one() {
    #[instrument(
        skip_all,
        fields(endpoint = "/told/otherwise", error_type, status_code = 200)
    )]
    async fn answer() -> StatusCode {
        call("llama3.1-70b", 504).await;
        Span::current().record("error_type", "timeout");
        StatusCode::GATEWAY_TIMEOUT
    }
    let monitor = monitor();
    let _watching = watch(&monitor);
    let routes = Router::new().route("/v1/chat/{id}", get(answer));
    let routes = routes.layer(monitor.http_layer());
    assert_eq!(counts(&monitor, routes).await, (1, 1));
    let view = monitor.endpoints(Window::SinceStart).unwrap();
    let chat = only(&view, "/v1/chat/{id}");
    assert_eq!(outcome(chat), (1, 1, vec![("timeout", 1)]));
    assert_eq!(chat.status_code_counts["504"], 1);
}

#[tokio::test]
async fn an_endpoint_span_tells_the_route_that_axum_does_not_know() {
    let monitor = monitor();
    let _watching = watch(&monitor);
    let answer = async || "answer".to_owned();
    let named = move || answer().instrument(info_span!("x", endpoint = "/told"));
    let routes = Router::new().fallback(named).layer(monitor.http_layer());
    assert_eq!(counts(&monitor, routes).await, (1, 0));
    let view = monitor.endpoints(Window::SinceStart).unwrap();
    assert_eq!(outcome(only(&view, "/told")), (1, 0, vec![]));
}

#[tokio::test]
async fn a_span_that_is_both_is_an_attempt_unless_a_child_recorded_one() {
    let monitor = monitor();
    let _watching = watch(&monitor);
    let both = || info_span!("both", endpoint = "/chat", provider = "openai");
    let answer = async move || {
        // A sibling of what is both says nothing about it.
        call("llama3.1-70b", 503).await;
        drop(both());
        call("llama3.1-8b", 200).instrument(both()).await;
        for told in [None, Some("/inner")] {
            let inside = async {
                let span = info_span!("told later", endpoint = Empty);
                span.record("endpoint", told);
                call("llama3.1-8b", 200).instrument(span).await;
            };
            inside.instrument(both()).await;
        }
    };
    let routes = Router::new().route("/v1/chat/{id}", get(answer));
    let routes = routes.layer(monitor.http_layer());
    // cerebras four times, and openai once where nothing else was tried, or could be seen.
    let (operations, _) = counts(&monitor, routes).await;
    assert_eq!(operations, 1);
    let view = monitor.providers(Window::SinceStart).unwrap();
    assert_eq!(view.providers["cerebras"].total_requests, 4);
    assert_eq!(view.providers["openai"].total_requests, 1);
}

#[tokio::test]
async fn an_endpoint_span_that_outlives_its_request_is_no_operation_either() {
    let monitor = monitor();
    let _watching = watch(&monitor);
    let (go_on, may_go_on) = oneshot::channel::<()>();
    let (done, is_done) = oneshot::channel::<()>();
    let work = async {
        may_go_on.await.unwrap();
        drop(info_span!("late", endpoint = "/late"));
        done.send(()).unwrap();
    };
    let work = Arc::new(Mutex::new(Some(work)));
    let answer = async move || {
        let work = work.lock().unwrap().take().unwrap();
        tokio::spawn(work.instrument(info_span!("early", endpoint = "/early")));
    };
    let routes = Router::new().route("/v1/chat/{id}", get(answer));
    let routes = routes.layer(monitor.http_layer());
    let app = App::serve(&monitor, routes).await;
    within(reqwest::get(app.url("/v1/chat/7"))).await.unwrap();
    app.finish().await;
    go_on.send(()).unwrap();
    within(is_done).await.unwrap();
    monitor.collect();
    assert_eq!(monitor.health().offered, 1);
}

#[tokio::test]
async fn the_span_of_another_tower_layer_is_not_ours() {
    let monitor = monitor();
    let _watching = watch(&monitor);
    let answer = async || call("llama3.1-8b", 200).await;
    let routes = Router::new()
        .route("/v1/chat/{id}", get(answer))
        .layer(TraceLayer::new_for_http())
        .layer(monitor.http_layer())
        .layer(TraceLayer::new_for_http());
    assert_eq!(counts(&monitor, routes).await, (1, 1));
}

#[tokio::test]
async fn the_layers_of_two_monitors_stay_apart() {
    let (one, other) = (monitor(), monitor());
    let subscriber = tracing_subscriber::registry()
        .with(one.layer())
        .with(other.layer());
    let _watching = tracing::subscriber::set_default(subscriber);
    #[instrument(fields(endpoint = "/chat", error_type = "overloaded"))]
    async fn answer() {
        call("llama3.1-8b", 200).await;
    }
    let routes = Router::new()
        .route("/v1/chat/{id}", get(answer))
        .layer(other.http_layer())
        .layer(one.http_layer());
    assert_eq!(counts(&one, routes).await, (1, 1));
    assert_eq!(active_requests(&other), 0.0);
    for monitor in [one, other] {
        let view = monitor.endpoints(Window::SinceStart).unwrap();
        let chat = only(&view, "/v1/chat/{id}");
        assert_eq!(outcome(chat), (1, 1, vec![("overloaded", 1)]));
        assert_eq!(monitor.health().counted, 2);
    }
}

/// The layer of the one, and spans that only the other sees, which has operations of its own.
#[tokio::test]
async fn an_operation_of_another_monitor_is_not_enriched() {
    let (one, other) = (monitor(), monitor());
    let _watching = watch(&other);
    let opened: Vec<_> = (0..100)
        .map(|_| other.record_request_start("", "/open", "GET", "", ""))
        .collect();
    let answer = async || {
        drop(info_span!(
            "x",
            endpoint = "/others",
            error_type = "internal"
        ))
    };
    let routes = Router::new().route("/v1/chat/{id}", get(answer));
    assert_eq!(counts(&one, routes.layer(one.http_layer())).await, (1, 0));
    let view = one.endpoints(Window::SinceStart).unwrap();
    assert_eq!(outcome(only(&view, "/v1/chat/{id}")), (1, 0, vec![]));
    for open in opened {
        assert!(
            !one.record_request_end(open, true, 200, 0, "", 0.0),
            "not its own"
        );
        assert!(other.record_request_end(open, true, 200, 0, "", 0.0));
    }
    other.collect();
    let view = other.endpoints(Window::SinceStart).unwrap();
    assert_eq!(outcome(&view.endpoints["/open"].all), (100, 0, vec![]));
    let others = &view.endpoints["/others"].all;
    assert_eq!(outcome(others), (1, 1, vec![("internal", 1)]));
}

/// A request of the one is open while the other's, which began as its first too, is answered.
#[tokio::test]
async fn an_open_operation_of_one_monitor_is_not_taken_for_the_others() {
    let (one, other) = (monitor(), monitor());
    let subscriber = tracing_subscriber::registry()
        .with(one.layer())
        .with(other.layer());
    let _watching = tracing::subscriber::set_default(subscriber);
    let waits = Router::new().route("/waits", get(std::future::pending::<()>));
    let first = App::serve(&one, waits.layer(one.http_layer())).await;
    let request = "GET /waits HTTP/1.1\r\nHost: x\r\n\r\n";
    let open = first.connect(request).await;
    while active_requests(&one) < 1.0 {
        tokio::task::yield_now().await;
    }
    let answer = async || drop(info_span!("x", endpoint = "/x", error_type = "internal"));
    let routes = Router::new().route("/v1/chat/{id}", get(answer));
    assert_eq!(
        counts(&other, routes.layer(other.http_layer())).await,
        (1, 0)
    );
    drop(open);
    let view = first.finish().await;
    assert_eq!(
        outcome(&view.endpoints["/waits"].all),
        (1, 1, vec![("cancelled", 1)])
    );
}

#[tokio::test]
async fn without_its_span_a_request_is_measured_all_the_same() {
    let monitor = monitor();
    let subscriber = tracing_subscriber::registry()
        .with(LevelFilter::WARN)
        .with(monitor.layer());
    let _watching = tracing::subscriber::set_default(subscriber);
    let routes = Router::new().route("/v1/chat/{id}", get("answer"));
    let routes = routes.layer(monitor.http_layer());
    assert_eq!(counts(&monitor, routes).await, (1, 0));
}
