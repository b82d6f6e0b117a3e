//! Looks at all rules once after each collection, and says what is the case and what changed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::core::alerts::board::{Board, Covered, Figure, Group};
use crate::core::alerts::change::{AlertChange, ResolvedBecause};
use crate::core::alerts::custom::{AlertContext, CustomRule};
use crate::core::alerts::figures::{ActiveAlerts, AlertFigures};
use crate::core::alerts::instance::Instance;
use crate::core::alerts::rule::{AlertMetric, AlertRule, Severity, Verdict};
use crate::core::alerts::view::{
    AlertState, Alerts, InsufficientBecause, InsufficientData, ResolvedAlert,
};
use crate::core::alerts::watch::{Alert, CUSTOM, Look, Seen, Watch};
use crate::core::settings::Settings;
use crate::core::snapshot::Snapshot;

/// Alerts that are pending or fire at once; what comes beyond is counted only.
const MAX_ALERTS: usize = 4_096;
/// Resolved alerts that are remembered.
const MAX_RESOLVED: usize = 50;
/// How many of those that cannot be told are told of.
const MAX_INSUFFICIENT: usize = 200;
/// Longer than this beyond some intervals between two looks, and the monitor did not run.
const LATE: Duration = Duration::from_secs(5);
/// A rate of nothing is one only once so much was seen.
const FIRST_RATE: Duration = Duration::from_secs(60);
/// CPU usage is one only once so much was seen: before, it is that of starting up.
const FIRST_USAGE: Duration = Duration::from_secs(10);

/// Looks at the rules, and remembers how each alert stands.
#[derive(Debug)]
pub(crate) struct Engine {
    watches: Vec<Watch>,
    customs: Vec<(CustomRule, Watch)>,
    board: Board,
    /// The rules changed since the board was prepared.
    is_stale: bool,
    looked_at: Option<Timestamp>,
    interval: Duration,
    /// Where the last time ended in which nobody looked.
    gap_end: Timestamp,
    resolved: VecDeque<ResolvedAlert>,
    custom_panics: u64,
    figures: Arc<AlertFigures>,
}

/// What is the case, and what changed.
#[derive(Debug, Default)]
pub(crate) struct Evaluation {
    pub(crate) alerts: Arc<Alerts>,
    pub(crate) changes: Vec<AlertChange>,
}

/// What everybody is told after one look.
#[derive(Debug, Default)]
struct Told {
    changes: Vec<AlertChange>,
    resolved: Vec<ResolvedAlert>,
}

impl Told {
    fn resolve(
        &mut self,
        watch: &Watch,
        instance: &Instance,
        alert: &Alert,
        because: ResolvedBecause,
        now: Timestamp,
    ) {
        let state = AlertState::Resolved;
        let change = watch.change(instance, alert, state, Some(because), now);
        self.resolved.push(alert.resolved(&change, because));
        self.changes.push(change);
    }
}

/// What is collected during one look.
#[derive(Debug, Default)]
struct Findings {
    insufficient: Vec<InsufficientData>,
    insufficient_count: usize,
    left_out: usize,
    /// How many alerts stand.
    standing: usize,
}

impl Engine {
    pub(crate) fn new(customs: Vec<CustomRule>, figures: Arc<AlertFigures>) -> Self {
        let watch = |rule: CustomRule| {
            let watch = Watch::custom(&rule.id, rule.severity);
            (rule, watch)
        };
        Self {
            watches: Vec::new(),
            customs: customs.into_iter().map(watch).collect(),
            board: Board::default(),
            is_stale: true,
            looked_at: None,
            interval: Duration::ZERO,
            gap_end: Timestamp::EPOCH,
            resolved: VecDeque::new(),
            custom_panics: 0,
            figures,
        }
    }

