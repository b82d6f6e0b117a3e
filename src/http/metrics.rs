//! What scrapers are told, in the format that they ask for.

use super::{Surface, accept, answer::not_rendered, problem::Problem, query::Asked, route::Tells};
use crate::{
    core::export::ExportFormat,
    edge::otel::{exemplars::Exemplars, exposition, open_metrics},
};
use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use schemars::{Schema, SchemaGenerator};

const TEXT: &str = ExportFormat::Prometheus.content_type();

/// All metrics.
pub(crate) struct Metrics;

impl Tells for Metrics {
    fn tell(&self, surface: &Surface, _: &Asked, headers: &HeaderMap) -> Result<Response, Problem> {
        // Asks for a collection, so that the counters are not older than those of the views.
        let snapshot = surface.shared.fresh();
        let families = surface.registry.gather();
        let (content_type, text) = if accept::prefers_open_metrics(headers) {
            let exemplars = Exemplars::of(&snapshot.slowest, surface.shared.config.conventions);
            let text = open_metrics::render(families, &exemplars);
            (
                open_metrics::CONTENT_TYPE,
                text.map_err(|_| not_rendered())?,
            )
        } else {
            let text = exposition::render(families);
            (TEXT, text.map_err(|_| not_rendered())?)
        };
        let headers = [
            (header::CONTENT_TYPE, content_type),
            (header::VARY, header::ACCEPT.as_str()),
        ];
        Ok((headers, text).into_response())
    }

    fn contents(&self, schemas: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
        let types = [TEXT, open_metrics::CONTENT_TYPE];
        types
            .map(|content_type| (content_type, schemas.subschema_for::<String>()))
            .into()
    }
}
