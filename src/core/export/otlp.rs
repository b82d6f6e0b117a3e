//! OTLP in its JSON encoding: one request to export metrics a line, as the Collector's file
//! exporter writes it, and as its receivers read it.
//!
//! The encoding is the JSON mapping of protobuf with the changes that the OTLP specification names:
//! field names in lower camel case, enums as numbers, integers of 64 bits as text. No tree is
//! built: a point goes to the text of its metric as soon as it is unpacked.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::core::aggregate::{Aggregate, usd};
use crate::core::export::escape::json;
use crate::core::export::points::{Point, Points};
use crate::core::export::{PART, Source};
use crate::core::series::Labels;
use crate::names;

/// One attribute of what is measured: of the service, not of a series.
pub(crate) type Attribute = (String, AttributeValue);

/// What an attribute may be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AttributeValue {
    Text(String),
    Flag(bool),
    Whole(i64),
    Number(f64),
    List(Vec<Self>),
}

// `AggregationTemporality` of the protocol.
const DELTA: u8 = 1;
const CUMULATIVE: u8 = 2;

/// Sums that count something: whole numbers.
const COUNTS: [&str; 8] = [
    names::CACHE_RESULTS,
    names::RATE_LIMIT_HITS,
    names::TIMEOUTS,
    names::FAILOVERS,
    names::OPERATIONS,
    names::TOKEN_DETAILS,
    names::STREAMED_TOKENS,
    names::UNPRICED,
];

/// The lines of some points.
#[derive(Debug)]
pub(crate) struct Otlp {
    points: Points,
    resource: Arc<[Attribute]>,
    temporality: u8,
}

/// The points of one metric that go into one line, as text.
struct Metric {
    scope: Arc<str>,
    name: Arc<str>,
    unit: Arc<str>,
    description: Arc<str>,
    data: &'static str,
    points: Vec<u8>,
}

impl Otlp {
    /// Since the start (`delta` is false) each point is cumulative.
    pub(crate) const fn new(points: Points, resource: Arc<[Attribute]>, delta: bool) -> Self {
        let temporality = if delta { DELTA } else { CUMULATIVE };
        Self {
            points,
            resource,
            temporality,
        }
    }

    fn line(&self, metrics: Vec<Metric>, to: &mut Vec<u8>) -> io::Result<()> {
        to.extend_from_slice(b"{\"resourceMetrics\":[{\"resource\":");
        json(
            &Resource {
                attributes: KeyValues(&self.resource),
            },
            to,
        )?;
        to.extend_from_slice(b",\"scopeMetrics\":[");
        for (position, metrics) in metrics.chunk_by(|a, b| a.scope == b.scope).enumerate() {
            if position > 0 {
                to.push(b',');
            }
            let name = metrics.first().map_or("", |metric| &*metric.scope);
            to.extend_from_slice(b"{\"scope\":");
            json(&Scope { name }, to)?;
            to.extend_from_slice(b",\"metrics\":[");
            for (position, metric) in metrics.iter().enumerate() {
                if position > 0 {
                    to.push(b',');
                }
                self.metric(metric, to)?;
            }
            to.extend_from_slice(b"]}");
        }
        to.extend_from_slice(b"]}]}\n");
        Ok(())
    }

    fn metric(&self, metric: &Metric, to: &mut Vec<u8>) -> io::Result<()> {
        for (field, text) in [
            (&b"{\"name\":"[..], &metric.name),
            (b",\"description\":", &metric.description),
            (b",\"unit\":", &metric.unit),
        ] {
            to.extend_from_slice(field);
            json(&**text, to)?;
        }
        to.extend_from_slice(b",\"");
        to.extend_from_slice(metric.data.as_bytes());
        to.extend_from_slice(b"\":{");
        if metric.data != GAUGE {
            to.extend_from_slice(b"\"aggregationTemporality\":");
            json(&self.temporality, to)?;
            to.push(b',');
        }
        if metric.data == SUM {
            to.extend_from_slice(b"\"isMonotonic\":true,");
        }
        to.extend_from_slice(b"\"dataPoints\":[");
        to.extend_from_slice(&metric.points);
        to.extend_from_slice(b"]}}");
        Ok(())
    }
}

