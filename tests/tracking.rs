//! Recording by hand: component work as guards and macros, timers, events of any kind, requests
//! that end in any order.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use aimux_otel::{
    ComponentWork, ComponentsView, EventId, Limits, MonitorBuilder, PerformanceEvent,
    PerformanceEventType, PerformanceMonitor, Window, timer, track_component, track_operation,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

const MS: Duration = Duration::from_millis(1);

fn builder() -> MonitorBuilder {
    PerformanceMonitor::builder().collection_interval(Duration::from_secs(3_600))
}

fn monitor() -> PerformanceMonitor {
    builder().build().unwrap()
}

fn components(monitor: &PerformanceMonitor) -> ComponentsView {
    monitor.collect();
    monitor.components(Window::SinceStart).unwrap()
}

/// Of one component: all, failed.
fn counts(view: &ComponentsView, component: &str) -> (u64, u64) {
    let stats = &view.components[component].stats;
    (stats.total_operations, stats.failed_operations)
}

/// The error types of the failures, and the operations, as the recent events have them.
fn errors(monitor: &PerformanceMonitor) -> Vec<(String, Option<String>)> {
    let events = monitor.recent_events();
    let error = |event: &PerformanceEvent| event.metadata.get("error_type").cloned();
    let named = events.iter().map(|e| (e.operation.clone(), error(e)));
    named.collect()
}

#[test]
fn work_lasts_until_it_is_dropped_and_nested_work_is_measured_by_itself() {
    let monitor = monitor();
    {
        track_operation!(monitor, "request_processor", "parse");
        track_component!(monitor, "validation");
        {
            track_component!(monitor, "validation");
            track_operation!(monitor, "provider_call", "execute", { "provider" => "cerebras" });
            monitor.collect();
            assert!(monitor.recent_events().is_empty(), "nothing has ended");
        }
        assert_eq!(
            components(&monitor).components_count,
            2,
            "the inner ones have"
        );
    }
    let view = components(&monitor);
    assert_eq!(counts(&view, "request_processor"), (1, 0));
    assert_eq!(counts(&view, "validation"), (2, 0));
    assert_eq!(counts(&view, "provider_call"), (1, 0));
    let parse = &view.components["request_processor"].operations["parse"];
    assert_eq!(parse.total_operations, 1);
    // In the order in which a block drops its values.
    let events = monitor.recent_events();
    let ended: Vec<_> = events.iter().map(|e| e.component.as_str()).collect();
    let order = [
        "provider_call",
        "validation",
        "validation",
        "request_processor",
    ];
    assert_eq!(ended, order);
    assert!(events[3].duration >= events[2].duration);
}

#[tokio::test]
async fn it_may_cross_an_await_and_an_early_return() {
    async fn half(
        monitor: &PerformanceMonitor,
        number: &str,
    ) -> Result<u32, std::num::ParseIntError> {
        track_component!(monitor, "halves");
        tokio::task::yield_now().await;
        let number: u32 = number.parse()?;
        Ok(number / 2)
    }
    let monitor = monitor();
    assert_eq!(half(&monitor, "4").await, Ok(2));
    assert!(half(&monitor, "four").await.is_err());
    // A future that is dropped half-way.
    let mut dropped = Box::pin(half(&monitor, "4"));
    assert!(futures_util::poll!(&mut dropped).is_pending());
    drop(dropped);
    assert_eq!(counts(&components(&monitor), "halves"), (3, 0));
}

#[test]
fn it_may_end_on_another_thread() {
    let monitor = monitor();
    let work = monitor.track_operation("pool", "job");
    let timer = monitor.timer("job").start();
    thread::spawn(move || (work, timer)).join().ok();
    let view = components(&monitor);
    assert_eq!(counts(&view, "pool"), (1, 0));
    assert_eq!(view.timers["job"].total_operations, 1);
}

