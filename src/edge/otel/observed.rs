//! What is observed at each collection instead of recorded: cost, and the monitor's own health.

use super::{
    keys::{AttemptKey, attribute},
    meters::{Late, late},
};
use crate::{
    core::{
        cost::Account,
        labels::Label,
        money::NanoUsd,
        recorder::{DropReason, LabelTables, Recorder},
    },
    names,
};
use opentelemetry::{KeyValue, metrics::Meter};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

/// Cost by provider and model, or by endpoint, in nano-USD, so that it adds up exactly.
#[derive(Debug, Default)]
pub(super) struct CostLedger(Mutex<HashMap<[Label; 2], CostEntry>>);

#[derive(Debug)]
struct CostEntry {
    attributes: Vec<KeyValue>,
    cost: CostSum,
}

/// Where cost is summed, by nobody but the tick.
#[derive(Debug, Clone, Default)]
pub(super) struct CostSum(Arc<AtomicI64>);

impl CostSum {
    /// At its end the sum stays.
    pub(super) fn add(&self, cost: NanoUsd) {
        let total = self.0.load(Ordering::Relaxed).saturating_add(cost.nanos());
        self.0.store(total, Ordering::Relaxed);
    }
}

/// How many series there are, and how many were refused one of their own.
#[derive(Debug, Default)]
pub(super) struct SeriesFigures {
    pub(super) in_use: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl CostLedger {
    /// Where the cost of the provider and model of `key` is summed.
    pub(super) fn of_model(&self, key: AttemptKey, labels: &LabelTables) -> CostSum {
        let of = [key.provider.or(Label::OTHER), key.model.or(Label::OTHER)];
        self.entry(of, |[provider, model]| {
            [
                attribute(names::GEN_AI_PROVIDER_NAME, &labels.providers, provider),
                attribute(names::GEN_AI_REQUEST_MODEL, &labels.models, model),
            ]
        })
    }

    /// Where the cost of an endpoint's operations is summed.
    pub(super) fn of_endpoint(&self, endpoint: Label, labels: &LabelTables) -> CostSum {
        self.entry([Label::NONE, endpoint], |[_, endpoint]| {
            [
                attribute(names::HTTP_ROUTE, &labels.endpoints, endpoint),
                None,
            ]
        })
    }

    fn entry(
        &self,
        of: [Label; 2],
        attributes: impl FnOnce([Label; 2]) -> [Option<KeyValue>; 2],
    ) -> CostSum {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(of).or_insert_with(|| CostEntry {
            attributes: attributes(of).into_iter().flatten().collect(),
            cost: CostSum::default(),
        });
        entry.cost.clone()
    }
}

pub(super) fn observe_costs(meter: &Meter, costs: Arc<CostLedger>) {
    observe(meter, costs, names::COST, "Cost of calls to providers");
}

/// The same, told once there is something.
pub(super) fn observe_later(
    meter: &Meter,
    costs: &Arc<CostLedger>,
    name: &'static str,
    description: &'static str,
) -> Late<()> {
    let (meter, costs) = (meter.clone(), Arc::clone(costs));
    late(move || observe(&meter, costs, name, description))
}

fn observe(meter: &Meter, costs: Arc<CostLedger>, name: &'static str, description: &'static str) {
    meter
        .f64_observable_counter(name)
        .with_unit("{USD}")
        .with_description(description)
        .with_callback(move |observer| {
            let entries = costs.0.lock().unwrap_or_else(PoisonError::into_inner);
            for entry in entries.values() {
                let cost = NanoUsd::from_nanos(entry.cost.0.load(Ordering::Relaxed));
                observer.observe(cost.usd(), &entry.attributes);
            }
        })
        .build();
}

pub(super) fn observe_monitor(
    meter: &Meter,
    recorder: &Arc<Recorder>,
    figures: Arc<SeriesFigures>,
) {
    let counter = |name: &'static str, unit: &'static str, description: &'static str| {
        let counter = meter.u64_observable_counter(name).with_unit(unit);
        counter.with_description(description)
    };
    let of = Arc::clone(recorder);
    counter(names::EVENTS_OFFERED, "{event}", "Measurements offered")
        .with_callback(move |observer| observer.observe(of.offered(), &[]))
        .build();
    let of = Arc::clone(recorder);
    counter(names::EVENTS_RECORDED, "{event}", "Measurements counted")
        .with_callback(move |observer| observer.observe(of.counted(), &[]))
        .build();
    let of = Arc::clone(recorder);
    counter(names::EVENTS_DROPPED, "{event}", "Measurements dropped")
        .with_callback(move |observer| {
            for reason in DropReason::ALL {
                let attributes = [KeyValue::new(names::REASON, reason.text())];
                observer.observe(of.dropped(reason), &attributes);
            }
        })
        .build();
    let of = Arc::clone(recorder);
    counter(
        names::LABELS_REFUSED,
        "{value}",
        "Label values counted under _OTHER",
    )
    .with_callback(move |observer| {
        for (kind, table) in of.labels.named() {
            observer.observe(table.refused(), &[KeyValue::new(names::LABEL_KIND, kind)]);
        }
    })
    .build();
    let of = Arc::clone(recorder);
    counter(
        names::FIELDS_UNREADABLE,
        "{value}",
        "Field values of a wrong type or range",
    )
    .with_callback(move |observer| {
        observer.observe(of.unreadable_fields.load(Ordering::Relaxed), &[]);
    })
    .build();
    let of = Arc::clone(&figures);
    counter(
        names::SERIES_REFUSED,
        "{event}",
        "Measurements that share a series for want of room",
    )
    .with_callback(move |observer| observer.observe(of.refused.load(Ordering::Relaxed), &[]))
    .build();
    meter
        .u64_observable_gauge(names::SERIES)
        .with_unit("{series}")
        .with_description("Series in use")
        .with_callback(move |observer| {
            observer.observe(figures.in_use.load(Ordering::Relaxed), &[]);
        })
        .build();
    let of = Arc::clone(recorder);
    meter
        .i64_observable_up_down_counter(names::HTTP_SERVER_ACTIVE_REQUESTS)
        .with_unit("{request}")
        .with_description("Requests in flight in the HTTP layer")
        .with_callback(move |observer| {
            observer.observe(of.active_requests.load(Ordering::Relaxed), &[]);
        })
        .build();
}

/// What the monitor itself takes, as of the last collection.
pub(crate) fn observe_cost(meter: &Meter, account: &Arc<Account>) {
    let of = Arc::clone(account);
    meter
        .i64_observable_up_down_counter(names::MONITOR_MEMORY)
        .with_unit("By")
        .with_description("Memory on the heap that the monitor takes, by part")
        .with_callback(move |observer| {
            for (part, bytes) in &of.latest().memory_by_part {
                let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
                observer.observe(bytes, &[KeyValue::new(names::PART, *part)]);
            }
        })
        .build();
    let of = Arc::clone(account);
    meter
        .f64_observable_counter(names::MONITOR_CPU_TIME)
        .with_unit("s")
        .with_description("Processor time of the monitor's own threads, by what it was for")
        .with_callback(move |observer| {
            for (part, seconds) in &of.latest().cpu_seconds_by_part {
                observer.observe(*seconds, &[KeyValue::new(names::PART, *part)]);
            }
        })
        .build();
}
