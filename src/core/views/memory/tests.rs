//! Memory over time, on plain collections.

use std::time::Duration;

use super::*;
use crate::core::alerts::rule::Severity;
use crate::core::process::{CpuTime, ProcessSample, ProcessState};
use crate::core::series::Value;
use crate::core::testing::{Bench, key, key_of};
use crate::names::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// A collection every `every`, `count` of them, of this heap in MiB and pressure in percent.
fn collected(every: Duration, count: u32, of: impl Fn(u32) -> (f64, f64)) -> Bench {
    let mut bench = Bench::new(HOUR * 48);
    for n in 0..count {
        let (heap_mb, percent) = of(n);
        bench.set(
            key(PROCESS_HEAP_USAGE, [(HEAP_SOURCE, "jemalloc")]),
            Value::Gauge(heap_mb * MEBIBYTE),
        );
        bench.set(
            key(PROCESS_MEMORY_PRESSURE, []),
            Value::Gauge(percent / 100.0),
        );
        bench.collect_after(every);
    }
    bench
}

fn trends_of(bench: &Bench, window: Window) -> MemoryTrends {
    memory(&bench.snapshot(), window).unwrap().trends
}

#[test]
fn a_day_of_heap_has_its_average_and_extremes() {
    // 1,440 minutes from 100 MiB to 1,539 MiB, and one outlier.
    let heap = |n: u32| {
        if n == 700 {
            3_000.0
        } else {
            100.0 + f64::from(n)
        }
    };
    let bench = collected(MINUTE, 1_440, |n| (heap(n), 50.0));
    let trends = trends_of(&bench, Window::SinceStart);
    assert_eq!(trends.hours_analyzed, 24.0);
    assert_eq!(trends.min_heap_mb, Some(100.0));
    assert_eq!(trends.max_heap_mb, Some(3_000.0));
    let average = (0..1_440).map(heap).sum::<f64>() / 1_440.0;
    assert!((trends.average_heap_mb.unwrap() - average).abs() < 1e-6);
    assert_eq!(trends.pressure_trend, PressureTrend::Stable);
    let hour = trends_of(&bench, Window::Last(HOUR));
    assert!((1.0..1.2).contains(&hour.hours_analyzed));
    assert!(hour.min_heap_mb.unwrap() >= 1_460.0);
    assert_eq!(hour.max_heap_mb, Some(1_539.0));
}

#[test]
fn a_leak_is_seen_over_the_day_and_not_over_its_last_minutes() {
    // Half a point an hour.
    let bench = collected(MINUTE, 1_440, |n| (100.0, 50.0 + f64::from(n) / 120.0));
    let day = trends_of(&bench, Window::SinceStart);
    assert_eq!(day.pressure_trend, PressureTrend::Increasing);
    assert!((day.pressure_percent_per_hour.unwrap() - 0.5).abs() < 0.01);
    assert!((8..=POINTS as usize).contains(&day.pressure_points));
    let minutes = trends_of(&bench, Window::Last(MINUTE * 30));
    assert_eq!(minutes.pressure_trend, PressureTrend::Stable);
    assert!((minutes.pressure_percent_per_hour.unwrap() - 0.5).abs() < 0.1);
}

#[test]
fn the_last_minutes_do_not_outweigh_the_day() {
    // Falling for 23 hours, and rising steeply for ten minutes, which are most of the slots.
    let percent = |n: u32| match n {
        0..8_520 => 80.0 - f64::from(n) / 360.0,
        _ => 50.0 + f64::from(n - 8_520) / 10.0,
    };
    let bench = collected(Duration::from_secs(10), 8_580, |n| (100.0, percent(n)));
    let day = trends_of(&bench, Window::SinceStart);
    assert_eq!(day.pressure_trend, PressureTrend::Decreasing);
    assert!((day.pressure_percent_per_hour.unwrap() + 1.0).abs() < 0.1);
    let minutes = trends_of(&bench, Window::Last(MINUTE * 5));
    assert_eq!(minutes.pressure_trend, PressureTrend::Increasing);
}

