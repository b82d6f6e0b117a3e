//! What the monitor tells of its process agrees with what the kernel says at that moment.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

use aimux_otel::{HeapSource, MemoryView, PerformanceMonitor, PressureTrend, Window};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use std::{
    fs,
    hint::black_box,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::Mutex,
    time::Duration,
};

const MEBIBYTE: usize = 1 << 20;

/// Whether this is a process of its own for `test`; else has one run it, and says no.
fn is_alone(test: &str) -> bool {
    const ALONE: &str = "AIMUX_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let ran = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    false
}

fn monitor() -> PerformanceMonitor {
    let builder = PerformanceMonitor::builder().collection_interval(Duration::from_secs(3_600));
    builder.build().unwrap()
}

fn collected(monitor: &PerformanceMonitor) -> MemoryView {
    monitor.collect();
    monitor.memory(Window::SinceStart).unwrap()
}

/// A field of `/proc/self/status`, in MiB.
fn status(name: &str) -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.unwrap().trim_start_matches(':').trim_end_matches("kB");
    kib.trim().parse::<f64>().unwrap() / 1_024.0
}

fn usage() -> Usage {
    getrusage(UsageWho::RUSAGE_SELF).unwrap()
}

fn cpu_seconds(usage: &Usage) -> f64 {
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
        .sum()
}

fn assert_close(what: &str, found: f64, expected: f64, within: f64) {
    let off = (found - expected).abs();
    assert!(off <= within, "{what}: {found}, not {expected}");
}

/// Memory, each page of which was written to.
fn touched(mebibytes: usize) -> Vec<u8> {
    black_box(vec![1_u8; mebibytes * MEBIBYTE])
}

#[test]
fn memory_rises_and_falls_with_what_is_allocated() {
    if !is_alone("memory_rises_and_falls_with_what_is_allocated") {
        return;
    }
    let monitor = monitor();
    let before = collected(&monitor).current;
    let block = touched(256);
    let with = collected(&monitor).current;
    for (name, field) in [
        ("VmRSS", with.total_process_mb),
        ("RssAnon", with.anonymous_mb),
        ("RssFile", with.file_cache_mb),
        ("RssShmem", with.shared_mb),
        ("VmStk", with.stack_used_mb),
        ("VmHWM", with.peak_process_mb),
    ] {
        assert_close(name, field.unwrap(), status(name), 4.0);
    }
    assert_eq!(with.heap_source, Some(HeapSource::KernelAnonymous));
    let rose = |now: Option<f64>, before: Option<f64>| now.unwrap() - before.unwrap();
    let total = rose(with.total_process_mb, before.total_process_mb);
    let anonymous = rose(with.anonymous_mb, before.anonymous_mb);
    let heap = rose(with.heap_used_mb, before.heap_used_mb);
    for (what, rise) in [("total", total), ("anonymous", anonymous), ("heap", heap)] {
        assert_close(what, rise, 256.0, 8.0);
    }
    // A fault for each page, of 2 MiB at the most.
    let faults = with.page_faults.unwrap() - before.page_faults.unwrap();
    assert!(faults >= 128, "{faults}");
    let pressure = with.memory_pressure_percent.unwrap();
    let expected = 100.0 * with.total_process_mb.unwrap() / with.memory_limit_mb.unwrap();
    assert_close("pressure", pressure, expected, 1e-9);

    drop(block);
    let after = collected(&monitor);
    assert_close(
        "VmRSS",
        after.current.total_process_mb.unwrap(),
        status("VmRSS"),
        4.0,
    );
    let left = rose(after.current.anonymous_mb, before.anonymous_mb);
    assert_close("anonymous", left, 0.0, 8.0);
    // Of these collections one saw the block.
    assert_eq!(after.trends.max_heap_mb, with.heap_used_mb);
    assert!(after.trends.min_heap_mb.unwrap() <= after.current.heap_used_mb.unwrap());
    assert_eq!(after.trends.pressure_trend, PressureTrend::Stable);
    assert_eq!(after.trends.pressure_percent_per_hour, None);
}

