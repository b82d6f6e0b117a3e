//! Alerts as figures, for the metrics of the monitor itself.

use std::collections::BTreeMap;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use crate::core::alerts::change::AlertChange;
use crate::core::alerts::rule::Severity;
use crate::core::alerts::view::AlertState;
use crate::names;

/// Rules that are told apart. One that is removed keeps its place, with zero: the SDK goes on
/// telling the last it was told.
const MAX_RULES: usize = 400;

/// How many alerts of each rule fire, and how often any changed.
#[derive(Debug, Default)]
pub(crate) struct AlertFigures {
    active: Mutex<BTreeMap<(Arc<str>, Severity), u64>>,
    pending: AtomicU64,
    firing: AtomicU64,
    resolved: AtomicU64,
}

/// How many alerts of one rule fire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ActiveAlerts {
    pub(crate) rule: Arc<str>,
    pub(crate) severity: Severity,
    pub(crate) count: u64,
}

impl AlertFigures {
    /// By rule, also those that there were.
    pub(crate) fn active(&self) -> Vec<ActiveAlerts> {
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let figures = active.iter().map(|((rule, severity), count)| ActiveAlerts {
            rule: Arc::clone(rule),
            severity: *severity,
            count: *count,
        });
        figures.collect()
    }

    /// How often an alert came to a state; empty as long as there is no rule and was no change.
    pub(crate) fn changes(&self) -> Vec<(&'static str, u64)> {
        let of = |state, count: &AtomicU64| (state, count.load(Ordering::Relaxed));
        let all = vec![
            of("pending", &self.pending),
            of("firing", &self.firing),
            of("resolved", &self.resolved),
        ];
        let any = all.iter().any(|(_, count)| *count > 0) || !self.active().is_empty();
        if any { all } else { Vec::new() }
    }

    pub(super) fn set_active(&self, active: Vec<ActiveAlerts>) {
        let mut figures = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        figures.values_mut().for_each(|count| *count = 0);
        for ActiveAlerts {
            rule,
            severity,
            count,
        } in active
        {
            let mut key = (rule, severity);
            if figures.len() >= MAX_RULES && !figures.contains_key(&key) {
                key.0 = Arc::from(names::OTHER);
            }
            let sum = figures.entry(key).or_default();
            *sum = sum.saturating_add(count);
        }
    }

    pub(super) fn count(&self, changes: &[AlertChange]) {
        for change in changes {
            let counter = match change.state {
                AlertState::Pending => &self.pending,
                AlertState::Firing => &self.firing,
                AlertState::Resolved => &self.resolved,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_come_and_go_are_bounded() {
        let figures = AlertFigures::default();
        let set = |rule: String| {
            figures.set_active(vec![ActiveAlerts {
                rule: rule.into(),
                severity: Severity::Info,
                count: 2,
            }]);
        };
        for n in 0..1_000 {
            set(format!("rule {n}"));
        }
        let active = figures.active();
        assert_eq!(active.len(), MAX_RULES + 1);
        let sum: u64 = active.iter().map(|active| active.count).sum();
        assert_eq!(sum, 2, "of the last one only");
        let other = active.iter().find(|active| &*active.rule == names::OTHER);
        assert_eq!(other.map(|other| other.count), Some(2));
        set("rule 0".to_owned());
        let zero = figures.active().into_iter().find(|active| active.count > 0);
        assert_eq!(
            zero.map(|zero| zero.rule.to_string()).as_deref(),
            Some("rule 0")
        );
    }
}
