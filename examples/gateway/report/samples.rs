//! Exact percentiles: every duration is kept.

use std::time::Duration;

use serde_json::{Value, json};

/// Durations kept per series, so that a gateway left running for weeks doesn't grow.
pub(crate) const KEPT: usize = 500_000;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut samples = Samples::default();
        assert_eq!(samples.json()["p50_ms"], Value::Null);
        for milliseconds in (1..=200).rev() {
            samples.push(Duration::from_millis(milliseconds));
        }
        let json = samples.json();
        assert_eq!(json["count"], 200);
        assert_eq!(json["p50_ms"], 100.0);
        assert_eq!(json["p95_ms"], 190.0);
        assert_eq!(json["p99_ms"], 198.0);
        assert_eq!(json["p99_9_ms"], 200.0);
        assert_eq!(
            (&json["min_ms"], &json["max_ms"]),
            (&json!(1.0), &json!(200.0))
        );
    }
}
