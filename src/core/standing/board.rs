//! How all stand at one moment, for those who ask at each request.

use super::{HealthReason, HealthState};
use crate::clock::Timestamp;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Candidates that are ranked; those beyond stay behind them, in their order.
const RANKED: usize = 16;

/// How one provider and model stand.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ProviderStanding {
    /// The provider.
    pub provider: Arc<str>,
    /// The model.
    pub model: Arc<str>,
    /// The state.
    pub state: HealthState,
    /// Why.
    pub reason: HealthReason,
    /// Since when it is in that state.
    pub since: Timestamp,
    /// How many of 100 attempts of the short window succeeded, or of the long one if there were
    /// none; those left out that failed by the fault of the caller or by a rule.
    pub success_rate_percent: Option<f64>,
    /// How long a success of the short window took on average, or of the long one.
    pub average_duration: Option<Duration>,
    /// The end of the last collection with a success.
    pub last_success: Option<Timestamp>,
}

/// The order in which candidates are to be asked: the answer of
/// [`rank`](crate::PerformanceMonitor::rank).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranking {
    order: [u8; RANKED],
    ranked: usize,
    count: usize,
}

impl Ranking {
    /// The index of the candidate to be asked first; none of none.
    #[must_use]
    pub fn best(&self) -> Option<usize> {
        self.iter().next()
    }

    /// The indices of all candidates, the best first.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let ranked = self.order.iter().take(self.ranked);
        ranked
            .map(|at| usize::from(*at))
            .chain(self.ranked..self.count)
    }
}

/// How all stand, by provider and model.
#[derive(Debug, Default)]
pub(crate) struct Board {
    all: Arc<[ProviderStanding]>,
    by_name: HashMap<Arc<str>, HashMap<Arc<str>, Place>>,
}

/// What a candidate is ranked by, the less the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    state: HealthState,
    /// Its duration in steps of a tenth, so that nearly equal ones are equal.
    slowness: u16,
}

impl Board {
    pub(super) fn new(all: impl Iterator<Item = ProviderStanding>) -> Self {
        let mut all: Vec<ProviderStanding> = all.collect();
        all.sort_by(|a, b| (&a.provider, &a.model).cmp(&(&b.provider, &b.model)));
        let mut by_name: HashMap<Arc<str>, HashMap<Arc<str>, Place>> = HashMap::new();
        for standing in &all {
            let place = Place {
                state: standing.state,
                slowness: standing.average_duration.map_or(0, slowness),
            };
            let models = by_name.entry(Arc::clone(&standing.provider)).or_default();
            models.insert(Arc::clone(&standing.model), place);
        }
        Self {
            all: all.into(),
            by_name,
        }
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> &Arc<[ProviderStanding]> {
        &self.all
    }

    /// How that one stands.
    pub(crate) fn get(&self, provider: &str, model: &str) -> Option<&ProviderStanding> {
        let by_name = |s: &ProviderStanding| (&*s.provider, &*s.model).cmp(&(provider, model));
        let at = self.all.binary_search_by(by_name).ok()?;
        self.all.get(at)
    }

    /// The order in which to ask.
    pub(crate) fn rank(&self, candidates: &[(&str, &str)]) -> Ranking {
        let unknown = Place {
            state: HealthState::Unknown,
            slowness: 0,
        };
        let mut places = [(unknown, 0_u8); RANKED];
        let ranked = candidates.len().min(RANKED);
        for (at, (place, (provider, model))) in places.iter_mut().zip(candidates).enumerate() {
            let known = self
                .by_name
                .get(*provider)
                .and_then(|models| models.get(*model));
            *place = (known.copied().unwrap_or(unknown), at as u8);
        }
        if let Some(places) = places.get_mut(..ranked) {
            places.sort_unstable();
        }
        Ranking {
            order: places.map(|(_, at)| at),
            ranked,
            count: candidates.len(),
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let models: usize = self.by_name.values().map(HashMap::capacity).sum();
        let model = size_of::<(Arc<str>, Place)>() + 1;
        let provider = size_of::<(Arc<str>, HashMap<Arc<str>, Place>)>() + 1;
        size_of_val(&*self.all) + (models * model + self.by_name.capacity() * provider) * 8 / 7
    }
}

/// Steps of a tenth, from a microsecond on.
fn slowness(duration: Duration) -> u16 {
    let micros = duration.as_secs_f64() * 1e6;
    (micros.max(1.0).ln() / 1.1_f64.ln()) as u16
}
