//! The few slowest and the last failed requests: from a number to a trace.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::core::labels::{Label, LabelTable};
use crate::core::measurement::Method;
use crate::core::recorder::LabelTables;
use crate::core::slowest::{FEW, Kept, KeptRequest, Slowest, Subject};
use crate::core::snapshot::Snapshot;
use crate::core::views::reading::Reading;
use crate::core::views::stats::ErrorBound;
use crate::core::views::{Coverage, ViewError};
use crate::core::window::Window;
use crate::names;

/// The few slowest and the last failed requests: the answer of `/performance/slowest`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct SlowestView {
    /// What the answer is about.
    #[serde(flatten)]
    pub coverage: Coverage,
    /// Of what ended up to this moment, in Unix seconds, some may be missing: 1,536 requests are
    /// kept in all, and of more the oldest go. `null` if nothing is missing.
    pub complete_after: Option<f64>,
    /// The calls to each provider that has some in the window, by its name.
    pub providers: BTreeMap<String, ProviderSlowest>,
    /// The operations of each endpoint that has some in the window, by its path.
    pub endpoints: BTreeMap<String, FewRequests>,
}

/// Calls to one provider.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ProviderSlowest {
    /// Of all its models.
    #[serde(flatten)]
    pub all: FewRequests,
    /// By model.
    pub models: BTreeMap<String, FewRequests>,
}

/// Some requests of those in the window.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct FewRequests {
    /// The slowest five, slowest first, whether they failed or not.
    pub slowest: Vec<RequestDetail>,
    /// The last five that failed, latest first.
    pub failed: Vec<RequestDetail>,
}

/// One request: an operation, or a call to a provider. What is not known is `null`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct RequestDetail {
    /// The id of its event.
    pub id: String,
    /// When it ended, in Unix seconds.
    pub timestamp: f64,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// Why it failed, as in `error.type`.
    pub error_type: Option<String>,
    /// The status that it was answered with.
    pub status_code: Option<u16>,
    /// The provider.
    pub provider: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// What was asked of the model, as in `gen_ai.operation.name`.
    pub operation: Option<String>,
    /// The endpoint.
    pub endpoint: Option<String>,
    /// The request method.
    pub method: Option<String>,
    /// Its trace, in 32 hexadecimal digits, if that is sampled.
    pub trace_id: Option<String>,
    /// Its span in that trace, in 16 hexadecimal digits.
    pub span_id: Option<String>,
    /// By what the gateway and its client know the request: of a call, that of the operation that it
    /// belongs to.
    pub request_id: Option<String>,
    /// By what the provider knows the call.
    pub provider_request_id: Option<String>,
}

/// The slowest and the last failed of `window`, or only those of that provider or that endpoint.
pub(crate) fn slowest(
    snapshot: &Snapshot,
    window: Window,
    provider: Option<&str>,
    endpoint: Option<&str>,
) -> Result<SlowestView, ViewError> {
    let reading = Reading::new(snapshot, window, &[], |_| false)?;
    let wanted = Wanted {
        after: match window {
            Window::SinceStart => Timestamp::EPOCH,
            Window::Last(_) => reading.start(),
        },
        provider,
        endpoint,
    };
    let mut view = SlowestView {
        coverage: reading.coverage(ErrorBound::default()),
        complete_after: snapshot.slowest.complete_after.map(|t| t.as_unix_seconds()),
        providers: BTreeMap::new(),
        endpoints: BTreeMap::new(),
    };
    if let Some(labels) = &snapshot.slowest.labels {
        view.add(&snapshot.slowest, &wanted, labels);
    }
    if provider.is_some_and(|name| !view.providers.contains_key(name) && !knows(snapshot, name)) {
        return Err(ViewError::UnknownProvider);
    }
    if endpoint.is_some_and(|path| !view.endpoints.contains_key(path) && !serves(snapshot, path)) {
        return Err(ViewError::UnknownEndpoint);
    }
    Ok(view)
}

