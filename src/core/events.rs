//! Performance events.

use std::collections::BTreeMap;

use serde::Serialize;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PerformanceEvent {
    /// Tells this event from others of the same monitor.
    pub id: String,
    /// `REQUEST_START`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Unix seconds.
    pub timestamp: f64,
    /// How long it took, in milliseconds.
    pub duration: Option<f64>,
    /// The component it happened in.
    pub component: String,
    /// What that component did.
    pub operation: String,
    /// Recognised or declared keys only.
    pub metadata: BTreeMap<String, String>,
}
