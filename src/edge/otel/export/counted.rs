//! Exporters that count what became of what they were given, and the queue in front of that of spans.

use super::{
    answers::{LastOutcome, Outcome, loss_of},
    conventions,
};
use crate::{
    clock::Clock,
    core::deliveries::{Delivered, Loss},
};
use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    metrics::{
        Temporality,
        data::{AggregatedMetrics, MetricData, ResourceMetrics},
        exporter::PushMetricExporter,
    },
    trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// What is pushed by OTLP, and what became of it: spans, or data points of metrics.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) delivered: Arc<Delivered>,
    /// What the answer was; nobody looks at those of gRPC.
    pub(super) last: LastOutcome,
    pub(super) clock: Clock,
}

impl Account {
    /// Counts `count` that were pushed with that result.
    fn settle(&self, count: u64, result: &OTelSdkResult) {
        let outcome = match (result, self.last.take()) {
            (Ok(()), None) => Outcome::Taken { rejected: 0 },
            (Ok(()), Some(outcome)) => outcome,
            (Err(_), Some(Outcome::Lost(loss))) => Outcome::Lost(loss),
            (Err(error), _) => {
                self.delivered.fail();
                Outcome::Lost(match error {
                    OTelSdkError::AlreadyShutdown => Loss::Shutdown,
                    OTelSdkError::Timeout(_) => Loss::Unreachable,
                    OTelSdkError::InternalFailure(text) => loss_of(text),
                })
            }
        };
        match outcome {
            Outcome::Taken { rejected } => {
                let rejected = rejected.min(count);
                self.delivered.send(count - rejected, self.clock.now());
                self.delivered.lose(rejected, Loss::Refused);
            }
            Outcome::Lost(loss) => self.delivered.lose(count, loss),
        }
    }
}

/// An exporter of metrics that counts data points.
pub(super) struct CountedMetrics<E> {
    pub(super) exporter: E,
    pub(super) account: Account,
}

impl<E: PushMetricExporter> PushMetricExporter for CountedMetrics<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let points = points_of(metrics);
        self.account.delivered.offer(points);
        let result = self.exporter.export(metrics).await;
        self.account.settle(points, &result);
        result
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

fn points_of(metrics: &ResourceMetrics) -> u64 {
    fn of<T>(data: &MetricData<T>) -> usize {
        match data {
            MetricData::Gauge(gauge) => gauge.data_points().count(),
            MetricData::Sum(sum) => sum.data_points().count(),
            MetricData::Histogram(histogram) => histogram.data_points().count(),
            MetricData::ExponentialHistogram(histogram) => histogram.data_points().count(),
        }
    }
    let metrics = metrics.scope_metrics().flat_map(|scope| scope.metrics());
    let points = metrics.map(|metric| match metric.data() {
        AggregatedMetrics::F64(data) => of(data),
        AggregatedMetrics::U64(data) => of(data),
        AggregatedMetrics::I64(data) => of(data),
    });
    points.sum::<usize>() as u64
}

/// Spans between their end and the answer to their push.
#[derive(Debug)]
pub(crate) struct SpanQueue {
    waiting: AtomicUsize,
    limit: usize,
    delivered: Arc<Delivered>,
}

impl SpanQueue {
    pub(super) fn new(limit: usize, delivered: &Arc<Delivered>) -> Arc<Self> {
        Arc::new(Self {
            waiting: AtomicUsize::new(0),
            limit,
            delivered: Arc::clone(delivered),
        })
    }

    /// Whether there is room for one more; then it waits.
    fn admit(&self) -> bool {
        self.delivered.offer(1);
        let one_more = |waiting| (waiting < self.limit).then_some(waiting + 1);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let admitted = self.waiting.fetch_update(set, fetch, one_more).is_ok();
        if !admitted {
            self.delivered.lose(1, Loss::QueueFull);
        }
        admitted
    }

    /// Whether `count` were waiting still: else they are counted as lost already.
    fn leave(&self, count: usize) -> bool {
        let less = |waiting: usize| waiting.checked_sub(count);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.waiting.fetch_update(set, fetch, less).is_ok()
    }

    /// Nobody waits for them any longer: the monitor is shut down.
    pub(crate) fn give_up(&self) {
        let lost = self.waiting.swap(0, Ordering::Relaxed);
        self.delivered.lose(lost as u64, Loss::Shutdown);
    }
}

/// What ends is pushed in batches, if there is room for it. What is behind has the same limit and
/// never has to let anything go, which it would not tell.
#[derive(Debug)]
pub(super) struct BoundedSpans {
    pub(super) batches: BatchSpanProcessor,
    pub(super) queue: Arc<SpanQueue>,
}

impl SpanProcessor for BoundedSpans {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.queue.admit() {
            self.batches.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// An exporter of spans that counts them, and calls what they say by the names of the conventions.
#[derive(Debug)]
pub(super) struct CountedSpans<E> {
    pub(super) exporter: E,
    pub(super) account: Account,
    pub(super) queue: Arc<SpanQueue>,
}

impl<E: SpanExporter> SpanExporter for CountedSpans<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        batch.iter_mut().for_each(conventions::apply);
        let result = self.exporter.export(batch).await;
        if self.queue.leave(count) {
            self.account.settle(count as u64, &result);
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
