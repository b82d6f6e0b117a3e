//! Prometheus: classic buckets for the exponential histograms, which `opentelemetry-prometheus`
//! leaves out, in the same registry.

use super::meters;
use crate::{
    config::Conventions,
    core::{
        histogram::ExponentialHistogram,
        labels::is_unprintable,
        series::{Labels, SeriesKey},
        slowest::Boundaries,
        snapshot::Snapshot,
    },
    names,
};
use prometheus::{
    core::{Collector, Desc},
    proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

/// Boundaries for the duration of calls to providers, in seconds: those that the GenAI conventions
/// advise, 0.01 · 2ⁿ up to 81.92, and three more, so that a slow model is not all in `+Inf`.
const ATTEMPT_SECONDS: [f64; 17] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84,
    327.68, 655.36,
];

/// Boundaries for HTTP and component durations, in seconds: those that the HTTP conventions advise,
/// and five more.
const HTTP_SECONDS: [f64; 19] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0,
    120.0, 300.0, 600.0,
];

/// The boundaries by which single requests are chosen to be shown in a bucket.
pub(crate) const DURATION_BOUNDARIES: Boundaries = Boundaries {
    attempts: &ATTEMPT_SECONDS,
    operations: &HTTP_SECONDS,
};

/// Boundaries for what the gateway itself takes, in seconds: from ten microseconds on.
const OVERHEAD_SECONDS: [f64; 16] = [
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 1.0, 5.0,
];

/// Boundaries for tokens and bytes: powers of four, as the GenAI conventions advise for tokens.
const AMOUNTS: [f64; 14] = [
    1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0,
    16777216.0, 67108864.0,
];

/// Where the snapshot to render comes from.
pub(crate) type LatestSnapshot = Arc<dyn Fn() -> Arc<Snapshot> + Send + Sync>;

/// Renders the totals of the exponential histograms as classic ones.
pub(crate) struct ClassicBuckets {
    latest: LatestSnapshot,
    conventions: Conventions,
    /// A collector without one could be registered only once.
    desc: Option<Desc>,
}

impl ClassicBuckets {
    pub(crate) fn new(latest: LatestSnapshot, conventions: Conventions) -> Self {
        let desc = Desc::new(
            "aimux_classic_buckets".to_owned(),
            "Exponential histograms as classic ones".to_owned(),
            Vec::new(),
            Default::default(),
        );
        Self {
            latest,
            conventions,
            desc: desc.ok(),
        }
    }
}

impl Collector for ClassicBuckets {
    fn desc(&self) -> Vec<&Desc> {
        self.desc.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let snapshot = (self.latest)();
        let mut families: BTreeMap<String, MetricFamily> = BTreeMap::new();
        for total in snapshot.exponential_totals() {
            if !is_told(total.key, self.conventions) {
                continue;
            }
            let (unit, description) = total
                .info
                .map_or(("", ""), |info| (&*info.unit, &*info.description));
            let family = family(&mut families, &total.key.metric, unit, description);
            family
                .mut_metric()
                .push(rendered(total.key, &total.histogram));
        }
        for zero in zeros(&snapshot, self.conventions) {
            let family = family(&mut families, &zero.key.metric, zero.unit, zero.description);
            let empty = ExponentialHistogram::default();
            family.mut_metric().push(rendered(&zero.key, &empty));
        }
        families.into_values().collect()
    }
}

/// Whether a series is told: the monitor's own of inferences are not by the names of today, where
/// only the newer ones are asked for.
fn is_told(key: &SeriesKey, conventions: Conventions) -> bool {
    let operation = || key.labels.get(names::GEN_AI_OPERATION_NAME);
    let of_today = |(today, _, _): &(&str, _, _)| *today == &*key.metric;
    conventions != Conventions::Latest
        || &*key.scope != names::SCOPE
        || !names::PROFILES.iter().any(of_today)
        || operation().is_some_and(|name| names::NO_INFERENCE.contains(&name))
}

/// A series that is configured and has no value yet.
struct Zero {
    key: SeriesKey,
    unit: &'static str,
    description: &'static str,
}

