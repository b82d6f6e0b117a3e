//! Push by OTLP, of metrics and traces: only if an endpoint or an exporter was asked for.

mod answers;
mod conventions;
mod counted;

use crate::{
    clock::Clock,
    config::{OtlpProtocol, OtlpSettings},
    core::deliveries::Deliveries,
    error::BuildError,
};
use answers::{LastOutcome, LookingClient};
pub(crate) use counted::SpanQueue;
use counted::{Account, BoundedSpans, CountedMetrics, CountedSpans};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    metrics::{MeterProviderBuilder, PeriodicReader},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use std::{sync::Arc, time::Duration};

/// The builder with a reader that pushes what is recorded, and counts what becomes of it.
pub(crate) fn push_metrics(
    builder: MeterProviderBuilder,
    settings: &OtlpSettings,
    deliveries: &Deliveries,
    clock: &Clock,
) -> Result<MeterProviderBuilder, BuildError> {
    let account = account(deliveries, "otlp_metrics", clock);
    let exporter = metric_exporter(settings, &account)?;
    let mut reader = PeriodicReader::builder(CountedMetrics { exporter, account });
    if let Some(interval) = settings.interval {
        reader = reader.with_interval(interval.max(Duration::from_millis(100)));
    }
    Ok(builder.with_reader(reader.build()))
}

/// A tracer provider that pushes every span it is given, since what is sampled was decided before,
/// and counts what becomes of them; and where they wait.
pub(crate) fn push_traces(
    resource: Resource,
    settings: &OtlpSettings,
    deliveries: &Deliveries,
    clock: &Clock,
) -> Result<(SdkTracerProvider, Arc<SpanQueue>), BuildError> {
    let account = account(deliveries, "otlp_traces", clock);
    let exporter = span_exporter(settings, &account)?;
    let queue = SpanQueue::new(settings.span_queue, &account.delivered);
    let config = BatchConfigBuilder::default().with_max_queue_size(settings.span_queue);
    let exporter = CountedSpans {
        exporter,
        account,
        queue: Arc::clone(&queue),
    };
    let spans = BoundedSpans {
        batches: BatchSpanProcessor::new(exporter, config.build()),
        queue: Arc::clone(&queue),
    };
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(Sampler::AlwaysOn)
        .with_span_processor(spans)
        .build();
    Ok((provider, queue))
}

fn account(deliveries: &Deliveries, destination: &str, clock: &Clock) -> Account {
    Account {
        delivered: deliveries.add(destination),
        last: LastOutcome::default(),
        clock: *clock,
    }
}

fn metric_exporter(
    settings: &OtlpSettings,
    account: &Account,
) -> Result<MetricExporter, BuildError> {
    let builder = MetricExporter::builder();
    match settings.protocol {
        OtlpProtocol::Grpc => {
            let builder = builder.with_tonic();
            match &settings.endpoint {
                Some(endpoint) => builder.with_endpoint(endpoint),
                None => builder,
            }
            .build()
            .map_err(BuildError::Exporter)
        }
        OtlpProtocol::HttpProtobuf => {
            let client = client(settings.metrics_timeout, account)?;
            let builder = builder.with_http().with_http_client(client);
            match &settings.endpoint {
                Some(endpoint) => builder.with_endpoint(signal_url(endpoint, "v1/metrics")),
                None => builder,
            }
            .build()
            .map_err(BuildError::Exporter)
        }
    }
}

fn span_exporter(settings: &OtlpSettings, account: &Account) -> Result<SpanExporter, BuildError> {
    let builder = SpanExporter::builder();
    match settings.protocol {
        OtlpProtocol::Grpc => {
            let builder = builder.with_tonic();
            match &settings.endpoint {
                Some(endpoint) => builder.with_endpoint(endpoint),
                None => builder,
            }
            .build()
            .map_err(BuildError::Exporter)
        }
        OtlpProtocol::HttpProtobuf => {
            let client = client(settings.traces_timeout, account)?;
            let builder = builder.with_http().with_http_client(client);
            match &settings.endpoint {
                Some(endpoint) => builder.with_endpoint(signal_url(endpoint, "v1/traces")),
                None => builder,
            }
            .build()
            .map_err(BuildError::Exporter)
        }
    }
}

fn client(timeout: Duration, account: &Account) -> Result<LookingClient, BuildError> {
    LookingClient::new(timeout, &account.delivered, &account.last).map_err(BuildError::Thread)
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