    /// Looks at all rules of `settings`, and the custom ones. `snapshot` has no alerts yet.
    pub(crate) fn evaluate(&mut self, snapshot: &Snapshot, settings: &Settings) -> Evaluation {
        let now = snapshot.collected_at;
        let after_gap = self.is_after_gap(snapshot, settings);
        if after_gap {
            self.gap_end = now;
        }
        let mut removed = self.take_rules(&settings.rules);
        let is_idle = self.watches.is_empty() && self.customs.is_empty();
        if is_idle && removed.is_empty() && self.resolved.is_empty() {
            return Evaluation::default();
        }
        let mut findings = Findings::default();
        let all = self.watches.iter();
        let all = all.chain(self.customs.iter().map(|(_, watch)| watch));
        findings.standing = all.map(|watch| watch.alerts.len()).sum();
        self.look_at_process(snapshot, after_gap, &mut findings);
        self.look_at_board(snapshot, after_gap, &mut findings);
        self.look_at_customs(snapshot, after_gap, &mut findings);
        let changes = self.tell(&mut removed, now);
        self.figures.count(&changes);
        self.figures.set_active(self.active());
        Evaluation {
            alerts: Arc::new(self.alerts(findings)),
            changes,
        }
    }

    fn is_after_gap(&mut self, snapshot: &Snapshot, settings: &Settings) -> bool {
        let interval = settings.collection_interval;
        let expected = self.interval.max(interval).saturating_mul(3);
        self.interval = interval;
        let before = self.looked_at.replace(snapshot.collected_at);
        let before = before.unwrap_or(snapshot.started);
        snapshot.collected_at.since(before) > expected.saturating_add(LATE)
    }

    /// Takes over the rules as they are now; returns those that are gone, with what they raised.
    fn take_rules(&mut self, rules: &[AlertRule]) -> Vec<Watch> {
        for watch in &mut self.watches {
            watch.was_replaced = false;
        }
        let known = self.watches.iter().map(|watch| watch.rule.as_deref());
        if known.eq(rules.iter().map(Some)) {
            return Vec::new();
        }
        self.is_stale = true;
        let known = std::mem::take(&mut self.watches).into_iter();
        let mut known: BTreeMap<Arc<str>, Watch> =
            known.map(|watch| (Arc::clone(&watch.id), watch)).collect();
        let mut gone = Vec::new();
        for rule in rules {
            let watch = match known.remove(rule.id().as_str()) {
                Some(watch) if watch.rule.as_deref() == Some(rule) => watch,
                Some(mut watch) if watch.is_as(rule) => {
                    watch.follow(rule);
                    watch
                }
                other => {
                    gone.extend(other);
                    Watch::new(rule.clone())
                }
            };
            self.watches.push(watch);
        }
        gone.extend(known.into_values());
        gone.iter_mut().for_each(Watch::end_all);
        gone
    }

    fn look_at_process(&mut self, snapshot: &Snapshot, after_gap: bool, findings: &mut Findings) {
        for watch in &mut self.watches {
            let Some(rule) = watch.rule.clone() else {
                continue;
            };
            if rule.is_on_board() {
                continue;
            }
            let value = match rule.metric {
                AlertMetric::MemoryPressure => snapshot.memory.memory_pressure_percent,
                AlertMetric::MemoryUsageMb => snapshot.memory.total_process_mb,
                _ => None,
            };
            let value = value.filter(|value| value.is_finite());
            let verdict = value.map_or(Verdict::TooFew, |value| rule.verdict(value));
            if value.is_none() {
                let figure = Figure { value, samples: 0 };
                let reason = InsufficientBecause::NotMeasured;
                findings.cannot_tell(watch, &rule, &Instance::Process, figure, reason);
            }
            let look = look(snapshot, rule.window, after_gap);
            findings.see(watch, &Instance::Process, verdict, seen(value), look);
        }
    }