/// The providers and the endpoints that there are, whether they have requests in a window or not.
pub(crate) fn known(snapshot: &Snapshot) -> [BTreeSet<&str>; 2] {
    let configured = &snapshot.configured;
    let providers = configured.providers.iter().map(|(name, _)| &**name);
    let endpoints = configured.endpoints.iter().map(|path| &**path);
    let mut known = [providers.collect(), endpoints.collect()];
    for total in snapshot.history.totals.series.iter() {
        let labels = &total.key().labels;
        let [providers, endpoints]: &mut [BTreeSet<&str>; 2] = &mut known;
        providers.extend(labels.get(names::GEN_AI_PROVIDER_NAME));
        endpoints.extend(labels.get(names::HTTP_ROUTE));
    }
    known
}

fn knows(snapshot: &Snapshot, provider: &str) -> bool {
    let [providers, _] = known(snapshot);
    providers.contains(provider)
}

fn serves(snapshot: &Snapshot, endpoint: &str) -> bool {
    let [_, endpoints] = known(snapshot);
    endpoints.contains(endpoint)
}

/// What is asked for.
struct Wanted<'a> {
    after: Timestamp,
    provider: Option<&'a str>,
    endpoint: Option<&'a str>,
}

impl Wanted<'_> {
    /// Whether one kind is wanted, given that nothing or something is said of it and of the other.
    fn takes(own: Option<&str>, other: Option<&str>, name: &str) -> bool {
        match own {
            Some(own) => own == name,
            None => other.is_none(),
        }
    }
}

impl SlowestView {
    fn add(&mut self, slowest: &Slowest, wanted: &Wanted<'_>, labels: &LabelTables) {
        let mut providers: BTreeMap<String, Few<'_>> = BTreeMap::new();
        for (subject, kept) in &slowest.subjects {
            let few = Few::of(kept, wanted.after);
            if few.is_empty() {
                continue;
            }
            match *subject {
                Subject::Model(provider, model) => {
                    let name = shown(&labels.providers, provider);
                    if !Wanted::takes(wanted.provider, wanted.endpoint, &name) {
                        continue;
                    }
                    let model = shown(&labels.models, model);
                    let provider = self.providers.entry(name.clone()).or_default();
                    provider.models.insert(model, few.detailed(labels));
                    providers.entry(name).or_default().extend(few);
                }
                Subject::Endpoint(endpoint) => {
                    let path = shown(&labels.endpoints, endpoint);
                    if Wanted::takes(wanted.endpoint, wanted.provider, &path) {
                        self.endpoints.insert(path, few.detailed(labels));
                    }
                }
            }
        }
        for (name, few) in providers {
            self.providers.entry(name).or_default().all = few.detailed(labels);
        }
    }
}

fn shown(table: &LabelTable, label: Label) -> String {
    let text = table.text(label);
    text.map_or_else(|| names::OTHER.to_owned(), |text| text.to_string())
}

/// Candidates for the few, in no order.
#[derive(Default)]
struct Few<'a> {
    slowest: Vec<&'a KeptRequest>,
    failed: Vec<&'a KeptRequest>,
}