#[test]
fn shortly_after_the_start_it_is_stable_and_says_how_short() {
    let empty = trends_of(&Bench::new(HOUR), Window::SinceStart);
    assert_eq!(empty, MemoryTrends::default());
    let bench = collected(Duration::from_secs(5), 3, |n| (100.0, 10.0 * f64::from(n)));
    let trends = trends_of(&bench, Window::SinceStart);
    assert_eq!(trends.pressure_trend, PressureTrend::Stable);
    assert_eq!(trends.pressure_percent_per_hour, None);
    assert_eq!(trends.pressure_points, 3);
    assert!((trends.hours_analyzed - 15.0 / 3_600.0).abs() < 1e-9);
    assert_eq!(trends.average_heap_mb, Some(100.0));
}

#[test]
fn another_librarys_process_is_not_ours() {
    let mut bench = collected(MINUTE, 1, |_| (100.0, 50.0));
    bench.set(
        key_of("theirs", PROCESS_HEAP_USAGE, []),
        Value::Gauge(9_000.0 * MEBIBYTE),
    );
    bench.collect_after(MINUTE);
    let trends = trends_of(&bench, Window::SinceStart);
    assert_eq!(trends.max_heap_mb, Some(100.0));
}

#[test]
fn what_a_day_of_the_process_takes() {
    let mut bench = Bench::new(HOUR * 48);
    let gauges = [
        PROCESS_CPU_UTILIZATION,
        PROCESS_MEMORY_PRESSURE,
        PROCESS_MEMORY_USAGE,
        PROCESS_HEAP_USAGE,
        PROCESS_THREAD_COUNT,
        PROCESS_FILE_DESCRIPTORS,
    ];
    let counters = ProcessSample {
        minor_faults: Some(0),
        major_faults: Some(0),
        io: Some(Default::default()),
        network: Some(Default::default()),
        cpu: Some(CpuTime::default()),
        ..ProcessSample::default()
    };
    for n in 0..17_280_u32 {
        let unrest = f64::from(n * 7_919 % 1_000);
        for gauge in gauges {
            let value = match gauge {
                PROCESS_CPU_UTILIZATION | PROCESS_MEMORY_PRESSURE => unrest / 1_001.0,
                PROCESS_THREAD_COUNT | PROCESS_FILE_DESCRIPTORS => unrest,
                _ => (400.0 + unrest) * MEBIBYTE,
            };
            bench.set(key(gauge, []), Value::Gauge(value));
        }
        for counter in counters.counters() {
            let labels = counter.labels.iter().copied();
            let labels = labels.map(|(k, v)| (k.into(), v.into()));
            let key = crate::core::series::SeriesKey {
                labels: crate::core::series::Labels::new(labels),
                ..key(counter.metric, [])
            };
            bench.add(key, unrest * 1_000.0 + 0.5);
        }
        bench.collect_after(Duration::from_secs(10));
    }
    let history = bench.windows.history();
    let slots: usize = history.slots.iter().map(|slot| slot.heap_bytes()).sum();
    assert!(slots < 25 * 1_024, "{slots} bytes for 48 hours");
}

fn with_process(bench: &Bench) -> Snapshot {
    let mut snapshot = bench.snapshot();
    let sample = |cpu_seconds| ProcessSample {
        at: bench.now,
        cpu: Some(CpuTime {
            user: Duration::from_secs(cpu_seconds),
            system: Duration::from_secs(10),
        }),
        cpu_limit: Some(2.0),
        threads: Some(7),
        open_files: Some(11),
        uptime: Some(HOUR),
        resident: Some(512 << 20),
        ..ProcessSample::default()
    };
    let state = ProcessState::default().next(sample(100));
    snapshot.process = Arc::new(state);
    snapshot.memory = snapshot.process.sample.memory();
    snapshot
}

