//! Know, live and from inside, how every AI provider treats your gateway.

#![allow(dead_code, reason = "being built")]

mod clock;
mod core;

pub use clock::Timestamp;
