//! A Collector that is ill: requests go on, memory stays bounded, what is lost is counted with its
//! reason, and pushing goes on by itself when it is well again.
//!
//! Each test runs in a process of its own, for the variables that make it short.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test"
)]

use aimux_otel::{OtlpProtocol, PerformanceMonitor, PushHealth, TraceSampling, Window};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tracing::{info_span, subscriber::with_default};
use tracing_subscriber::{Registry, layer::SubscriberExt};

/// Nothing here takes as long, unless it hangs.
const DEADLINE: Duration = Duration::from_secs(30);

/// What is the matter with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Illness {
    None,
    /// It takes everything and says nothing.
    Swallows,
    Status(u16),
    /// It rejects so many of each push.
    Rejects(u8),
    /// It answers 200, with what is no answer.
    Garbage,
    /// It does not speak HTTP.
    Noise,
    /// It answers 200, and never ends.
    Endless,
}

/// What a Collector on loopback was sent, and how it is.
#[derive(Clone)]
struct Collector {
    illness: Arc<Mutex<Illness>>,
    spans: Arc<AtomicU64>,
    metrics: Arc<AtomicU64>,
    /// Bytes of an endless answer that the other side let it write.
    written: Arc<AtomicU64>,
}

impl Collector {
    fn new(illness: Illness) -> Self {
        Self {
            illness: Arc::new(Mutex::new(illness)),
            spans: Arc::default(),
            metrics: Arc::default(),
            written: Arc::default(),
        }
    }

    fn serve(&self, listener: TcpListener) {
        let this = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let this = this.clone();
                thread::spawn(move || this.answer(stream.unwrap()));
            }
        });
    }

    /// Answers one request after the other, until one side has enough.
    fn answer(&self, mut stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        loop {
            let (path, body) = read_request(&mut reader)?;
            let illness = *self.illness.lock().unwrap();
            let answer = match illness {
                Illness::None | Illness::Rejects(_) => {
                    if path.contains("traces") {
                        let request = ExportTraceServiceRequest::decode(&*body).unwrap();
                        let scopes = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
                        let spans: usize = scopes.map(|s| s.spans.len()).sum();
                        self.spans.fetch_add(spans as u64, Ordering::SeqCst);
                    } else {
                        self.metrics.fetch_add(1, Ordering::SeqCst);
                    }
                    match illness {
                        Illness::Rejects(n) => whole(200, &[0x0a, 2, 0x08, n]),
                        _ => whole(200, b""),
                    }
                }
                Illness::Swallows => {
                    thread::sleep(DEADLINE);
                    return None;
                }
                Illness::Status(status) => whole(status, b""),
                Illness::Garbage => whole(200, b"<html>Welcome to the hotel</html>"),
                Illness::Noise => b"\x00\xff not http at all\r\n\r\n".to_vec(),
                Illness::Endless => {
                    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
                    let chunk = [0_u8; 65_536];
                    loop {
                        stream.write_all(&chunk).ok()?;
                        self.written.fetch_add(chunk.len() as u64, Ordering::SeqCst);
                    }
                }
            };
            stream.write_all(&answer).ok()?;
            if illness == Illness::Noise {
                return None;
            }
        }
    }
}

fn whole(status: u16, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut answer =
        format!("HTTP/1.1 {status} So\r\nRetry-After: 600\r\nContent-Length: {length}\r\n\r\n")
            .into_bytes();
    answer.extend(body);
    answer
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, body))
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn monitor(collector: SocketAddr) -> PerformanceMonitor {
    PerformanceMonitor::builder()
        .otlp_endpoint(format!("http://{collector}"))
        .otlp_interval(Duration::from_millis(100))
        .trace_sampling(TraceSampling::AlwaysOn)
        .build()
        .unwrap()
}

