//! Where a figure is asked for.

use std::fmt;

use super::metric::{Figure, HistoryMetric, Source};
use crate::core::series::SeriesKey;
use crate::core::snapshot::Snapshot;
use crate::core::views::ViewError;
use crate::core::views::provider::provider_of;
use crate::core::views::reading::label;
use crate::names;

/// Where a figure is asked for. In a query, and in the answer, it is written as shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum HistoryScope {
    /// `gateway`: all operations together; tokens, cost and first tokens of all attempts.
    #[default]
    Gateway,
    /// `process`: the process.
    Process,
    /// `providers`: all attempts together.
    Providers,
    /// `provider:<name>`: the attempts of one provider.
    Provider(String),
    /// `model:<provider>/<model>`: the attempts of one model of one provider.
    Model {
        /// The provider.
        provider: String,
        /// The model, which may have slashes of its own.
        model: String,
    },
    /// `endpoint:<path>`: the operations of one endpoint, by its route template.
    Endpoint(String),
    /// `component:<name>` or `component:<name>/<operation>`: work of one component.
    Component {
        /// The component.
        name: String,
        /// One of its operations; all of them if `None`.
        operation: Option<String>,
    },
    /// `timer:<name>`: what one named timer observed.
    Timer(String),
    /// `experiment:<name>` or `experiment:<name>/<variant>`: tries of one experiment.
    Experiment {
        /// The experiment.
        name: String,
        /// One of its variants; all of them if `None`.
        variant: Option<String>,
    },
}

impl HistoryScope {
    /// The forms that it takes in a query.
    pub const FORMS: [&str; 9] = [
        "gateway",
        "process",
        "providers",
        "provider:<name>",
        "model:<provider>/<model>",
        "endpoint:<path>",
        "component:<name>[/<operation>]",
        "timer:<name>",
        "experiment:<name>[/<variant>]",
    ];

