//! Calls to providers: guards, and answers that pass through, over loopback TCP with real clients.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

#[path = "../http_layer/app.rs"]
mod app;
#[path = "../support/exported.rs"]
mod exported;
mod gateway;
mod guard;
mod passing;
mod quotas;
mod relayed;
mod traced;
mod upstream;
