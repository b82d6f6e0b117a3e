//! A change of the configuration: all of it comes into force, or nothing.

use std::time::Duration;

use schemars::JsonSchema;

use super::{json, read, scope};
use crate::core::alerts::rule::{AlertMetric, AlertRule, AlertScope, Comparison, Severity};
use crate::core::settings::{MAX_RULES, Settings};
use crate::core::span;
use crate::error::{AlertRuleError, OutOfRange};
use crate::event_type::{EventFilter, PerformanceEventType};

/// A change of what is in force. What it does not have stays as it is; it comes into force as a
/// whole or not at all.
#[derive(Debug, Clone, PartialEq, Default, JsonSchema)]
#[schemars(rename = "ConfigurationChange", deny_unknown_fields)]
pub(crate) struct Change {
    /// The time between two collections, at most the retention.
    #[schemars(with = "f64", range(min = 0.01, max = 3600.0))]
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub(super) collection_interval_seconds: Option<Duration>,
    /// For how long windows reach back, at least one collection interval.
    #[schemars(with = "f64", range(min = 0.01, max = 172800.0))]
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub(super) retention_seconds: Option<Duration>,
    /// Which events are kept among the recent ones.
    #[schemars(with = "EventsChange")]
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub(super) events: Option<EventsChange>,
    /// Rules to set and to remove, in this order; others stay as they are.
    #[schemars(length(max = 100))]
    #[schemars(skip_serializing_if = "Vec::is_empty")]
    pub(super) alert_thresholds: Vec<ThresholdChange>,
}

/// Which events are kept among the recent ones.
#[derive(Debug, Clone, PartialEq, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct EventsChange {
    /// Those of these types.
    #[schemars(with = "Vec<PerformanceEventType>")]
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub(super) types: Option<Vec<PerformanceEventType>>,
    /// Of these only those that tell of a failure.
    #[schemars(with = "bool")]
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub(super) failures_only: Option<bool>,
}

/// A rule to set, or to remove.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(untagged)]
pub(super) enum ThresholdChange {
    Set(SetThreshold),
    Remove(RemoveThreshold),
}

/// A rule to set. It replaces the one of its id; without an id, the one of the same metric,
/// scope, severity, comparison and window.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct SetThreshold {
    /// Names the rule.
    #[schemars(with = "String", regex(pattern = scope::NAME_PATTERN))]
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    /// What is watched.
    pub(super) metric: AlertMetric,
    /// What it is compared with.
    pub(super) threshold: f64,
    /// How.
    pub(super) comparison: Comparison,
    /// How bad it is.
    pub(super) severity: Severity,
    /// Where it is watched; without it, each provider for what providers have, each endpoint for
    /// `requests_per_second`, the process for its own.
    #[schemars(with = "AlertScope")]
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<AlertScope>,
    /// The time over which the metric is taken, from `1s` to the retention; without it `5m`.
    #[schemars(with = "String", regex(pattern = span::PATTERN))]
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub(super) window: Option<Duration>,
    /// For how long it has to be the case before it fires, at most `2d`; without it `0s`.
    #[schemars(rename = "for", with = "String", regex(pattern = span::PATTERN))]
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub(super) pending_for: Option<Duration>,
    /// With fewer samples it says nothing; without it 20.
    #[schemars(with = "u64", range(max = 1_000_000_000u64))]
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub(super) min_samples: Option<u64>,
    /// Whether it is superseded while a provider's alert tells the same: for failures at the
    /// gateway.
    #[schemars(with = "bool")]
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub(super) unless_a_provider_fails: Option<bool>,
}

/// A rule to remove.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RemoveThreshold {
    /// The id, as the configuration tells it.
    pub(super) id: String,
    /// Has to be `true`.
    #[schemars(extend("const" = true))]
    pub(super) remove: bool,
}

/// Why a change was refused.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wrong {
    pub(crate) kind: WrongKind,
    /// The field, such as `alert_thresholds[1].severity`; `body` for the whole.
    pub(crate) field: String,
    /// What is wrong, in a sentence.
    pub(crate) detail: String,
    /// What is allowed.
    pub(crate) allowed: Vec<String>,
}

/// What kind of refusal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WrongKind {
    /// It is not JSON.
    Malformed,
    /// It is JSON, but not a change that can be made.
    Refused,
}

impl Wrong {
    fn new<T: Into<String>>(
        kind: WrongKind,
        field: String,
        detail: impl Into<String>,
        allowed: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            kind,
            field: if field.is_empty() {
                "body".to_owned()
            } else {
                field
            },
            detail: detail.into(),
            allowed: allowed.into_iter().map(Into::into).collect(),
        }
    }

    pub(super) fn malformed<T: Into<String>>(
        field: String,
        detail: impl Into<String>,
        allowed: impl IntoIterator<Item = T>,
    ) -> Self {
        Self::new(WrongKind::Malformed, field, detail, allowed)
    }

    pub(super) fn refused<T: Into<String>>(
        field: impl Into<String>,
        detail: impl Into<String>,
        allowed: impl IntoIterator<Item = T>,
    ) -> Self {
        Self::new(WrongKind::Refused, field.into(), detail, allowed)
    }
}