impl<'a> Few<'a> {
    /// Those of `kept` that ended after a moment.
    fn of(kept: &'a Kept, after: Timestamp) -> Self {
        let inside = |request: &&KeptRequest| request.ended > after;
        Self {
            slowest: kept.slowest.iter().filter(inside).collect(),
            failed: kept.failed.iter().filter(inside).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.slowest.is_empty() && self.failed.is_empty()
    }

    fn extend(&mut self, other: Self) {
        self.slowest.extend(other.slowest);
        self.failed.extend(other.failed);
    }

    fn detailed(&self, labels: &LabelTables) -> FewRequests {
        let detailed = |mut requests: Vec<&KeptRequest>, rank: fn(&KeptRequest) -> u64| {
            requests.sort_by_key(|request| std::cmp::Reverse(rank(request)));
            let few = requests.into_iter().take(FEW);
            few.map(|request| RequestDetail::of(request, labels))
                .collect()
        };
        FewRequests {
            slowest: detailed(self.slowest.clone(), |request| request.duration),
            failed: detailed(self.failed.clone(), |request| request.ended.as_unix_nanos()),
        }
    }
}

impl RequestDetail {
    fn of(request: &KeptRequest, labels: &LabelTables) -> Self {
        let text = |table: &LabelTable, label| table.text(label).map(|text| text.to_string());
        let trace = request.trace().unwrap_or_default();
        Self {
            id: request.event_id(),
            timestamp: request.ended.as_unix_seconds(),
            duration_ms: request.duration as f64 / 1e6,
            error_type: request.error().map(str::to_owned),
            status_code: request.status(),
            provider: text(&labels.providers, request.provider),
            model: text(&labels.models, request.model),
            operation: text(&labels.operations, request.operation),
            endpoint: text(&labels.endpoints, request.endpoint),
            method: request
                .method
                .map(|method: Method| method.text().to_owned()),
            trace_id: trace.trace_text(),
            span_id: trace.span_text(),
            request_id: request.request_id().map(str::to_owned),
            provider_request_id: request.provider_request_id().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        core::{
            measurement::{Kind, Measurement},
            slowest::{Boundaries, SlowestKeeper},
            testing::Bench,
        },
        event_type::PerformanceEventType,
    };
    use std::{sync::Arc, time::Duration};

    const TEN: Duration = Duration::from_secs(10);

    /// Calls of so many seconds, ten seconds apart, each before a collection.
    fn snapshot(seconds: &[u64]) -> Snapshot {
        let labels = Arc::new(LabelTables::for_tests());
        let mut keeper = SlowestKeeper::new(
            Boundaries {
                attempts: &[],
                operations: &[],
            },
            Arc::clone(&labels),
        );
        let mut bench = Bench::new(Duration::from_secs(3_600));
        for seconds in seconds {
            let mut call = Measurement::new(Kind::Attempt, PerformanceEventType::ProviderEnd);
            call.provider = labels.providers.label("p");
            call.duration = seconds * 1_000_000_000;
            call.ended = bench.now.after(TEN);
            call.error = (seconds % 2 == 0).then_some("timeout");
            keeper.note(1, &call);
            bench.collect_after(TEN);
            keeper.fold(Timestamp::EPOCH);
        }
        let mut snapshot = bench.snapshot();
        snapshot.slowest = keeper.fold(Timestamp::EPOCH);
        snapshot
    }

    fn seconds(requests: &[RequestDetail]) -> Vec<f64> {
        let seconds = |request: &RequestDetail| request.duration_ms / 1e3;
        requests.iter().map(seconds).collect()
    }

    #[test]
    fn a_window_has_its_own_slowest_and_failed() {
        let snapshot = snapshot(&[9, 8, 1, 7, 2, 6, 3, 4]);
        let over = |window| {
            let view = slowest(&snapshot, window, None, None).unwrap();
            let few = view.providers["p"].all.clone();
            (seconds(&few.slowest), seconds(&few.failed))
        };
        let expected = (vec![9.0, 8.0, 7.0, 6.0, 4.0], vec![4.0, 6.0, 2.0, 8.0]);
        assert_eq!(over(Window::SinceStart), expected);
        assert_eq!(
            over(Window::Last(4 * TEN)),
            (vec![6.0, 4.0, 3.0, 2.0], vec![4.0, 6.0, 2.0])
        );
        assert_eq!(over(Window::Last(TEN)), (vec![4.0], vec![4.0]));
    }

    #[test]
    fn a_model_that_was_not_told_is_other() {
        let snapshot = snapshot(&[1]);
        let view = slowest(&snapshot, Window::SinceStart, Some("p"), None).unwrap();
        let models: Vec<&String> = view.providers["p"].models.keys().collect();
        assert_eq!(models, [names::OTHER]);
        let unknown = slowest(&snapshot, Window::SinceStart, Some("q"), None);
        assert_eq!(unknown, Err(ViewError::UnknownProvider));
        let too_long = Window::Last(Duration::from_secs(3_601));
        assert!(slowest(&snapshot, too_long, None, None).is_err());
    }
}
