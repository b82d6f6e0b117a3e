//! What can be changed while the monitor runs: one immutable value, replaced as a whole.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    config::Config, core::alerts::rule::AlertRule, error::OutOfRange, event_type::EventFilter,
};

/// The least and the most time between two collections.
pub(crate) const INTERVALS: (Duration, Duration) =
    (Duration::from_millis(10), Duration::from_secs(3_600));
/// The longest retention; the shortest is one collection interval.
pub(crate) const MAX_RETENTION: Duration = Duration::from_secs(48 * 3_600);

/// Whether a monitor may collect every `interval` and keep what it collected for `retention`.
pub(crate) fn check_pace(interval: Duration, retention: Duration) -> Result<(), OutOfRange> {
    let within = |setting, found: Duration, low: Duration, high: Duration| {
        if (low..=high).contains(&found) {
            return Ok(());
        }
        Err(OutOfRange {
            setting,
            found: format!("{found:?}"),
            allowed: format!("from {low:?} to {high:?}"),
        })
    };
    let (least, most) = INTERVALS;
    within("collection_interval", interval, least, most)?;
    within("retention", retention, interval, MAX_RETENTION)
}

/// So many alert rules at the most.
pub(crate) const MAX_RULES: usize = 100;

/// Whether there may be so many alert rules.
pub(crate) fn check_rules(rules: usize) -> Result<(), OutOfRange> {
    if rules <= MAX_RULES {
        return Ok(());
    }
    Err(OutOfRange {
        setting: "alerts",
        found: format!("{rules} rules"),
        allowed: format!("at most {MAX_RULES}"),
    })
}

/// All that is in force now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// Time between two collections.
    pub(crate) collection_interval: Duration,
    /// For how long windows reach back.
    pub(crate) retention: Duration,
    /// Which events are kept among the recent ones.
    pub(crate) event_filter: EventFilter,
    /// What is watched for, in the order in which it was set.
    pub(crate) rules: Vec<AlertRule>,
}

impl Settings {
    /// What a monitor begins with.
    pub(crate) fn new(config: &Config, rules: &[AlertRule]) -> Self {
        let mut settings = Self {
            collection_interval: config.collection_interval,
            retention: config.retention,
            event_filter: config.event_filter,
            rules: Vec::new(),
        };
        rules
            .iter()
            .cloned()
            .for_each(|rule| settings.set_rule(rule));
        settings
    }

    /// Whether all of it is in its range.
    pub(crate) fn check(&self) -> Result<(), OutOfRange> {
        check_rules(self.rules.len())?;
        check_pace(self.collection_interval, self.retention)
    }

    /// Sets `rule`, in the place of the one that it stands for.
    pub(crate) fn set_rule(&mut self, rule: AlertRule) {
        match self
            .rules
            .iter_mut()
            .find(|known| known.is_replaced_by(&rule))
        {
            Some(known) => *known = rule,
            None => self.rules.push(rule),
        }
    }

    /// Removes the rule of that id; whether there was one.
    #[cfg_attr(
        not(feature = "server"),
        allow(dead_code, reason = "a change over HTTP does")
    )]
    pub(crate) fn remove_rule(&mut self, id: &str) -> bool {
        let before = self.rules.len();
        self.rules.retain(|rule| rule.id() != id);
        self.rules.len() < before
    }
}

/// The settings in force, and how to change them.
#[derive(Debug)]
pub(crate) struct SettingsCell(Mutex<Arc<Settings>>);

impl SettingsCell {
    pub(crate) fn new(settings: Settings) -> Self {
        Self(Mutex::new(Arc::new(settings)))
    }

    /// What is in force now.
    pub(crate) fn get(&self) -> Arc<Settings> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes all that `change` changes, or nothing if it fails or if something is out of range
    /// then.
    pub(crate) fn change<E: From<OutOfRange>>(
        &self,
        change: impl FnOnce(&mut Settings) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Settings::clone(&current);
        change(&mut changed)?;
        changed.check()?;
        *current = Arc::new(changed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::alerts::rule::{AlertMetric, Comparison, Severity};
    use crate::error::SettingsError;

    fn settings() -> Settings {
        Settings::new(&Config::default(), &[])
    }

    fn rule(threshold: f64) -> AlertRule {
        let metric = AlertMetric::MemoryPressure;
        AlertRule::new(metric, Comparison::Above, threshold, Severity::Warning)
    }

    #[test]
    fn a_change_that_fails_leaves_no_trace() {
        let cell = SettingsCell::new(settings());
        let failed = cell.change(|settings| {
            settings.retention = Duration::from_secs(60);
            settings.set_rule(rule(80.0));
            Err(SettingsError::ShutDown)
        });
        assert!(failed.is_err());
        assert_eq!(*cell.get(), settings());
    }

    #[test]
    fn what_comes_out_of_range_changes_nothing() {
        let cell = SettingsCell::new(settings());
        let set = |interval, retention| {
            cell.change(|settings| {
                settings.collection_interval = interval;
                settings.retention = retention;
                Ok::<_, SettingsError>(())
            })
        };
        let wrong = |interval, retention| match set(interval, retention) {
            Err(SettingsError::OutOfRange { setting, .. }) => setting,
            other => panic!("{other:?}"),
        };
        let (ms, hour) = (Duration::from_millis(1), Duration::from_secs(3_600));
        assert_eq!(wrong(9 * ms, hour), "collection_interval");
        assert_eq!(wrong(hour + ms, 2 * hour), "collection_interval");
        assert_eq!(wrong(hour, hour - ms), "retention");
        assert_eq!(wrong(hour, 48 * hour + ms), "retention");
        assert_eq!(*cell.get(), settings());
        assert_eq!(set(10 * ms, 10 * ms), Ok(()));
        assert_eq!(set(hour, 48 * hour), Ok(()));
    }

    #[test]
    fn a_rule_replaces_the_one_of_its_id_or_else_of_its_kind() {
        let mut settings = settings();
        settings.set_rule(rule(80.0));
        settings.set_rule(rule(90.0));
        assert_eq!(
            settings.rules,
            [rule(90.0)],
            "the same but for the threshold"
        );
        settings.set_rule(rule(95.0).with_id("memory"));
        assert_eq!(settings.rules.len(), 2, "an id makes it another one");
        settings.set_rule(rule(97.0).with_id("memory"));
        assert_eq!(settings.rules[1], rule(97.0).with_id("memory"));
        assert!(settings.remove_rule("memory"));
        assert!(!settings.remove_rule("memory"));
        assert_eq!(settings.rules, [rule(90.0)]);
    }
}
