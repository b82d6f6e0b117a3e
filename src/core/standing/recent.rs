//! What happened in the last while: a few parts of it, of which the oldest is forgotten whole.

use crate::clock::Timestamp;
use std::time::Duration;

const PARTS: u64 = 6;

/// Counts over a window that moves by a sixth of its length.
#[derive(Debug, Clone)]
pub(super) struct Recent {
    /// Nanoseconds.
    part: u64,
    parts: [Part; PARTS as usize],
}

/// There are many of these.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    /// The lowest digits of its number.
    number: u32,
    succeeded: u32,
    failed: u32,
    /// In seconds.
    took: f32,
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
            parts: [Part::default(); PARTS as usize],
        }
    }

    pub(super) fn succeed(&mut self, now: Timestamp, count: u64, took: Duration) {
        if let Some(part) = self.part(now) {
            part.succeeded = part.succeeded.saturating_add(small(count));
            part.took += took.as_secs_f32();
        }
    }

    pub(super) fn fail(&mut self, now: Timestamp, count: u64) {
        if let Some(part) = self.part(now) {
            part.failed = part.failed.saturating_add(small(count));
        }
    }

    /// Forgets what is older than the window.
    pub(super) fn forget(&mut self, now: Timestamp) {
        let current = (now.as_unix_nanos() / self.part) as u32;
        for part in &mut self.parts {
            if u64::from(current.wrapping_sub(part.number)) >= PARTS {
                *part = Part::default();
            }
        }
    }

    /// All of the window.
    pub(super) fn sum(&self) -> Outcomes {
        let parts = self.parts.iter();
        parts.fold(Outcomes::default(), |sum, part| {
            let took = Duration::try_from_secs_f32(part.took).unwrap_or_default();
            Outcomes {
                succeeded: sum.succeeded + u64::from(part.succeeded),
                failed: sum.failed + u64::from(part.failed),
                took: sum.took.saturating_add(took),
            }
        })
    }

    fn part(&mut self, now: Timestamp) -> Option<&mut Part> {
        let number = now.as_unix_nanos() / self.part;
        let part = self.parts.get_mut(usize::try_from(number % PARTS).ok()?)?;
        if part.number != number as u32 {
            *part = Part {
                number: number as u32,
                ..Part::default()
            };
        }
        Some(part)
    }
}

fn small(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