#[test]
fn it_fails_where_it_is_told_to() {
    let monitor = monitor();
    monitor.track_operation("c", "fail").fail("timeout");
    monitor
        .track_operation("c", "unknown")
        .fail("the disk is full: /home/alice");
    let with = |operation, key, value| {
        monitor
            .track_operation("c", operation)
            .with_metadata(key, value)
    };
    drop(with("error_type", "error_type", "overloaded"));
    drop(with("status", "status_code", "503"));
    drop(with("success", "success", "false"));
    drop(with("well", "success", "true"));
    drop(with("also well", "status_code", "200"));
    assert_eq!(counts(&components(&monitor), "c"), (7, 5));
    let expected = [
        ("fail", Some("timeout")),
        ("unknown", Some("_OTHER")),
        ("error_type", Some("overloaded")),
        ("status", Some("503")),
        ("success", Some("_OTHER")),
        ("well", None),
        ("also well", None),
    ];
    let expected = expected.map(|(name, error)| (name.to_owned(), error.map(str::to_owned)));
    assert_eq!(errors(&monitor), expected);
}

#[test]
fn a_panic_makes_it_an_internal_error() {
    struct Cleanup<'m>(&'m PerformanceMonitor);
    impl Drop for Cleanup<'_> {
        fn drop(&mut self) {
            track_operation!(self.0, "c", "cleanup");
        }
    }
    let monitor = monitor();
    let body = AssertUnwindSafe(|| {
        let _cleanup = Cleanup(&monitor);
        track_operation!(monitor, "c", "plain");
        let mut told = monitor.track_operation("c", "told");
        told.fail("timeout");
        let _running = monitor.timer("t").start();
        panic!("as this test wants it to");
    });
    assert!(catch_unwind(body).is_err());
    assert_eq!(components(&monitor).timers["t"].total_operations, 1);
    let expected = [
        ("told", Some("timeout")),
        ("plain", Some("internal")),
        ("cleanup", None),
    ];
    let expected = expected.map(|(name, error)| (name.to_owned(), error.map(str::to_owned)));
    assert_eq!(errors(&monitor), expected);
}

#[test]
fn a_panic_is_survived_also_where_the_queue_is_full_and_the_observer_panics() {
    let unwound = Arc::new(AtomicBool::new(false));
    let is_unwound = Arc::clone(&unwound);
    let monitor = builder()
        .on_event(move |event| {
            // So that the tick does not empty the queue meanwhile.
            let is_tick = thread::current().name() == Some("aimux-tick");
            while is_tick && !is_unwound.load(Ordering::Acquire) {
                thread::yield_now();
            }
            if event.operation == "unwound" {
                resume_unwind(Box::new("a closure of the host panics"));
            }
        })
        .build()
        .unwrap();
    let body = AssertUnwindSafe(|| {
        track_operation!(monitor, "c", "unwound");
        // Whatever shards the tick has emptied: from here on every push comes back, and is counted
        // and shown by this thread.
        while monitor.health().counted < 20_000 {
            monitor.track_operation("c", "filling").finish();
        }
        resume_unwind(Box::new("as this test wants it to"));
    });
    assert!(catch_unwind(body).is_err());
    unwound.store(true, Ordering::Release);
    let (all, failed) = counts(&components(&monitor), "c");
    assert_eq!(failed, 1);
    assert_eq!(monitor.health().counted, all);
}

#[test]
fn metadata_is_kept_only_under_recognised_and_declared_keys() {
    let monitor = builder().metadata_keys(["table"]).build().unwrap();
    {
        let mut work = monitor
            .track_operation("database", "query")
            .with_metadata("table", "users")
            .with_metadata("query", "SELECT * FROM users");
        work.metadata("variant", "a")
            .metadata("table", String::from("orders"));
        work.metadata("provider", "cerebras");
    }
    monitor.collect();
    let event = &monitor.recent_events()[0];
    let metadata: Vec<_> = event.metadata.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(
        metadata,
        [
            ("provider", "cerebras"),
            ("table", "orders"),
            ("variant", "a")
        ]
    );
    assert_eq!(
        (event.component.as_str(), event.operation.as_str()),
        ("database", "query")
    );
}

