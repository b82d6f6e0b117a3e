//! The one custom metric reader: what was recorded since it was last asked, as plain data.
//!
//! All of the SDK's experimental reader interface that is used stands in this file.

use super::streams::{FOREIGN_SERIES_LIMIT, series_limit};
use crate::{
    clock::Timestamp,
    core::{
        classic::ClassicHistogram,
        export::otlp::{Attribute, AttributeValue},
        histogram::ExponentialHistogram,
        series::{Collection, Labels, MetricInfo, SeriesKey, Value},
    },
    names,
};
use opentelemetry::{Array, KeyValue, Value as OtelValue};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{
        InstrumentKind, ManualReader, Pipeline, Temporality,
        data::{
            AggregatedMetrics, ExponentialHistogramDataPoint, HistogramDataPoint, Metric,
            MetricData, ResourceMetrics,
        },
        reader::MetricReader,
    },
};
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Reads what a meter provider recorded since the last collection, for the views of one monitor.
///
/// To be added to the builder of your own meter provider, with [`streams`](crate::streams).
#[derive(Debug, Clone)]
pub struct ViewReader {
    reader: Arc<ManualReader>,
    /// That of another meter provider, which is read together with this one.
    other: Option<Arc<Self>>,
    /// Readers that the meter provider has, as far as is known.
    of: usize,
    /// Strings that were seen before, so that a series does not keep its own copies.
    strings: Arc<Mutex<HashSet<Arc<str>>>>,
    /// What the meter provider says of the service; known from the first collection on.
    resource: Arc<OnceLock<Arc<[Attribute]>>>,
    /// What the SDK has, as far as the last collection tells.
    sdk_bytes: Arc<AtomicUsize>,
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
            other: None,
            of: 1,
            strings: Arc::default(),
            resource: Arc::default(),
            sdk_bytes: Arc::default(),
        }
    }

    /// One of so many readers that its meter provider has.
    pub(crate) const fn one_of(mut self, readers: usize) -> Self {
        self.of = readers;
        self
    }

    /// This one, together with that of another meter provider.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.other = Some(Arc::new(other));
        self
    }

    /// What the meter provider says of the service; nothing before the first collection.
    pub(crate) fn resource(&self) -> Arc<[Attribute]> {
        self.resource.get().cloned().unwrap_or_default()
    }

    /// What was recorded since the last collection, which ended at `since`; none where nothing can
    /// be read since the meter provider was shut down.
    pub(crate) fn read(&self, since: Timestamp, until: Timestamp) -> Option<Collection> {
        let mut collection = Collection {
            since,
            until,
            ..Collection::default()
        };
        let this = self.read_into(&mut collection);
        let other = self.other.as_ref().map(|o| o.read_into(&mut collection));
        (this.is_ok() || other.is_some_and(|o| o.is_ok())).then_some(collection)
    }

    fn read_into(&self, collection: &mut Collection) -> OTelSdkResult {
        let mut metrics = ResourceMetrics::default();
        self.reader.collect(&mut metrics)?;
        self.resource.get_or_init(|| resource(&metrics));
        let mut strings = self.strings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sdk_bytes = 0;
        for scope in metrics.scope_metrics() {
            let scope_name = shared(&mut strings, scope.scope().name());
            let is_ours = scope.scope().name() == names::SCOPE;
            for metric in scope.metrics() {
                sdk_bytes += heap_bytes(metric, is_ours, self.of);
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
        self.sdk_bytes.store(sdk_bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Bytes on the heap: those that are ours, and an estimate of what the SDK has.
    pub(crate) fn heap_bytes(&self) -> (usize, usize) {
        let strings = self.strings.lock().unwrap_or_else(PoisonError::into_inner);
        // The texts are those of the series.
        let own = strings.capacity() * (size_of::<Arc<str>>() + 1) * 8 / 7;
        let other = self.other.as_ref().map(|other| other.heap_bytes());
        let (other, other_sdk) = other.unwrap_or_default();
        (
            own + other,
            self.sdk_bytes.load(Ordering::Relaxed) + other_sdk,
        )
    }
}

/// A series with three or four attributes.
const SERIES_BYTES: usize = 300;

/// What the SDK has for one metric, near enough: in each of so many `readers` a map with room for as
/// many series as there may be, and the series that there are; in those that forget nothing, buckets
/// too.
fn heap_bytes(metric: &Metric, is_ours: bool, readers: usize) -> usize {
    let (series, buckets) = match metric.data() {
        AggregatedMetrics::F64(data) => size(data),
        AggregatedMetrics::U64(data) => size(data),
        AggregatedMetrics::I64(data) => size(data),
    };
    let reserved = if is_ours {
        series_limit(metric.name())
    } else if names::EXPONENTIAL.contains(&metric.name()) {
        FOREIGN_SERIES_LIMIT
    } else {
        // The SDK's default.
        2_000
    };
    let reserved = reserved_bytes(reserved);
    let buckets = buckets * size_of::<u64>() * readers.saturating_sub(1);
    (reserved + series * SERIES_BYTES) * readers + buckets
}

/// What a map takes that has room for so many series.
fn reserved_bytes(series: usize) -> usize {
    let places = (series * 8 / 7).next_power_of_two();
    places * (size_of::<(Vec<KeyValue>, usize)>() + 1)
}

/// How many series and how many buckets.
fn size<T: Copy>(data: &MetricData<T>) -> (usize, usize) {
    match data {
        MetricData::Gauge(gauge) => (gauge.data_points().count(), 0),
        MetricData::Sum(sum) => (sum.data_points().count(), 0),
        MetricData::Histogram(histogram) => {
            let points = histogram.data_points();
            points.fold((0, 0), |(series, buckets), point| {
                (series + 1, buckets + point.bucket_counts().count())
            })
        }
        MetricData::ExponentialHistogram(histogram) => {
            let points = histogram.data_points();
            points.fold((0, 0), |(series, buckets), point| {
                (
                    series + 1,
                    buckets + point.positive_bucket().counts().count(),
                )
            })
        }
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
