//! Exemplars: which traced request stands for a bucket of a duration histogram.

use super::{
    exposition_parts::{identity, identity_of},
    keys::{AttemptKey, RequestKey},
    prometheus::exposed_name,
};
use crate::{
    clock::Timestamp,
    config::Conventions,
    core::{
        recorder::LabelTables,
        series::{Labels, SeriesKey},
        slowest::{Kept, KeptRequest, Slowest, Subject},
    },
    names,
};
use opentelemetry::KeyValue;
use prometheus::proto::Metric;
use std::{collections::HashMap, sync::Arc};

const HTTP_DURATIONS: &[&str] = &[names::HTTP_SERVER_REQUEST_DURATION];

/// By which names the duration of a call may be told: what there is no series of is not shown.
const fn call_durations(conventions: Conventions) -> &'static [&'static str] {
    match conventions {
        Conventions::Current => &[names::GEN_AI_OPERATION_DURATION],
        Conventions::Latest | Conventions::Both => {
            &[names::GEN_AI_OPERATION_DURATION, names::INFERENCE_DURATION]
        }
    }
}

/// One request that was counted in a bucket.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exemplar {
    pub(super) trace_id: String,
    pub(super) span_id: Option<String>,
    pub(super) seconds: f64,
    pub(super) at: Timestamp,
}

/// By the name of the family and by the series.
#[derive(Debug, Default)]
pub(crate) struct Exemplars(HashMap<(String, u64), Vec<Exemplar>>);

impl Exemplars {
    /// Those of the requests that are kept.
    pub(crate) fn of(slowest: &Slowest, conventions: Conventions) -> Self {
        let mut exemplars = Self::default();
        let Some(labels) = &slowest.labels else {
            return exemplars;
        };
        for (subject, Kept { failed, traced, .. }) in &slowest.subjects {
            for request in traced.iter().chain(failed) {
                exemplars.add(*subject, request, labels, conventions);
            }
        }
        exemplars
    }

    fn add(
        &mut self,
        subject: Subject,
        request: &KeptRequest,
        labels: &LabelTables,
        conventions: Conventions,
    ) {
        let Some((trace, trace_id)) = request
            .trace()
            .and_then(|trace| Some((trace, trace.trace_text()?)))
        else {
            return;
        };
        let (metrics, attributes) = match subject {
            Subject::Model(provider, model) => {
                let key = AttemptKey {
                    provider,
                    model,
                    operation: request.operation,
                    error: request.error(),
                };
                (call_durations(conventions), key.attributes(labels))
            }
            Subject::Endpoint(endpoint) => {
                let key = RequestKey {
                    endpoint,
                    method: request.method,
                    status: request.status(),
                    error: request.error(),
                };
                (HTTP_DURATIONS, key.attributes(labels))
            }
        };
        for metric in metrics {
            let series = identity_of(&series_key(metric, attributes.clone()));
            let of_series = self.0.entry((exposed_name(metric, "s"), series));
            of_series.or_default().push(Exemplar {
                trace_id: trace_id.clone(),
                span_id: trace.span_text(),
                seconds: request.seconds(),
                at: request.ended,
            });
        }
    }

    /// Those of one series of a family.
    pub(super) fn of_series(&self, family: &str, metric: &Metric) -> &[Exemplar] {
        if self.0.is_empty() {
            return &[];
        }
        let of_series = self.0.get(&(family.to_owned(), identity(metric)));
        of_series.map(Vec::as_slice).unwrap_or_default()
    }
}

fn series_key(metric: &str, attributes: Vec<KeyValue>) -> SeriesKey {
    let attributes = attributes.into_iter();
    SeriesKey {
        scope: Arc::from(names::SCOPE),
        metric: Arc::from(metric),
        labels: Labels::new(attributes.map(|KeyValue { key, value, .. }| {
            (Arc::from(key.as_str()), Arc::from(value.to_string()))
        })),
    }
}
