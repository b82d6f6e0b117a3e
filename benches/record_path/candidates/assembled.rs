//! What a team assembles today out of published crates.

use std::future::{Future, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter};
use tracing::subscriber::SetGlobalDefaultError;
use tracing_opentelemetry::MetricsLayer;
use tracing_subscriber::layer::SubscriberExt;

use super::otel::{Buckets, Instruments, Metrics, Readers};
use super::{Built, Candidate};
use crate::workload::{COST, Labels, METHOD, OPERATION, STATUS, attempt, attempt_span, now, timed};

/// Takes spans, counts them and throws them away.
#[derive(Debug)]
struct NoExporter(Arc<AtomicU64>);

impl SpanExporter for NoExporter {
    fn export(&self, spans: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        self.0.fetch_add(spans.len() as u64, Ordering::Relaxed);
        ready(Ok(()))
    }
}

/// A tracer provider with a batch processor, and what it has exported.
pub(super) struct Exporting {
    pub(super) tracers: SdkTracerProvider,
    exported: Arc<AtomicU64>,
}

impl Exporting {
    pub(super) fn new() -> Self {
        let exported = Arc::default();
        let exporter = NoExporter(Arc::clone(&exported));
        let tracers = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).build())
            .build();
        Self { tracers, exported }
    }

    pub(super) fn flush(&self) {
        // The exporter never fails.
        let _ = self.tracers.force_flush();
    }

    fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Makes a subscriber with tracing-opentelemetry's layer the global one.
    fn install(&self) -> Result<(), SetGlobalDefaultError> {
        let layer = tracing_opentelemetry::layer().with_tracer(self.tracers.tracer("gateway"));
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))
    }
}

struct Traces(Exporting);

impl Candidate for Traces {
    fn burst(&self, labels: Labels, count: usize) -> Duration {
        timed(|| {
            for _ in 0..count {
                drop(attempt(labels));
            }
        })
    }

    fn settle(&self) {
        self.0.flush();
    }

    fn counted(&self) -> Option<u64> {
        Some(self.0.exported())
    }
}

pub(super) fn traces() -> Built {
    let exporting = Exporting::new();
    exporting.install()?;
    Ok(Box::new(Traces(exporting)))
}

struct TracesAndMetrics {
    exporting: Exporting,
    metrics: Metrics,
    instruments: Instruments,
    names: Names,
}

/// Where the names of providers and models come from.
#[derive(Debug, Clone, Copy)]
enum Names {
    /// From the request.
    Request,
    /// From the program.
    Static,
}

impl Candidate for TracesAndMetrics {
    fn burst(&self, labels: Labels, count: usize) -> Duration {
        let names = std::hint::black_box(self.names);
        timed(|| {
            for _ in 0..count {
                let start = now();
                drop(attempt(labels));
                let seconds = now().duration_since(start).as_secs_f64();
                match names {
                    Names::Request => self.instruments.record_owned(labels, seconds, COST),
                    Names::Static => self.instruments.record_static(labels, seconds, COST),
                }
            }
        })
    }

    fn settle(&self) {
        self.exporting.flush();
        self.metrics.collect();
    }

    fn counted(&self) -> Option<u64> {
        let counted = self.metrics.counted();
        // The spans must have been exported too, all of them.
        counted.min(Some(self.exporting.exported()))
    }
}

pub(super) fn traces_and_metrics() -> Built {
    both(Readers::Prometheus, Names::Request)
}

pub(super) fn traces_and_static_metrics() -> Built {
    both(Readers::Prometheus, Names::Static)
}

pub(super) fn traces_and_metrics_two_readers() -> Built {
    both(Readers::Both, Names::Request)
}

fn both(readers: Readers, names: Names) -> Built {
    let metrics = Metrics::new(readers, Buckets::Classic)?;
    let exporting = Exporting::new();
    exporting.install()?;
    Ok(Box::new(TracesAndMetrics {
        exporting,
        instruments: metrics.instruments(),
        metrics,
        names,
    }))
}

/// A span, and in it an event that carries the three measurements.
struct SpanAndEvent(Metrics);

impl Candidate for SpanAndEvent {
    fn burst(&self, labels: Labels, count: usize) -> Duration {
        timed(|| {
            for _ in 0..count {
                let start = now();
                let span = attempt_span(std::hint::black_box(labels));
                let entered = span.enter();
                span.record("status_code", STATUS);
                span.record("cost", COST);
                let elapsed = now().duration_since(start);
                tracing::info!(
                    histogram.duration = elapsed.as_secs_f64(),
                    monotonic_counter.requests = 1_u64,
                    monotonic_counter.cost = COST,
                    provider = labels.provider,
                    model = labels.model,
                    operation = OPERATION,
                    method = METHOD,
                );
                drop(entered);
            }
        })
    }

    fn settle(&self) {
        self.0.collect();
    }

    fn counted(&self) -> Option<u64> {
        self.0.counted()
    }
}

pub(super) fn metrics_layer() -> Built {
    let metrics = Metrics::new(Readers::Prometheus, Buckets::Classic)?;
    let layer = MetricsLayer::new(metrics.provider.clone());
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;
    Ok(Box::new(SpanAndEvent(metrics)))
}
