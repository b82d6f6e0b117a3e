//! Exact percentiles: every duration is kept.

use std::time::Duration;

use serde_json::{Value, json};

/// Durations kept per series, so that a gateway left running for weeks doesn't grow.
pub(crate) const KEPT: usize = 2_000_000;

#[derive(Debug, Default)]
pub(crate) struct Samples {
    nanoseconds: Vec<u64>,
    left_out: u64,
}

impl Samples {
    pub(crate) fn push(&mut self, duration: Duration) {
        self.push_nanoseconds(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn push_nanoseconds(&mut self, nanoseconds: u64) {
        if self.nanoseconds.len() < KEPT {
            self.nanoseconds.push(nanoseconds);
        } else {
            self.left_out += 1;
        }
    }

    pub(crate) fn append(&mut self, other: &Self) {
        self.left_out += other.left_out;
        self.nanoseconds.extend_from_slice(&other.nanoseconds);
    }

    pub(crate) fn leave_out(&mut self, samples: u64) {
        self.left_out += samples;
    }

    /// The count and the nearest-rank percentiles; null without samples.
    pub(crate) fn json(&self) -> Value {
        let mut sorted = self.nanoseconds.clone();
        sorted.sort_unstable();
        // The rank is the smallest that has at least the share of all at or below it.
        let percentile = |per_mille: usize| {
            let rank = (sorted.len() * per_mille).div_ceil(1_000).max(1);
            sorted
                .get(rank - 1)
                .map(|nanoseconds| *nanoseconds as f64 / 1e6)
        };
        json!({
            "count": sorted.len(),
            "left_out": self.left_out,
            "min_ms": sorted.first().map(|nanoseconds| *nanoseconds as f64 / 1e6),
            "p50_ms": percentile(500),
            "p95_ms": percentile(950),
            "p99_ms": percentile(990),
            "p99_9_ms": percentile(999),
            "max_ms": sorted.last().map(|nanoseconds| *nanoseconds as f64 / 1e6),
        })
    }
}