impl Source for Otlp {
    fn more(&mut self, to: &mut Vec<u8>) -> io::Result<bool> {
        let mut metrics: Vec<Metric> = Vec::new();
        let mut size = 0_usize;
        let mut written = Ok(());
        let more = self.points.each(|point| {
            let mut text = Vec::new();
            written = data_point(&point, &mut text);
            size = size.saturating_add(text.len());
            match metric_of(&point, &mut metrics) {
                Some(metric) => {
                    metric.points.push(b',');
                    metric.points.append(&mut text);
                }
                None => metrics.push(Metric {
                    points: text,
                    ..new_metric(&point)
                }),
            }
            if written.is_err() || size >= PART {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        written?;
        if !metrics.is_empty() {
            metrics.sort_by(|a, b| a.scope.cmp(&b.scope));
            self.line(metrics, to)?;
        }
        Ok(more)
    }
}

const EXPONENTIAL: &str = "exponentialHistogram";
const CLASSIC: &str = "histogram";
const SUM: &str = "sum";
const GAUGE: &str = "gauge";

/// The metric of `point`, if it is in the line already; a line has a handful, so a scan finds it.
fn metric_of<'m>(point: &Point<'_>, metrics: &'m mut [Metric]) -> Option<&'m mut Metric> {
    let key = point.key;
    metrics.iter_mut().find(|metric| {
        metric.data == data(point) && metric.name == key.metric && metric.scope == key.scope
    })
}

fn new_metric(point: &Point<'_>) -> Metric {
    let info = point.info.cloned().unwrap_or_default();
    Metric {
        scope: Arc::clone(&point.key.scope),
        name: Arc::clone(&point.key.metric),
        unit: info.unit,
        description: info.description,
        data: data(point),
        points: Vec::new(),
    }
}

const fn data(point: &Point<'_>) -> &'static str {
    match point.aggregate {
        Aggregate::Exponential(_) => EXPONENTIAL,
        Aggregate::Classic(_) | Aggregate::Summary { .. } => CLASSIC,
        Aggregate::Sum(_) | Aggregate::Money(_) => SUM,
        Aggregate::Level(_) => GAUGE,
    }
}

fn data_point(point: &Point<'_>, to: &mut Vec<u8>) -> io::Result<()> {
    let (start, end) = (point.start.as_unix_nanos(), point.end.as_unix_nanos());
    let common = Common {
        attributes: SeriesAttributes(&point.key.labels),
        start_time_unix_nano: Long(start),
        time_unix_nano: Long(end),
    };
    let aggregate = &point.aggregate;
    match aggregate {
        Aggregate::Exponential(histogram) => {
            let (offset, counts) = histogram.dense();
            let point = ExponentialPoint {
                common,
                count: Long(histogram.count()),
                sum: histogram.sum(),
                scale: histogram.scale(),
                zero_count: Long(histogram.zero_count()),
                positive: Buckets {
                    offset,
                    bucket_counts: Longs(counts),
                },
                min: histogram.min(),
                max: histogram.max(),
            };
            json(&point, to)
        }
        Aggregate::Classic(_) | Aggregate::Summary { .. } => {
            let (counts, bounds) = match aggregate {
                Aggregate::Classic(histogram) => (histogram.counts(), &**histogram.bounds()),
                // No buckets at all is how the protocol says that only count and sum are known.
                _ => (&[][..], &[][..]),
            };
            let point = ClassicPoint {
                common,
                count: Long(aggregate.count()),
                sum: aggregate.sum(),
                bucket_counts: Longs(counts),
                explicit_bounds: bounds,
                min: aggregate.min(),
                max: aggregate.max(),
            };
            json(&point, to)
        }
        Aggregate::Money(nano) => json(&common.number(usd(*nano), false), to),
        Aggregate::Sum(sum) => {
            let counts = COUNTS.contains(&&*point.key.metric);
            json(&common.number(*sum, counts), to)
        }
        Aggregate::Level(level) => json(&common.number(level.last, false), to),
    }
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: KeyValues<'a>,
}

#[derive(Serialize)]
struct Scope<'a> {
    name: &'a str,
}

/// What all points have.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Common<'a> {
    attributes: SeriesAttributes<'a>,
    start_time_unix_nano: Long,
    time_unix_nano: Long,
}

impl<'a> Common<'a> {
    /// A point of a sum or gauge. What counts is whole, unless somebody else recorded fractions.
    fn number(self, value: f64, counts: bool) -> NumberPoint<'a> {
        let whole = counts && value.fract() == 0.0 && value.abs() < 9e15;
        NumberPoint {
            common: self,
            as_int: whole.then_some(Signed(value as i64)),
            as_double: (!whole).then_some(value),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NumberPoint<'a> {
    #[serde(flatten)]
    common: Common<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_int: Option<Signed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_double: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExponentialPoint<'a> {
    #[serde(flatten)]
    common: Common<'a>,
    count: Long,
    sum: f64,
    scale: i8,
    zero_count: Long,
    positive: Buckets<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Buckets<'a> {
    offset: i32,
    bucket_counts: Longs<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClassicPoint<'a> {
    #[serde(flatten)]
    common: Common<'a>,
    count: Long,
    sum: f64,
    bucket_counts: Longs<'a>,
    explicit_bounds: &'a [f64],
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
}

/// An integer of 64 bits, as text: JavaScript would round it.
struct Long(u64);

impl Serialize for Long {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Signed(i64);

impl Serialize for Signed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Longs<'a>(&'a [u64]);

impl Serialize for Longs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|count| Long(*count)))
    }
}

