//! What could have been asked about instead.

use std::collections::BTreeSet;

use super::scope::HistoryScope;
use crate::core::snapshot::Snapshot;
use crate::core::views::provider::provider_of;
use crate::core::views::reading::label;
use crate::names;

/// What there is of the kind of `scope`, as scopes are written.
pub(crate) fn known_scopes(snapshot: &Snapshot, scope: &HistoryScope) -> Vec<String> {
    let configured = &snapshot.configured;
    let provider = |name: &str| HistoryScope::Provider(name.to_owned());
    let model = |provider: &str, model: &str| HistoryScope::Model {
        provider: provider.to_owned(),
        model: model.to_owned(),
    };
    let endpoint = |path: &str| HistoryScope::Endpoint(path.to_owned());
    let mut known: BTreeSet<String> = match scope {
        HistoryScope::Provider(_) => {
            let providers = configured.providers.iter();
            providers
                .map(|(name, _)| provider(name).to_string())
                .collect()
        }
        HistoryScope::Model { .. } => {
            let models = configured.providers.iter().flat_map(|(name, models)| {
                models.iter().map(move |one| model(name, one).to_string())
            });
            models.collect()
        }
        HistoryScope::Endpoint(_) => {
            let endpoints = configured.endpoints.iter();
            endpoints.map(|path| endpoint(path).to_string()).collect()
        }
        _ => BTreeSet::new(),
    };
    for total in snapshot.history.totals.series.iter() {
        let key = total.key();
        if Some(&*key.metric) != scope.durations() {
            continue;
        }
        let one = match scope {
            HistoryScope::Gateway | HistoryScope::Process | HistoryScope::Providers => continue,
            HistoryScope::Provider(_) => provider(provider_of(key)),
            HistoryScope::Model { .. } => {
                model(provider_of(key), label(key, names::GEN_AI_REQUEST_MODEL))
            }
            HistoryScope::Endpoint(_) => endpoint(label(key, names::HTTP_ROUTE)),
            HistoryScope::Component { .. } => HistoryScope::Component {
                name: label(key, names::COMPONENT).to_owned(),
                operation: None,
            },
            HistoryScope::Timer(_) => HistoryScope::Timer(label(key, names::TIMER).to_owned()),
            HistoryScope::Experiment { .. } => HistoryScope::Experiment {
                name: label(key, names::EXPERIMENT).to_owned(),
                variant: None,
            },
        };
        known.insert(one.to_string());
    }
    known.into_iter().collect()
}
