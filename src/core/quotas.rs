//! What providers last said is left of their quotas.

use super::{
    answer::quota::{Quota, Quotas},
    labels::Label,
    recorder::LabelTables,
};
use crate::clock::Timestamp;
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// What a quota may be of, as it is shown.
pub(crate) const RESOURCES: [&str; 4] = ["requests", "tokens", "input_tokens", "output_tokens"];

/// Pairs of a provider and a model that have an entry of their own; what comes later shares one
/// with other models of its provider.
const MAX_PAIRS: usize = 100;
/// With so many more of these, all the rest shares one.
const MAX_SHARED: usize = 10;

/// Series that there may be of one metric.
pub(crate) const MAX_SERIES: usize = (MAX_PAIRS + MAX_SHARED + 1) * RESOURCES.len();

/// The last word of each provider on each of its models: bounded, and locked once an answer.
#[derive(Debug, Default)]
pub(crate) struct QuotaLedger(Mutex<Entries>);

type Entries = HashMap<(Label, Label), [Option<Observed>; RESOURCES.len()]>;

/// A quota, and when it was told of.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Observed {
    quota: Quota,
    at: Timestamp,
}

/// The last word on one quota.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct QuotaReading {
    pub(crate) provider: Arc<str>,
    pub(crate) model: Arc<str>,
    /// One of [`RESOURCES`].
    pub(crate) resource: &'static str,
    pub(crate) quota: Quota,
    pub(crate) observed_at: Timestamp,
}

impl QuotaLedger {
    /// An answer of `provider` and `model` told of `quotas` at `now`.
    #[cfg_attr(not(feature = "server"), allow(dead_code, reason = "no head is read"))]
    pub(crate) fn note(&self, provider: Label, model: Label, quotas: &Quotas, now: Timestamp) {
        let told = [
            quotas.requests,
            quotas.tokens,
            quotas.input_tokens,
            quotas.output_tokens,
        ];
        let says = |quota: &Quota| quota.limit.is_some() || quota.remaining.is_some();
        if !told.iter().any(says) {
            return;
        }
        let mut entries = self.0.lock();
        let key = admit(
            &entries,
            (provider.or(Label::OTHER), model.or(Label::OTHER)),
        );
        let entry = entries.entry(key).or_default();
        for (observed, quota) in entry.iter_mut().zip(told) {
            // Of two answers that come at once, the later one counts.
            if says(&quota) && observed.is_none_or(|observed| observed.at <= now) {
                *observed = Some(Observed { quota, at: now });
            }
        }
    }

    /// Whether anybody has told of one.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// All that is known, in no order.
    pub(crate) fn readings(&self, labels: &LabelTables) -> Vec<QuotaReading> {
        let entries = self.0.lock();
        let mut readings = Vec::new();
        for ((provider, model), entry) in entries.iter() {
            let provider = labels.providers.text(*provider).unwrap_or_default();
            let model = labels.models.text(*model).unwrap_or_default();
            for (resource, observed) in RESOURCES.iter().zip(entry) {
                readings.extend(observed.map(|observed| QuotaReading {
                    provider: Arc::clone(&provider),
                    model: Arc::clone(&model),
                    resource,
                    quota: observed.quota,
                    observed_at: observed.at,
                }));
            }
        }
        readings
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        const ENTRY: usize = size_of::<((Label, Label), [Option<Observed>; RESOURCES.len()])>();
        self.0.lock().capacity() * 8 / 7 * (ENTRY + 1)
    }
}

/// The key of the entry that there is for `key`, or may be made.
fn admit(entries: &Entries, key: (Label, Label)) -> (Label, Label) {
    if entries.len() < MAX_PAIRS || entries.contains_key(&key) {
        return key;
    }
    let shared = (key.0, Label::OTHER);
    if entries.len() < MAX_PAIRS + MAX_SHARED || entries.contains_key(&shared) {
        shared
    } else {
        (Label::OTHER, Label::OTHER)
    }
}

impl QuotaReading {
    /// How much of it is left, from 0 to 1; `None` if the limit is not known.
    pub(crate) fn share_left(&self) -> Option<f64> {
        let (limit, remaining) = (self.quota.limit?, self.quota.remaining?);
        (limit > 0).then(|| remaining as f64 / limit as f64)
    }

    /// Whether its time has passed, so that it tells nothing of what is left now.
    pub(crate) fn is_reset(&self, now: Timestamp) -> bool {
        self.quota
            .resets_at
            .is_some_and(|resets_at| resets_at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_nanos(seconds * 1_000_000_000)
    }

    fn requests(limit: u64, remaining: u64) -> Quotas {
        let mut quotas = Quotas::default();
        quotas.requests.limit = Some(limit);
        quotas.requests.remaining = Some(remaining);
        quotas
    }

    #[test]
    fn the_latest_word_on_each_resource_stays() {
        let labels = LabelTables::for_tests();
        let (provider, model) = (labels.providers.label("p"), labels.models.label("m"));
        let ledger = QuotaLedger::default();
        ledger.note(provider, model, &Quotas::default(), at(1));
        assert!(ledger.is_empty(), "it said nothing");
        let mut both = requests(100, 40);
        both.tokens.remaining = Some(7);
        ledger.note(provider, model, &both, at(2));
        ledger.note(provider, model, &requests(100, 39), at(3));
        ledger.note(provider, model, &requests(100, 41), at(1));
        let readings = ledger.readings(&labels);
        let of = |resource| readings.iter().find(|r| r.resource == resource).unwrap();
        assert_eq!(of("requests").quota.remaining, Some(39));
        assert_eq!(of("requests").observed_at, at(3));
        assert_eq!(of("requests").share_left(), Some(0.39));
        assert_eq!(of("tokens").quota.remaining, Some(7));
        assert_eq!(of("tokens").share_left(), None);
        assert_eq!(readings.len(), 2);
    }

    #[test]
    fn however_many_models_tell_there_is_a_bound_to_the_series() {
        let labels = LabelTables::for_tests();
        let ledger = QuotaLedger::default();
        for provider in 0..30 {
            let provider = labels.providers.label(&format!("p{provider}"));
            for model in 0..200 {
                let model = labels.models.label(&format!("m{model}"));
                ledger.note(provider, model, &requests(10, 1), at(1));
            }
        }
        assert_eq!(ledger.readings(&labels).len(), MAX_PAIRS + MAX_SHARED + 1);
    }
}
