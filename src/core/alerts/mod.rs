//! Alerts: what is watched for, and what of it is the case.

pub(crate) mod change;
pub(crate) mod rule;
pub(crate) mod view;
