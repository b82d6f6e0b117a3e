//! What the candidates that record with the OpenTelemetry SDK have in common.

use std::error::Error;
use std::hint::black_box;
use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, InstrumentKind, ManualReader, MeterProviderBuilder, Pipeline,
    SdkMeterProvider, Stream, Temporality,
};

use crate::workload::{Labels, OPERATION, STATUS};

/// The name of the histogram, which streams know it by.
const DURATION: &str = "gen_ai.client.operation.duration";

/// Boundaries in seconds, from 10 ms to 11 minutes.
const BOUNDARIES: [f64; 17] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84,
    327.68, 655.36,
];

/// A reader that collects deltas when asked to.
#[derive(Debug, Clone)]
pub(crate) struct DeltaReader(Arc<ManualReader>);

impl DeltaReader {
    pub(crate) fn new() -> Self {
        let reader = ManualReader::builder()
            .with_temporality(Temporality::Delta)
            .build();
        Self(Arc::new(reader))
    }

    /// Collects, and throws away what it got.
    pub(crate) fn collect(&self) {
        let mut metrics = ResourceMetrics::default();
        // Only a reader that was shut down fails.
        let _ = self.0.collect(&mut metrics);
        black_box(&metrics);
    }
}

impl MetricReader for DeltaReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

/// A meter provider, and what reads it.
pub(crate) struct Metrics {
    pub(crate) provider: SdkMeterProvider,
    prometheus: Option<prometheus::Registry>,
    delta: Option<DeltaReader>,
}

/// Which readers a meter provider has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    Prometheus,
    Delta,
    Both,
}

/// How the histogram counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Buckets {
    Classic,
    Exponential,
}

impl Metrics {
    pub(crate) fn new(readers: Readers, buckets: Buckets) -> Result<Self, Box<dyn Error>> {
        let mut builder: MeterProviderBuilder = SdkMeterProvider::builder();
        let mut prometheus = None;
        if readers != Readers::Delta {
            let registry = prometheus::Registry::new();
            let exporter = opentelemetry_prometheus::exporter()
                .with_registry(registry.clone())
                .build()?;
            builder = builder.with_reader(exporter);
            prometheus = Some(registry);
        }
        let mut delta = None;
        if readers != Readers::Prometheus {
            let reader = DeltaReader::new();
            builder = builder.with_reader(reader.clone());
            delta = Some(reader);
        }
        if buckets == Buckets::Exponential {
            builder = builder.with_view(|instrument: &Instrument| {
                let aggregation = Aggregation::Base2ExponentialHistogram {
                    max_size: 1_280,
                    max_scale: 6,
                    record_min_max: true,
                };
                (instrument.name() == DURATION)
                    .then(|| Stream::builder().with_aggregation(aggregation).build().ok())
                    .flatten()
            });
        }
        Ok(Self {
            provider: builder.build(),
            prometheus,
            delta,
        })
    }

    /// Lets every reader read.
    pub(crate) fn collect(&self) {
        if let Some(registry) = &self.prometheus {
            black_box(registry.gather());
        }
        if let Some(reader) = &self.delta {
            reader.collect();
        }
    }

    /// The requests that a scrape shows; `None` without a Prometheus reader.
    pub(crate) fn counted(&self) -> Option<u64> {
        let families = self.prometheus.as_ref()?.gather();
        let requests = families
            .iter()
            .filter(|family| family.name().ends_with("requests_total"));
        let counts = requests
            .flat_map(|family| family.get_metric())
            .map(|metric| metric.get_counter().get_value());
        Some(counts.sum::<f64>() as u64)
    }

    pub(crate) fn instruments(&self) -> Instruments {
        Instruments::new(&self.provider.meter("gateway"))
    }
}

/// What a team records by hand for a call to a provider.
pub(crate) struct Instruments {
    pub(crate) duration: Histogram<f64>,
    pub(crate) requests: Counter<u64>,
    pub(crate) cost: Counter<f64>,
}

impl Instruments {
    fn new(meter: &Meter) -> Self {
        Self {
            duration: meter
                .f64_histogram(DURATION)
                .with_unit("s")
                .with_boundaries(BOUNDARIES.to_vec())
                .build(),
            requests: meter.u64_counter("gateway.requests").build(),
            cost: meter.f64_counter("gateway.cost").with_unit("USD").build(),
        }
    }

    /// Records one call, giving each instrument no more than its own attributes, all static.
    #[inline(always)]
    pub(crate) fn record_static(&self, labels: Labels, seconds: f64, cost: f64) {
        let [provider, model, operation, status] = attributes(labels);
        let by_operation = [provider.clone(), model.clone(), operation];
        let by_status = [provider.clone(), model.clone(), status];
        self.duration.record(seconds, &by_operation);
        self.requests.add(1, &by_status);
        self.cost.add(cost, &[provider, model]);
    }

    /// Records one call as it is mostly done: one array for all three, and in it names that came
    /// with the request, which the SDK wants to own.
    #[inline(always)]
    pub(crate) fn record_owned(&self, labels: Labels, seconds: f64, cost: f64) {
        let attributes = [
            KeyValue::new("gen_ai.provider.name", labels.provider.to_owned()),
            KeyValue::new("gen_ai.request.model", labels.model.to_owned()),
            KeyValue::new("gen_ai.operation.name", OPERATION),
            KeyValue::new("http.response.status_code", i64::from(STATUS)),
        ];
        self.duration.record(seconds, &attributes);
        self.requests.add(1, &attributes);
        self.cost.add(cost, &attributes);
    }

    /// The same three, bound to their attributes.
    pub(crate) fn bind(&self, labels: Labels) -> Bound {
        let [provider, model, operation, status] = attributes(labels);
        let by_operation = [provider.clone(), model.clone(), operation];
        let by_status = [provider.clone(), model.clone(), status];
        Bound {
            duration: self.duration.bind(&by_operation),
            requests: self.requests.bind(&by_status),
            cost: self.cost.bind(&[provider, model]),
        }
    }
}

/// Instruments of one series each.
pub(crate) struct Bound {
    duration: opentelemetry::metrics::BoundHistogram<f64>,
    requests: opentelemetry::metrics::BoundCounter<u64>,
    cost: opentelemetry::metrics::BoundCounter<f64>,
}

impl Bound {
    #[inline(always)]
    pub(crate) fn record(&self, seconds: f64, cost: f64) {
        self.duration.record(seconds);
        self.requests.add(1);
        self.cost.add(cost);
    }
}

/// Static strings, the cheapest that a host can give.
fn attributes(labels: Labels) -> [KeyValue; 4] {
    [
        KeyValue::new("gen_ai.provider.name", labels.provider),
        KeyValue::new("gen_ai.request.model", labels.model),
        KeyValue::new("gen_ai.operation.name", OPERATION),
        KeyValue::new("http.response.status_code", i64::from(STATUS)),
    ]
}
