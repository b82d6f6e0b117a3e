//! The one custom metric reader: what was recorded since it was last asked, as plain data.
//!
//! All of the SDK's experimental reader interface that is used stands in this file.

use crate::{
    clock::Timestamp,
    core::{
        classic::ClassicHistogram,
        export::otlp::{Attribute, AttributeValue},
        histogram::ExponentialHistogram,
        series::{Collection, Labels, MetricInfo, SeriesKey, Value},
    },
};
use opentelemetry::{Array, KeyValue, Value as OtelValue};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        InstrumentKind, ManualReader, Pipeline, Temporality,
        data::{
            AggregatedMetrics, ExponentialHistogramDataPoint, HistogramDataPoint, MetricData,
            ResourceMetrics,
        },
        reader::MetricReader,
    },
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};

/// Reads what a meter provider recorded since the last collection, for the views of one monitor.
///
/// To be added to the builder of your own meter provider, with [`streams`](crate::streams).
#[derive(Debug, Clone)]
pub struct ViewReader {
    reader: Arc<ManualReader>,
    /// Strings that were seen before, so that a series does not keep its own copies.
    strings: Arc<Mutex<HashSet<Arc<str>>>>,
    /// What the meter provider says of the service; known from the first collection on.
    resource: Arc<OnceLock<Arc<[Attribute]>>>,
}

/// Strings that are kept for sharing; beyond it each series has its own.
const MAX_SHARED_STRINGS: usize = 20_000;

impl Default for ViewReader {
    fn default() -> Self {
        Self::new()
    }
}

impl ViewReader {
    /// A reader that is not on a meter provider yet.
    #[must_use]
    pub fn new() -> Self {
        let builder = ManualReader::builder().with_temporality(Temporality::Delta);
        Self {
            reader: Arc::new(builder.build()),
            strings: Arc::default(),
            resource: Arc::default(),
        }
    }

    /// What the meter provider says of the service; nothing before the first collection.
    pub(crate) fn resource(&self) -> Arc<[Attribute]> {
        self.resource.get().cloned().unwrap_or_default()
    }

