//! The pure core: no runtime, no OpenTelemetry, no tracing, no clock. Tested on plain data.

pub(crate) mod error_type;
pub(crate) mod events;
pub(crate) mod guards;
pub(crate) mod labels;
pub(crate) mod measurement;
pub(crate) mod money;
pub(crate) mod open;
pub(crate) mod queue;
pub(crate) mod record;
pub(crate) mod recorder;
