//! The edges: where tracing, OpenTelemetry, HTTP and the operating system touch the core.

pub(crate) mod alert_changes;
pub(crate) mod call;
#[cfg(feature = "server")]
pub(crate) mod http_layer;
pub(crate) mod layer;
pub(crate) mod otel;
pub(crate) mod own_log;
pub(crate) mod process;
#[cfg(feature = "push")]
pub(crate) mod push;
