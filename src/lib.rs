//! Know, live and from inside, how every AI provider treats your gateway.

mod builder;
mod clock;
mod config;
mod core;
mod edge;
mod error;
mod event_type;
mod handle;
#[cfg(feature = "server")]
mod http;
mod monitor;
mod names;
mod tick;

pub use builder::MonitorBuilder;
pub use clock::Timestamp;
pub use config::{Limits, OtlpProtocol, TraceSampling};
pub use core::{
    events::PerformanceEvent,
    guards::{Attempt, Operation},
    memory::MemoryMetrics,
    record::EventId,
    views::{
        CacheCounts, ComponentPerformance, ComponentsView, Coverage, EndpointPerformance,
        EndpointsSummary, EndpointsView, Failover, FirstTokenStats, MethodPerformance,
        ModelPerformance, ParameterAverages, PerformanceReport, PerformanceStats,
        ProviderPerformance, ProvidersSummary, ProvidersView, RealTimeView, ViewError,
    },
    window::Window,
};
#[cfg(feature = "server")]
pub use edge::http_layer::{HttpFuture, HttpLayer, HttpService, MeasuredBody, SpanBody};
pub use edge::otel::{reader::ViewReader, streams::streams};
pub use error::{BuildError, ShutdownError};
pub use event_type::{EventFilter, PerformanceEventType};
pub use monitor::PerformanceMonitor;
pub use tick::MonitorHealth;
