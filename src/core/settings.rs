//! What can be changed while the monitor runs: one immutable value, replaced as a whole.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{config::Config, core::alerts::rule::AlertRule, event_type::EventFilter};

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
    #[allow(dead_code, reason = "the configuration route comes next")]
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

    /// Changes all that `change` changes, or nothing if it fails.
    #[allow(dead_code, reason = "the configuration route comes next")]
    pub(crate) fn change<E>(
        &self,
        change: impl FnOnce(&mut Settings) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Settings::clone(&current);
        change(&mut changed)?;
        *current = Arc::new(changed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::alerts::rule::{AlertMetric, Comparison, Severity};

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
            Err("the last field is wrong")
        });
        assert!(failed.is_err());
        assert_eq!(*cell.get(), settings());
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
