//! The OpenTelemetry providers that a monitor records on: its own, or those that the host brought.

#[cfg(feature = "otlp")]
use crate::edge::otel::export::{push_metrics, push_traces};
#[cfg(not(feature = "otlp"))]
use crate::edge::otel::no_export::{push_metrics, push_traces};
use crate::{
    config::OtlpSettings,
    edge::otel::{reader::ViewReader, streams::streams},
    error::BuildError,
    names,
};
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider, trace::SdkTracerProvider};

/// Where metrics are recorded, and read for the views.
#[derive(Clone)]
pub(crate) struct MeterProviders {
    /// All but the histograms, and what the host records.
    pub(crate) all: SdkMeterProvider,
    /// The monitor's own histograms, where only the views read them: a reader keeps series of its
    /// own, and that of Prometheus would for what it never shows.
    histograms: Option<SdkMeterProvider>,
    is_ours: bool,
    /// What the views read.
    pub(crate) reader: ViewReader,
}

impl MeterProviders {
    /// What the host brought.
    pub(crate) fn brought((provider, reader): (SdkMeterProvider, ViewReader)) -> Self {
        Self {
            all: provider,
            histograms: None,
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
            return Ok(Self {
                all: push_metrics(builder, otlp)?.build(),
                histograms: None,
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
            is_ours: true,
            reader: reader.and(beside),
        })
    }

    /// For all but the histograms.
    pub(crate) fn meter(&self) -> Meter {
        self.all.meter(names::SCOPE)
    }

    /// For the histograms.
    pub(crate) fn histograms(&self) -> Meter {
        let provider = self.histograms.as_ref().unwrap_or(&self.all);
        provider.meter(names::SCOPE)
    }

    /// That to be shut down, if it is ours: the other has nothing to send.
    pub(crate) fn ours(&self) -> Option<SdkMeterProvider> {
        self.is_ours.then(|| self.all.clone())
    }
}

/// A tracer provider that pushes, if there is somewhere to push to.
pub(crate) fn build_tracer_provider(
    otlp: &OtlpSettings,
    resource: Resource,
) -> Result<Option<SdkTracerProvider>, BuildError> {
    if !otlp.traces {
        return Ok(None);
    }
    push_traces(resource, otlp).map(Some)
}

/// What is exported is of this service: the `OTEL_*` variables, unless named in code.
pub(crate) fn resource(service_name: Option<&str>) -> Resource {
    let builder = Resource::builder();
    match service_name {
        Some(name) => builder.with_service_name(name.to_owned()),
        None => builder,
    }
    .build()
}