/// The configured providers with their models, and endpoints, that nothing was recorded for: a
/// dashboard and an alert see them from the start. An attempt's has the labels that its first
/// success will have, and so counts on from zero.
fn zeros(snapshot: &Snapshot, conventions: Conventions) -> Vec<Zero> {
    let recorded = Recorded::of(snapshot);
    let mut zeros = Vec::new();
    let today = conventions != Conventions::Latest;
    let newer = conventions != Conventions::Current;
    let mut add = |metric, unit, description, labels: Vec<(&str, &Arc<str>)>| {
        let usual = (metric != names::HTTP_SERVER_REQUEST_DURATION).then(|| {
            (
                Arc::from(names::GEN_AI_OPERATION_NAME),
                Arc::from(names::USUAL_OPERATION),
            )
        });
        let labels = labels
            .into_iter()
            .map(|(name, value)| (Arc::from(name), Arc::clone(value)));
        zeros.push(Zero {
            key: SeriesKey {
                scope: Arc::from(names::SCOPE),
                metric: Arc::from(metric),
                labels: Labels::new(labels.chain(usual)),
            },
            unit,
            description,
        });
    };
    let token_types = [names::TOKEN_INPUT, names::TOKEN_OUTPUT].map(Arc::<str>::from);
    for (provider, models) in &snapshot.configured.providers {
        // Without a model of its own it is shown once.
        let models = models
            .iter()
            .map(Some)
            .chain(models.is_empty().then_some(None));
        for model in models {
            let name = model.map(|model| &**model);
            let mut who = vec![(names::GEN_AI_PROVIDER_NAME, provider)];
            who.extend(model.map(|model| (names::GEN_AI_REQUEST_MODEL, model)));
            if !recorded.attempts.contains(&(&**provider, name)) {
                let description = meters::ATTEMPT_DURATION;
                for (metric, _) in [
                    (names::GEN_AI_OPERATION_DURATION, today),
                    (names::INFERENCE_DURATION, newer),
                ]
                .into_iter()
                .filter(|(_, told)| *told)
                {
                    add(metric, "s", description, who.clone());
                }
            }
            for token_type in &token_types {
                if !recorded
                    .tokens
                    .contains(&(&**provider, name, &**token_type))
                {
                    let description = meters::TOKEN_USAGE;
                    if today {
                        let mut labels = who.clone();
                        labels.push((names::GEN_AI_TOKEN_TYPE, token_type));
                        add(names::GEN_AI_TOKEN_USAGE, "{token}", description, labels);
                    }
                    if newer {
                        let metric = match &**token_type {
                            names::TOKEN_INPUT => names::INFERENCE_INPUT_TOKENS,
                            _ => names::INFERENCE_OUTPUT_TOKENS,
                        };
                        add(metric, "{token}", description, who.clone());
                    }
                }
            }
        }
    }
    for endpoint in &snapshot.configured.endpoints {
        if !recorded.endpoints.contains(&**endpoint) {
            let description = meters::REQUEST_DURATION;
            let route = vec![(names::HTTP_ROUTE, endpoint)];
            add(names::HTTP_SERVER_REQUEST_DURATION, "s", description, route);
        }
    }
    zeros
}

/// What has series, by whatever scope. A provider counts with each of its models, and without.
#[derive(Default)]
struct Recorded<'s> {
    attempts: HashSet<(&'s str, Option<&'s str>)>,
    tokens: HashSet<(&'s str, Option<&'s str>, &'s str)>,
    endpoints: HashSet<&'s str>,
}

