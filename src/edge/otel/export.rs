//! Push by OTLP, of metrics and traces: only if an endpoint or an exporter was asked for.

use crate::{
    config::{OtlpProtocol, OtlpSettings},
    error::BuildError,
};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    metrics::{MeterProviderBuilder, PeriodicReader},
    trace::{Sampler, SdkTracerProvider},
};
use std::time::Duration;

/// The builder with a reader that pushes what is recorded.
pub(crate) fn push_metrics(
    builder: MeterProviderBuilder,
    settings: &OtlpSettings,
) -> Result<MeterProviderBuilder, BuildError> {
    let exporter = metric_exporter(settings).map_err(BuildError::Exporter)?;
    let mut reader = PeriodicReader::builder(exporter);
    if let Some(interval) = settings.interval {
        reader = reader.with_interval(interval.max(Duration::from_millis(100)));
    }
    Ok(builder.with_reader(reader.build()))
}

/// A tracer provider that pushes every span it is given: what is sampled was decided before.
pub(crate) fn push_traces(
    resource: Resource,
    settings: &OtlpSettings,
) -> Result<SdkTracerProvider, BuildError> {
    let exporter = span_exporter(settings).map_err(BuildError::Exporter)?;
    Ok(SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(Sampler::AlwaysOn)
        .with_batch_exporter(exporter)
        .build())
}

fn metric_exporter(settings: &OtlpSettings) -> Result<MetricExporter, ExporterBuildError> {
    let builder = MetricExporter::builder();
    match settings.protocol {
        OtlpProtocol::Grpc => {
            let builder = builder.with_tonic();
            match &settings.endpoint {
                Some(endpoint) => builder.with_endpoint(endpoint),
                None => builder,
            }
            .build()
        }
        OtlpProtocol::HttpProtobuf => {
            let builder = builder.with_http();
            match &settings.endpoint {
                Some(endpoint) => builder.with_endpoint(signal_url(endpoint, "v1/metrics")),
                None => builder,
            }
            .build()
        }
    }
}

fn span_exporter(settings: &OtlpSettings) -> Result<SpanExporter, ExporterBuildError> {
    let builder = SpanExporter::builder();
    match settings.protocol {
        OtlpProtocol::Grpc => {
            let builder = builder.with_tonic();
            match &settings.endpoint {
                Some(endpoint) => builder.with_endpoint(endpoint),
                None => builder,
            }
            .build()
        }
        OtlpProtocol::HttpProtobuf => {
            let builder = builder.with_http();
            match &settings.endpoint {
                Some(endpoint) => builder.with_endpoint(signal_url(endpoint, "v1/traces")),
                None => builder,
            }
            .build()
        }
    }
}

/// An endpoint that was set in code is the base of both signals' URLs, as
/// `OTEL_EXPORTER_OTLP_ENDPOINT` is.
fn signal_url(base: &str, path: &str) -> String {
    format!("{}/{path}", base.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::signal_url;

    #[test]
    fn the_path_of_a_signal_follows_the_base() {
        let url = "http://localhost:4318/v1/traces";
        assert_eq!(signal_url("http://localhost:4318", "v1/traces"), url);
        assert_eq!(signal_url("http://localhost:4318/", "v1/traces"), url);
    }
}
