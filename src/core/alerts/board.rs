//! What is measured of all that rules are about: one pass over the slots for all of their windows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::core::aggregate::Aggregate;
use crate::core::alerts::instance::Instance;
use crate::core::alerts::rule::{AlertMetric, AlertRule, AlertScope};
use crate::core::packed::Packed;
use crate::core::series::SeriesKey;
use crate::core::slot::SeriesId;
use crate::core::snapshot::Snapshot;
use crate::core::views::provider::provider_of;
use crate::core::views::reading::{error_type, failed, label, sources, unit_ms};
use crate::core::window::History;
use crate::names;

/// The metrics that rules are computed from.
const METRICS: [&str; 5] = [
    names::GEN_AI_OPERATION_DURATION,
    names::GEN_AI_TIME_TO_FIRST_CHUNK,
    names::COST,
    names::HTTP_SERVER_REQUEST_DURATION,
    names::PROCESS_CPU_TIME,
];

/// What can be watched at once; what comes beyond is not. Labels are bounded before they come
/// here, but for those of a library that records on the same meter provider.
const MAX_GROUPS: usize = 4_096;

/// The place of a group on the board.
pub(super) type GroupId = usize;

/// All that is measured.
#[derive(Debug, Default)]
pub(super) struct Board {
    groups: Vec<Group>,
    ids: BTreeMap<Instance, GroupId>,
    /// By series: what to do with it.
    plans: Vec<Option<Plan>>,
    /// Slots that were read, from the newest on.
    read: usize,
    left_out: usize,
}

/// One thing that rules are about.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) instance: Instance,
    /// Configured, or named by a rule: it is told of also where it did nothing.
    pub(super) is_known: bool,
    wants: Wants,
    pub(super) tally: Tally,
}

/// What has to be more than counted.
#[derive(Debug, Clone, Copy, Default)]
struct Wants {
    durations: bool,
    first_tokens: bool,
}

/// What to do with a series.
#[derive(Debug, Clone)]
struct Plan {
    kind: Kind,
    /// Milliseconds of one unit, if it is a duration.
    unit_ms: f64,
    groups: Vec<GroupId>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Requests { failed: bool },
    FirstTokens,
    Cost,
    Cpu,
}

/// What was measured of one group in one window.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) failed: u64,
    sum_ms: f64,
    durations: Distribution,
    first_tokens: Distribution,
    first_token_count: u64,
    nano_usd: i128,
    cpu_seconds: f64,
}

#[derive(Debug, Default)]
struct Distribution {
    aggregate: Option<Aggregate>,
    unit_ms: f64,
}

/// The time that a window really covers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Covered {
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
    /// How many CPUs the process may use at once, if that can be told.
    pub(super) cpus: Option<f64>,
}

/// A value, and from how many samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figure {
    pub(super) value: Option<f64>,
    pub(super) samples: u64,
}