#[test]
fn the_guides_event_is_work_of_its_component() {
    let monitor = builder()
        .metadata_keys(["query_type", "table"])
        .build()
        .unwrap();
    let mut event = PerformanceEvent::new(
        "custom_event_id",
        PerformanceEventType::RequestStart,
        "database",
        "query",
    );
    event.metadata.insert("query_type".into(), "SELECT".into());
    event.metadata.insert("table".into(), "users".into());
    event.metadata.insert("complexity".into(), "high".into());
    event.duration = Some(Duration::from_micros(150_500));
    monitor.record_event(event);

    let view = components(&monitor);
    let query = &view.components["database"].operations["query"];
    assert_eq!(
        (query.total_operations, query.avg_duration_ms),
        (1, Some(150.5))
    );
    let json = serde_json::to_value(&monitor.recent_events()[0]).unwrap();
    assert_eq!(json["id"], "custom_event_id");
    assert_eq!(json["type"], "REQUEST_START");
    assert_eq!(json["duration_ms"], 150.5);
    let metadata = serde_json::json!({ "query_type": "SELECT", "table": "users" });
    assert_eq!(json["metadata"], metadata, "nobody declared `complexity`");
}

#[test]
fn events_by_hand_reach_every_field_that_their_keys_name() {
    use PerformanceEventType::{FailoverInitiated, ProviderEnd, RequestEnd};
    let monitor = monitor();
    let call = PerformanceEvent::new("", ProviderEnd, "", "")
        .with_duration(900 * MS)
        .with_metadata("provider", "cerebras")
        .with_metadata("model", "large")
        .with_metadata("ttft_ms", "120.5")
        .with_metadata("cache_read_tokens", "7")
        .with_metadata("reasoning_tokens", "8");
    let failover = PerformanceEvent::new("", FailoverInitiated, "", "")
        .with_metadata("from", "cerebras")
        .with_metadata("to", "zai")
        .with_metadata("reason", "timeout");
    // As C++ spells what is false.
    let lost = PerformanceEvent::new("button_b", RequestEnd, "abtest", "button")
        .with_duration(MS)
        .with_metadata("variant", "b")
        .with_metadata("success", "0");
    monitor.record_events([call, failover, lost]);
    monitor.collect();
    let report = monitor.report(Window::SinceStart).unwrap();
    let model = &report.provider_performance["cerebras"].model_stats["large"];
    let ttft = serde_json::to_value(model).unwrap()["avg_time_to_first_token_ms"].as_f64();
    assert_eq!(ttft, Some(120.5));
    let failover = &report.failovers[0];
    assert_eq!(
        (&*failover.from, &*failover.to, &*failover.reason),
        ("cerebras", "zai", "timeout")
    );
    let experiments = monitor.experiments(Window::SinceStart).unwrap();
    let button = &experiments.experiments["button"];
    assert_eq!(button.variants["b"].stats.failed_operations, 1);
    let events = monitor.recent_events();
    assert_eq!(events[0].metadata["cache_read_tokens"], "7");
    assert_eq!(events[0].metadata["reasoning_tokens"], "8");
}

