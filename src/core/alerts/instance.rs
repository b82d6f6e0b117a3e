//! The one thing that an alert is about.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::core::alerts::rule::{AlertMetric, AlertScope};

/// The one thing that an alert is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Instance {
    Process,
    /// All operations.
    Gateway,
    /// All attempts. To those outside it is the gateway too.
    Attempts,
    Provider(Arc<str>),
    Model(Arc<str>, Arc<str>),
    Endpoint(Arc<str>),
    /// What a closure named.
    Custom(Arc<str>),
}

impl Instance {
    /// That of a scope which is one thing only.
    pub(super) fn of(metric: AlertMetric, scope: &AlertScope) -> Option<Self> {
        let shared = |name: &String| Arc::from(name.as_str());
        match scope {
            AlertScope::Process => Some(Self::Process),
            AlertScope::Gateway if metric.is_of_attempts() => Some(Self::Attempts),
            AlertScope::Gateway => Some(Self::Gateway),
            AlertScope::Provider(name) => Some(Self::Provider(shared(name))),
            AlertScope::Model { provider, model } => {
                Some(Self::Model(shared(provider), shared(model)))
            }
            AlertScope::Endpoint(path) => Some(Self::Endpoint(shared(path))),
            AlertScope::EachProvider | AlertScope::EachEndpoint => None,
        }
    }

    /// Whether a rule at `scope` is about it, among others.
    pub(super) fn is_one_of(&self, scope: &AlertScope) -> bool {
        matches!(
            (self, scope),
            (Self::Provider(_), AlertScope::EachProvider)
                | (Self::Endpoint(_), AlertScope::EachEndpoint)
        )
    }

    /// What tells it from others of its kind.
    pub(super) fn add_labels(&self, labels: &mut BTreeMap<String, String>) {
        let mut add = |key: &str, value: &str| {
            labels.insert(key.to_owned(), value.to_owned());
        };
        match self {
            Self::Process | Self::Gateway | Self::Attempts => {}
            Self::Provider(name) => add("provider", name),
            Self::Model(provider, model) => {
                add("provider", provider);
                add("model", model);
            }
            Self::Endpoint(path) => add("endpoint", path),
            Self::Custom(name) => add("instance", name),
        }
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process => f.write_str("process"),
            Self::Gateway | Self::Attempts => f.write_str("gateway"),
            Self::Provider(name) => write!(f, "provider {name}"),
            Self::Model(provider, model) => write!(f, "model {provider}/{model}"),
            Self::Endpoint(path) => write!(f, "endpoint {path}"),
            Self::Custom(name) => f.write_str(name),
        }
    }
}
