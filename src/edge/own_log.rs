//! What the monitor says of itself, at `DEBUG` under the target `aimux_otel`.
//!
//! Only its own threads speak, never one that records, and never with anything locked: a
//! subscriber is the host's code. If it panics, that ends here. What is said is no measurement of
//! ours: none of these has a field by which the layer knows its own, and the layer leaves the
//! target out besides.

use crate::{
    core::{
        alerts::change::AlertChange, memory::MemoryMetrics, settings::Settings,
        standing::ProviderStanding,
    },
    names,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};
use tracing::debug;

/// One thread of the monitor's begins, or ends.
pub(crate) fn thread(name: &'static str, state: &'static str) {
    quietly(|| debug!(target: names::LOG_TARGET, thread = name, state, "thread"));
}

/// The monitor was started or stopped.
pub(crate) fn monitoring(active: bool) {
    quietly(|| debug!(target: names::LOG_TARGET, active, "monitoring"));
}

/// A collection is done.
pub(crate) fn collected(series: usize, window_bytes: u64, took: Duration) {
    quietly(|| {
        debug!(
            target: names::LOG_TARGET,
            series,
            window_bytes,
            took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "collected"
        );
    });
}

/// The memory of the process, as it was collected.
pub(crate) fn memory(memory: &MemoryMetrics) {
    quietly(|| {
        debug!(
            target: names::LOG_TARGET,
            total_process_mb = memory.total_process_mb,
            heap_used_mb = memory.heap_used_mb,
            memory_pressure_percent = memory.memory_pressure_percent,
            page_faults = memory.page_faults,
            "memory"
        );
    });
}

/// Settings were changed from `old` to `new`.
pub(crate) fn settings(old: &Settings, new: &Settings) {
    quietly(|| {
        debug!(
            target: names::LOG_TARGET,
            collection_interval = ?new.collection_interval,
            retention = ?new.retention,
            event_filter_changed = old.event_filter != new.event_filter,
            rules = new.rules.len(),
            rules_changed = old.rules != new.rules,
            "settings"
        );
    });
}

/// An alert has changed its state.
pub(crate) fn alert(change: &AlertChange) {
    quietly(|| {
        debug!(
            target: names::LOG_TARGET,
            rule = change.rule.as_str(),
            metric = change.metric.as_str(),
            scope = change.scope.as_str(),
            severity = ?change.severity,
            state = ?change.state,
            value = change.value,
            threshold = change.threshold,
            "alert"
        );
    });
}

/// Providers have changed their state.
pub(crate) fn standings(before: &[ProviderStanding], after: &[ProviderStanding]) {
    for standing in after {
        let is_it =
            |s: &&ProviderStanding| s.provider == standing.provider && s.model == standing.model;
        let state = before.iter().find(is_it).map(|before| before.state);
        let state = state.unwrap_or_default();
        if state != standing.state {
            quietly(|| {
                debug!(
                    target: names::LOG_TARGET,
                    of = &*standing.provider,
                    its_model = &*standing.model,
                    before = ?state,
                    now = ?standing.state,
                    reason = ?standing.reason,
                    "provider health"
                );
            });
        }
    }
}

/// A host's subscriber that panics must not take the monitor with it.
fn quietly(say: impl FnOnce()) {
    catch_unwind(AssertUnwindSafe(say)).ok();
}