    /// What was recorded since the last collection, which ended at `since`.
    pub(crate) fn read(
        &self,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Collection, opentelemetry_sdk::error::OTelSdkError> {
        let mut metrics = ResourceMetrics::default();
        self.reader.collect(&mut metrics)?;
        self.resource.get_or_init(|| resource(&metrics));
        let mut strings = self.strings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut collection = Collection {
            since,
            until,
            ..Collection::default()
        };
        for scope in metrics.scope_metrics() {
            let scope_name = shared(&mut strings, scope.scope().name());
            for metric in scope.metrics() {
                let name = shared(&mut strings, metric.name());
                let info = MetricInfo {
                    unit: shared(&mut strings, metric.unit()),
                    description: shared(&mut strings, metric.description()),
                };
                let key = (Arc::clone(&scope_name), Arc::clone(&name));
                collection.metrics.insert(key, info);
                let mut add = |attributes: &mut dyn Iterator<Item = &KeyValue>, value: Value| {
                    if value.is_idle() {
                        return;
                    }
                    let labels = Labels::new(attributes.map(|pair| {
                        let key = shared(&mut strings, pair.key.as_str());
                        (key, shared(&mut strings, &pair.value.as_str()))
                    }));
                    let key = SeriesKey {
                        scope: Arc::clone(&scope_name),
                        metric: Arc::clone(&name),
                        labels,
                    };
                    collection.points.push((key, value));
                };
                match metric.data() {
                    AggregatedMetrics::F64(data) => each_point(data, |n| n, &mut add),
                    AggregatedMetrics::U64(data) => each_point(data, |n| n as f64, &mut add),
                    AggregatedMetrics::I64(data) => each_point(data, |n| n as f64, &mut add),
                }
            }
        }
        Ok(collection)
    }
}

fn resource(metrics: &ResourceMetrics) -> Arc<[Attribute]> {
    let attributes = metrics.resource().iter();
    attributes
        .map(|(key, value)| (key.as_str().to_owned(), attribute(value)))
        .collect()
}

fn attribute(value: &OtelValue) -> AttributeValue {
    let text = |text: &str| AttributeValue::Text(text.to_owned());
    let list = AttributeValue::List;
    match value {
        OtelValue::Bool(flag) => AttributeValue::Flag(*flag),
        OtelValue::I64(whole) => AttributeValue::Whole(*whole),
        OtelValue::F64(number) => AttributeValue::Number(*number),
        OtelValue::Array(Array::Bool(flags)) => {
            list(flags.iter().copied().map(AttributeValue::Flag).collect())
        }
        OtelValue::Array(Array::I64(wholes)) => {
            list(wholes.iter().copied().map(AttributeValue::Whole).collect())
        }
        OtelValue::Array(Array::F64(numbers)) => list(
            numbers
                .iter()
                .copied()
                .map(AttributeValue::Number)
                .collect(),
        ),
        OtelValue::Array(Array::String(texts)) => {
            list(texts.iter().map(|one| text(one.as_str())).collect())
        }
        other => text(&other.as_str()),
    }
}

/// Hands each data point on, with its attributes.
fn each_point<T: Copy>(
    data: &MetricData<T>,
    number: impl Fn(T) -> f64,
    add: &mut dyn FnMut(&mut dyn Iterator<Item = &KeyValue>, Value),
) {
    match data {
        MetricData::Gauge(gauge) => {
            for point in gauge.data_points() {
                add(&mut point.attributes(), Value::Gauge(number(point.value())));
            }
        }
        MetricData::Sum(sum) => {
            // A sum that goes up and down is reported whole, like a gauge.
            let is_delta = sum.temporality() == Temporality::Delta;
            for point in sum.data_points() {
                let value = number(point.value());
                let value = if is_delta {
                    Value::Sum(value)
                } else {
                    Value::Gauge(value)
                };
                add(&mut point.attributes(), value);
            }
        }
        MetricData::Histogram(histogram) => {
            for point in histogram.data_points() {
                let value = Value::Classic(classic(point, &number));
                add(&mut point.attributes(), value);
            }
        }
        MetricData::ExponentialHistogram(histogram) => {
            for point in histogram.data_points() {
                let value = Value::Exponential(exponential(point, &number));
                add(&mut point.attributes(), value);
            }
        }
    }
}

fn exponential<T: Copy>(
    point: &ExponentialHistogramDataPoint<T>,
    number: impl Fn(T) -> f64,
) -> ExponentialHistogram {
    let positive = point.positive_bucket();
    // Durations, sizes and tokens are never negative; if somebody records such, it counts as zero.
    let negative: u64 = point.negative_bucket().counts().sum();
    ExponentialHistogram::from_parts(
        point.scale(),
        point.zero_count() + negative,
        positive.offset(),
        positive.counts(),
        number(point.sum()),
        point.min().map(&number),
        point.max().map(&number),
    )
}

fn classic<T: Copy>(point: &HistogramDataPoint<T>, number: impl Fn(T) -> f64) -> ClassicHistogram {
    ClassicHistogram::from_parts(
        point.bounds().collect(),
        point.bucket_counts(),
        number(point.sum()),
        point.min().map(&number),
        point.max().map(&number),
    )
}

fn shared(strings: &mut HashSet<Arc<str>>, text: &str) -> Arc<str> {
    if let Some(known) = strings.get(text) {
        return Arc::clone(known);
    }
    let new: Arc<str> = Arc::from(text);
    if strings.len() < MAX_SHARED_STRINGS {
        strings.insert(Arc::clone(&new));
    }
    new
}

impl MetricReader for ViewReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.reader.register_pipeline(pipeline);
    }

    /// Collects for somebody else what the views will then lack.
    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.reader.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.reader.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.reader.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.reader.temporality(kind)
    }
}
