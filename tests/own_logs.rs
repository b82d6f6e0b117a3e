//! What the monitor says of itself at debug level is never measured, traced, or fed back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use aimux_otel::{EventFilter, PerformanceMonitor, TraceSampling, Window};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use std::{
    io::Write,
    panic::resume_unwind,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer, Registry,
    filter::LevelFilter,
    fmt::MakeWriter,
    layer::{Context, SubscriberExt},
};

/// Keeps what is written, and spans as their names and events.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>, Arc<Mutex<Vec<SpanData>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Kept {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.1.lock().unwrap().extend(batch);
        Ok(())
    }
}

impl Kept {
    fn lines(&self, containing: &str) -> Vec<String> {
        let bytes = self.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        let lines = text.lines().filter(|line| line.contains(containing));
        lines.map(str::to_owned).collect()
    }
}

/// The thread and the message of each of the monitor's own events; panics if one says so.
#[derive(Debug, Clone, Default)]
struct Heard(Arc<Mutex<Vec<(String, String)>>>);

impl<S: Subscriber> Layer<S> for Heard {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != "aimux_otel" {
            return;
        }
        let mut message = Message::default();
        event.record(&mut message);
        let thread = thread::current().name().unwrap_or_default().to_owned();
        self.0.lock().unwrap().push((thread, message.0.clone()));
        // Whoever hears it may ask the monitor in turn, and may break.
        if let Some(monitor) = aimux_otel::global() {
            monitor.collect();
            monitor.report(Window::SinceStart).unwrap();
        }
        if message.0 == "memory" {
            resume_unwind(Box::new("a subscriber of the host panics"));
        }
    }
}

#[derive(Debug, Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// Each test has the log for itself: it is the process's.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn idle_collections_are_told_and_measure_nothing() {
    let _alone = ALONE.lock();
    let kept = Kept::default();
    let heard = Heard::default();
    let tracer_provider = SdkTracerProvider::builder()
        .with_simple_exporter(kept.clone())
        .build();
    let monitor = PerformanceMonitor::builder()
        .collection_interval(Duration::from_secs(3_600))
        .tracer_provider(tracer_provider)
        .trace_sampling(TraceSampling::AlwaysOn)
        .build()
        .unwrap();
    monitor.set_global();
    let fmt = tracing_subscriber::fmt::layer()
        .with_writer(kept.clone())
        .with_ansi(false)
        .with_filter(LevelFilter::TRACE);
    let subscriber = tracing_subscriber::registry()
        .with(monitor.layer::<Registry>())
        .with(fmt)
        .with(heard.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let wait_for = |message: &str, count: usize| {
        let spoken = || {
            let heard = heard.0.lock().unwrap();
            heard.iter().filter(|(_, said)| said == message).count()
        };
        // A collection is announced before it is told of.
        while spoken() < count {
            thread::yield_now();
        }
    };

    for _ in 0..5 {
        monitor.collect();
    }
    wait_for("collected", 5);
    wait_for("memory", 5);
    monitor.set_event_filter(EventFilter::ALL.failures_only());
    wait_for("settings", 1);
    monitor
        .start_monitoring(Duration::from_secs(60), Duration::from_secs(3_600))
        .unwrap();
    wait_for("settings", 2);
    monitor.stop_monitoring();
    wait_for("monitoring", 2);

    let health = monitor.health();
    assert_eq!((health.offered, health.counted), (0, 0));
    assert!(
        health.dropped.values().all(|dropped| *dropped == 0),
        "{health:?}"
    );
    let report = monitor.report(Window::SinceStart).unwrap();
    assert!(report.component_performance.is_empty() && report.provider_performance.is_empty());
    assert!(monitor.recent_events().is_empty());
    assert!(kept.1.lock().unwrap().is_empty(), "no span was exported");

    monitor.shutdown(Duration::from_secs(20)).unwrap();
    wait_for("thread", 1);
    let spoken = heard.0.lock().unwrap().clone();
    let others: Vec<_> = spoken
        .iter()
        .filter(|(thread, _)| !thread.starts_with("aimux-"))
        .collect();
    assert!(others.is_empty(), "only its own threads speak: {others:?}");
    let collected = kept.lines("aimux_otel: collected");
    assert!(collected.len() >= 6, "{collected:?}");
    for field in ["DEBUG", "series=", "window_bytes=", "took_us="] {
        assert!(
            collected.iter().all(|line| line.contains(field)),
            "{field} {collected:?}"
        );
    }
    assert!(kept.lines("aimux_otel: memory")[0].contains("total_process_mb="));
    assert!(kept.lines("aimux_otel: settings")[0].contains("event_filter_changed=true"));
    assert!(kept.lines("aimux_otel: settings")[1].contains("collection_interval=60s"));
    let active = kept.lines("aimux_otel: monitoring");
    assert!(active[0].contains("active=true") && active[1].contains("active=false"));
}

#[test]
fn an_event_of_that_target_is_not_measured_whatever_its_fields() {
    let _alone = ALONE.lock();
    let kept = Kept::default();
    let tracer_provider = SdkTracerProvider::builder()
        .with_simple_exporter(kept.clone())
        .build();
    let monitor = PerformanceMonitor::builder()
        .tracer_provider(tracer_provider)
        .trace_sampling(TraceSampling::AlwaysOn)
        .build()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(monitor.layer::<Registry>());
    tracing::subscriber::with_default(subscriber, || {
        let call = tracing::info_span!("call", provider = "cerebras");
        call.in_scope(|| {
            tracing::error!(target: "aimux_otel", error = "broken", "of its own");
            tracing::info!(target: "aimux_otel", { aimux.event = "timeout" }, "of its own");
            tracing::info!("of the host");
        });
    });
    monitor.collect();
    let report = monitor.report(Window::SinceStart).unwrap();
    assert_eq!(report.summary.successful_requests, 1);
    assert_eq!(report.timeouts, 0);
    let spans = kept.1.lock().unwrap();
    let events: Vec<_> = spans[0]
        .events
        .iter()
        .map(|event| event.name.clone())
        .collect();
    assert_eq!(events, ["of the host"]);
    drop(spans);
    monitor.shutdown(Duration::from_secs(20)).unwrap();
}
