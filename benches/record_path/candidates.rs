//! Everything that is measured.

mod assembled;
mod calls;
mod design;
mod floor;
mod monitor;
mod otel;
mod tracking;

use std::error::Error;
use std::time::Duration;

use crate::workload::Labels;

/// Something that watches attempts.
pub(crate) trait Candidate: Send + Sync {
    /// Does `count` attempts; how long they took on the thread that did them.
    fn burst(&self, labels: Labels, count: usize) -> Duration;

    /// Counts all that the candidate has put off: flushes, drains, collects.
    fn settle(&self) {}

    /// How many attempts have reached the far end; `None` where there is nothing that counts.
    fn counted(&self) -> Option<u64> {
        None
    }
}

/// What a candidate is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// A `tracing` span, from its creation until it is counted.
    Span,
    /// A call with the provider, the model, the duration and the cost.
    Call,
    /// Work of a component from the guard's making to its end, or one observation of a timer.
    Tracking,
    /// Only what follows the call: ways to reach every surface.
    Design,
}

/// A candidate before it is built.
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) group: Group,
    /// Whether the span is closed by another thread, which then serves the request too.
    pub(crate) moved: bool,
    /// Whether it can work without a pause: it is not itself what takes pending work away.
    pub(crate) sustained: bool,
    build: fn() -> Built,
}

/// A candidate that is ready, its subscriber in place.
type Built = Result<Box<dyn Candidate>, Box<dyn Error>>;

/// All candidates, in the order of the tables.
pub(crate) const ALL: &[Spec] = &[
    Spec {
        name: "nothing",
        what: "span on a subscriber that does nothing",
        group: Group::Span,
        moved: false,
        sustained: true,
        build: floor::nothing,
    },
    Spec {
        name: "registry",
        what: "span on `Registry` alone",
        group: Group::Span,
        moved: false,
        sustained: true,
        build: floor::registry,
    },
    Spec {
        name: "registry-moved",
        what: "span on `Registry` alone, closed on another thread",
        group: Group::Span,
        moved: true,
        sustained: false,
        build: floor::registry_moved,
    },
    Spec {
        name: "monitor",
        what: "`Registry` with the monitor's layer",
        group: Group::Span,
        moved: false,
        sustained: true,
        build: monitor::layer,
    },
    Spec {
        name: "monitor-moved",
        what: "the same, closed on another thread",
        group: Group::Span,
        moved: true,
        sustained: false,
        build: monitor::layer_moved,
    },
    Spec {
        name: "monitor-other-99",
        what: "the same with trace export on, spans that are not sampled",
        group: Group::Span,
        moved: false,
        sustained: true,
        build: monitor::not_traced,
    },
    Spec {
        name: "monitor-1-percent",
        what: "the same with trace export on, 1 % of the spans sampled",
        group: Group::Span,
        moved: false,
        sustained: true,
        build: monitor::one_percent_traced,
    },
    Spec {
        name: "tracing-opentelemetry",
        what: "tracing-opentelemetry, batch processor, exporter that does nothing",
        group: Group::Span,
        moved: false,
        sustained: true,
        build: assembled::traces,
    },
    Spec {
        name: "metrics-layer",
        what: "tracing-opentelemetry's MetricsLayer, span and event, Prometheus reader",
        group: Group::Span,
        moved: false,
        sustained: true,
        build: assembled::metrics_layer,
    },
    Spec {
        name: "assembled-static",
        what: "the next one with all names static and no attribute more than needed",
        group: Group::Span,
        moved: false,
        sustained: true,
        build: assembled::traces_and_static_metrics,
    },
    Spec {
        name: "assembled",
        what: "tracing-opentelemetry, and SDK metrics by hand: histogram, 2 counters, Prometheus reader",
        group: Group::Span,
        moved: false,
        sustained: true,
        build: assembled::traces_and_metrics,
    },
    Spec {
        name: "assembled-two-readers",
        what: "the same with a delta reader beside it, for windows",
        group: Group::Span,
        moved: false,
        sustained: true,
        build: assembled::traces_and_metrics_two_readers,
    },
    Spec {
        name: "call-monitor",
        what: "record_provider_request",
        group: Group::Call,
        moved: false,
        sustained: true,
        build: monitor::calls,
    },
    Spec {
        name: "call-sdk",
        what: "SDK, attributes per call: histogram, 2 counters, Prometheus reader",
        group: Group::Call,
        moved: false,
        sustained: true,
        build: calls::sdk,
    },
    Spec {
        name: "call-sdk-two-readers",
        what: "the same with a delta reader beside the Prometheus one",
        group: Group::Call,
        moved: false,
        sustained: true,
        build: calls::sdk_two_readers,
    },
    Spec {
        name: "call-bound",
        what: "SDK, bound instruments behind a thread-local lookup, Prometheus reader",
        group: Group::Call,
        moved: false,
        sustained: true,
        build: calls::bound,
    },
    Spec {
        name: "call-bound-two-readers",
        what: "the same with a delta reader beside the Prometheus one",
        group: Group::Call,
        moved: false,
        sustained: true,
        build: calls::bound_two_readers,
    },
    Spec {
        name: "track-handle",
        what: "track_operation!(monitor, …)",
        group: Group::Tracking,
        moved: false,
        sustained: true,
        build: tracking::handle,
    },
    Spec {
        name: "track-global",
        what: "track_operation! on the global monitor",
        group: Group::Tracking,
        moved: false,
        sustained: true,
        build: tracking::global,
    },
    Spec {
        name: "track-nobody",
        what: "track_operation! without a global monitor",
        group: Group::Tracking,
        moved: false,
        sustained: true,
        build: tracking::nobody,
    },
    Spec {
        name: "track-metadata",
        what: "track_operation! with a provider and a model as metadata",
        group: Group::Tracking,
        moved: false,
        sustained: true,
        build: tracking::metadata,
    },
    Spec {
        name: "timer-kept",
        what: "observe of a timer that is kept",
        group: Group::Tracking,
        moved: false,
        sustained: true,
        build: tracking::kept_timer,
    },
    Spec {
        name: "timer-global",
        what: "timer! on the global monitor, looked up by name each time",
        group: Group::Tracking,
        moved: false,
        sustained: true,
        build: tracking::named_timer,
    },
    Spec {
        name: "one-provider-inline",
        what: "one meter provider, delta and Prometheus readers, bound exponential histogram and 2 counters",
        group: Group::Design,
        moved: false,
        sustained: true,
        build: design::one_provider,
    },
    Spec {
        name: "two-providers-inline",
        what: "two meter providers, each instrument twice: delta exponential, cumulative classic",
        group: Group::Design,
        moved: false,
        sustained: true,
        build: design::two_providers,
    },
    Spec {
        name: "deferred",
        what: "128 bytes into a sharded Mutex<Vec>, drained into the one meter provider",
        group: Group::Design,
        moved: false,
        sustained: false,
        build: design::deferred,
    },
];

/// Builds the candidate called `name`, and makes its subscriber the global one if it has one.
pub(crate) fn build(name: &str) -> Built {
    let spec = ALL
        .iter()
        .find(|spec| spec.name == name)
        .ok_or_else(|| format!("no candidate is called {name}"))?;
    (spec.build)()
}
