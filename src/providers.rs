//! The OpenTelemetry providers that a monitor records on: its own, or those that the host brought.

#[cfg(feature = "otlp")]
pub(crate) use crate::edge::otel::export::SpanQueue;
#[cfg(feature = "otlp")]
use crate::edge::otel::export::{push_metrics, push_traces};
#[cfg(not(feature = "otlp"))]
pub(crate) use crate::edge::otel::no_export::SpanQueue;
#[cfg(not(feature = "otlp"))]
use crate::edge::otel::no_export::{push_metrics, push_traces};
use crate::{
    clock::Clock,
    config::{Conventions, OtlpSettings},
    core::{deliveries::Deliveries, random::random_hex},
    edge::otel::{instruments::InstrumentMeters, reader::ViewReader, streams::streams},
    error::BuildError,
    names,
};
use opentelemetry::{
    Key, KeyValue,
    metrics::{Meter, MeterProvider},
};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider, trace::SdkTracerProvider};
use std::sync::Arc;

/// Where metrics are recorded, and read for the views.
#[derive(Clone)]
pub(crate) struct MeterProviders {
    /// All but the histograms, and what the host records.
    pub(crate) all: SdkMeterProvider,
    /// The monitor's own histograms, where only the views read them: a reader keeps series of its
    /// own, and that of Prometheus would for what it never shows.
    histograms: Option<SdkMeterProvider>,
    /// That of calls to providers, where these are told by other names than the views know.
    calls: Option<SdkMeterProvider>,
    conventions: Conventions,
    is_ours: bool,
    /// What the views read.
    pub(crate) reader: ViewReader,
}

impl MeterProviders {
    /// What the host brought.
    pub(crate) fn brought(
        (provider, reader): (SdkMeterProvider, ViewReader),
        conventions: Conventions,
    ) -> Self {
        let (calls, reader) = beside(conventions, reader);
        Self {
            all: provider,
            histograms: None,
            calls,
            conventions,
            is_ours: false,
            reader,
        }
    }

    /// One that `registry` shows, and that pushes if there is somewhere to push to. Then it has the
    /// histograms too: what is pushed is one whole.
    pub(crate) fn build(
        otlp: &OtlpSettings,
        resource: Resource,
        registry: &prometheus::Registry,
        conventions: Conventions,
        deliveries: &Deliveries,
        clock: &Clock,
    ) -> Result<Self, BuildError> {
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .build()
            .map_err(|error| BuildError::Prometheus(Box::new(error)))?;
        // Ours, that of Prometheus, and one that pushes.
        let reader = ViewReader::new().one_of(2 + usize::from(otlp.metrics));
        let builder = SdkMeterProvider::builder()
            .with_resource(resource)
            .with_view(streams)
            .with_reader(reader.clone())
            .with_reader(exporter);
        if otlp.metrics {
            let all = push_metrics(builder, otlp, deliveries, clock)?.build();
            let (calls, reader) = beside(conventions, reader);
            return Ok(Self {
                all,
                histograms: None,
                calls,
                conventions,
                is_ours: true,
                reader,
            });
        }
        let beside = ViewReader::new();
        let histograms = SdkMeterProvider::builder()
            .with_view(streams)
            .with_reader(beside.clone());
        Ok(Self {
            all: builder.build(),
            histograms: Some(histograms.build()),
            calls: None,
            conventions,
            is_ours: true,
            reader: reader.and(beside),
        })
    }

    /// For all but the histograms.
    pub(crate) fn meter(&self) -> Meter {
        self.all.meter(names::SCOPE)
    }

    /// For what is recorded.
    pub(crate) fn meters(&self) -> InstrumentMeters {
        let histograms = self.histograms.as_ref().unwrap_or(&self.all);
        let calls = self.calls.as_ref().unwrap_or(histograms);
        InstrumentMeters {
            all: self.meter(),
            histograms: histograms.meter(names::SCOPE),
            calls: calls.meter(names::SCOPE),
            conventions: self.conventions,
        }
    }

    /// That to be shut down, if it is ours: the other has nothing to send.
    pub(crate) fn ours(&self) -> Option<SdkMeterProvider> {
        self.is_ours.then(|| self.all.clone())
    }
}

/// A meter provider that only the views read, for calls that are pushed by the newer names alone;
/// and the reader of both.
fn beside(conventions: Conventions, reader: ViewReader) -> (Option<SdkMeterProvider>, ViewReader) {
    if conventions != Conventions::Latest {
        return (None, reader);
    }
    let own = ViewReader::new();
    let provider = SdkMeterProvider::builder()
        .with_view(streams)
        .with_reader(own.clone());
    (Some(provider.build()), reader.and(own))
}

/// A tracer provider that pushes, if there is somewhere to push to, and where its spans wait.
pub(crate) fn build_tracer_provider(
    otlp: &OtlpSettings,
    resource: Resource,
    deliveries: &Deliveries,
    clock: &Clock,
) -> Result<Option<(SdkTracerProvider, Arc<SpanQueue>)>, BuildError> {
    if !otlp.traces {
        return Ok(None);
    }
    push_traces(resource, otlp, deliveries, clock).map(Some)
}

/// What is exported is of this service: the `OTEL_*` variables, unless named in code. Without an
/// instance id, which `OTEL_RESOURCE_ATTRIBUTES` can give, it has one at random: two processes of
/// a service are two.
pub(crate) fn resource(service_name: Option<&str>) -> Resource {
    let told = match service_name {
        Some(name) => Resource::builder().with_service_name(name.to_owned()),
        None => Resource::builder(),
    }
    .build();
    if told.get(&SERVICE_INSTANCE_ID).is_some() {
        return told;
    }
    let instance = KeyValue::new(SERVICE_INSTANCE_ID, random_hex());
    let attributes = told
        .iter()
        .map(|(k, v)| KeyValue::new(k.clone(), v.clone()));
    let attributes: Vec<_> = attributes.chain([instance]).collect();
    Resource::builder_empty()
        .with_attributes(attributes)
        .build()
}

const SERVICE_INSTANCE_ID: Key = Key::from_static_str("service.instance.id");
