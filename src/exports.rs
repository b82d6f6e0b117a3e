//! Begins an export: a snapshot, and what renders it.

use crate::{
    clock::Timestamp,
    core::export::{
        Export, ExportError, ExportFormat, csv::Csv, extent::Extent, json::Json, otlp::Otlp,
        points::Points,
    },
    edge::otel::exposition_parts::Parts,
    tick::Shared,
};
use std::sync::Arc;

/// An export of all that `shared` and `registry` know, or of what changed since.
pub(crate) fn begin(
    shared: &Shared,
    registry: &prometheus::Registry,
    format: ExportFormat,
    since: Option<Timestamp>,
) -> Result<Export, ExportError> {
    let now = shared.recorder.now();
    if let Some(since) = since.filter(|since| *since > now) {
        return Err(ExportError::SinceInFuture { since, now });
    }
    let snapshot = shared.exported();
    let started = snapshot.started;
    let extent = Arc::new(Extent::of(&snapshot, since));
    let points = || Points::new(Arc::clone(&snapshot), Arc::clone(&extent));
    Ok(match format {
        ExportFormat::Json => {
            let events = shared.counter.newest(usize::MAX).newest(usize::MAX);
            let json = Json::new(Arc::clone(&snapshot), Arc::clone(&extent), events);
            Export::new(format, &extent, started, json)
        }
        ExportFormat::Prometheus => {
            let parts = Parts::new(registry.gather(), &snapshot, &extent);
            Export::new(format, &extent, started, parts)
        }
        ExportFormat::Csv => Export::new(format, &extent, started, Csv::new(points())),
        ExportFormat::Otlp => {
            let resource = shared.reader.resource();
            let otlp = Otlp::new(points(), resource, since.is_some());
            Export::new(format, &extent, started, otlp)
        }
    })
}