/// So many requests to a provider, each a span.
fn serve_requests(monitor: &PerformanceMonitor, count: u64) {
    let subscriber = tracing_subscriber::registry().with(monitor.layer::<Registry>());
    with_default(subscriber, || {
        for _ in 0..count {
            info_span!(
                "attempt",
                provider = "cerebras",
                model = "m",
                status_code = 200
            )
            .in_scope(|| {});
        }
    });
}

fn requests(monitor: &PerformanceMonitor) -> u64 {
    monitor.collect();
    let view = monitor.providers(Window::SinceStart).unwrap();
    view.summary.total_requests
}

fn pushed(monitor: &PerformanceMonitor, destination: &str) -> PushHealth {
    monitor.health().pushes[destination].clone()
}

fn dropped(health: &PushHealth) -> u64 {
    health.dropped.values().sum()
}

#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < DEADLINE, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs the test that calls it again, in a process of its own; whether this is that one.
fn apart(name: &str, more: &[(&str, &str)]) -> bool {
    const CHILD: &str = "AIMUX_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .env("OTEL_EXPORTER_OTLP_TIMEOUT", "300")
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
        .envs(more.iter().copied());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    false
}

/// What is pushed to a Collector with that illness is lost for that reason, and no request is; then
/// it gets well.
fn falls_ill_and_gets_well(illness: Illness, reason: &str) {
    let collector = Collector::new(illness);
    let (listener, address) = listen();
    collector.serve(listener);
    let monitor = monitor(address);
    serve_requests(&monitor, 300);
    assert_eq!(requests(&monitor), 300);
    until("spans are lost for that reason", || {
        pushed(&monitor, "otlp_traces").dropped[reason] == 300
    });
    until("metrics are lost for that reason", || {
        pushed(&monitor, "otlp_metrics").dropped[reason] > 0
    });
    let ill = pushed(&monitor, "otlp_traces");
    assert_eq!((ill.sent, dropped(&ill)), (0, 300), "{ill:?}");
    assert!(ill.failed_attempts > 0, "{ill:?}");

    *collector.illness.lock().unwrap() = Illness::None;
    serve_requests(&monitor, 200);
    until("spans arrive again", || {
        collector.spans.load(Ordering::SeqCst) == 200
    });
    until("metrics arrive again", || {
        collector.metrics.load(Ordering::SeqCst) > 0
    });
    let exposition = monitor.prometheus_registry().gather();
    let mut told = exposition.iter().map(|family| family.name());
    assert!(told.any(|name| name == "aimux_monitor_push_dropped_total"));
    monitor.shutdown(DEADLINE).unwrap();
    let well = pushed(&monitor, "otlp_traces");
    assert_eq!((well.offered, well.sent, dropped(&well)), (500, 200, 300));
    let metrics = pushed(&monitor, "otlp_metrics");
    assert_eq!(metrics.offered, metrics.sent + dropped(&metrics));
}

macro_rules! gets_well {
    ($name:ident, $illness:expr, $reason:literal) => {
        #[test]
        fn $name() {
            if apart(stringify!($name), &[]) {
                falls_ill_and_gets_well($illness, $reason);
            }
        }
    };
}

gets_well!(one_that_swallows, Illness::Swallows, "unreachable");
gets_well!(one_that_is_busy, Illness::Status(429), "unavailable");
gets_well!(one_that_is_down, Illness::Status(503), "unavailable");
gets_well!(one_that_wants_a_key, Illness::Status(401), "refused");
gets_well!(one_that_is_a_hotel, Illness::Garbage, "unreadable");
gets_well!(
    one_that_speaks_something_else,
    Illness::Noise,
    "unreachable"
);

#[test]
fn one_that_answers_without_an_end_is_not_listened_to() {
    if !apart("one_that_answers_without_an_end_is_not_listened_to", &[]) {
        return;
    }
    let collector = Collector::new(Illness::Endless);
    let (listener, address) = listen();
    collector.serve(listener);
    let monitor = monitor(address);
    serve_requests(&monitor, 10);
    until("it is given up", || {
        dropped(&pushed(&monitor, "otlp_traces")) == 10
    });
    monitor.shutdown(DEADLINE).ok();
    let health = monitor.health();
    let attempts: u64 = health.pushes.values().map(|p| p.failed_attempts).sum();
    // What is read, and what the kernel holds for either side.
    let written = collector.written.load(Ordering::SeqCst) / attempts;
    assert!(written < 16 << 20, "{written} bytes for each of {attempts}");
}