#[test]
fn cpu_time_is_what_the_kernel_counted() {
    if !is_alone("cpu_time_is_what_the_kernel_counted") {
        return;
    }
    let monitor = monitor();
    let first = collected(&monitor).process.cpu;
    let began = cpu_seconds(&usage());
    let mut number = 1_u64;
    while cpu_seconds(&usage()) - began < 1.5 {
        for _ in 0..100_000 {
            number = black_box(number.wrapping_mul(6_364_136_223_846_793_005));
        }
    }
    let at_least = cpu_seconds(&usage());
    let view = collected(&monitor);
    let at_most = cpu_seconds(&usage());
    let cpu = &view.process.cpu;
    let total = cpu.cpu_seconds.unwrap();
    assert!((at_least..=at_most).contains(&total), "{total}");
    let split = cpu.user_cpu_seconds.unwrap() + cpu.system_cpu_seconds.unwrap();
    assert_close("user and system", split, total, 1e-6);
    // The window began with the monitor, a moment before the first collection.
    let window = cpu.window_cpu_seconds.unwrap();
    let since_first = total - first.cpu_seconds.unwrap();
    assert!(window >= since_first - 1e-6, "{window} of {since_first}");
    assert!(window <= since_first + 0.5, "{window} of {since_first}");
    let limit = cpu.cpu_limit.unwrap();
    let percent = 100.0 * window / (view.coverage.window_seconds * limit);
    assert_close(
        "percent",
        cpu.window_cpu_usage_percent.unwrap(),
        percent,
        1e-6,
    );
    // One thread was busy nearly all the time, unless others had the CPU.
    let busy = cpu.cpu_usage_percent.unwrap() * limit / 100.0;
    assert!((0.05..=limit * 1.05).contains(&busy), "{busy} of {limit}");
}

#[test]
fn what_goes_over_loopback_is_counted_as_such() {
    if !is_alone("what_goes_over_loopback_is_counted_as_such") {
        return;
    }
    let monitor = monitor();
    monitor.collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let sender = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&vec![7; 4 * MEBIBYTE]).unwrap();
    });
    let mut received = Vec::new();
    let (mut stream, _) = listener.accept().unwrap();
    stream.read_to_end(&mut received).unwrap();
    sender.join().unwrap();
    let network = collected(&monitor).process.network;
    let bytes = 4 * MEBIBYTE as u64;
    assert!(network.loopback_received_bytes.unwrap() >= bytes);
    assert!(network.loopback_sent_bytes.unwrap() >= bytes);
    assert!(network.received_bytes.is_some() && network.sent_bytes.is_some());
}

#[test]
fn reading_and_writing_files_is_counted() {
    if !is_alone("reading_and_writing_files_is_counted") {
        return;
    }
    let monitor = monitor();
    monitor.collect();
    let before = collected(&monitor).process;
    let files: Vec<_> = (0..50)
        .map(|_| fs::File::create("/dev/null").unwrap())
        .collect();
    for mut file in &files {
        file.write_all(&[7; 64 * 1_024]).unwrap();
    }
    let text = fs::read("/proc/self/exe").unwrap();
    let after = collected(&monitor).process;
    assert_eq!(after.open_fds.unwrap() - before.open_fds.unwrap(), 50);
    let rose = |now: Option<u64>, before: Option<u64>| now.unwrap() - before.unwrap();
    let written = rose(after.io.written_bytes, before.io.written_bytes);
    assert!(written >= 50 * 64 * 1_024, "{written}");
    assert!(rose(after.io.write_calls, before.io.write_calls) >= 50);
    let read = rose(after.io.read_bytes, before.io.read_bytes);
    assert!(read >= text.len() as u64, "{read}");
    assert!(after.io.disk_read_bytes.is_some() && after.io.disk_written_bytes.is_some());
}

#[test]
fn threads_and_age_are_told() {
    if !is_alone("threads_and_age_are_told") {
        return;
    }
    let monitor = monitor();
    let before = collected(&monitor).process;
    let (wait, end) = std::sync::mpsc::channel::<()>();
    let end = std::sync::Arc::new(Mutex::new(end));
    let threads: Vec<_> = (0..10)
        .map(|_| {
            let end = std::sync::Arc::clone(&end);
            std::thread::spawn(move || end.lock().unwrap().recv().ok())
        })
        .collect();
    let after = collected(&monitor).process;
    drop(wait);
    threads
        .into_iter()
        .for_each(|thread| assert_eq!(thread.join().unwrap(), None));
    assert_eq!(after.threads.unwrap() - before.threads.unwrap(), 10);
    let text = fs::read_to_string("/proc/uptime").unwrap();
    let machine: f64 = text.split(' ').next().unwrap().parse().unwrap();
    let process = after.uptime_seconds.unwrap();
    assert!(process >= after.monitor_uptime_seconds - 0.02, "{process}");
    assert!(process < machine.min(3_600.0), "{process}");
}
