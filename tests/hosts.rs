//! What a host may do to its monitor: numbers that are none, closures that panic or call back,
//! a runtime around it, series of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use aimux_otel::{
    MonitorBuilder, PerformanceEvent, PerformanceEventType, PerformanceMonitor, Timestamp,
    TokenUsage, Window,
};
use opentelemetry::{KeyValue, metrics::MeterProvider};
use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

const DEADLINE: Duration = Duration::from_secs(20);

fn builder() -> MonitorBuilder {
    PerformanceMonitor::builder().collection_interval(Duration::from_secs(3_600))
}

fn call(monitor: &PerformanceMonitor, provider: &str, cost: f64) {
    monitor.record_provider_request(provider, "m", Duration::from_millis(5), true, "", cost);
}

fn attempts(monitor: &PerformanceMonitor) -> u64 {
    monitor.collect();
    let view = monitor.providers(Window::SinceStart).unwrap();
    view.summary.total_requests
}

fn event(event_type: PerformanceEventType, metadata: &[(&str, &str)]) -> PerformanceEvent {
    PerformanceEvent {
        id: String::new(),
        event_type,
        timestamp: Timestamp::EPOCH,
        duration: Some(Duration::from_millis(5)),
        component: String::new(),
        operation: String::new(),
        metadata: metadata
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>(),
    }
}

#[cfg(feature = "server")]
#[tokio::test]
async fn a_port_in_use_is_an_error_inside_a_runtime_too() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = builder().serve(address).build().unwrap_err();
    assert!(error.to_string().contains("cannot listen on"), "{error}");
}

#[test]
fn an_observer_may_record_more_than_the_queue_takes() {
    let handle: Arc<OnceLock<PerformanceMonitor>> = Arc::default();
    let inside = Arc::clone(&handle);
    let monitor = builder()
        .on_event(move |event| {
            if let Some(monitor) = inside.get() {
                let openai = event.metadata["provider"] == "openai";
                for _ in 0..if openai { 50_000 } else { 1 } {
                    call(monitor, "told inside", 0.0);
                }
            }
        })
        .build()
        .unwrap();
    assert!(handle.set(monitor.clone()).is_ok());
    call(&monitor, "openai", 0.0);
    monitor.collect();
    assert!(monitor.health().counted > 40_000);
}

#[test]
fn a_callback_of_the_host_that_panics_does_not_end_the_monitor() {
    let monitor = builder().build().unwrap();
    let meter = monitor.meter_provider().meter("host");
    let _gauge = meter
        .u64_observable_gauge("host.gauge")
        .with_callback(|_| panic!("the host's"))
        .build();
    call(&monitor, "openai", 0.0);
    monitor.collect();
    call(&monitor, "openai", 0.0);
    monitor.collect();
    assert_eq!(monitor.health().counted, 2);
    // It may have been kept from sending the last data, but not from ending.
    let error = monitor.shutdown(DEADLINE).err();
    let text = error.map(|error| error.to_string()).unwrap_or_default();
    assert!(!text.contains("took longer"), "{text}");
}

#[test]
fn a_hosts_own_series_leave_room_for_ours() {
    let monitor = builder().build().unwrap();
    let meter = monitor.meter_provider().meter("host");
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        let counter = meter.u64_counter(name).build();
        for n in 0..1_900 {
            counter.add(1, &[KeyValue::new("n", n)]);
        }
    }
    monitor.collect();
    call(&monitor, "openai", 0.0);
    monitor.collect();
    let view = monitor.providers(Window::SinceStart).unwrap();
    assert_eq!(view.providers["openai"].total_requests, 1, "{view:#?}");
}