impl Board {
    /// Makes room for what `rules` are about, and empties it.
    pub(super) fn prepare<'r>(
        &mut self,
        snapshot: &Snapshot,
        rules: impl Iterator<Item = &'r AlertRule>,
    ) {
        *self = Self::default();
        let watched: Vec<Watched> = rules.map(Watched::new).collect();
        for one in watched.iter().filter_map(|watched| watched.one.clone()) {
            self.group(one, true, &watched);
        }
        let configured = &snapshot.configured;
        for (provider, _) in &configured.providers {
            self.group(Instance::Provider(Arc::clone(provider)), true, &watched);
        }
        for endpoint in &configured.endpoints {
            self.group(Instance::Endpoint(Arc::clone(endpoint)), true, &watched);
        }
        let sources = sources(snapshot, &METRICS);
        let totals = &snapshot.history.totals;
        self.plans = Vec::with_capacity(totals.series.len());
        for total in totals.series.iter() {
            let key = total.key();
            let is_used = sources.get(&*key.metric) == Some(&&*key.scope);
            let plan = is_used.then(|| self.plan(key, &watched)).flatten();
            let plan = plan.map(|(kind, groups)| Plan {
                kind,
                unit_ms: unit_ms(totals, key),
                groups,
            });
            self.plans.push(plan);
        }
    }

    /// Whether it was prepared for as many series.
    pub(super) fn is_for(&self, snapshot: &Snapshot) -> bool {
        self.plans.len() == snapshot.history.totals.series.len()
    }

    /// How many things there was no room for.
    pub(super) fn left_out(&self) -> usize {
        self.left_out
    }

    /// The groups that `rule` is about.
    pub(super) fn groups_of(&self, rule: &AlertRule) -> Vec<GroupId> {
        match Instance::of(rule.metric, &rule.scope) {
            Some(one) => self.ids.get(&one).copied().into_iter().collect(),
            None => {
                let ids = self.groups.iter().enumerate();
                ids.filter(|(_, group)| group.instance.is_one_of(&rule.scope))
                    .map(|(id, _)| id)
                    .collect()
            }
        }
    }

    pub(super) fn group_at(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(id)
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }

    /// Begins again, with the newest slot.
    pub(super) fn empty(&mut self) {
        self.read = 0;
        for group in &mut self.groups {
            group.tally = Tally::default();
        }
    }

    /// Adds what is needed for a longer window than before.
    pub(super) fn extend_to(&mut self, snapshot: &Snapshot, window: Duration) -> Covered {
        let history = &snapshot.history;
        let slots = history.last(window.min(history.retention));
        let now = snapshot.collected_at;
        let (since, until) = History::covered(slots).unwrap_or((now, now));
        let new = slots.len().saturating_sub(self.read);
        for slot in slots.iter().take(new) {
            for (id, packed) in slot.entries() {
                self.add(id, packed);
            }
        }
        self.read = slots.len();
        let process = &snapshot.process.sample;
        let cpus = process.cpu_limit.filter(|cpus| *cpus > 0.0);
        Covered {
            since,
            until,
            cpus: cpus.filter(|_| process.cpu.is_some()),
        }
    }

    fn add(&mut self, id: SeriesId, packed: Packed<'_>) {
        let Some(Some(plan)) = self.plans.get(id as usize) else {
            return;
        };
        for group in &plan.groups {
            if let Some(group) = self.groups.get_mut(*group) {
                group.add(plan, packed);
            }
        }
    }

    /// What a series counts as, and for whom.
    fn plan(&mut self, key: &SeriesKey, watched: &[Watched]) -> Option<(Kind, Vec<GroupId>)> {
        let kind = match &*key.metric {
            names::HTTP_SERVER_REQUEST_DURATION => Kind::Requests {
                failed: failed(key),
            },
            names::GEN_AI_OPERATION_DURATION => Kind::Requests {
                failed: error_type(key).is_some(),
            },
            names::GEN_AI_TIME_TO_FIRST_CHUNK => Kind::FirstTokens,
            names::COST => Kind::Cost,
            names::PROCESS_CPU_TIME => Kind::Cpu,
            _ => return None,
        };
        let instances = if &*key.metric == names::PROCESS_CPU_TIME {
            vec![Instance::Process]
        } else if &*key.metric == names::HTTP_SERVER_REQUEST_DURATION {
            let endpoint = Arc::from(label(key, names::HTTP_ROUTE));
            vec![Instance::Gateway, Instance::Endpoint(endpoint)]
        } else {
            let provider: Arc<str> = Arc::from(provider_of(key));
            let model = Arc::from(label(key, names::GEN_AI_REQUEST_MODEL));
            vec![
                Instance::Attempts,
                Instance::Provider(Arc::clone(&provider)),
                Instance::Model(provider, model),
            ]
        };
        let groups: Vec<GroupId> = instances
            .into_iter()
            .filter_map(|instance| self.group(instance, false, watched))
            .collect();
        (!groups.is_empty()).then_some((kind, groups))
    }

    /// The group of `instance`, if there is a rule about it.
    fn group(
        &mut self,
        instance: Instance,
        is_known: bool,
        watched: &[Watched],
    ) -> Option<GroupId> {
        if let Some(id) = self.ids.get(&instance) {
            return Some(*id);
        }
        let about = watched.iter().filter(|rule| rule.is_about(&instance));
        let wants = about.map(|rule| rule.wants).reduce(|a, b| Wants {
            durations: a.durations || b.durations,
            first_tokens: a.first_tokens || b.first_tokens,
        });
        let wants = wants?;
        if self.groups.len() >= MAX_GROUPS {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        let id = self.groups.len();
        self.ids.insert(instance.clone(), id);
        self.groups.push(Group {
            instance,
            is_known,
            wants,
            tally: Tally::default(),
        });
        Some(id)
    }
}