/// The attributes of a series. They are kept as text; what is none by the conventions is told as
/// what it is.
struct SeriesAttributes<'a>(&'a Labels);

impl Serialize for SeriesAttributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pairs = serializer.serialize_seq(None)?;
        for (key, text) in self.0.iter() {
            let typed = match key {
                names::HTTP_RESPONSE_STATUS_CODE => text.parse().ok().map(AttributeValue::Whole),
                names::METRIC_OVERFLOW => text.parse().ok().map(AttributeValue::Flag),
                _ => None,
            };
            let value = typed.as_ref().map_or(AnyValue::Text(text), AnyValue::of);
            pairs.serialize_element(&KeyValue { key, value })?;
        }
        pairs.end()
    }
}

struct KeyValues<'a>(&'a [Attribute]);

impl Serialize for KeyValues<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(key, value)| KeyValue {
            key,
            value: AnyValue::of(value),
        }))
    }
}

#[derive(Serialize)]
struct KeyValue<'a> {
    key: &'a str,
    value: AnyValue<'a>,
}

enum AnyValue<'a> {
    Text(&'a str),
    Flag(bool),
    Whole(i64),
    Number(f64),
    List(&'a [AttributeValue]),
}

impl<'a> AnyValue<'a> {
    fn of(value: &'a AttributeValue) -> Self {
        match value {
            AttributeValue::Text(text) => Self::Text(text),
            AttributeValue::Flag(flag) => Self::Flag(*flag),
            AttributeValue::Whole(whole) => Self::Whole(*whole),
            AttributeValue::Number(number) => Self::Number(*number),
            AttributeValue::List(list) => Self::List(list),
        }
    }
}

impl Serialize for AnyValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut one = serializer.serialize_map(Some(1))?;
        match self {
            Self::Text(text) => one.serialize_entry("stringValue", text)?,
            Self::Flag(flag) => one.serialize_entry("boolValue", flag)?,
            Self::Whole(whole) => one.serialize_entry("intValue", &Signed(*whole))?,
            Self::Number(number) => one.serialize_entry("doubleValue", number)?,
            Self::List(list) => one.serialize_entry("arrayValue", &ArrayValue(list))?,
        }
        one.end()
    }
}

struct ArrayValue<'a>(&'a [AttributeValue]);

impl Serialize for ArrayValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Values<'a>(&'a [AttributeValue]);
        impl Serialize for Values<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.iter().map(AnyValue::of))
            }
        }
        let mut one = serializer.serialize_map(Some(1))?;
        one.serialize_entry("values", &Values(self.0))?;
        one.end()
    }
}
