//! In place of the push by OTLP where it is not compiled in.

use crate::{config::OtlpSettings, error::BuildError};
use opentelemetry_sdk::{Resource, metrics::MeterProviderBuilder, trace::SdkTracerProvider};

/// Nothing can be pushed.
pub(crate) fn push_metrics(
    _: MeterProviderBuilder,
    _: &OtlpSettings,
) -> Result<MeterProviderBuilder, BuildError> {
    Err(BuildError::OtlpDisabled)
}

/// Nothing can be pushed.
pub(crate) fn push_traces(_: Resource, _: &OtlpSettings) -> Result<SdkTracerProvider, BuildError> {
    Err(BuildError::OtlpDisabled)
}