#[test]
fn cpu_network_and_io_are_those_of_the_window() {
    let mut bench = Bench::new(HOUR);
    let cpu = |mode| key(PROCESS_CPU_TIME, [(CPU_MODE, mode)]);
    let network = |class, direction| {
        key(
            SYSTEM_NETWORK_IO,
            [(NETWORK_CLASS, class), (NETWORK_DIRECTION, direction)],
        )
    };
    for seconds in [20.0, 8.0] {
        bench.add(cpu("user"), seconds);
        bench.add(cpu("system"), seconds / 2.0);
        bench.add(network("external", "receive"), 6_000.0);
        bench.add(network("external", "transmit"), 60.0);
        bench.add(network("loopback", "receive"), 5.0);
        let disk = |direction| key(PROCESS_DISK_IO, [(DISK_DIRECTION, direction)]);
        bench.add(disk("write"), 4_096.0);
        bench.collect_after(MINUTE);
    }
    let snapshot = with_process(&bench);
    let all = memory(&snapshot, Window::SinceStart).unwrap();
    assert_eq!(all.process.cpu.window_cpu_seconds, Some(42.0));
    // 42 of 240 seconds that two CPUs have in two minutes.
    assert_eq!(all.process.cpu.window_cpu_usage_percent, Some(17.5));
    assert_eq!(all.process.cpu.cpu_seconds, Some(110.0));
    assert_eq!(all.process.threads, Some(7));
    assert_eq!(all.process.monitor_uptime_seconds, 120.0);
    let minute = memory(&snapshot, Window::Last(MINUTE)).unwrap().process;
    assert_eq!(minute.cpu.window_cpu_usage_percent, Some(10.0));
    assert_eq!(minute.network.received_bytes, Some(6_000));
    assert_eq!(minute.network.received_bytes_per_second, Some(100.0));
    assert_eq!(minute.network.sent_bytes_per_second, Some(1.0));
    assert_eq!(minute.network.loopback_received_bytes, Some(5));
    assert_eq!(minute.network.loopback_sent_bytes, None);
    assert_eq!(minute.io.disk_written_bytes, Some(4_096));
    assert_eq!(minute.io.disk_read_bytes, None);
}

#[test]
fn what_was_and_did_nothing_in_the_window_is_zero() {
    let mut bench = Bench::new(HOUR);
    let disk = |direction| key(PROCESS_DISK_IO, [(DISK_DIRECTION, direction)]);
    bench.add(disk("read"), 4_096.0);
    bench.collect_after(MINUTE * 5);
    bench.collect_after(MINUTE);
    let mut snapshot = bench.snapshot();
    let minute = memory(&snapshot, Window::Last(MINUTE)).unwrap();
    assert_eq!(minute.process.io.disk_read_bytes, Some(0));
    assert_eq!(minute.process.io.disk_written_bytes, None);
    // It can be told, and never was anything else.
    let sample = ProcessSample {
        io: Some(Default::default()),
        ..ProcessSample::default()
    };
    snapshot.process = Arc::new(ProcessState::default().next(sample));
    let minute = memory(&snapshot, Window::Last(MINUTE)).unwrap();
    assert_eq!(minute.process.io.disk_written_bytes, Some(0));
}

#[test]
fn only_alerts_on_the_process_are_shown() {
    let mut snapshot = with_process(&Bench::new(HOUR));
    let detail = |metric: &str, state| AlertDetail {
        rule: "rule".to_owned(),
        metric: metric.to_owned(),
        scope: "somewhere".to_owned(),
        severity: Severity::Warning,
        state,
        value: Some(85.5),
        comparison: Some(">"),
        threshold: Some(80.0),
        since: 0.0,
        message: format!("High {metric}"),
        labels: Default::default(),
    };
    use crate::core::alerts::view::AlertState::{Firing, Pending};
    snapshot.alerts = Arc::new(crate::core::alerts::view::Alerts {
        details: vec![
            detail("memory_pressure", Firing),
            detail("cpu_usage_percent", Firing),
            detail("memory_usage_mb", Pending),
            detail("error_rate_percent", Firing),
            detail("made_up", Firing),
        ],
        ..Default::default()
    });
    let view = memory(&snapshot, Window::SinceStart).unwrap();
    let expected = [
        "[warning] High memory_pressure",
        "[warning] High cpu_usage_percent",
    ];
    assert_eq!(view.alerts, expected);
}

#[test]
fn a_window_that_is_not_kept_is_refused() {
    let snapshot = with_process(&Bench::new(HOUR));
    let too_long = memory(&snapshot, Window::Last(HOUR * 49));
    assert!(matches!(too_long, Err(ViewError::WindowTooLong { .. })));
    let empty = memory(&snapshot, Window::Last(Duration::ZERO));
    assert_eq!(empty, Err(ViewError::WindowEmpty));
}
