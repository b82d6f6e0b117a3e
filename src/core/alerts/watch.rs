//! One rule, and the alerts that it raised.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::core::alerts::board::GroupId;
use crate::core::alerts::change::{AlertChange, ResolvedBecause};
use crate::core::alerts::instance::Instance;
use crate::core::alerts::message::message;
use crate::core::alerts::rule::{AlertRule, Comparison, Severity, Verdict};
use crate::core::alerts::standing::{Pace, Standing, Step, step};
use crate::core::alerts::view::{AlertDetail, AlertState, ResolvedAlert};

/// What the metric of a custom rule is called.
pub(super) const CUSTOM: &str = "custom";

/// One rule, and the alerts that it raised.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) id: Arc<str>,
    pub(super) severity: Severity,
    /// None of a custom rule.
    pub(super) rule: Option<Arc<AlertRule>>,
    /// What it is about, on the board.
    pub(super) groups: Vec<GroupId>,
    /// What is pending or fires.
    pub(super) alerts: BTreeMap<Instance, Alert>,
    /// What does not fire any more, and why; to be told.
    pub(super) ended: Vec<(Instance, Alert, ResolvedBecause)>,
    /// What its alerts were raised by is not this rule, but one that it replaced.
    pub(super) was_replaced: bool,
    /// What failed within its window, where it asks for that.
    pub(super) failures: Failures,
}

/// An alert that is pending or fires.
#[derive(Debug, Clone)]
pub(super) struct Alert {
    pub(super) standing: Standing,
    value: Option<f64>,
    /// What the closure of a custom rule said.
    text: Option<String>,
    /// What everybody was told last.
    pub(super) told: Option<AlertState>,
}

/// Who failed how often.
#[derive(Debug, Default)]
pub(super) struct Failures {
    pub(super) operations: u64,
    pub(super) attempts: BTreeMap<Instance, u64>,
}

/// What was seen of one thing.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) value: Option<f64>,
    pub(super) text: Option<String>,
}

/// When it is looked, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) now: Timestamp,
    pub(super) after_gap: bool,
    pub(super) window: Duration,
    /// Whether there is room for one more alert.
    pub(super) has_room: bool,
}

impl Watch {
    pub(super) fn new(rule: AlertRule) -> Self {
        Self {
            id: rule.id().into(),
            severity: rule.severity,
            rule: Some(Arc::new(rule)),
            ..Self::custom("", Severity::Info)
        }
    }

    pub(super) fn custom(id: &str, severity: Severity) -> Self {
        Self {
            id: id.into(),
            severity,
            rule: None,
            groups: Vec::new(),
            alerts: BTreeMap::new(),
            ended: Vec::new(),
            was_replaced: false,
            failures: Failures::default(),
        }
    }

    /// Whether an alert of `rule` is the same alert to everybody.
    pub(super) fn is_as(&self, rule: &AlertRule) -> bool {
        self.rule.as_ref().is_some_and(|own| {
            own.metric == rule.metric
                && own.scope == rule.scope
                && own.severity == rule.severity
                && own.comparison.direction() == rule.comparison.direction()
        })
    }

    /// Goes by `rule` from now on; what fires goes on if it holds.
    pub(super) fn follow(&mut self, rule: &AlertRule) {
        self.was_replaced = true;
        self.rule = Some(Arc::new(rule.clone()));
    }

    /// Resolves all, since the rule is not there any more.
    pub(super) fn end_all(&mut self) {
        let all = std::mem::take(&mut self.alerts).into_iter();
        let removed = all.map(|(instance, alert)| (instance, alert, ResolvedBecause::Removed));
        self.ended.extend(removed);
    }