#[test]
fn what_is_rejected_in_part_is_counted() {
    if !apart("what_is_rejected_in_part_is_counted", &[]) {
        return;
    }
    let collector = Collector::new(Illness::Rejects(3));
    let (listener, address) = listen();
    collector.serve(listener);
    let monitor = monitor(address);
    serve_requests(&monitor, 100);
    until("they are settled", || {
        let traces = pushed(&monitor, "otlp_traces");
        traces.sent + dropped(&traces) == 100
    });
    let traces = pushed(&monitor, "otlp_traces");
    let refused = traces.dropped["refused"];
    assert!(refused > 0 && refused.is_multiple_of(3), "{traces:?}");
    assert_eq!(dropped(&traces), refused);
    assert_eq!(traces.failed_attempts, 0, "it was an answer");
    until("points are rejected", || {
        pushed(&monitor, "otlp_metrics").dropped["refused"] >= 3
    });
}

#[test]
fn one_that_is_not_there_yet_is_pushed_to_when_it_is() {
    if !apart("one_that_is_not_there_yet_is_pushed_to_when_it_is", &[]) {
        return;
    }
    let (listener, address) = listen();
    drop(listener);
    let monitor = monitor(address);
    serve_requests(&monitor, 50);
    until("they are lost", || {
        pushed(&monitor, "otlp_traces").dropped["unreachable"] == 50
    });
    let collector = Collector::new(Illness::None);
    collector.serve(TcpListener::bind(address).unwrap());
    serve_requests(&monitor, 60);
    until("spans arrive", || {
        collector.spans.load(Ordering::SeqCst) == 60
    });
    assert_eq!(requests(&monitor), 110);
}

#[test]
fn what_finds_no_room_in_the_queue_is_counted() {
    let name = "what_finds_no_room_in_the_queue_is_counted";
    // Nothing is answered in time, and 64 may wait.
    let variables = [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "64"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "5000"),
    ];
    if !apart(name, &variables) {
        return;
    }
    let collector = Collector::new(Illness::Swallows);
    let (listener, address) = listen();
    collector.serve(listener);
    let monitor = monitor(address);
    serve_requests(&monitor, 10_000);
    assert_eq!(requests(&monitor), 10_000);
    let traces = pushed(&monitor, "otlp_traces");
    assert_eq!(traces.offered, 10_000);
    assert_eq!(traces.dropped["queue_full"], 10_000 - 64, "{traces:?}");

    let began = Instant::now();
    assert!(monitor.shutdown(Duration::from_millis(500)).is_err());
    assert!(began.elapsed() < Duration::from_secs(4), "it did not wait");
    let traces = pushed(&monitor, "otlp_traces");
    assert_eq!(traces.dropped["shutdown"], 64, "{traces:?}");
    assert_eq!(traces.offered, traces.sent + dropped(&traces));
}

#[test]
fn by_grpc_too_it_is_told_why() {
    if !apart("by_grpc_too_it_is_told_why", &[]) {
        return;
    }
    let (listener, address) = listen();
    drop(listener);
    let monitor = PerformanceMonitor::builder()
        .otlp_endpoint(format!("http://{address}"))
        .otlp_protocol(OtlpProtocol::Grpc)
        .trace_sampling(TraceSampling::AlwaysOn)
        .build()
        .unwrap();
    serve_requests(&monitor, 20);
    until("they are lost", || {
        pushed(&monitor, "otlp_traces").dropped["unreachable"] == 20
    });
    assert_eq!(requests(&monitor), 20);
}
