//! When to try again: a pure function of what was answered, and of how long it went on already.

use crate::core::deliveries::Loss;
use std::time::Duration;

/// A destination may ask for a pause of so much; if it asks for more, it gets this.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// How often and for how long something is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retry {
    /// The pause after the first failure, at the most; each further failure doubles it.
    pub(super) first: Duration,
    /// The longest pause.
    pub(super) most: Duration,
    /// From the first attempt on, until nothing more is tried.
    pub(super) give_up: Duration,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// An HTTP status, and the pause that it asks for.
    Status(u16, Option<Duration>),
    /// A success that makes no sense.
    Unreadable,
    /// None: no connection, no answer in time, or a broken one.
    Nothing,
    /// It is to be sent in another form, at once.
    Differently,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: it is where it should be.
    Done,
    /// Another attempt after a pause.
    Again(Duration),
    /// Nothing: it is lost.
    GiveUp(Loss),
}

impl Retry {
    /// For what is worth so much time.
    pub(super) const fn within(give_up: Duration) -> Self {
        Self {
            first: Duration::from_millis(500),
            most: Duration::from_secs(30),
            give_up,
        }
    }

    /// What comes after the answer to an attempt: the `failures`-th that failed if it did, `spent`
    /// after the first one began. `random` is between 0 and 1, so that those who failed together
    /// do not come back together.
    ///
    /// Another attempt is worth while after 408, 429, 500 and above, and where there was no
    /// answer. Whoever redirects is not who was meant.
    pub(super) fn next(&self, answer: Answer, failures: u32, spent: Duration, random: f64) -> Next {
        let (loss, asked) = match answer {
            Answer::Status(200..=299, _) => return Next::Done,
            Answer::Differently => return Next::Again(Duration::ZERO),
            Answer::Status(408 | 429 | 500.., pause) => (Loss::Unavailable, pause),
            Answer::Status(413, _) => return Next::GiveUp(Loss::TooLarge),
            Answer::Status(..) => return Next::GiveUp(Loss::Refused),
            Answer::Unreadable => (Loss::Unreadable, None),
            Answer::Nothing => (Loss::Unreachable, None),
        };
        let doublings = failures.saturating_sub(1).min(16);
        let longest = self.first.saturating_mul(1 << doublings).min(self.most);
        let pause = longest.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        let pause = pause.max(asked.unwrap_or_default().min(LONGEST_PAUSE));
        if spent.saturating_add(pause) > self.give_up {
            return Next::GiveUp(loss);
        }
        Next::Again(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry::within(Duration::from_secs(600));

    fn next(answer: Answer) -> Next {
        RETRY.next(answer, 1, Duration::ZERO, 1.0)
    }

    fn pause(failures: u32, random: f64) -> Duration {
        match RETRY.next(Answer::Nothing, failures, Duration::ZERO, random) {
            Next::Again(pause) => pause,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for status in [200, 202, 204, 299] {
            assert_eq!(next(Answer::Status(status, None)), Next::Done, "{status}");
        }
        let again = Next::Again(Duration::from_millis(500));
        for status in [408, 429, 500, 502, 503, 504, 599] {
            assert_eq!(next(Answer::Status(status, None)), again, "{status}");
        }
        assert_eq!(next(Answer::Nothing), again);
        assert_eq!(next(Answer::Unreadable), again);
        for status in [101, 301, 307, 400, 401, 404, 409, 410, 422] {
            let refused = Next::GiveUp(Loss::Refused);
            assert_eq!(next(Answer::Status(status, None)), refused, "{status}");
        }
        assert_eq!(
            next(Answer::Status(413, None)),
            Next::GiveUp(Loss::TooLarge)
        );
        assert_eq!(next(Answer::Differently), Next::Again(Duration::ZERO));
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_are_never_the_same_for_all() {
        let seconds = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0];
        for (failures, longest) in (1..).zip(seconds) {
            assert_eq!(pause(failures, 1.0), Duration::from_secs_f64(longest));
            assert_eq!(pause(failures, 0.0), Duration::from_secs_f64(longest / 2.0));
        }
        assert_eq!(pause(u32::MAX, 1.0), Duration::from_secs(30));
        assert_eq!(pause(1, f64::NAN.max(7.0)), Duration::from_millis(500));
    }

    #[test]
    fn a_destination_may_ask_for_a_longer_pause_within_bounds() {
        let asked = |seconds| {
            let asked = Some(Duration::from_secs(seconds));
            next(Answer::Status(503, asked))
        };
        assert_eq!(asked(7), Next::Again(Duration::from_secs(7)));
        assert_eq!(asked(0), Next::Again(Duration::from_millis(500)));
        assert_eq!(asked(u64::MAX), Next::Again(LONGEST_PAUSE));
    }

    #[test]
    fn there_is_an_end_to_it() {
        let spent = |millis, answer| RETRY.next(answer, 1, Duration::from_millis(millis), 1.0);
        let again = Next::Again(Duration::from_millis(500));
        assert_eq!(spent(599_500, Answer::Nothing), again);
        let unreachable = Next::GiveUp(Loss::Unreachable);
        assert_eq!(spent(599_501, Answer::Nothing), unreachable);
        let unavailable = Next::GiveUp(Loss::Unavailable);
        assert_eq!(spent(599_501, Answer::Status(503, None)), unavailable);
        let unreadable = Next::GiveUp(Loss::Unreadable);
        assert_eq!(spent(599_501, Answer::Unreadable), unreadable);
    }
}
