//! What the documents say, as lines of a bulk request: an action and a source each.

use super::DataStream;
use crate::{
    clock::Timestamp,
    core::{
        aggregate::usd,
        growth::Growth,
        random::random_hex,
        series::Labels,
        snapshot::Snapshot,
        totals::{Total, Totals},
        views,
    },
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// Makes documents of what was added since the last time.
pub(super) struct Documents {
    data_stream: Value,
    resource: Value,
    /// Ids of ours begin so, where Elasticsearch does not make them.
    id_prefix: Option<String>,
    /// What the documents so far add up to.
    told: Totals,
    until: Option<Timestamp>,
    number: u64,
}

/// What tells one document from another: scope, unit and attributes.
type Group = (Arc<str>, Arc<str>, Labels);

/// The metrics of one document: each name with its template and its value.
type Metrics = BTreeMap<String, (&'static str, Value)>;

impl Documents {
    pub(super) fn new(stream: &DataStream, resource: &[(String, String)]) -> Self {
        let id_prefix = (!stream.is_time_series()).then(random_hex);
        let attributes = resource.iter().cloned();
        let attributes: BTreeMap<String, String> = attributes.collect();
        Self {
            data_stream: json!({
                "type": "metrics",
                "dataset": stream.dataset,
                "namespace": stream.namespace,
            }),
            resource: json!({ "attributes": attributes }),
            id_prefix,
            told: Totals::default(),
            until: None,
            number: 0,
        }
    }

    /// A document for each set of attributes with something new, each two lines.
    pub(super) fn since_last(&mut self, snapshot: &Snapshot) -> Vec<String> {
        let since = self.until.unwrap_or(snapshot.started);
        let until = snapshot.collected_at;
        if self.until.is_some_and(|told| until <= told) {
            return Vec::new();
        }
        let groups = self.grown(snapshot);
        let mut made = Vec::with_capacity(groups.len());
        for (group, metrics) in groups {
            made.push(self.document(since, until, &group, metrics));
        }
        self.told = snapshot.history.totals.clone();
        self.until = Some(until);
        made
    }

    /// What was added, by document.
    fn grown(&self, snapshot: &Snapshot) -> BTreeMap<Group, Metrics> {
        let totals = &snapshot.history.totals;
        let metrics: Vec<&str> = totals.series.iter().map(|t| &*t.key().metric).collect();
        let sources = views::sources(snapshot, &metrics);
        let mut groups: BTreeMap<_, Metrics> = BTreeMap::new();
        // A series keeps its place for ever.
        let before = self
            .told
            .series
            .iter()
            .map(Some)
            .chain(std::iter::repeat(None));
        for (total, before) in totals.series.iter().zip(before) {
            let key = total.key();
            let is_same = before.is_some_and(|before| Arc::ptr_eq(before, total));
            if is_same || sources.get(&*key.metric) != Some(&&*key.scope) {
                continue;
            }
            let name = (Arc::clone(&key.scope), Arc::clone(&key.metric));
            let info = totals.metrics.get(&name);
            let unit = info.map_or_else(|| Arc::from(""), |info| Arc::clone(&info.unit));
            let Some(value) = value(before.map(|before| &**before), total, &unit) else {
                continue;
            };
            let group = (Arc::clone(&key.scope), unit, key.labels.clone());
            let metrics = groups.entry(group).or_default();
            metrics.insert(key.metric.to_string(), value);
        }
        groups
    }

    fn document(
        &mut self,
        since: Timestamp,
        until: Timestamp,
        (scope, unit, labels): &Group,
        metrics: Metrics,
    ) -> String {
        let mut templates = Map::new();
        let mut values = Map::new();
        for (name, (template, value)) in metrics {
            templates.insert(format!("metrics.{name}"), template.into());
            values.insert(name, value);
        }
        let mut create = Map::from_iter([("dynamic_templates".to_owned(), templates.into())]);
        self.number = self.number.wrapping_add(1);
        if let Some(prefix) = &self.id_prefix {
            let id = format!("{prefix}-{}", self.number);
            create.insert("_id".to_owned(), id.into());
        }
        let attributes = labels.iter().filter(|(_, value)| !value.is_empty());
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.into()));
        let attributes: Map<String, Value> = attributes.collect();
        let mut source = json!({
            "@timestamp": millis(until),
            "start_timestamp": millis(since),
            "data_stream": self.data_stream,
            "resource": self.resource,
            "scope": { "name": **scope },
            "attributes": attributes,
            "metrics": values,
        });
        if let Some(source) = source.as_object_mut().filter(|_| !unit.is_empty()) {
            source.insert("unit".to_owned(), (&**unit).into());
        }
        format!("{}\n{source}\n", json!({ "create": create }))
    }
}

/// The name of a template of Elasticsearch's, and what was added.
fn value(before: Option<&Total>, now: &Total, unit: &str) -> Option<(&'static str, Value)> {
    let before = before.map(|before| before.packed().unpack());
    let grown = Growth::between(before.as_ref(), &now.packed().unpack())?;
    // Bytes, and what is counted one by one, such as `{request}`.
    let is_whole = unit == "By" || unit.starts_with('{');
    Some(match grown {
        Growth::Distribution(buckets) => {
            let (values, counts): (Vec<f64>, Vec<u64>) = buckets.into_iter().unzip();
            ("histogram", json!({ "values": values, "counts": counts }))
        }
        Growth::Sum(value) | Growth::Gauge(value) if is_whole => {
            ("gauge_long", json!(value.round() as i64))
        }
        Growth::Sum(value) | Growth::Gauge(value) => ("gauge_double", json!(value)),
        Growth::Money(nano) => ("gauge_double", json!(usd(nano))),
    })
}

/// As Elasticsearch keeps them.
const fn millis(time: Timestamp) -> u64 {
    time.as_unix_nanos() / 1_000_000
}