    fn look_at_board(&mut self, snapshot: &Snapshot, after_gap: bool, findings: &mut Findings) {
        let rules = || {
            self.watches
                .iter()
                .filter_map(|watch| watch.rule.as_deref())
        };
        let on_board = || rules().filter(|rule| rule.is_on_board());
        let retention = snapshot.history.retention;
        let windows: BTreeSet<Duration> =
            on_board().map(|rule| rule.window.min(retention)).collect();
        if windows.is_empty() {
            return;
        }
        if self.is_stale || !self.board.is_for(snapshot) {
            self.board.prepare(snapshot, on_board());
            for watch in &mut self.watches {
                let rule = watch.rule.as_deref();
                let rule = rule.filter(|rule| rule.is_on_board());
                watch.groups = rule.map_or_else(Vec::new, |rule| self.board.groups_of(rule));
            }
            self.is_stale = false;
        }
        findings.left_out += self.board.left_out();
        self.board.empty();
        for window in windows {
            let covered = self.board.extend_to(snapshot, window);
            let is_blind = covered.since < self.gap_end;
            for watch in &mut self.watches {
                let Some(rule) = watch.rule.clone() else {
                    continue;
                };
                if !rule.is_on_board() || rule.window.min(retention) != window {
                    continue;
                }
                if rule.unless_a_provider_fails {
                    note_failures(watch, &self.board);
                }
                let look = look(snapshot, window, after_gap);
                let groups = std::mem::take(&mut watch.groups);
                for group in groups.iter().filter_map(|id| self.board.group_at(*id)) {
                    findings.look_at(watch, &rule, group, covered, is_blind, look);
                }
                watch.groups = groups;
            }
        }
    }

    fn look_at_customs(&mut self, snapshot: &Snapshot, after_gap: bool, findings: &mut Findings) {
        let context = AlertContext::new(snapshot);
        for (rule, watch) in &mut self.customs {
            let look = look(snapshot, AlertRule::WINDOW, after_gap);
            let found = rule.look(&context);
            let verdict = match found {
                Some(_) => Verdict::Clear,
                None => Verdict::TooFew,
            };
            if found.is_none() {
                self.custom_panics = self.custom_panics.saturating_add(1);
                findings.insufficient(InsufficientData {
                    rule: rule.id.clone(),
                    metric: CUSTOM,
                    scope: String::new(),
                    reason: InsufficientBecause::Panicked,
                    samples: 0,
                    min_samples: 0,
                });
            }
            let mut now_so: BTreeMap<Instance, String> = BTreeMap::new();
            let (found, left_out) = found.unwrap_or_default();
            findings.left_out += left_out;
            for finding in found {
                let instance = Instance::Custom(finding.scope.into());
                let message = now_so.entry(instance).or_default();
                if !message.is_empty() {
                    message.push_str("; ");
                }
                message.push_str(&finding.message);
            }
            let gone: Vec<Instance> = watch
                .alerts
                .keys()
                .filter(|instance| !now_so.contains_key(*instance))
                .cloned()
                .collect();
            for instance in gone {
                findings.see(watch, &instance, verdict, Seen::default(), look);
            }
            for (instance, text) in now_so {
                let seen = Seen {
                    value: None,
                    text: Some(text),
                };
                findings.see(watch, &instance, Verdict::Holds, seen, look);
            }
        }
    }

    /// What everybody is to be told: what fires or is pending and was not told, and the reverse.
    fn tell(&mut self, removed: &mut [Watch], now: Timestamp) -> Vec<AlertChange> {
        let mut told = Told::default();
        let hidden = self.hidden();
        let customs = self.customs.iter_mut().map(|(_, watch)| watch);
        for watch in removed.iter_mut().chain(&mut self.watches).chain(customs) {
            for (instance, alert, because) in std::mem::take(&mut watch.ended) {
                if alert.told == Some(AlertState::Firing) {
                    told.resolve(watch, &instance, &alert, because, now);
                }
            }
            let mut alerts = std::mem::take(&mut watch.alerts);
            for (instance, alert) in &mut alerts {
                let is_hidden = hidden.contains(&(Arc::clone(&watch.id), instance.clone()));
                let state = match alert.standing.fired {
                    _ if is_hidden => None,
                    Some(_) => Some(AlertState::Firing),
                    None => Some(AlertState::Pending),
                };
                let before = std::mem::replace(&mut alert.told, state);
                match state {
                    Some(state) if before != Some(state) => {
                        let change = watch.change(instance, alert, state, None, now);
                        told.changes.push(change);
                    }
                    None if before == Some(AlertState::Firing) => {
                        let because = ResolvedBecause::Superseded;
                        told.resolve(watch, instance, alert, because, now);
                    }
                    _ => {}
                }
            }
            watch.alerts = alerts;
        }
        let Told {
            mut changes,
            resolved,
        } = told;
        // What fires first: nobody who follows the changes sees nothing fire in between.
        changes.sort_by_key(|change| change.state == AlertState::Resolved);
        for one in resolved {
            self.resolved.push_front(one);
        }
        self.resolved.truncate(MAX_RESOLVED);
        changes
    }

