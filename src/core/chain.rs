//! The attempts of one open operation: how many, what became of them, and how much of the
//! operation's time they took.

use super::{
    error_type,
    measurement::{Chain, Count, Measurement},
};
use crate::clock::{Timestamp, saturating_nanos};

/// What is known of the attempts so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChainSoFar {
    /// The latest end of an attempt, or of a wait on purpose.
    busy_until: Timestamp,
    /// Time in which there was one, in nanoseconds, up to some 18 minutes.
    busy: Count,
    attempts: u8,
    succeeded: bool,
    /// The last one failed by a fault that is not the caller's.
    failed_by_others: bool,
}

impl ChainSoFar {
    pub(crate) const EMPTY: Self = Self {
        busy_until: Timestamp::EPOCH,
        busy: Count::new(0),
        attempts: 0,
        succeeded: false,
        failed_by_others: false,
    };

    /// Whether there was an attempt.
    pub(crate) const fn has_attempt(&self) -> bool {
        self.attempts > 0
    }

    /// An attempt has ended.
    pub(crate) fn note_attempt(&mut self, attempt: &Measurement) {
        self.attempts = self.attempts.saturating_add(1);
        self.succeeded |= !attempt.failed();
        self.failed_by_others = is_failed_by_others(attempt);
        self.note_wait(attempt.ended.before(attempt.duration()), attempt.ended);
    }

    /// From `started` to `ended` the gateway did nothing but wait.
    pub(crate) fn note_wait(&mut self, started: Timestamp, ended: Timestamp) {
        // What overlaps what ended before is not counted twice. Where attempts run side by side,
        // one that began in a gap between earlier ones, and ended after them, leaves that gap out.
        let from = started.max(self.busy_until);
        let more = saturating_nanos(ended.since(from));
        self.busy = Count::new(self.busy().saturating_add(more));
        self.busy_until = self.busy_until.max(ended);
    }

    fn busy(&self) -> u64 {
        self.busy.get().unwrap_or(0)
    }

    /// What they come to, for an operation that is complete.
    pub(crate) fn of(&self, operation: &Measurement) -> Chain {
        let overhead = operation.duration.saturating_sub(self.busy());
        Chain {
            attempts: self.attempts,
            exhausted: operation.failed() && !self.succeeded && self.failed_by_others,
            overhead: match self.attempts {
                0 => Count::NONE,
                // They took longer than is kept, and so nothing tells what is left.
                _ if self.busy() >= Count::LARGEST => Count::NONE,
                _ => Count::new(overhead),
            },
        }
    }
}

impl Chain {
    /// That of an operation which is its only attempt too: nothing tells what the gateway itself
    /// took of its time.
    pub(crate) fn single(attempt: &Measurement) -> Self {
        Self {
            attempts: 1,
            exhausted: is_failed_by_others(attempt),
            overhead: Count::NONE,
        }
    }
}

fn is_failed_by_others(attempt: &Measurement) -> bool {
    let status = || attempt.status.and_then(error_type::of_status);
    let error = attempt.error.or_else(status);
    error.is_some_and(|error| !error_type::domain(error).is_callers())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{core::measurement::Kind, event_type::PerformanceEventType};
    use proptest::prelude::*;

    fn attempt(started: u64, ended: u64, error: Option<&'static str>) -> Measurement {
        let mut attempt = Measurement::new(Kind::Attempt, PerformanceEventType::ProviderEnd);
        attempt.ended = Timestamp::from_unix_nanos(ended);
        attempt.duration = ended - started;
        attempt.error = error;
        attempt
    }

    fn operation(duration: u64, error: Option<&'static str>) -> Measurement {
        let mut operation = attempt(0, duration, error);
        operation.kind = Kind::Operation;
        operation
    }

    fn chain(attempts: &[Measurement], operation: &Measurement) -> Chain {
        let mut chain = ChainSoFar::EMPTY;
        for attempt in attempts {
            chain.note_attempt(attempt);
        }
        chain.of(operation)
    }

    #[test]
    fn a_chain_is_exhausted_when_nobody_could_answer() {
        let failed = operation(1_000, Some("503"));
        let broken = || attempt(10, 20, Some("timeout"));
        let refused = || attempt(20, 30, Some("400"));
        let answered = || attempt(20, 30, None);
        assert!(chain(&[broken()], &failed).exhausted);
        assert!(chain(&[broken(), broken()], &failed).exhausted);
        assert!(chain(&[refused(), broken()], &failed).exhausted);
        for (attempts, operation) in [
            (vec![], &failed),
            (vec![broken(), refused()], &failed),
            (vec![answered(), broken()], &failed),
            (vec![broken()], &operation(1_000, None)),
        ] {
            assert!(!chain(&attempts, operation).exhausted, "{attempts:?}");
        }
    }

    #[test]
    fn what_the_attempts_took_is_not_the_gateways() {
        let whole = operation(1_000, None);
        assert_eq!(chain(&[], &whole), Chain::NONE);
        let two = [attempt(100, 300, Some("500")), attempt(350, 900, None)];
        let of_two = chain(&two, &whole);
        assert_eq!((of_two.attempts, of_two.overhead.get()), (2, Some(250)));
        let hedged = [
            attempt(100, 700, Some("cancelled")),
            attempt(200, 900, None),
        ];
        assert_eq!(chain(&hedged, &whole).overhead.get(), Some(200));
        let mut waited = ChainSoFar::EMPTY;
        let at = Timestamp::from_unix_nanos;
        waited.note_wait(at(0), at(100));
        assert_eq!(waited.of(&whole).overhead, Count::NONE, "no attempt");
        waited.note_attempt(&attempt(100, 900, None));
        assert_eq!(waited.of(&whole).overhead.get(), Some(100));
        let late = chain(&[attempt(0, 2_000, None)], &whole);
        assert_eq!(late.overhead.get(), Some(0), "it ended after its operation");
        let half_an_hour = 1_800_000_000_000;
        let long = [attempt(0, half_an_hour, None)];
        let overhead = chain(&long, &operation(half_an_hour, None)).overhead;
        assert_eq!(overhead, Count::NONE, "longer than is kept");
    }

    proptest! {
        #[test]
        fn side_by_side_they_are_counted_once(
            spans in prop::collection::vec((0..1_000_u64, 0..100_u64), 1..8),
        ) {
            let mut spans: Vec<_> = spans.iter().map(|(from, len)| (*from, from + len)).collect();
            spans.sort_by_key(|(_, ended)| *ended);
            let whole = operation(2_000, None);
            let attempts: Vec<_> = spans.iter().map(|(a, b)| attempt(*a, *b, None)).collect();
            let overhead = chain(&attempts, &whole).overhead.get().unwrap();
            let union = (0..2_000).filter(|t| spans.iter().any(|(a, b)| a <= t && t < b)).count();
            prop_assert!(overhead >= 2_000 - union as u64, "what somebody took counts once");
            let in_turn = spans.windows(2).all(|pair| pair[1].0 >= pair[0].0);
            if in_turn {
                prop_assert_eq!(overhead, 2_000 - union as u64);
            }
        }
    }
}
