//! A destination that is dead, slow or swallows everything costs nothing but what it is sent; and
//! what is secret stays so.

use crate::{
    assert_balanced, call, push, quiet,
    server::{PATIENCE, Reply, Server},
};
use aimux_otel::{
    Alertmanager, BuildError, Elasticsearch, PerformanceMonitor, Pushgateway, ShutdownError,
    Webhook, Window,
};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// With every kind of destination at `url`.
fn with_all(url: &str) -> PerformanceMonitor {
    quiet()
        .alert_webhook(Webhook::new(url))
        .alertmanager(Alertmanager::new(url).resend(SECOND))
        .pushgateway(Pushgateway::new(url, "a").interval(SECOND))
        .elasticsearch(Elasticsearch::new(url, "metrics-a.otel-b").interval(SECOND))
        .build()
        .unwrap()
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test of how long it takes")]
fn a_server_that_never_answers_slows_nothing() {
    let server = Server::start(|_, _| Reply::Never);
    let monitor = with_all(&server.url);
    call(&monitor, 5, "");
    monitor.collect();
    // Both are on their way, and hang.
    let started = |path: &'static str| {
        server.wait_until(move |asked| asked.iter().any(|asked| asked.path.starts_with(path)));
    };
    started("/metrics/job/a");
    started("/metrics-a.otel-b/_bulk");
    let began = Instant::now();
    for _ in 0..100 {
        call(&monitor, 5, "");
        monitor.collect();
    }
    let view = monitor.providers(Window::SinceStart).unwrap();
    assert_eq!(view.providers["cerebras"].total_requests, 101);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let (pushed, indexed) = (
        push(&monitor, "pushgateway"),
        push(&monitor, "elasticsearch"),
    );
    assert_eq!((pushed.offered, pushed.sent), (1, 0), "the next waits");
    assert_eq!(indexed.sent, 0);

    // Shutting down is bounded, and what is lost is told.
    let began = Instant::now();
    let ended = monitor.shutdown(SECOND);
    let took = began.elapsed();
    assert!(took < SECOND + Duration::from_millis(300), "{took:?}");
    let Err(ShutdownError::Push { lost }) = ended else {
        panic!("{ended:?}");
    };
    let (pushed, indexed) = (
        push(&monitor, "pushgateway"),
        push(&monitor, "elasticsearch"),
    );
    assert!(pushed.dropped["shutdown"] >= 1 && indexed.dropped["shutdown"] >= 1);
    assert_eq!(
        lost,
        pushed.dropped["shutdown"] + indexed.dropped["shutdown"]
    );
    assert_balanced(&indexed);
    assert_balanced(&pushed);
}

#[test]
fn a_destination_that_is_not_there_is_left_soon_at_the_end() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let monitor = with_all(&url);
    call(&monitor, 5, "");
    let ended = monitor.shutdown(PATIENCE);
    assert!(
        matches!(ended, Err(ShutdownError::Push { .. })),
        "{ended:?}"
    );
    for destination in ["pushgateway", "elasticsearch"] {
        let health = push(&monitor, destination);
        assert!(health.dropped["unreachable"] > 0, "{health:?}");
        assert_balanced(&health);
    }
}

#[test]
fn a_monitor_that_is_dropped_pushes_for_the_last_time() {
    let server = Server::start(|_, _| Reply::Status(200));
    let pushgateway = Pushgateway::new(&server.url, "a").interval(Duration::from_secs(3_600));
    let monitor = quiet().pushgateway(pushgateway).build().unwrap();
    call(&monitor, 5, "");
    drop(monitor);
    let asked = server.wait_for(1);
    assert!(
        asked[0]
            .body
            .contains("gen_ai_client_operation_duration_seconds_count")
    );
}

#[test]
fn without_destinations_there_are_no_accounts() {
    let monitor = quiet().build().unwrap();
    assert!(monitor.health().pushes.is_empty());
    monitor.shutdown(PATIENCE).unwrap();
}

