//! How each provider and model stands: good enough to be asked, or not.

pub(crate) mod board;
mod judge;
mod policy;
mod recent;
#[cfg(test)]
mod tests;

pub(crate) use board::Board;
pub use board::{ProviderStanding, Ranking};
pub use judge::{HealthReason, HealthState};
pub use policy::HealthPolicy;

use crate::{
    clock::Timestamp,
    core::{
        error_type,
        series::{Collection, SeriesKey, Value},
        views::provider::provider_of,
    },
    names,
};
use judge::{Evidence, judge};
use recent::Recent;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Pairs of a provider and a model that are judged; those that come later are not.
pub(crate) const MAX_PAIRS: usize = 200;

/// What is known of all of them, from one collection to the next.
#[derive(Debug)]
pub(crate) struct Standings {
    policy: HealthPolicy,
    pairs: HashMap<(Arc<str>, Arc<str>), Box<Pair>>,
    /// What this crate records counts, and what others do only where it records nothing.
    own: bool,
}

#[derive(Debug)]
struct Pair {
    short: Recent,
    long: Recent,
    first_seen: Timestamp,
    last_success: Option<Timestamp>,
    state: HealthState,
    reason: HealthReason,
    since: Timestamp,
}

impl Standings {
    pub(crate) fn new(policy: HealthPolicy) -> Self {
        Self {
            policy,
            pairs: HashMap::new(),
            own: false,
        }
    }

    /// Takes in what was collected, and judges anew: how all stand, and whether any has changed.
    pub(crate) fn judge(&mut self, collection: &Collection) -> (Board, bool) {
        let is_duration = |key: &SeriesKey| &*key.metric == names::GEN_AI_OPERATION_DURATION;
        let points = || collection.points.iter().filter(|(key, _)| is_duration(key));
        let is_own = |key: &SeriesKey| &*key.scope == names::SCOPE;
        self.own |= points().any(|(key, _)| is_own(key));
        for (key, value) in points().filter(|(key, _)| !self.own || is_own(key)) {
            let name = (Arc::clone(&key.scope), Arc::clone(&key.metric));
            let unit = collection.metrics.get(&name).map(|info| &*info.unit);
            let seconds = if unit == Some("ms") { 1e-3 } else { 1.0 };
            add(
                &mut self.pairs,
                &self.policy,
                key,
                value,
                seconds,
                collection.until,
            );
        }
        let mut changed = false;
        for pair in self.pairs.values_mut() {
            changed |= pair.judge(&self.policy, collection.until);
        }
        (
            Board::new(self.pairs.iter().map(|(names, pair)| standing(names, pair))),
            changed,
        )
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let keys = self.pairs.keys();
        let each = size_of::<Pair>() + 32;
        let pairs: usize = keys.map(|(p, m)| p.len() + m.len() + each).sum();
        pairs + self.pairs.capacity() * 8 / 7 * (size_of::<((Arc<str>, Arc<str>), usize)>() + 1)
    }
}

fn standing((provider, model): &(Arc<str>, Arc<str>), pair: &Pair) -> ProviderStanding {
    let Pair { short, long, .. } = pair;
    let (recent, lately) = (short.sum(), long.sum());
    ProviderStanding {
        provider: Arc::clone(provider),
        model: Arc::clone(model),
        state: pair.state,
        reason: pair.reason,
        since: pair.since,
        success_rate_percent: recent.rate().or(lately.rate()),
        average_duration: recent.average().or(lately.average()),
        last_success: pair.last_success,
    }
}

fn add(
    pairs: &mut HashMap<(Arc<str>, Arc<str>), Box<Pair>>,
    policy: &HealthPolicy,
    key: &SeriesKey,
    value: &Value,
    unit_seconds: f64,
    now: Timestamp,
) {
    let (count, sum) = match value {
        Value::Exponential(histogram) => (histogram.count(), histogram.sum()),
        Value::Classic(histogram) => (histogram.count(), histogram.sum()),
        Value::Sum(_) | Value::Gauge(_) => return,
    };
    let model = key.labels.get(names::GEN_AI_REQUEST_MODEL);
    let names = (provider_of(key), model.unwrap_or(names::OTHER));
    let names = (Arc::from(names.0), Arc::from(names.1));
    if pairs.len() >= MAX_PAIRS && !pairs.contains_key(&names) {
        return;
    }
    let pair = pairs.entry(names).or_insert_with(|| {
        Box::new(Pair {
            short: Recent::new(policy.short_window),
            long: Recent::new(policy.long_window),
            first_seen: now,
            last_success: None,
            state: HealthState::Unknown,
            reason: HealthReason::TooFewSamples,
            since: now,
        })
    });
    match key.labels.get(names::ERROR_TYPE).filter(|e| !e.is_empty()) {
        None => {
            let seconds = sum * unit_seconds;
            let took = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            pair.short.succeed(now, count, took);
            pair.long.succeed(now, count, took);
            pair.last_success = Some(now);
        }
        // The caller's fault says nothing of the provider.
        Some(error) if error_type::domain(error_type::canonical(error)).is_callers() => {}
        Some(_) => {
            pair.short.fail(now, count);
            pair.long.fail(now, count);
        }
    }
}

impl Pair {
    /// Whether its state is another than before.
    fn judge(&mut self, policy: &HealthPolicy, now: Timestamp) -> bool {
        self.short.forget(now);
        self.long.forget(now);
        let (state, reason) = judge(
            policy,
            self.state,
            &Evidence {
                short: self.short.sum(),
                long: self.long.sum(),
                without_success: now.since(self.last_success.unwrap_or(self.first_seen)),
            },
        );
        let better = state < self.state && self.state != HealthState::Unknown;
        if state == self.state || better && now.since(self.since) < policy.least_time {
            return false;
        }
        (self.state, self.reason, self.since) = (state, reason, now);
        true
    }
}
