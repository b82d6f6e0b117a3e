//! This crate, with views, recent events and `/metrics` as they are by default, OTLP off.

use std::time::Duration;

use aimux_otel::{MonitorBuilder, PerformanceMonitor, TraceSampling, Window};
use tracing_subscriber::layer::SubscriberExt;

use super::assembled::Exporting;
use super::floor::{MovedSpans, Spans};
use super::{Built, Candidate};
use crate::workload::{COST, DISTINCT, Labels, duration, timed};

/// Spans that a monitor's layer measures.
struct Monitored<C> {
    spans: C,
    monitor: PerformanceMonitor,
    exporting: Option<Exporting>,
}

impl<C: Candidate> Candidate for Monitored<C> {
    fn burst(&self, labels: Labels, count: usize) -> Duration {
        self.spans.burst(labels, count)
    }

    fn settle(&self) {
        self.monitor.collect();
        if let Some(exporting) = &self.exporting {
            exporting.flush();
        }
    }

    fn counted(&self) -> Option<u64> {
        counted(&self.monitor)
    }
}

fn builder() -> MonitorBuilder {
    // To settle is to collect, many times in the five seconds that are the default. A collection
    // in between would be in one of two runs that are compared, and not in the other.
    let builder = PerformanceMonitor::builder().collection_interval(Duration::from_secs(60));
    DISTINCT.iter().fold(builder, |builder, labels| {
        builder.provider(labels.provider, [labels.model])
    })
}

/// What has reached the views.
fn counted(monitor: &PerformanceMonitor) -> Option<u64> {
    monitor.collect();
    let providers = monitor.providers(Window::SinceStart).ok()?;
    Some(providers.summary.total_requests)
}

/// Makes a subscriber with the monitor's layer the global one.
fn monitored<C: Candidate + 'static>(
    spans: C,
    monitor: PerformanceMonitor,
    exporting: Option<Exporting>,
) -> Built {
    let subscriber = tracing_subscriber::registry().with(monitor.layer());
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(Box::new(Monitored {
        spans,
        monitor,
        exporting,
    }))
}

pub(super) fn layer() -> Built {
    monitored(Spans, builder().build()?, None)
}

pub(super) fn layer_moved() -> Built {
    let spans = MovedSpans::start();
    monitored(spans, builder().build()?, None)
}

pub(super) fn one_percent_traced() -> Built {
    traced(0.01)
}

/// So few are sampled that none is, and nothing knows beforehand that none will be.
pub(super) fn not_traced() -> Built {
    traced(1e-12)
}

fn traced(share: f64) -> Built {
    let exporting = Exporting::new();
    let monitor = builder()
        .tracer_provider(exporting.tracers.clone())
        .trace_sampling(TraceSampling::Ratio(share))
        .build()?;
    monitored(Spans, monitor, Some(exporting))
}

/// Calls of `record_provider_request`.
struct Calls(PerformanceMonitor);

impl Candidate for Calls {
    fn burst(&self, labels: Labels, count: usize) -> Duration {
        timed(|| {
            for index in 0..count {
                let Labels { provider, model } = std::hint::black_box(labels);
                self.0
                    .record_provider_request(provider, model, duration(index), true, "", COST);
            }
        })
    }

    fn settle(&self) {
        self.0.collect();
    }

    fn counted(&self) -> Option<u64> {
        counted(&self.0)
    }
}

pub(super) fn calls() -> Built {
    Ok(Box::new(Calls(builder().build()?)))
}