    /// The scope that `text` spells.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        let name_or = |scope: Self| (!name.is_empty()).then_some(scope);
        match kind {
            "gateway" if text == kind => Some(Self::Gateway),
            "process" if text == kind => Some(Self::Process),
            "providers" if text == kind => Some(Self::Providers),
            "provider" => name_or(Self::Provider(name.to_owned())),
            "model" => {
                let (provider, model) = name.split_once('/')?;
                let (provider, model) = (provider.to_owned(), model.to_owned());
                (!provider.is_empty() && !model.is_empty())
                    .then_some(Self::Model { provider, model })
            }
            "endpoint" => name_or(Self::Endpoint(name.to_owned())),
            "component" => {
                let (name, operation) = name_and_part(name)?;
                Some(Self::Component { name, operation })
            }
            "timer" => name_or(Self::Timer(name.to_owned())),
            "experiment" => {
                let (name, variant) = name_and_part(name)?;
                Some(Self::Experiment { name, variant })
            }
            _ => None,
        }
    }

    /// The metric with the durations of what is done here, if something is.
    pub(super) const fn durations(&self) -> Option<&'static str> {
        Some(match self {
            Self::Process => return None,
            Self::Gateway | Self::Endpoint(_) => names::HTTP_SERVER_REQUEST_DURATION,
            Self::Providers | Self::Provider(_) | Self::Model { .. } => {
                names::GEN_AI_OPERATION_DURATION
            }
            Self::Component { .. } => names::COMPONENT_DURATION,
            Self::Timer(_) => names::TIMER_DURATION,
            Self::Experiment { .. } => names::EXPERIMENT_DURATION,
        })
    }

    /// Whether there is such a thing as `metric` here.
    pub(crate) fn has(&self, metric: HistoryMetric) -> bool {
        let definition = metric.definition();
        let is_gateway = *self == Self::Gateway;
        let of_attempts = self.durations() == Some(names::GEN_AI_OPERATION_DURATION);
        let of_operations = self.durations() == Some(names::HTTP_SERVER_REQUEST_DURATION);
        match definition.source {
            Source::Durations if definition.figure == Figure::ProviderSuccessRate => of_attempts,
            Source::Durations => *self != Self::Process,
            Source::Gauge(..) | Source::Usage(..) => *self == Self::Process,
            Source::FirstToken | Source::Tokens(_) | Source::Cost | Source::Cache => {
                is_gateway || of_attempts
            }
            Source::Size(_) => of_operations,
            Source::Counter(names::FAILOVERS) => is_gateway,
            Source::Counter(_) => is_gateway || of_attempts,
        }
    }

    /// Whether a series of a metric that there is here belongs here.
    pub(super) fn holds(&self, key: &SeriesKey) -> bool {
        match self {
            Self::Gateway | Self::Process | Self::Providers => true,
            Self::Provider(provider) => provider_of(key) == provider,
            Self::Model { provider, model } => {
                provider_of(key) == provider && label(key, names::GEN_AI_REQUEST_MODEL) == model
            }
            Self::Endpoint(path) => label(key, names::HTTP_ROUTE) == path,
            Self::Component { name, operation } => {
                let is_wanted = |wanted: &String| label(key, names::OPERATION) == wanted;
                label(key, names::COMPONENT) == name && operation.as_ref().is_none_or(is_wanted)
            }
            Self::Timer(name) => label(key, names::TIMER) == name,
            Self::Experiment { name, variant } => {
                let is_wanted = |wanted: &String| label(key, names::VARIANT) == wanted;
                label(key, names::EXPERIMENT) == name && variant.as_ref().is_none_or(is_wanted)
            }
        }
    }

    /// Fails if it names something that is neither configured nor was ever seen.
    pub(super) fn check(&self, snapshot: &Snapshot) -> Result<(), ViewError> {
        let configured = &snapshot.configured;
        let mut providers = configured.providers.iter();
        let (is_configured, unknown) = match self {
            Self::Gateway | Self::Process | Self::Providers => return Ok(()),
            Self::Provider(name) => (
                providers.any(|(provider, _)| **provider == **name),
                ViewError::UnknownProvider,
            ),
            Self::Model { provider, model } => (
                providers.any(|(name, models)| {
                    **name == **provider && models.iter().any(|one| **one == **model)
                }),
                ViewError::UnknownModel,
            ),
            Self::Endpoint(path) => (
                configured.endpoints.iter().any(|one| **one == **path),
                ViewError::UnknownEndpoint,
            ),
            Self::Component { .. } => (false, ViewError::UnknownComponent),
            Self::Timer(_) => (false, ViewError::UnknownTimer),
            Self::Experiment { .. } => (false, ViewError::UnknownExperiment),
        };
        let durations = self.durations();
        let mut seen = snapshot.history.totals.series.iter();
        let is_it = |key: &SeriesKey| Some(&*key.metric) == durations && self.holds(key);
        if is_configured || seen.any(|total| is_it(total.key())) {
            Ok(())
        } else {
            Err(unknown)
        }
    }
}

/// `<name>` or `<name>/<part>`.
fn name_and_part(text: &str) -> Option<(String, Option<String>)> {
    let (name, part) = match text.split_once('/') {
        Some((name, part)) => (name, Some(part.to_owned())),
        None => (text, None),
    };
    (!name.is_empty()).then(|| (name.to_owned(), part))
}

fn write_with_part(
    f: &mut fmt::Formatter<'_>,
    kind: &str,
    name: &str,
    part: Option<&str>,
) -> fmt::Result {
    match part {
        Some(part) => write!(f, "{kind}:{name}/{part}"),
        None => write!(f, "{kind}:{name}"),
    }
}

impl fmt::Display for HistoryScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway => f.write_str("gateway"),
            Self::Process => f.write_str("process"),
            Self::Providers => f.write_str("providers"),
            Self::Provider(name) => write!(f, "provider:{name}"),
            Self::Model { provider, model } => write!(f, "model:{provider}/{model}"),
            Self::Endpoint(path) => write!(f, "endpoint:{path}"),
            Self::Component {
                name,
                operation: part,
            } => write_with_part(f, "component", name, part.as_deref()),
            Self::Timer(name) => write!(f, "timer:{name}"),
            Self::Experiment {
                name,
                variant: part,
            } => write_with_part(f, "experiment", name, part.as_deref()),
        }
    }
}