impl From<OutOfRange> for Wrong {
    fn from(wrong: OutOfRange) -> Self {
        let detail = format!("It would be {}.", wrong.found);
        Self::refused(
            format!("{}_seconds", wrong.setting),
            detail,
            [wrong.allowed],
        )
    }
}

impl Change {
    /// The change that `bytes` ask for.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Wrong> {
        read::change(json::read(bytes)?)
    }

    /// Makes the change to `settings`. If it fails they are to be thrown away.
    pub(crate) fn apply(&self, settings: &mut Settings) -> Result<(), Wrong> {
        if let Some(interval) = self.collection_interval_seconds {
            settings.collection_interval = interval;
        }
        if let Some(retention) = self.retention_seconds {
            settings.retention = retention;
        }
        if settings.retention < settings.collection_interval {
            let (field, bound) = match self.retention_seconds {
                Some(_) => ("retention_seconds", settings.collection_interval),
                None => ("collection_interval_seconds", settings.retention),
            };
            return Err(Wrong::refused(
                field,
                "What is kept has to be at least one collection interval long.",
                [match self.retention_seconds {
                    Some(_) => format!("at least {}", bound.as_secs_f64()),
                    None => format!("at most {}", bound.as_secs_f64()),
                }],
            ));
        }
        if let Some(events) = &self.events {
            settings.event_filter = events.applied(settings.event_filter);
        }
        for (index, change) in self.alert_thresholds.iter().enumerate() {
            let path = format!("alert_thresholds[{index}]");
            match change {
                ThresholdChange::Set(set) => {
                    settings.set_rule(set.rule(&path, settings.retention)?)
                }
                ThresholdChange::Remove(RemoveThreshold { id, .. }) => remove(settings, id, &path)?,
            }
        }
        let rules = settings.rules.len();
        if rules > MAX_RULES {
            return Err(Wrong::refused(
                "alert_thresholds",
                format!("There would be {rules} rules."),
                [format!("at most {MAX_RULES}")],
            ));
        }
        Ok(())
    }
}

fn remove(settings: &mut Settings, id: &str, path: &str) -> Result<(), Wrong> {
    if settings.remove_rule(id) {
        return Ok(());
    }
    let known = settings.rules.iter().map(AlertRule::id);
    Err(Wrong::refused(
        json::join(path, "id"),
        "There is no rule of this id.",
        known.take(MAX_RULES),
    ))
}

impl EventsChange {
    fn applied(&self, filter: EventFilter) -> EventFilter {
        let types = match &self.types {
            Some(types) => types.clone(),
            None => filter.kept_types().collect(),
        };
        let changed = EventFilter::types(types);
        if self.failures_only.unwrap_or(filter.keeps_failures_only()) {
            changed.failures_only()
        } else {
            changed
        }
    }
}

impl SetThreshold {
    /// The rule, if it can be watched while so much is kept.
    fn rule(&self, path: &str, retention: Duration) -> Result<AlertRule, Wrong> {
        let mut rule = AlertRule::new(self.metric, self.comparison, self.threshold, self.severity);
        if let Some(id) = &self.id {
            rule = rule.with_id(id);
        }
        if let Some(scope) = &self.scope {
            rule = rule.with_scope(scope.clone());
        }
        if let Some(window) = self.window {
            if window > retention {
                return Err(Wrong::refused(
                    json::join(path, "window"),
                    "The window is longer than what is kept.",
                    [format!("at most {}", span::written(retention))],
                ));
            }
            rule = rule.with_window(window);
        }
        if let Some(pending_for) = self.pending_for {
            rule = rule.with_for(pending_for);
        }
        if let Some(samples) = self.min_samples {
            rule = rule.with_min_samples(samples);
        }
        if self.unless_a_provider_fails == Some(true) {
            rule = rule.unless_a_provider_fails();
        }
        rule.check().map_err(|error| self.refused(path, &error))?;
        Ok(rule)
    }

    fn refused(&self, path: &str, error: &AlertRuleError) -> Wrong {
        let allowed: Vec<String> = match error {
            AlertRuleError::NotOfScope { .. } => {
                let forms = scope::forms().into_iter();
                let fits = forms.filter(|(_, scope)| self.metric.is_of(scope));
                fits.map(|(form, _)| form).collect()
            }
            // The rest was read as what it may be.
            _ => vec![error.to_string()],
        };
        let field = json::join(path, error.field());
        Wrong::refused(field, format!("This rule cannot be: {error}."), allowed)
    }
}
