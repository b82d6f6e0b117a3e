//! A past that the monitor did not live through, for the bench that measures a full retention.
//! Not part of the public interface.

use crate::{
    PerformanceMonitor, Timestamp,
    core::{
        histogram::ExponentialHistogram,
        series::{Collection, Labels, MetricInfo, SeriesKey, Value},
    },
    names,
    tick::Past,
};
use std::sync::Arc;

/// The metrics of such a past, with their units.
const METRICS: [(&str, &str); 7] = [
    (names::GEN_AI_OPERATION_DURATION, "s"),
    (names::GEN_AI_TIME_TO_FIRST_CHUNK, "s"),
    (names::GEN_AI_TOKEN_USAGE, "{token}"),
    (names::COST, "{USD}"),
    (names::HTTP_SERVER_REQUEST_DURATION, "s"),
    (names::HTTP_SERVER_REQUEST_BODY_SIZE, "By"),
    (names::HTTP_SERVER_RESPONSE_BODY_SIZE, "By"),
];

/// Everything that was recorded in `(since, until]`, so to say.
#[doc(hidden)]
pub struct RehearsedCollection {
    pub since: Timestamp,
    pub until: Timestamp,
    /// Made one by one, so that a day does not take the memory of a day.
    pub points: Box<dyn Iterator<Item = RehearsedPoint> + Send>,
}

/// What one series did.
#[doc(hidden)]
#[derive(Debug)]
pub struct RehearsedPoint {
    pub metric: &'static str,
    pub labels: Vec<(&'static str, String)>,
    /// The index of the first bucket, and how many values are in each; a sum has none.
    pub buckets: Option<(i32, Vec<u64>)>,
    pub scale: i8,
    pub sum: f64,
    pub min: f64,
    pub max: f64,
}

impl PerformanceMonitor {
    /// Books `past`, which is older than all that was collected so far, before the next
    /// collection.
    #[doc(hidden)]
    pub fn rehearse(&self, past: impl Iterator<Item = RehearsedCollection> + Send + 'static) {
        self.shared().rehearse(Box::new(past.map(collection)));
    }
}

fn collection(past: RehearsedCollection) -> Past {
    let metrics = METRICS.map(|(name, unit)| {
        let info = MetricInfo {
            unit: Arc::from(unit),
            description: Arc::from(""),
        };
        ((Arc::from(names::SCOPE), Arc::from(name)), info)
    });
    let collection = Collection {
        since: past.since,
        until: past.until,
        points: Vec::new(),
        metrics: metrics.into(),
    };
    (collection, Box::new(past.points.map(point)))
}

fn point(point: RehearsedPoint) -> (SeriesKey, Value) {
    let labels = point.labels.iter();
    let key = SeriesKey {
        scope: Arc::from(names::SCOPE),
        metric: Arc::from(point.metric),
        labels: Labels::new(labels.map(|(key, text)| (Arc::from(*key), Arc::from(&**text)))),
    };
    let value = match point.buckets {
        None => Value::Sum(point.sum),
        Some((first, counts)) => Value::Exponential(ExponentialHistogram::from_parts(
            point.scale,
            0,
            first,
            counts,
            point.sum,
            Some(point.min),
            Some(point.max),
        )),
    };
    (key, value)
}
