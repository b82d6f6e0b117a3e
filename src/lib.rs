//! Know, live and from inside, how every AI provider treats your gateway.

#![allow(dead_code, reason = "being built")]

mod clock;
mod config;
mod core;
mod edge;
mod names;

pub use clock::Timestamp;
pub use config::Limits;
pub use core::events::{EventFilter, PerformanceEvent, PerformanceEventType};
