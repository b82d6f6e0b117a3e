//! The work that every candidate does, so that only what watches it differs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tracing::{Span, field};

/// What an attempt is labelled with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Labels {
    pub(crate) provider: &'static str,
    pub(crate) model: &'static str,
}

/// The labels that all threads use when they share a series.
pub(crate) const SHARED: Labels = Labels {
    provider: "cerebras",
    model: "llama3.1-70b",
};

/// The labels of each thread when they do not.
pub(crate) const DISTINCT: [Labels; 2] = [
    SHARED,
    Labels {
        provider: "anthropic",
        model: "claude-sonnet-4-5",
    },
];

/// The operation of every attempt.
pub(crate) const OPERATION: &str = "chat";
/// The HTTP method of every attempt.
pub(crate) const METHOD: &str = "POST";
/// The status of every attempt.
pub(crate) const STATUS: u16 = 200;
/// The cost of every attempt, in USD.
pub(crate) const COST: f64 = 0.0042;

/// A span with six fields, four of them given at once and two left for later.
#[inline(always)]
pub(crate) fn attempt_span(labels: Labels) -> Span {
    tracing::info_span!(
        "attempt",
        provider = labels.provider,
        model = labels.model,
        operation = OPERATION,
        method = METHOD,
        status_code = field::Empty,
        cost = field::Empty,
    )
}

/// Creates the span, enters it once and records what was left for later. The caller drops it.
#[inline(always)]
pub(crate) fn attempt(labels: Labels) -> Span {
    let span = attempt_span(black_box(labels));
    span.in_scope(|| black_box(()));
    span.record("status_code", black_box(STATUS));
    span.record("cost", black_box(COST));
    span
}

/// How long `work` takes.
#[inline(always)]
pub(crate) fn timed(work: impl FnOnce()) -> Duration {
    let start = now();
    work();
    now().duration_since(start)
}

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
#[inline(always)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A duration for the `index`-th call, between 50 ms and 1 s, without asking a clock.
#[inline(always)]
pub(crate) fn duration(index: usize) -> Duration {
    Duration::from_micros(50_000 + 928 * (index as u64 & 1_023))
}
