//! Alerts: what is watched for, and what of it is the case.

mod board;
pub(crate) mod change;
pub(crate) mod custom;
pub(crate) mod engine;
pub(crate) mod figures;
mod instance;
mod message;
pub(crate) mod prometheus;
mod recommended;
pub(crate) mod rule;
mod standing;
pub(crate) mod view;
mod watch;