#[test]
fn what_is_wrong_is_said_before_anything_starts() {
    let build = |builder: aimux_otel::MonitorBuilder| match builder.build() {
        Err(BuildError::Setting { setting, .. }) => setting,
        other => panic!("{other:?}"),
    };
    let url = "http://127.0.0.1:9";
    assert_eq!(
        build(quiet().alert_webhook(Webhook::new("ftp://a"))),
        "alert_webhook"
    );
    let webhook = Webhook::new(url).secret("");
    assert_eq!(
        build(quiet().alert_webhook(webhook)),
        "alert_webhook secret"
    );
    let alertmanager = Alertmanager::new(url).label("a.b", "c");
    assert_eq!(
        build(quiet().alertmanager(alertmanager)),
        "alertmanager label"
    );
    let alertmanager = Alertmanager::new(url).resend(Duration::ZERO);
    assert_eq!(
        build(quiet().alertmanager(alertmanager)),
        "alertmanager resend"
    );
    let pushgateway = Pushgateway::new(url, "");
    assert_eq!(
        build(quiet().pushgateway(pushgateway)),
        "pushgateway grouping"
    );
    let elasticsearch = Elasticsearch::new(url, "logs-a-b");
    assert_eq!(
        build(quiet().elasticsearch(elasticsearch)),
        "elasticsearch data stream"
    );
}

#[test]
fn nothing_secret_is_shown_anywhere() {
    let server = Server::start(|_, _| Reply::With(401, "x-echo", "canary".to_owned()));
    let address = server.url.strip_prefix("http://").unwrap();
    let url = format!("http://canary:canary@{address}/canary?canary=canary");
    let webhook = Webhook::new(&url).secret("canary").header("X-A", "canary");
    let alertmanager = Alertmanager::new(&url)
        .header("X-A", "canary")
        .resend(SECOND);
    let pushgateway = Pushgateway::new(&url, "a")
        .header("X-A", "canary")
        .interval(SECOND);
    let elasticsearch = Elasticsearch::new(&url, "metrics-a.otel-b")
        .api_key("canary")
        .interval(SECOND);
    let mut shown = format!("{webhook:?} {alertmanager:?} {pushgateway:?} {elasticsearch:?}");
    let builder = quiet()
        .alert(crate::alerts::rule("memory"))
        .alert_webhook(webhook)
        .alertmanager(alertmanager)
        .pushgateway(pushgateway.clone())
        .elasticsearch(elasticsearch);
    shown += &format!("{builder:?}");
    let monitor = builder.build().unwrap();
    call(&monitor, 5, "");
    monitor.collect();
    let asked = server.wait_until(|asked| {
        let is_of = |path: &str| asked.iter().any(|asked| asked.path.contains(path));
        is_of("/canary/metrics/job/a")
            && is_of("/canary/metrics-a.otel-b/_bulk")
            && is_of("/canary/api/v2/alerts")
            && is_of("/canary?canary=canary")
    });
    // It does go where it is for.
    let bulk = asked
        .iter()
        .find(|asked| asked.path.contains("_bulk"))
        .unwrap();
    assert_eq!(bulk.header("authorization"), "ApiKey canary");
    let put = asked.iter().find(|asked| asked.method == "PUT").unwrap();
    assert_eq!(put.header("authorization"), "Basic Y2FuYXJ5OmNhbmFyeQ==");
    let error = monitor.push_to(&pushgateway, PATIENCE).unwrap_err();
    shown += &format!("{error} {error:?} {monitor:?}");
    monitor.collect();
    shown += &format!("{:?}", monitor.health());
    let families = monitor.prometheus_registry().gather();
    assert!(
        families
            .iter()
            .any(|family| family.name() == "aimux_monitor_push_dropped_total")
    );
    shown += &format!("{families:?}");
    shown += &serde_json::to_string(&monitor.report(Window::SinceStart).unwrap()).unwrap();
    let ended = monitor.shutdown(PATIENCE);
    shown += &format!("{ended:?}");
    assert!(shown.contains("refused"));
    for secret in ["canary", "Y2FuYXJ5"] {
        let around = shown.split(secret).next().unwrap_or_default();
        let around = &around[around.len().saturating_sub(80)..];
        assert!(!shown.contains(secret), "{secret} is behind …{around}");
    }
}
