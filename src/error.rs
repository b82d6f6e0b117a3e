//! What can go wrong, and what to do about it.

use std::{net::SocketAddr, time::Duration};

/// Why a monitor could not be built. Nothing was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting is out of its range.
    #[error("{setting} is {found}; it must be {allowed}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What it was set to.
        found: String,
        /// What it may be.
        allowed: String,
    },
    /// The monitor's own listener could not be bound.
    #[error(
        "cannot listen on {address} for the monitor: {source}; choose another address, or port 0 for any free port"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// An alert rule cannot be.
    #[error("alert rule {rule:?}: {source}")]
    Alert {
        /// Its id.
        rule: String,
        /// Why not.
        source: AlertRuleError,
    },
    /// A thread or a runtime could not be started.
    #[error("cannot start the monitor's thread: {0}")]
    Thread(#[source] std::io::Error),
    /// The Prometheus exporter could not be made.
    #[error("cannot register with the Prometheus registry: {0}")]
    Prometheus(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The OTLP exporter could not be made.
    #[cfg(feature = "otlp")]
    #[error("cannot make the OTLP exporter: {0}; check the endpoint and OTEL_EXPORTER_OTLP_*")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
    /// OTLP was asked for, and this build cannot do it.
    #[cfg(not(feature = "otlp"))]
    #[error(
        "OTLP export was asked for; enable the feature `otlp` of aimux-otel, or unset OTEL_EXPORTER_OTLP_ENDPOINT"
    )]
    OtlpDisabled,
    /// What pushes over HTTP could not be made.
    #[cfg(feature = "push")]
    #[error("cannot make the HTTP client that pushes: {0}")]
    Push(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no price table in the file.
    #[error(transparent)]
    Prices(#[from] PriceTableError),
    /// Another global subscriber was there first.
    #[error(
        "a global tracing subscriber is already set; add `monitor.layer()` to it instead of calling `install()`"
    )]
    SubscriberSet(#[source] tracing::subscriber::SetGlobalDefaultError),
}

/// Why settings were not changed while the monitor runs. All is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A setting is out of its range.
    #[error("{setting} is {found}; it must be {allowed}")]
    OutOfRange {
        /// The setting's name.
        setting: &'static str,
        /// What it was to be.
        found: String,
        /// What it may be.
        allowed: String,
    },
    /// An alert rule cannot be.
    #[error(transparent)]
    Alert(#[from] AlertRuleError),
    /// The monitor was shut down, which is for good.
    #[error("the monitor was shut down; build another one")]
    ShutDown,
}

/// A setting that is out of its range: the part that is the same before and after the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutOfRange {
    pub(crate) setting: &'static str,
    pub(crate) found: String,
    pub(crate) allowed: String,
}

impl From<OutOfRange> for SettingsError {
    fn from(wrong: OutOfRange) -> Self {
        Self::OutOfRange {
            setting: wrong.setting,
            found: wrong.found,
            allowed: wrong.allowed,
        }
    }
}

impl From<OutOfRange> for BuildError {
    fn from(wrong: OutOfRange) -> Self {
        Self::Setting {
            setting: wrong.setting,
            found: wrong.found,
            allowed: wrong.allowed,
        }
    }
}

/// Why an alert rule cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AlertRuleError {
    /// There is no metric of that name.
    #[error("there is no such metric to watch")]
    UnknownMetric,
    /// There is no such comparison.
    #[error("there is no such comparison; it must be >, <, >=, <= or =")]
    UnknownComparison,
    /// There is no such severity.
    #[error("there is no such severity; it must be info, warning or critical")]
    UnknownSeverity,
    /// The threshold is infinite or not a number.
    #[error("a threshold must be a finite number")]
    ThresholdNotFinite,
    /// What is watched does not exist where it is to be watched.
    #[error("{metric} cannot be watched there, but at: {allowed}")]
    NotOfScope {
        /// The metric.
        metric: &'static str,
        /// Where it can be.
        allowed: &'static str,
    },
    /// A name in the scope cannot be shown.
    #[error("a name in a scope must be 1 to 128 printable characters")]
    ScopeName,
    /// The window is out of range.
    #[error("a rule's window must be longer than zero, and at most 48 h")]
    Window,
    /// The time that it has to be the case is out of range.
    #[error("a rule must not wait for longer than 48 h before it fires")]
    For,
    /// The id cannot be shown.
    #[error("a rule's id must be 1 to 128 printable characters")]
    Id,
}

impl AlertRuleError {
    /// The field that is wrong, as it is called in the configuration: `metric`, `comparison`,
    /// `severity`, `threshold`, `scope`, `window`, `for` or `id`.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::UnknownMetric => "metric",
            Self::UnknownComparison => "comparison",
            Self::UnknownSeverity => "severity",
            Self::ThresholdNotFinite => "threshold",
            Self::NotOfScope { .. } | Self::ScopeName => "scope",
            Self::Window => "window",
            Self::For => "for",
            Self::Id => "id",
        }
    }
}

/// Why a shutdown was not complete.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// The deadline passed first. What was left goes on in the background and is then given up.
    #[error("shutting down took longer than {deadline:?}: {unfinished} had not finished")]
    Deadline {
        /// The deadline that was given.
        deadline: Duration,
        /// What had not finished.
        unfinished: &'static str,
    },
    /// An exporter could not send the last data.
    #[error("the last data could not be sent: {0}")]
    Flush(#[source] opentelemetry_sdk::error::OTelSdkError),
    /// Some of what was to be pushed last could not be, in time or at all. What, and why, is in
    /// [`MonitorHealth::pushes`](crate::MonitorHealth).
    #[cfg(feature = "push")]
    #[error("{lost} of what was to be pushed last is lost; see the pushes in the monitor's health")]
    Push {
        /// How many messages and documents.
        lost: u64,
    },
}

/// Why a single push did not arrive.
#[cfg(feature = "push")]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// A setting of the destination is out of its range.
    #[error(transparent)]
    Setting(BuildError),
    /// The metrics could not be rendered.
    #[error("the metrics could not be rendered")]
    NotRendered,
    /// There was no answer, however often it was tried.
    #[error("the destination gave no answer; check its address")]
    Unreachable,
    /// The destination does not want it, or is broken.
    #[error("the destination refused it; its log says why")]
    Refused,
    /// The deadline passed first.
    #[error("it took longer than {deadline:?}")]
    Deadline {
        /// The deadline that was given.
        deadline: Duration,
    },
    /// The monitor was shut down before.
    #[error("the monitor was shut down")]
    Stopped,
}

/// Why there is no price table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PriceTableError {
    /// It is no table.
    #[error("a price table must be a JSON object with an object for each model")]
    NotATable(#[source] serde_json::Error),
    /// There is no price in it.
    #[error(
        "no model in it has a price: at least one must have input_cost_per_token or \
         output_cost_per_token in USD{}",
        said(skipped)
    )]
    Empty {
        /// The first entries that could not be read, each with what is wrong.
        skipped: Vec<String>,
    },
    /// The file cannot be read.
    #[error("the price file {path:?} cannot be read")]
    Unreadable {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What is in the file is no table.
    #[error("the price file {path:?} holds no price table")]
    InFile {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<Self>,
    },
    /// There is no file to read again.
    #[error(
        "the price table in force was not loaded from a file: use MonitorBuilder::price_file, or \
         set_price_table with a table of PriceTable::load"
    )]
    NoFile,
}

fn said(skipped: &[String]) -> String {
    let skipped = skipped.iter().map(|entry| format!("; {entry}"));
    skipped.collect()
}