#[test]
fn requests_may_end_in_any_order_but_only_once() {
    let monitor = monitor();
    let start = |id: &str| monitor.record_request_start(id, "/anthropic", "POST", "", "");
    let end = |id: EventId, status| {
        monitor.record_request_end(id, status < 400, status, 2_048, "", 0.0042)
    };
    let ids: Vec<_> = ["req_1", "req_2", "req_2", "req_3"].map(start).into();
    assert!(end(ids[3], 200) && end(ids[0], 500) && end(ids[2], 200) && end(ids[1], 200));
    for id in ids {
        assert!(!end(id, 200), "it has ended before");
    }
    let other = self::monitor();
    let foreign = other.record_request_start("req_9", "/anthropic", "POST", "", "");
    assert!(!end(foreign, 200), "that is another monitor's");
    monitor.collect();
    let view = monitor.endpoints(Window::SinceStart).unwrap();
    let codes = serde_json::to_value(&view.aggregated.status_code_distribution).unwrap();
    assert_eq!(codes, serde_json::json!({ "200": 3, "500": 1 }));
    let health = monitor.health();
    assert_eq!(
        (health.offered, health.counted),
        (8, 8),
        "four starts and four ends"
    );
}

#[test]
fn timers_are_apart_by_name_and_limited_in_number() {
    let mut limits = Limits::default();
    limits.timers = 2;
    let monitor = builder().limits(limits).build().unwrap();
    for n in 1..=3 {
        for name in ["a", "b", "c", "d"] {
            timer!(monitor, name).observe(n * 10 * MS);
        }
    }
    monitor.timer("a").observe(Duration::MAX);
    let kept = monitor.timer("b");
    let clone = kept.clone();
    drop(kept);
    clone.observe(20 * MS);
    assert_eq!(clone.time(|| 7), 7);

    let view = components(&monitor);
    let names: Vec<_> = view.timers.keys().collect();
    assert_eq!(names, ["_OTHER", "a", "b"]);
    let a = &view.timers["a"];
    assert_eq!(
        (a.total_operations, a.avg_duration_ms, a.max_duration_ms),
        (3, Some(20.0), Some(30.0))
    );
    assert!((a.p50_duration_ms.unwrap() - 20.0).abs() < 20.0 * 0.005_416);
    assert_eq!(view.timers["b"].total_operations, 5);
    assert_eq!(view.timers["_OTHER"].total_operations, 6);
    assert!(view.components.is_empty() && monitor.recent_events().is_empty());
    let minutes = Window::Last(Duration::from_secs(300));
    let recent = monitor.components(minutes).unwrap();
    assert_eq!(recent.timers, view.timers);
    let report = monitor.report(Window::SinceStart).unwrap();
    assert_eq!(report.timers, view.timers);

    let health = monitor.health();
    assert_eq!((health.offered, health.counted), (15, 14));
    assert_eq!(health.dropped["invalid_value"], 1, "584 years are too long");
    assert_eq!(health.labels_refused["timer"], 6);
}

#[test]
fn timers_are_on_prometheus_with_the_boundaries_of_durations() {
    let monitor = monitor();
    monitor.timer("login").observe(15 * MS);
    monitor.collect();
    let families = monitor.prometheus_registry().gather();
    let family = families
        .iter()
        .find(|f| f.name() == "aimux_timer_duration_seconds");
    let metric = &family.unwrap().get_metric()[0];
    let label = metric
        .get_label()
        .iter()
        .find(|l| l.name() == "aimux_timer");
    assert_eq!(label.unwrap().value(), "login");
    let buckets = metric.get_histogram().get_bucket();
    let below = |bound| buckets.iter().find(|b| b.upper_bound() == bound).unwrap();
    assert_eq!(below(0.01).cumulative_count(), 0);
    assert_eq!(below(0.02).cumulative_count(), 1);
    assert_eq!(buckets.last().unwrap().upper_bound(), 655.36);
}

#[test]
fn what_is_discarded_is_not_observed() {
    let monitor = monitor();
    monitor.timer("t").start().discard();
    monitor.timer("t").start().stop();
    drop(monitor.timer("t").start());
    assert_eq!(components(&monitor).timers["t"].total_operations, 2);
}

#[test]
fn work_and_timers_can_be_sent_and_shared() {
    fn is_send<T: Send + Sync + 'static>() {}
    is_send::<ComponentWork>();
    is_send::<aimux_otel::Timer>();
    is_send::<aimux_otel::RunningTimer>();
}
