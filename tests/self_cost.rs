//! What the monitor tells of its own cost is true.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test"
)]

use aimux_otel::{MonitorBuilder, MonitorCost, PerformanceMonitor};
use std::time::Duration;

fn builder() -> MonitorBuilder {
    PerformanceMonitor::builder().collection_interval(Duration::from_secs(3_600))
}

fn cost(monitor: &PerformanceMonitor) -> MonitorCost {
    monitor.collect();
    monitor.health().cost
}

fn call(monitor: &PerformanceMonitor, model: &str, millis: u64) {
    let took = Duration::from_millis(millis);
    monitor.record_provider_request("openai", model, took, true, "", 0.01);
}

#[test]
fn memory_grows_by_what_is_added_and_the_parts_add_up() {
    let names = (0..200).map(|n| format!("model-{n}"));
    let monitor = builder().provider("openai", names).build().unwrap();
    let before = cost(&monitor);
    assert_eq!(
        before.memory_by_part.values().sum::<u64>(),
        before.memory_bytes
    );
    for model in 0..200 {
        for call_number in 0..50 {
            call(&monitor, &format!("model-{model}"), 20 + 37 * call_number);
        }
    }
    let after = cost(&monitor);
    let grown = |part: &str| {
        let of = |cost: &MonitorCost| cost.memory_by_part.get(part).copied().unwrap_or(0);
        of(&after) - of(&before)
    };
    // A histogram of some ten buckets' codes or more for each, in a slot and in the totals.
    assert!(
        (200 * 20..200 * 200).contains(&grown("windows")),
        "{after:?}"
    );
    assert!(
        (200 * 200..200 * 1_000).contains(&grown("totals")),
        "{after:?}"
    );
    assert!(
        (200 * 100..200 * 2_000).contains(&grown("series")),
        "{after:?}"
    );
    assert_eq!(grown("labels"), 0, "they were configured");
    let again = cost(&monitor);
    assert!(
        again.memory_bytes < after.memory_bytes + 10_000,
        "a collection of nothing adds next to nothing: {again:?}"
    );
}

#[test]
fn open_requests_take_memory() {
    let monitor = builder().build().unwrap();
    let open = |cost: &MonitorCost| cost.memory_by_part["open"];
    let before = open(&cost(&monitor));
    for _ in 0..2_000 {
        monitor.record_request_start("", "/v1/chat", "POST", "openai", "m");
    }
    let grown = open(&cost(&monitor)) - before;
    assert!((2_000 * 100..2_000 * 400).contains(&grown), "{grown}");
}

#[test]
fn each_layer_is_counted_while_it_is_there() {
    use tracing_subscriber::layer::SubscriberExt;
    let monitor = builder().build().unwrap();
    let open = |cost: &MonitorCost| cost.memory_by_part["open"];
    let before = open(&cost(&monitor));
    let subscriber = tracing_subscriber::registry().with(monitor.layer());
    let with = open(&cost(&monitor));
    assert!(with > before);
    drop(subscriber);
    assert_eq!(open(&cost(&monitor)), before);
}

#[cfg(target_os = "linux")]
#[test]
fn processor_time_is_that_of_our_threads_and_never_goes_back() {
    let monitor = builder().build().unwrap();
    let mut last = cost(&monitor);
    for round in 0..20 {
        for millis in 0..500 {
            call(&monitor, "m", millis * round);
        }
        let now = cost(&monitor);
        assert!(now.cpu_seconds.unwrap() >= last.cpu_seconds.unwrap());
        assert!(now.cpu_seconds_by_part["collect"] > last.cpu_seconds_by_part["collect"]);
        last = now;
    }
    // What the kernel says of the thread, to the hundredth of a second that it keeps there.
    let tick = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let of_ticks: f64 = tick
        .filter_map(|task| {
            let comm = std::fs::read_to_string(task.path().join("comm")).ok()?;
            let run = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            let nanos: f64 = run.split_whitespace().next()?.parse().ok()?;
            (comm.trim() == "aimux-tick").then_some(nanos / 1e9)
        })
        .sum();
    // Other tests have monitors, too.
    assert!(last.cpu_seconds_by_part["collect"] <= of_ticks + 0.01);
}

#[cfg(feature = "server")]
#[test]
fn the_bytes_of_the_listener_are_those_that_its_client_sees() {
    use std::io::{Read, Write};
    let monitor = builder()
        .serve("127.0.0.1:0".parse().unwrap())
        .build()
        .unwrap();
    let address = monitor.local_addr().unwrap();
    let before = cost(&monitor);
    assert_eq!((before.received_bytes, before.sent_bytes), (0, 0));
    let (mut asked, mut answered) = (0, 0);
    for path in ["/metrics", "/performance", "/nothing"] {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        asked += head.len() as u64;
        answered += stream.read_to_end(&mut Vec::new()).unwrap() as u64;
    }
    let after = cost(&monitor);
    assert_eq!((after.received_bytes, after.sent_bytes), (asked, answered));
    assert!(after.cpu_seconds.is_none() || after.cpu_seconds_by_part["answer"] > 0.0);
    assert!(after.cpu_seconds.is_none() || after.cpu_seconds_by_part["serve"] > 0.0);
}

#[test]
fn it_is_told_as_metrics_too() {
    let monitor = builder().build().unwrap();
    let cost = cost(&monitor);
    let families = monitor.prometheus_registry().gather();
    let family = |name: &str| families.iter().find(|family| family.name() == name);
    let memory = family("aimux_monitor_memory_bytes").unwrap();
    let sum: f64 = memory
        .get_metric()
        .iter()
        .map(|m| m.get_gauge().get_value())
        .sum();
    assert_eq!(sum, cost.memory_bytes as f64);
    assert_eq!(
        family("aimux_monitor_cpu_time_seconds_total").is_some(),
        cost.cpu_seconds.is_some()
    );
}

#[test]
fn windows_take_what_they_are_given() {
    let given = |builder: MonitorBuilder| {
        let monitor = builder.build().unwrap();
        monitor.configuration().limits.window_memory_bytes
    };
    assert_eq!(given(PerformanceMonitor::builder()), 1 << 20);
    let comprehensive = PerformanceMonitor::builder().comprehensive();
    assert_eq!(given(comprehensive), 4 << 20);
    let own = PerformanceMonitor::builder().comprehensive();
    assert_eq!(given(own.window_memory(2 << 20)), 2 << 20, "the later wins");
    for bytes in [0, (64 << 10) - 1, (1 << 30) + 1] {
        let error = builder().window_memory(bytes).build().unwrap_err();
        let text = error.to_string();
        assert!(text.contains("window_memory"), "{text}");
        assert!(text.contains(&bytes.to_string()), "{text}");
        assert!(text.contains("65536 to 1073741824"), "{text}");
    }
    for bytes in [64 << 10, 1 << 30] {
        assert_eq!(given(builder().window_memory(bytes)), bytes);
    }
}