    /// One look at one thing; false if there was no room for its alert.
    pub(super) fn see(
        &mut self,
        instance: &Instance,
        verdict: Verdict,
        seen: Seen,
        look: Look,
    ) -> bool {
        let mut seen = seen;
        if let (Some(rule), Verdict::Holds) = (&self.rule, verdict) {
            // Kept until it holds again: what is back within bounds has nothing new to say.
            let value = seen.value.unwrap_or_default();
            seen.text = Some(message(rule, instance, value));
        }
        let before = self.alerts.get(instance).map(|alert| alert.standing);
        if before.is_none() && verdict != Verdict::Holds {
            return true;
        }
        let pending_for = self.rule.as_ref().map_or(Duration::ZERO, |r| r.pending_for);
        let pace = Pace {
            pending_for,
            patience: look.window,
            after_gap: look.after_gap,
        };
        let mut step = step(before, verdict, look.now, pace);
        if self.was_replaced
            && verdict != Verdict::Holds
            && before.is_some_and(|b| b.fired.is_some())
        {
            // That it fires was never said by the rule as it is now.
            step = Step::Resolved(ResolvedBecause::Removed);
        }
        match step {
            Step::Inactive => {
                self.alerts.remove(instance);
            }
            Step::Resolved(because) => {
                if let Some(mut alert) = self.alerts.remove(instance) {
                    alert.take(seen);
                    self.ended.push((instance.clone(), alert, because));
                }
            }
            Step::Stands(standing) => match self.alerts.get_mut(instance) {
                Some(alert) => {
                    alert.standing = standing;
                    alert.take(seen);
                }
                None if look.has_room => {
                    let alert = Alert {
                        standing,
                        value: seen.value,
                        text: seen.text,
                        told: None,
                    };
                    self.alerts.insert(instance.clone(), alert);
                }
                None => return false,
            },
        }
        true
    }

    fn metric(&self) -> &'static str {
        self.rule.as_ref().map_or(CUSTOM, |rule| rule.metric.name())
    }

    fn threshold(&self) -> Option<f64> {
        self.rule.as_ref().map(|rule| rule.threshold)
    }

    fn labels(&self, instance: &Instance) -> BTreeMap<String, String> {
        let own = [
            ("rule", &*self.id),
            ("metric", self.metric()),
            ("severity", self.severity.name()),
        ];
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let mut labels: BTreeMap<_, _> = own.into_iter().map(owned).collect();
        instance.add_labels(&mut labels);
        labels
    }

    pub(super) fn detail(&self, instance: &Instance, alert: &Alert) -> AlertDetail {
        let standing = alert.standing;
        let state = match standing.fired {
            Some(_) => AlertState::Firing,
            None => AlertState::Pending,
        };
        let comparison = self.rule.as_ref().map(|rule| rule.comparison);
        AlertDetail {
            rule: self.id.to_string(),
            metric: self.metric().to_owned(),
            scope: instance.to_string(),
            severity: self.severity,
            state,
            value: alert.value,
            comparison: comparison.map(Comparison::symbol),
            threshold: self.threshold(),
            since: standing.fired.unwrap_or(standing.began).as_unix_seconds(),
            message: alert.text.clone().unwrap_or_default(),
            labels: self.labels(instance),
        }
    }

    pub(super) fn change(
        &self,
        instance: &Instance,
        alert: &Alert,
        state: AlertState,
        because: Option<ResolvedBecause>,
        now: Timestamp,
    ) -> AlertChange {
        AlertChange {
            rule: self.id.to_string(),
            metric: self.metric().to_owned(),
            scope: instance.to_string(),
            severity: self.severity,
            state,
            resolved_because: because,
            value: alert.value,
            threshold: self.threshold(),
            message: alert.text.clone().unwrap_or_default(),
            labels: self.labels(instance),
            at: now.as_unix_seconds(),
            since: alert.standing.began.as_unix_seconds(),
        }
    }
}

impl Alert {
    fn take(&mut self, seen: Seen) {
        self.value = seen.value.or(self.value);
        self.text = seen.text.or(self.text.take());
    }

    /// As it is remembered after `change`.
    pub(super) fn resolved(&self, change: &AlertChange, because: ResolvedBecause) -> ResolvedAlert {
        let standing = self.standing;
        ResolvedAlert {
            rule: change.rule.clone(),
            metric: change.metric.clone(),
            scope: change.scope.clone(),
            severity: change.severity,
            value: change.value,
            threshold: change.threshold,
            since: standing.fired.unwrap_or(standing.began).as_unix_seconds(),
            resolved_at: change.at,
            resolved_because: because,
            message: change.message.clone(),
        }
    }
}
