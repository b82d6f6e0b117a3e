//! OpenTelemetry: the instruments that record, and the reader that the views are made from.

pub(crate) mod alerts;
mod chains;
pub(crate) mod current_trace;
mod distribution;
#[cfg(feature = "server")]
pub(crate) mod exemplars;
#[cfg(feature = "otlp")]
pub(crate) mod export;
pub(crate) mod exposition;
pub(crate) mod exposition_parts;
pub(crate) mod health;
mod inference;
pub(crate) mod instruments;
mod keys;
mod meters;
#[cfg(not(feature = "otlp"))]
pub(crate) mod no_export;
pub(crate) mod observed;
#[cfg(feature = "server")]
pub(crate) mod open_metrics;
mod pricing;
pub(crate) mod process;
pub(crate) mod prometheus;
#[cfg(any(feature = "push", feature = "otlp"))]
pub(crate) mod pushes;
mod quotas;
pub(crate) mod reader;
pub(crate) mod streams;
