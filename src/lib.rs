//! Know, live and from inside, how every AI provider treats your gateway.

#![allow(dead_code, reason = "being built")]

mod clock;
mod core;
mod names;

pub use clock::Timestamp;
pub use core::events::PerformanceEvent;
pub use core::memory::MemoryMetrics;
pub use core::views::{
    CacheCounts, ComponentPerformance, ComponentsView, Coverage, EndpointPerformance,
    EndpointsSummary, EndpointsView, Failover, FirstTokenStats, MethodPerformance,
    ModelPerformance, ParameterAverages, PerformanceReport, PerformanceStats, ProviderPerformance,
    ProvidersSummary, ProvidersView, RealTimeView, ViewError,
};
pub use core::window::Window;
