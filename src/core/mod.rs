//! The pure core: no runtime, no OpenTelemetry, no tracing, no clock. Tested on plain data.

pub(crate) mod aggregate;
pub(crate) mod alerts;
#[cfg_attr(
    not(feature = "server"),
    allow(dead_code, reason = "neither a head nor a stream is read")
)]
pub(crate) mod answer;
pub(crate) mod chain;
pub(crate) mod classic;
pub(crate) mod configuration;
pub(crate) mod cost;
mod course;
pub(crate) mod deliveries;
pub(crate) mod error_type;
pub(crate) mod events;
pub(crate) mod export;
#[cfg(feature = "push")]
pub(crate) mod growth;
pub(crate) mod guards;
pub(crate) mod histogram;
pub(crate) mod labels;
pub(crate) mod ladder;
pub(crate) mod level;
pub(crate) mod measurement;
pub(crate) mod memory;
pub(crate) mod moment;
pub(crate) mod money;
pub(crate) mod open;
pub(crate) mod open_operation;
pub(crate) mod operation_handle;
pub(crate) mod packed;
pub(crate) mod packing;
pub(crate) mod prices;
pub(crate) mod process;
pub(crate) mod queue;
pub(crate) mod quotas;
pub(crate) mod random;
pub(crate) mod record;
pub(crate) mod recorder;
pub(crate) mod refused;
pub(crate) mod rfc3339;
pub(crate) mod series;
pub(crate) mod settings;
pub(crate) mod slot;
pub(crate) mod slowest;
pub(crate) mod snapshot;
pub(crate) mod span;
pub(crate) mod standing;
pub(crate) mod statistics;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod timer;
pub(crate) mod token_usage;
pub(crate) mod totals;
pub(crate) mod trace_link;
pub(crate) mod trend;
pub(crate) mod views;
pub(crate) mod window;
pub(crate) mod word_hash;
pub(crate) mod work;
