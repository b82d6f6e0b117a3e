//! Know, live and from inside, how every AI provider treats your gateway.
//!
//! ```
//! use aimux_otel::{PerformanceMonitor, Window};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let monitor = PerformanceMonitor::builder().build()?;
//! let took = Duration::from_millis(850);
//! monitor.record_provider_request("cerebras", "llama3.1-70b", took, true, "", 0.0042);
//! monitor.collect();
//!
//! let view = monitor.providers(Window::Last(Duration::from_secs(300)))?;
//! let cerebras = &view.providers["cerebras"];
//! assert_eq!(cerebras.total_requests, 1);
//! assert_eq!(cerebras.total_cost, 0.0042);
//! // A percentile is within 0.5416 % of the exact one, and the answer says so.
//! let p95 = cerebras.p95_response_time_ms.unwrap_or_default();
//! assert!((p95 - 850.0).abs() <= 850.0 * 0.005_416);
//! assert!(view.coverage.quantile_error_percent.is_some_and(|error| error < 0.5416));
//! # Ok(()) }
//! ```
//!
//! Where to look:
//!
//! - [`PerformanceMonitor`] is what you keep: [`builder`](PerformanceMonitor::builder) makes it,
//!   [`layer`](PerformanceMonitor::layer) measures spans, the getters tell.
//! - [`ProvidersView`], [`EndpointsView`], [`ComponentsView`], [`RealTimeView`] and
//!   [`PerformanceReport`] are the answers, as values and as JSON alike.
//! - [`ProviderCall`] and [`Operation`] are guards for code without spans: they see a cancelled
//!   future, and a provider's streamed answer to its end.
//! - [`track_component!`], [`track_operation!`] and [`timer!`] measure the rest of the gateway, with
//!   a handle or without.
//! - [`HttpLayer`] measures the endpoints of an axum app, and [`SpanBody`] keeps a span open to the
//!   end of a streamed body.
//! - [`ViewReader`] and [`streams`] go onto a meter provider of your own.
//!
//! Which fields make a span count, the routes, and the variables that are honoured: the
//! [README](https://docs.rs/crate/aimux-otel/latest). Why it is built so: `DESIGN.md` in the source.

mod alerting;
mod analysis;
mod builder;
mod cardinality;
mod clock;
mod config;
mod core;
mod counter;
mod edge;
mod error;
mod event_type;
mod exporting;
mod exports;
mod global;
mod handle;
mod health;
#[cfg(feature = "server")]
mod http;
mod lifecycle;
mod macros;
mod monitor;
mod names;
mod pricing;
mod providers;
#[cfg(feature = "push")]
mod pushing;
mod ranking;
mod rehearsal;
mod summary;
mod tick;

pub use builder::MonitorBuilder;
pub use cardinality::{CardinalityView, LabelCardinality};
pub use clock::Timestamp;
pub use config::{Conventions, Limits, OtlpProtocol, TraceSampling};
pub use core::{
    alerts::{
        change::{AlertChange, AlertSink, ResolvedBecause},
        custom::AlertContext,
        prometheus::{HistogramForm, prometheus_rules},
        rule::{AlertMetric, AlertRule, AlertScope, Comparison, Severity},
        view::{
            AlertDetail, AlertState, AlertsView, InsufficientBecause, InsufficientData,
            ResolvedAlert, SystemHealth,
        },
    },
    configuration::{AlertThreshold, Configuration, ConfiguredEvents, ConfiguredLimits},
    cost::MonitorCost,
    deliveries::PushHealth,
    events::PerformanceEvent,
    export::{Export, ExportError, ExportFormat},
    guards::{Operation, Waiting},
    memory::{HeapSource, MemoryLimitSource, MemoryMetrics},
    operation_handle::OperationHandle,
    prices::{PriceTable, PriceTableInfo},
    record::EventId,
    refused::RefusedValue,
    standing::{HealthPolicy, HealthReason, HealthState, ProviderStanding, Ranking},
    timer::{RunningTimer, Timer},
    token_usage::TokenUsage,
    trend::PressureTrend,
    views::{
        Availability, CacheCounts, ChainStats, ComponentPerformance, ComponentsView, CostSummary,
        Coverage, CpuMetrics, DurationComparison, EndpointPerformance, EndpointsSummary,
        EndpointsView, ErrorRate, ExperimentPerformance, ExperimentsView, Failover, Faults,
        FewRequests, FirstTokenStats, HistoryMetric, HistoryPoint, HistoryQuery, HistoryScope,
        HistoryView, IoMetrics, KeyIndicators, MemoryTrends, MemoryView, MethodPerformance,
        ModelPerformance, NetworkMetrics, OutputChunkStats, ParameterAverages, PerformanceReport,
        PerformanceStats, ProcessMetrics, ProcessResources, ProviderHealth, ProviderPerformance,
        ProviderSlowest, ProvidersSummary, ProvidersView, RateLimit, RealTimeView, RequestDetail,
        ResponseTime, ResponseTimes, ShareComparison, Significance, SignificanceTest, SlowestView,
        Throughput, UnpricedModel, VariantComparison, VariantPerformance, ViewError,
    },
    window::Window,
    work::ComponentWork,
};
pub use edge::alert_changes::AlertChanges;
pub use edge::call::ProviderCall;
#[cfg(feature = "server")]
pub use edge::call::{CallBody, CallStream, StallBody, StallStream, Stalled};
#[cfg(feature = "reqwest-middleware")]
pub use edge::call::{CallMiddleware, CallTarget};
#[cfg(feature = "server")]
pub use edge::http_layer::{HttpFuture, HttpLayer, HttpService, MeasuredBody, SpanBody};
pub use edge::otel::{reader::ViewReader, streams::streams};
#[cfg(feature = "push")]
pub use edge::push::{Alertmanager, Elasticsearch, Pushgateway, Webhook};
#[cfg(feature = "push")]
pub use error::PushError;
pub use error::{AlertRuleError, BuildError, PriceTableError, SettingsError, ShutdownError};
pub use event_type::{EventFilter, PerformanceEventType};
pub use global::{global, timer, track_component, track_operation};
pub use health::MonitorHealth;
pub use monitor::PerformanceMonitor;
#[doc(hidden)]
pub use rehearsal::{RehearsedCollection, RehearsedPoint};
pub use summary::PerformanceSummary;

/// The README's code is compiled too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So is the code of the page that maps the guide.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide.md")]
struct Guide;
