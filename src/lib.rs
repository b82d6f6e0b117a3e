//! Know, live and from inside, how every AI provider treats your gateway.

#![allow(dead_code, reason = "being built")]

mod builder;
mod clock;
mod config;
mod core;
mod edge;
mod error;
#[cfg(feature = "server")]
mod http;
mod monitor;
mod names;
mod tick;

pub use builder::MonitorBuilder;
pub use clock::Timestamp;
pub use config::{Limits, OtlpProtocol, TraceSampling};
pub use core::{
    events::{EventFilter, PerformanceEvent, PerformanceEventType},
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
pub use edge::otel::{reader::ViewReader, streams::streams};
pub use error::{BuildError, ShutdownError};
pub use monitor::PerformanceMonitor;
pub use tick::MonitorHealth;