    /// The alerts for which others stand.
    fn hidden(&self) -> BTreeSet<(Arc<str>, Instance)> {
        let mut worst = BTreeMap::new();
        let mut failing: BTreeMap<&Instance, Severity> = BTreeMap::new();
        for (watch, rule) in self.with_rules() {
            let fires = watch
                .alerts
                .iter()
                .filter(|(_, a)| a.standing.fired.is_some());
            for (instance, _) in fires {
                let kind = (rule.metric, rule.comparison.direction(), instance);
                let worst = worst.entry(kind).or_insert(rule.severity);
                *worst = rule.severity.max(*worst);
                if rule.is_of_failures() && matches!(instance, Instance::Provider(_)) {
                    let worst = failing.entry(instance).or_insert(rule.severity);
                    *worst = rule.severity.max(*worst);
                }
            }
        }
        let mut hidden = BTreeSet::new();
        for (watch, rule) in self.with_rules() {
            for instance in watch.alerts.keys() {
                let kind = (rule.metric, rule.comparison.direction(), instance);
                let is_superseded = worst.get(&kind).is_some_and(|w| *w > rule.severity);
                let is_explained = rule.unless_a_provider_fails
                    && *instance == Instance::Gateway
                    && is_explained(watch, &failing);
                if is_superseded || is_explained {
                    hidden.insert((Arc::clone(&watch.id), instance.clone()));
                }
            }
        }
        hidden
    }

    fn with_rules(&self) -> impl Iterator<Item = (&Watch, &AlertRule)> {
        let watches = self.watches.iter();
        watches.filter_map(|watch| Some((watch, watch.rule.as_deref()?)))
    }

    fn all(&self) -> impl Iterator<Item = &Watch> {
        let customs = self.customs.iter().map(|(_, watch)| watch);
        self.watches.iter().chain(customs)
    }

    fn active(&self) -> Vec<ActiveAlerts> {
        let active = self.all().map(|watch| {
            let fires = |alert: &&Alert| alert.told == Some(AlertState::Firing);
            ActiveAlerts {
                rule: Arc::clone(&watch.id),
                severity: watch.severity,
                count: watch.alerts.values().filter(fires).count() as u64,
            }
        });
        active.collect()
    }

    fn alerts(&self, findings: Findings) -> Alerts {
        let mut details = Vec::new();
        for watch in self.all() {
            let told = watch
                .alerts
                .iter()
                .filter(|(_, alert)| alert.told.is_some());
            details.extend(told.map(|(instance, alert)| watch.detail(instance, alert)));
        }
        details.sort_by_key(|d| (d.state != AlertState::Firing, std::cmp::Reverse(d.severity)));
        let firing = details.iter().filter(|d| d.state == AlertState::Firing);
        Alerts {
            system_health: Alerts::health(firing.map(|detail| detail.severity)),
            details,
            insufficient: findings.insufficient,
            insufficient_count: findings.insufficient_count,
            resolved: self.resolved.iter().cloned().collect(),
            left_out: findings.left_out,
            custom_panics: self.custom_panics,
        }
    }
}

