//! The tower layer in a real axum app, over loopback TCP, with real clients.

mod app;
mod endpoints;