/// What a rule asks of the board.
struct Watched {
    /// What it is about, if that is one thing.
    one: Option<Instance>,
    scope: AlertScope,
    wants: Wants,
}

impl Watched {
    fn new(rule: &AlertRule) -> Self {
        Self {
            one: Instance::of(rule.metric, &rule.scope),
            scope: rule.scope.clone(),
            wants: Wants {
                durations: rule.metric == AlertMetric::ResponseTimeMs,
                first_tokens: rule.metric == AlertMetric::TimeToFirstTokenMs,
            },
        }
    }

    fn is_about(&self, instance: &Instance) -> bool {
        match &self.one {
            Some(one) => one == instance,
            None => instance.is_one_of(&self.scope),
        }
    }
}

impl Group {
    fn add(&mut self, plan: &Plan, packed: Packed<'_>) {
        let tally = &mut self.tally;
        match plan.kind {
            Kind::Requests { failed } => {
                let count = packed.count();
                tally.requests = tally.requests.saturating_add(count);
                if failed {
                    tally.failed = tally.failed.saturating_add(count);
                }
                tally.sum_ms += packed.sum() * plan.unit_ms;
                if self.wants.durations {
                    tally.durations.add(plan, packed);
                }
            }
            Kind::FirstTokens => {
                let count = packed.count();
                tally.first_token_count = tally.first_token_count.saturating_add(count);
                if self.wants.first_tokens {
                    tally.first_tokens.add(plan, packed);
                }
            }
            Kind::Cpu => tally.cpu_seconds += packed.sum(),
            Kind::Cost => {
                if let Aggregate::Money(nano) = packed.unpack() {
                    tally.nano_usd = tally.nano_usd.saturating_add(nano);
                }
            }
        }
    }
}

impl Distribution {
    fn add(&mut self, plan: &Plan, packed: Packed<'_>) {
        self.unit_ms = plan.unit_ms;
        match &mut self.aggregate {
            Some(aggregate) => packed.merge_into(aggregate),
            empty => *empty = Some(packed.unpack()),
        }
    }

    fn p95_ms(&self) -> Option<f64> {
        let (value, _) = self.aggregate.as_ref()?.quantile(0.95)?;
        Some(value * self.unit_ms)
    }
}

impl Tally {
    /// The value of `metric` over the time that is `covered`. What is a number at the last
    /// collection is not here.
    pub(super) fn figure(&self, metric: AlertMetric, covered: Covered) -> Figure {
        let count = self.requests as f64;
        let of_all = |part: u64| (self.requests > 0).then(|| part as f64 * 100.0 / count);
        // Of less than a second nobody can say what a second is like.
        let seconds = covered.length().as_secs_f64().max(1.0);
        let value = match metric {
            AlertMetric::ResponseTimeMs => self.durations.p95_ms(),
            AlertMetric::AverageResponseTimeMs => (self.requests > 0).then(|| self.sum_ms / count),
            AlertMetric::SuccessRatePercent => of_all(self.requests.saturating_sub(self.failed)),
            AlertMetric::ErrorRatePercent => of_all(self.failed),
            AlertMetric::RequestsPerSecond => Some(count / seconds),
            AlertMetric::CostPerHour => {
                Some(crate::core::aggregate::usd(self.nano_usd) * 3_600.0 / seconds)
            }
            AlertMetric::TimeToFirstTokenMs => self.first_tokens.p95_ms(),
            AlertMetric::CpuUsagePercent => {
                let most = covered.cpus.map(|cpus| cpus * seconds);
                most.map(|most| 100.0 * self.cpu_seconds / most)
            }
            AlertMetric::MemoryPressure | AlertMetric::MemoryUsageMb => None,
        };
        let samples = match metric {
            AlertMetric::TimeToFirstTokenMs => self.first_token_count,
            _ => self.requests,
        };
        Figure { value, samples }
    }
}

impl Covered {
    pub(super) fn length(self) -> Duration {
        self.until.since(self.since)
    }
}
