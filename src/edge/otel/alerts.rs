//! Alerts as metrics.

use crate::{core::alerts::figures::AlertFigures, names};
use opentelemetry::{KeyValue, metrics::Meter};
use std::sync::Arc;

/// Observes how many alerts fire, by rule and severity, and how often alerts changed, by state:
/// some four hundred series at the most, and three.
pub(crate) fn observe(meter: &Meter, figures: &Arc<AlertFigures>) {
    let of = Arc::clone(figures);
    meter
        .u64_observable_gauge(names::ALERTS_ACTIVE)
        .with_unit("{alert}")
        .with_description("Alerts that fire")
        .with_callback(move |observer| {
            for active in of.active() {
                let attributes = [
                    KeyValue::new(names::ALERT_RULE, active.rule),
                    KeyValue::new(names::ALERT_SEVERITY, active.severity.name()),
                ];
                observer.observe(active.count, &attributes);
            }
        })
        .build();
    let of = Arc::clone(figures);
    meter
        .u64_observable_counter(names::ALERTS_CHANGES)
        .with_unit("{change}")
        .with_description("Changes of state of alerts")
        .with_callback(move |observer| {
            for (state, count) in of.changes() {
                observer.observe(count, &[KeyValue::new(names::ALERT_STATE, state)]);
            }
        })
        .build();
}