#[test]
fn numbers_that_would_overflow_a_sum_are_refused() {
    let monitor = builder().build().unwrap();
    for _ in 0..3 {
        let mut attempt = monitor.provider_call("openai", "m");
        attempt.usage(TokenUsage::new(u64::MAX - 2, 7));
        attempt.cost(9e9);
        attempt.finish();
        let mut operation = monitor.operation("/v1/chat", "POST");
        operation.request_size(u64::MAX).response_size(u64::MAX / 2);
        operation.finish();
    }
    monitor.record_provider_request("openai", "m", Duration::MAX, true, "", 0.0);
    assert_eq!(attempts(&monitor), 3);
    let view = monitor.providers(Window::SinceStart).unwrap();
    let openai = &view.providers["openai"];
    let model = &openai.model_stats["m"];
    assert_eq!((model.input_tokens, model.output_tokens), (0, 21));
    assert!(openai.total_cost >= 0.0, "{}", openai.total_cost);
    let health = monitor.health();
    assert_eq!(health.dropped["invalid_value"], 1);
    assert_eq!(health.offered, health.counted + 1);
}

#[test]
fn a_status_that_is_none_is_refused_by_the_guards() {
    let monitor = builder().build().unwrap();
    let mut operation = monitor.operation("/v1/chat", "POST");
    operation.status(200).status(7).status(60_000);
    operation.finish();
    monitor.collect();
    let view = monitor.endpoints(Window::SinceStart).unwrap();
    let codes = &view.aggregated.status_code_distribution;
    assert_eq!(codes.keys().collect::<Vec<_>>(), ["200"]);
}

#[test]
fn an_event_by_hand_that_tells_of_a_failure_is_one() {
    use PerformanceEventType::{Error, ProviderEnd};
    let monitor = builder().build().unwrap();
    let failed = [("provider", "openai"), ("success", "false")];
    monitor.record_event(event(ProviderEnd, &failed));
    let succeeded = [("provider", "openai"), ("success", "true")];
    monitor.record_event(event(ProviderEnd, &succeeded));
    let mut broken = event(Error, &[]);
    broken.component = "router".to_owned();
    monitor.record_event(broken);
    monitor.collect();
    let openai = &monitor.providers(Window::SinceStart).unwrap().providers["openai"];
    assert_eq!((openai.total_requests, openai.failed_requests), (2, 1));
    let components = monitor.components(Window::SinceStart).unwrap();
    assert_eq!(components.components["router"].stats.failed_operations, 1);
}

#[test]
fn an_event_from_the_future_is_counted_now() {
    let monitor = builder().build().unwrap();
    let mut early = event(PerformanceEventType::ProviderEnd, &[("provider", "openai")]);
    early.timestamp = Timestamp::from_unix_nanos(u64::MAX - 1);
    monitor.record_event(early);
    assert_eq!(attempts(&monitor), 1);
}

#[test]
fn a_label_that_is_spelled_like_the_refused_ones_is_theirs() {
    let monitor = builder().provider("_OTHER", ["_OTHER"]).build().unwrap();
    call(&monitor, "_OTHER", 0.5);
    // Refused, so counted under the same name.
    call(&monitor, &"x".repeat(1_000), 0.25);
    assert_eq!(attempts(&monitor), 2);
    let view = monitor.providers(Window::SinceStart).unwrap();
    assert_eq!(view.providers["_OTHER"].total_cost, 0.75);
}

#[test]
fn a_second_shutdown_has_nothing_to_do() {
    let monitor = builder().build().unwrap();
    monitor.shutdown(DEADLINE).unwrap();
    monitor.shutdown(DEADLINE).unwrap();
}

#[cfg(feature = "server")]
#[test]
fn a_shutdown_without_time_frees_the_port_all_the_same() {
    let (release, waits) = std::sync::mpsc::channel::<()>();
    let waits = std::sync::Mutex::new(waits);
    let monitor = builder()
        .serve(([127, 0, 0, 1], 0).into())
        .on_event(move |_| assert!(waits.lock().unwrap().recv().is_err()))
        .build()
        .unwrap();
    let address = monitor.local_addr().unwrap();
    call(&monitor, "openai", 0.0);
    let error = monitor.shutdown(Duration::from_millis(50)).unwrap_err();
    assert!(error.to_string().contains("the last collection"), "{error}");
    let freed = (0..400).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        std::net::TcpListener::bind(address).is_ok()
    });
    assert!(freed);
    drop(release);
}
