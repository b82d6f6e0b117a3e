//! The tower layer in a real axum app, over loopback TCP, with real clients.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

mod app;
mod endings;
mod endpoints;
#[path = "../support/exported.rs"]
mod exported;
mod spans;
mod streams;
mod traces;
