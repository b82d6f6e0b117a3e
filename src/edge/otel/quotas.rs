//! What is left of the providers' quotas, as gauges.

use super::{
    meters::{Late, late},
    streams::QUOTA_SERIES_LIMIT,
};
use crate::{
    core::{
        quotas::{MAX_SERIES, QuotaLedger, QuotaReading},
        recorder::LabelTables,
    },
    names,
};
use opentelemetry::{KeyValue, metrics::Meter};
use std::sync::Arc;

/// There are fewer series than the SDK has room for.
const _: () = assert!(MAX_SERIES < QUOTA_SERIES_LIMIT);

/// The gauges of what `quotas` tells, which are made when somebody asks for them: most gateways
/// have providers that tell nothing, and the SDK reserves memory for each.
pub(super) fn observe_quotas(
    meter: &Meter,
    quotas: &Arc<QuotaLedger>,
    labels: &Arc<LabelTables>,
) -> Late<()> {
    let gauge = |name: &'static str, description: &'static str, of: fn(&QuotaReading) -> _| {
        let (meter, quotas, labels) = (meter.clone(), Arc::clone(quotas), Arc::clone(labels));
        move || {
            let gauge = meter.u64_observable_gauge(name).with_unit("{unit}");
            gauge
                .with_description(description)
                .with_callback(move |observer| {
                    for reading in quotas.readings(&labels) {
                        let value: Option<u64> = of(&reading);
                        if let Some(value) = value {
                            observer.observe(value, &attributes(reading));
                        }
                    }
                })
                .build();
        }
    };
    let remaining = gauge(
        names::RATE_LIMIT_REMAINING,
        "What a provider last said is left of a quota",
        |reading| reading.quota.remaining,
    );
    let limit = gauge(
        names::RATE_LIMIT_LIMIT,
        "What a provider last said the quota is",
        |reading| reading.quota.limit,
    );
    late(move || {
        remaining();
        limit();
    })
}

/// Sorted by key: the SDK keeps what comes unsorted twice.
fn attributes(reading: QuotaReading) -> [KeyValue; 3] {
    [
        KeyValue::new(names::RATE_LIMIT_RESOURCE, reading.resource),
        KeyValue::new(names::GEN_AI_PROVIDER_NAME, reading.provider),
        KeyValue::new(names::GEN_AI_REQUEST_MODEL, reading.model),
    ]
}
