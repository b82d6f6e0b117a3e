//! The edges: where tracing, OpenTelemetry, HTTP and the operating system touch the core.

pub(crate) mod layer;
pub(crate) mod otel;
pub(crate) mod process;
