//! What became of what was pushed, as metrics of the monitor's own.

use crate::{
    core::deliveries::{Deliveries, Loss},
    names,
};
use opentelemetry::{KeyValue, metrics::Meter};
use std::sync::Arc;

/// Observes `deliveries` at each collection.
pub(crate) fn observe(meter: &Meter, deliveries: &Arc<Deliveries>) {
    let counter = |name: &'static str, unit: &'static str, description: &'static str| {
        let counter = meter.u64_observable_counter(name).with_unit(unit);
        counter.with_description(description)
    };
    let of = Arc::clone(deliveries);
    counter(
        names::PUSH_SENT,
        "{message}",
        "Messages and documents that arrived",
    )
    .with_callback(move |observer| {
        for one in of.all() {
            let destination = KeyValue::new(names::DESTINATION, one.name().to_owned());
            observer.observe(one.sent(), &[destination]);
        }
    })
    .build();
    let of = Arc::clone(deliveries);
    counter(
        names::PUSH_FAILURES,
        "{attempt}",
        "Attempts to push that failed",
    )
    .with_callback(move |observer| {
        for one in of.all() {
            let destination = KeyValue::new(names::DESTINATION, one.name().to_owned());
            observer.observe(one.failed_attempts(), &[destination]);
        }
    })
    .build();
    let of = Arc::clone(deliveries);
    counter(
        names::PUSH_DROPPED,
        "{message}",
        "Messages and documents given up",
    )
    .with_callback(move |observer| {
        for one in of.all() {
            let destination = KeyValue::new(names::DESTINATION, one.name().to_owned());
            for loss in Loss::ALL {
                let reason = KeyValue::new(names::REASON, loss.text());
                observer.observe(one.dropped(loss), &[destination.clone(), reason]);
            }
        }
    })
    .build();
}