impl<'s> Recorded<'s> {
    fn of(snapshot: &'s Snapshot) -> Self {
        let mut recorded = Self::default();
        for total in snapshot.history.totals.series.iter() {
            let key = total.key();
            let label = |name| key.labels.get(name);
            let provider = label(names::GEN_AI_PROVIDER_NAME).unwrap_or_default();
            let models = [None, label(names::GEN_AI_REQUEST_MODEL)];
            match &*key.metric {
                names::GEN_AI_OPERATION_DURATION => {
                    recorded
                        .attempts
                        .extend(models.map(|model| (provider, model)));
                }
                names::GEN_AI_TOKEN_USAGE => {
                    let token_type = label(names::GEN_AI_TOKEN_TYPE).unwrap_or_default();
                    let models = models.map(|model| (provider, model, token_type));
                    recorded.tokens.extend(models);
                }
                names::HTTP_SERVER_REQUEST_DURATION => {
                    recorded.endpoints.extend(label(names::HTTP_ROUTE));
                }
                _ => {}
            }
        }
        recorded
    }
}

fn family<'f>(
    families: &'f mut BTreeMap<String, MetricFamily>,
    metric: &str,
    unit: &str,
    description: &str,
) -> &'f mut MetricFamily {
    let name = exposed_name(metric, unit);
    families.entry(name).or_insert_with_key(|name| {
        let mut family = MetricFamily::default();
        family.set_name(name.clone());
        family.set_help(shown(description));
        family.set_field_type(MetricType::HISTOGRAM);
        family
    })
}

fn rendered(key: &SeriesKey, distribution: &ExponentialHistogram) -> Metric {
    let boundaries = boundaries(&key.metric);
    let mut histogram = Histogram::default();
    histogram.set_sample_count(distribution.count());
    histogram.set_sample_sum(distribution.sum());
    let cumulative = distribution.cumulative(boundaries);
    let buckets = boundaries.iter().zip(cumulative).map(|(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(count);
        bucket
    });
    histogram.set_bucket(buckets.collect());

    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    labels.insert("otel_scope_name".to_owned(), shown(&key.scope));
    for (name, value) in key.labels.iter() {
        labels.insert(sanitised(name), shown(value));
    }
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    metric.set_label(
        labels
            .into_iter()
            .map(|(name, value)| {
                let mut pair = LabelPair::default();
                pair.set_name(name);
                pair.set_value(value);
                pair
            })
            .collect(),
    );
    metric
}

fn boundaries(metric: &str) -> &'static [f64] {
    match metric {
        names::HTTP_SERVER_REQUEST_DURATION | names::COMPONENT_DURATION => &HTTP_SECONDS,
        names::OPERATION_OVERHEAD => &OVERHEAD_SECONDS,
        names::GEN_AI_TOKEN_USAGE
        | names::INFERENCE_INPUT_TOKENS
        | names::INFERENCE_OUTPUT_TOKENS
        | names::HTTP_SERVER_REQUEST_BODY_SIZE
        | names::HTTP_SERVER_RESPONSE_BODY_SIZE => &AMOUNTS,
        _ => &ATTEMPT_SECONDS,
    }
}

/// The name with its unit, as `opentelemetry-prometheus` forms it.
pub(super) fn exposed_name(metric: &str, unit: &str) -> String {
    let name = sanitised(metric);
    match unit {
        "s" => format!("{name}_seconds"),
        "ms" => format!("{name}_milliseconds"),
        "By" => format!("{name}_bytes"),
        _ => name,
    }
}

/// A name of letters, digits and underscores that Prometheus takes.
pub(crate) fn sanitised(name: &str) -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.chars().map(clean).collect();
    match name.chars().next() {
        None => "_".to_owned(),
        Some('0'..='9') => format!("_{name}"),
        // It would hide the bucket boundaries.
        Some(_) if name == "le" => "le_".to_owned(),
        Some(_) => name,
    }
}

pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !is_unprintable(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_their_unit() {
        assert_eq!(
            exposed_name("gen_ai.client.operation.duration", "s"),
            "gen_ai_client_operation_duration_seconds"
        );
        assert_eq!(
            exposed_name("gen_ai.client.token.usage", "{token}"),
            "gen_ai_client_token_usage"
        );
    }

    #[test]
    fn a_key_that_prometheus_refuses_is_mended() {
        assert_eq!(sanitised("le"), "le_");
        assert_eq!(sanitised(""), "_");
        assert_eq!(sanitised("9lives"), "_9lives");
        assert_eq!(sanitised("a:b.c"), "a_b_c");
    }
}
