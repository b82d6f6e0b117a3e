//! The registry's text in parts, and without what is known not to have changed: an export.

use super::{
    exposition::{encoded, scrubbed},
    prometheus::{sanitised, shown},
};
use crate::{
    core::{
        export::{PART, Source, extent::Extent},
        rfc3339::Rfc3339,
        series::SeriesKey,
        snapshot::Snapshot,
    },
    names,
};
use prometheus::proto::{Metric, MetricFamily, MetricType};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
};

/// Series that are encoded at once; a histogram's are some twenty lines each.
const AT_ONCE: usize = 8;

/// The recognised metrics that are no histograms.
const COUNTERS: [&str; 13] = [
    names::COST,
    names::OPERATION_COST,
    names::CACHE_RESULTS,
    names::RATE_LIMIT_HITS,
    names::TIMEOUTS,
    names::FAILOVERS,
    names::OPERATIONS,
    names::TOKEN_DETAILS,
    names::STREAMED_TOKENS,
    names::STREAMED_TIME,
    names::UNPRICED,
    names::CACHE_SAVED_COST,
    names::CACHE_SAVED_TIME,
];

/// The text of families of metrics, a few series at a time.
pub(crate) struct Parts {
    comment: String,
    families: std::vec::IntoIter<MetricFamily>,
    /// The family that is being written without its series, these, and whether it has begun.
    current: Option<(MetricFamily, std::vec::IntoIter<Metric>, bool)>,
}

impl Parts {
    /// Of `families`, what `snapshot` does not know to be unchanged since the time of `extent`.
    pub(crate) fn new(families: Vec<MetricFamily>, snapshot: &Snapshot, extent: &Extent) -> Self {
        let mut comment = format!(
            "# What was counted after {}, up to {}.",
            Rfc3339(snapshot.started),
            Rfc3339(extent.end)
        );
        let mut families = scrubbed(families);
        if let Some(since) = extent.since {
            let unchanged = Unchanged::of(snapshot, extent);
            for family in &mut families {
                unchanged.remove_from(family);
            }
            families.retain(|family| !family.get_metric().is_empty());
            comment.push_str(" Left out: series that have not changed after ");
            comment.push_str(&format!("{}.", Rfc3339(since)));
        }
        comment.push('\n');
        Self {
            comment,
            families: families.into_iter(),
            current: None,
        }
    }
}

impl Source for Parts {
    fn more(&mut self, to: &mut Vec<u8>) -> io::Result<bool> {
        to.write_all(std::mem::take(&mut self.comment).as_bytes())?;
        let enough = to.len().saturating_add(PART);
        while to.len() < enough {
            let Some((family, metrics, begun)) = &mut self.current else {
                let Some(mut family) = self.families.next() else {
                    return Ok(false);
                };
                let metrics = family.take_metric().into_iter();
                self.current = Some((family, metrics, false));
                continue;
            };
            let some: Vec<Metric> = metrics.by_ref().take(AT_ONCE).collect();
            if some.is_empty() {
                self.current = None;
                continue;
            }
            let mut part = family.clone();
            part.set_metric(some);
            let text = encoded(&[part]).map_err(io::Error::other)?;
            // The head of a family is written with each part, and may stand there once.
            let is_head = |line: &&str| line.starts_with('#');
            let again = std::mem::replace(begun, true);
            for line in text
                .split_inclusive('\n')
                .filter(|line| !(again && is_head(line)))
            {
                to.write_all(line.as_bytes())?;
            }
        }
        Ok(true)
    }
}

/// Which series of which recognised metrics have not changed.
struct Unchanged {
    /// By what the exposed name begins with.
    series: BTreeMap<String, HashSet<u64>>,
}

impl Unchanged {
    fn of(snapshot: &Snapshot, extent: &Extent) -> Self {
        // Those too of which nothing was recorded: what is configured is shown with zeros.
        let recognised = names::EXPONENTIAL
            .into_iter()
            .chain(COUNTERS)
            .map(sanitised);
        let mut series: BTreeMap<String, HashSet<u64>> =
            recognised.map(|name| (name, HashSet::new())).collect();
        for total in snapshot.history.totals.series.iter() {
            let key = total.key();
            let unchanged = series.entry(sanitised(&key.metric)).or_default();
            if !extent.has(total.last_active()) {
                unchanged.insert(identity_of(key));
            }
        }
        Self { series }
    }

    fn remove_from(&self, family: &mut MetricFamily) {
        let name = family.name().to_owned();
        let begins = |(metric, _): &(&String, &HashSet<u64>)| {
            let rest = name.strip_prefix(metric.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        let metrics = self.series.iter().filter(begins);
        // Of a name and its beginning, the whole name.
        let Some((_, unchanged)) = metrics.max_by_key(|(metric, _)| metric.len()) else {
            return;
        };
        let kind = family.get_field_type();
        let mut metrics = family.take_metric();
        metrics.retain(|metric| !is_zero(kind, metric) && !unchanged.contains(&identity(metric)));
        family.set_metric(metrics);
    }
}

/// Whether nothing was ever recorded.
fn is_zero(kind: MetricType, metric: &Metric) -> bool {
    match kind {
        MetricType::HISTOGRAM => metric.get_histogram().get_sample_count() == 0,
        MetricType::COUNTER => metric.get_counter().get_value() == 0.0,
        _ => false,
    }
}

pub(super) fn identity_of(key: &SeriesKey) -> u64 {
    let labels = key.labels.iter();
    let labels = labels.map(|(name, value)| (sanitised(name), shown(value)));
    let scope = ("otel_scope_name".to_owned(), shown(&key.scope));
    hash(labels.chain([scope]).collect())
}

pub(super) fn identity(metric: &Metric) -> u64 {
    let labels = metric.get_label().iter();
    let of_scope = |name: &str| matches!(name, "otel_scope_version" | "otel_scope_schema_url");
    let labels = labels.filter(|label| !of_scope(label.name()));
    hash(
        labels
            .map(|label| (label.name().to_owned(), label.value().to_owned()))
            .collect(),
    )
}

/// Two series in four billion have the same: one may then be left out that has changed.
fn hash(labels: BTreeSet<(String, String)>) -> u64 {
    let mut hasher = DefaultHasher::new();
    labels.hash(&mut hasher);
    hasher.finish()
}
