//! What happened in the last while: a few parts of it, of which the oldest is forgotten whole.

use crate::clock::Timestamp;
use std::time::Duration;

const PARTS: u64 = 6;

/// Counts over a window that moves by a sixth of its length.
#[derive(Debug, Clone)]
pub(super) struct Recent {
    /// Nanoseconds.
    part: u64,
    parts: [(u64, Outcomes); PARTS as usize],
}

/// How many attempts came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Outcomes {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    /// How long the successful ones took together.
    pub(super) took: Duration,
}

impl Outcomes {
    pub(super) const fn count(&self) -> u64 {
        self.succeeded.saturating_add(self.failed)
    }

    /// How many of 100 succeeded; none of nothing.
    pub(super) fn rate(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.succeeded as f64 * 100.0 / count as f64)
    }

    /// How long a success took; none without.
    pub(super) fn average(&self) -> Option<Duration> {
        let succeeded = self.succeeded;
        (succeeded > 0).then(|| self.took.div_f64(succeeded as f64))
    }
}

impl Recent {
    pub(super) fn new(window: Duration) -> Self {
        let nanos = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        Self {
            part: (nanos / PARTS).max(1),
            parts: [(0, Outcomes::default()); PARTS as usize],
        }
    }

    pub(super) fn succeed(&mut self, now: Timestamp, count: u64, took: Duration) {
        if let Some(part) = self.part(now) {
            part.succeeded = part.succeeded.saturating_add(count);
            part.took = part.took.saturating_add(took);
        }
    }

    pub(super) fn fail(&mut self, now: Timestamp, count: u64) {
        if let Some(part) = self.part(now) {
            part.failed = part.failed.saturating_add(count);
        }
    }

    /// Forgets what is older than the window.
    pub(super) fn forget(&mut self, now: Timestamp) {
        let current = now.as_unix_nanos() / self.part;
        for (number, outcomes) in &mut self.parts {
            if number.saturating_add(PARTS) <= current {
                *outcomes = Outcomes::default();
            }
        }
    }

    /// All of the window.
    pub(super) fn sum(&self) -> Outcomes {
        let parts = self.parts.iter();
        parts.fold(Outcomes::default(), |sum, (_, part)| Outcomes {
            succeeded: sum.succeeded.saturating_add(part.succeeded),
            failed: sum.failed.saturating_add(part.failed),
            took: sum.took.saturating_add(part.took),
        })
    }

    fn part(&mut self, now: Timestamp) -> Option<&mut Outcomes> {
        let number = now.as_unix_nanos() / self.part;
        let at = usize::try_from(number % PARTS).ok()?;
        let (taken, outcomes) = self.parts.get_mut(at)?;
        if *taken != number {
            (*taken, *outcomes) = (number, Outcomes::default());
        }
        Some(outcomes)
    }
}