impl Findings {
    fn look_at(
        &mut self,
        watch: &mut Watch,
        rule: &AlertRule,
        group: &Group,
        covered: Covered,
        is_blind: bool,
        look: Look,
    ) {
        let figure = group.tally.figure(rule.metric, covered);
        let value = figure.value.filter(|value| value.is_finite());
        let length = covered.length();
        let (is_early, is_enough) = match rule.metric {
            AlertMetric::CpuUsagePercent => (length < look.window.min(FIRST_USAGE), true),
            // Of what nothing was asked nobody knows how it is doing, until there was time to ask.
            _ => (
                figure.samples == 0 && length < look.window.min(FIRST_RATE),
                figure.samples >= rule.min_samples,
            ),
        };
        let is_blind = rule.metric.is_over_time() && is_blind;
        let (verdict, reason) = match value {
            None if rule.metric == AlertMetric::CpuUsagePercent => {
                (Verdict::TooFew, Some(InsufficientBecause::NotMeasured))
            }
            _ if is_blind => (Verdict::Blind, Some(InsufficientBecause::WindowNotCovered)),
            Some(_) if is_early && is_enough => {
                (Verdict::TooFew, Some(InsufficientBecause::WindowNotCovered))
            }
            Some(value) if is_enough => (rule.verdict(value), None),
            _ => (Verdict::TooFew, Some(InsufficientBecause::TooFewSamples)),
        };
        let instance = &group.instance;
        if let Some(reason) = reason
            && (group.is_known || figure.samples > 0 || watch.alerts.contains_key(instance))
        {
            self.cannot_tell(watch, rule, instance, figure, reason);
        }
        let told = value.filter(|_| reason.is_none());
        self.see(watch, instance, verdict, seen(told), look);
    }

    fn see(
        &mut self,
        watch: &mut Watch,
        instance: &Instance,
        verdict: Verdict,
        seen: Seen,
        look: Look,
    ) {
        let before = watch.alerts.len();
        let has_room = self.standing < MAX_ALERTS;
        if !watch.see(instance, verdict, seen, Look { has_room, ..look }) {
            self.left_out = self.left_out.saturating_add(1);
        }
        self.standing = (self.standing + watch.alerts.len()).saturating_sub(before);
    }

    fn cannot_tell(
        &mut self,
        watch: &Watch,
        rule: &AlertRule,
        instance: &Instance,
        figure: Figure,
        reason: InsufficientBecause,
    ) {
        if self.insufficient.len() >= MAX_INSUFFICIENT {
            self.insufficient_count += 1;
            return;
        }
        self.insufficient(InsufficientData {
            rule: watch.id.to_string(),
            metric: rule.metric.name(),
            scope: instance.to_string(),
            reason,
            samples: figure.samples,
            min_samples: rule.min_samples,
        });
    }

    fn insufficient(&mut self, one: InsufficientData) {
        self.insufficient_count += 1;
        if self.insufficient.len() < MAX_INSUFFICIENT {
            self.insufficient.push(one);
        }
    }
}

fn look(snapshot: &Snapshot, window: Duration, after_gap: bool) -> Look {
    Look {
        now: snapshot.collected_at,
        after_gap,
        window,
        has_room: true,
    }
}

const fn seen(value: Option<f64>) -> Seen {
    Seen { value, text: None }
}

/// Remembers who failed within the window that the board shows now.
fn note_failures(watch: &mut Watch, board: &Board) {
    watch.failures.attempts.clear();
    for group in board.groups() {
        match &group.instance {
            Instance::Gateway => watch.failures.operations = group.tally.failed,
            Instance::Provider(_) => {
                let failed = group.tally.failed;
                watch
                    .failures
                    .attempts
                    .insert(group.instance.clone(), failed);
            }
            _ => {}
        }
    }
}

/// Whether providers that are `failing` badly enough account for the failures that `watch` tells.
fn is_explained(watch: &Watch, failing: &BTreeMap<&Instance, Severity>) -> bool {
    let bad = failing
        .iter()
        .filter(|(_, severity)| **severity >= watch.severity);
    let attempts = bad.filter_map(|(provider, _)| watch.failures.attempts.get(*provider));
    let attempts = attempts.fold(0_u64, |sum, failed| sum.saturating_add(*failed));
    attempts > 0 && attempts.saturating_mul(2) >= watch.failures.operations
}

#[cfg(test)]
mod tests;
