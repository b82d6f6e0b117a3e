//! Which label values are admitted, and which were refused: the answer of
//! `/performance/cardinality`.

use crate::{
    core::{labels::LabelTable, refused::RefusedValue},
    tick::Shared,
};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// Which values the labels have, and what became of those beyond the limits. All since the monitor
/// was built.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct CardinalityView {
    /// By kind of label.
    pub labels: BTreeMap<&'static str, LabelCardinality>,
    /// Series that there are, also idle ones.
    pub series: usize,
    /// Points of series that share one series for want of room.
    pub series_folded: u64,
}

/// The values of one kind of label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct LabelCardinality {
    /// How many values are admitted: the configured ones at once, others as they came.
    pub admitted: usize,
    /// How many may be.
    pub limit: usize,
    /// How often a value was counted under `_OTHER`.
    pub refused: u64,
    /// Those that were refused most, most first: at most 16. What was refused more often than one
    /// time in sixteen is among them, as long as not too many threads refuse at once.
    pub top_refused: Vec<RefusedValue>,
}

/// Of all labels.
pub(crate) fn cardinality(shared: &Shared) -> CardinalityView {
    let of = |(kind, table): (&'static str, &LabelTable)| {
        let labels = LabelCardinality {
            admitted: table.admitted(),
            limit: table.capacity(),
            refused: table.refused(),
            top_refused: table.top_refused(),
        };
        (kind, labels)
    };
    let latest = shared.latest();
    let totals = &latest.history.totals;
    CardinalityView {
        labels: shared.recorder.labels.named().map(of).into(),
        series: totals.series.len(),
        series_folded: totals.folded,
    }
}
