//! How the providers stand, as a gauge.

use crate::{
    core::standing::{Board, HealthState, MAX_PAIRS},
    edge::otel::streams::HEALTH_SERIES_LIMIT,
    names,
};
use opentelemetry::{KeyValue, metrics::Meter};
use parking_lot::RwLock;
use std::sync::Arc;

/// There are fewer series than the SDK has room for.
const _: () = assert!(MAX_PAIRS < HEALTH_SERIES_LIMIT);

/// As of the last collection; what is unknown is left out.
pub(crate) fn observe_health(meter: &Meter, board: &Arc<RwLock<Arc<Board>>>) {
    let of = Arc::clone(board);
    meter
        .f64_observable_gauge(names::PROVIDER_HEALTH)
        .with_unit("1")
        .with_description("Health of a model of a provider: 1 healthy, 0.5 degraded, 0 unhealthy")
        .with_callback(move |observer| {
            let all = Arc::clone(of.read().all());
            for standing in all.iter() {
                let value = match standing.state {
                    HealthState::Healthy => 1.0,
                    HealthState::Degraded => 0.5,
                    HealthState::Unhealthy => 0.0,
                    HealthState::Unknown => continue,
                };
                let attributes = [
                    KeyValue::new(names::GEN_AI_PROVIDER_NAME, Arc::clone(&standing.provider)),
                    KeyValue::new(names::GEN_AI_REQUEST_MODEL, Arc::clone(&standing.model)),
                ];
                observer.observe(value, &attributes);
            }
        })
        .build();
}
