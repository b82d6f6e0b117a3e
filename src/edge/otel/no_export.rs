//! In place of the push by OTLP where it is not compiled in.

use crate::{clock::Clock, config::OtlpSettings, core::deliveries::Deliveries, error::BuildError};
use opentelemetry_sdk::{Resource, metrics::MeterProviderBuilder, trace::SdkTracerProvider};
use std::sync::Arc;

/// Where no spans wait.
pub(crate) struct SpanQueue;

impl SpanQueue {
    pub(crate) fn give_up(&self) {}
}

/// Nothing can be pushed.
pub(crate) fn push_metrics(
    _: MeterProviderBuilder,
    _: &OtlpSettings,
    _: &Deliveries,
    _: &Clock,
) -> Result<MeterProviderBuilder, BuildError> {
    Err(BuildError::OtlpDisabled)
}

/// Nothing can be pushed.
pub(crate) fn push_traces(
    _: Resource,
    _: &OtlpSettings,
    _: &Deliveries,
    _: &Clock,
) -> Result<(SdkTracerProvider, Arc<SpanQueue>), BuildError> {
    Err(BuildError::OtlpDisabled)
}
