//! How one alert stands, from one look to the next: inactive, pending, firing, resolved.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::core::alerts::change::ResolvedBecause;
use crate::core::alerts::rule::Verdict;

/// An alert that is pending or fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// When it became the case.
    pub(super) began: Timestamp,
    /// When it began to fire, if it does.
    pub(super) fired: Option<Timestamp>,
    /// While it fires: since when it is not the case, though not by the margin.
    near_since: Option<Timestamp>,
    /// While it fires: since when there are too few samples to tell.
    too_few_since: Option<Timestamp>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing is the case.
    Inactive,
    /// It is pending or fires.
    Stands(Standing),
    /// It fired.
    Resolved(ResolvedBecause),
}

/// What an alert waits for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// To fire, it has to be the case for so long.
    pub(super) pending_for: Duration,
    /// To be resolved without a margin, it has to be not the case for so long; for want of
    /// samples, these have to be missing for so long.
    pub(super) patience: Duration,
    /// Whether nobody looked for longer than there should be between two looks.
    pub(super) after_gap: bool,
}

/// One look at an alert, which stood as `standing` if it did.
pub(super) fn step(
    standing: Option<Standing>,
    verdict: Verdict,
    now: Timestamp,
    pace: Pace,
) -> Step {
    match standing {
        Some(standing) if standing.fired.is_some() => fires_on(standing, verdict, now, pace),
        pending if verdict == Verdict::Holds => {
            // What nobody saw cannot be without a break.
            let began = pending.filter(|_| !pace.after_gap).map(|p| p.began);
            let began = began.unwrap_or(now);
            let fires = now.since(began) >= pace.pending_for;
            Step::Stands(Standing {
                began,
                fired: fires.then_some(now),
                near_since: None,
                too_few_since: None,
            })
        }
        _ => Step::Inactive,
    }
}

fn fires_on(mut standing: Standing, verdict: Verdict, now: Timestamp, pace: Pace) -> Step {
    let near_since = standing.near_since.take().filter(|_| !pace.after_gap);
    let too_few_since = standing.too_few_since.take();
    match verdict {
        Verdict::Holds => {}
        Verdict::Clear => return Step::Resolved(ResolvedBecause::Cleared),
        Verdict::Near => {
            let since = near_since.unwrap_or(now);
            if now.since(since) >= pace.patience {
                return Step::Resolved(ResolvedBecause::Cleared);
            }
            standing.near_since = Some(since);
        }
        Verdict::TooFew => {
            let since = too_few_since.unwrap_or(now);
            if now.since(since) >= pace.patience {
                return Step::Resolved(ResolvedBecause::NoData);
            }
            standing.too_few_since = Some(since);
        }
        Verdict::Blind => standing.too_few_since = too_few_since,
    }
    Step::Stands(standing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace(pending_for: u32, patience: u32) -> Pace {
        Pace {
            pending_for: pending_for * SECOND,
            patience: patience * SECOND,
            after_gap: false,
        }
    }

    /// `F`iring, `P`ending, `-` inactive, `C`leared, `N`o data: after each second.
    fn run(verdicts: &[Verdict], pace: Pace) -> String {
        let mut standing = None;
        let mut now = Timestamp::from_unix_nanos(1_000_000_000_000);
        let mut letters = String::new();
        for verdict in verdicts {
            now = now.after(SECOND);
            let step = step(standing, *verdict, now, pace);
            standing = match step {
                Step::Stands(standing) => Some(standing),
                _ => None,
            };
            letters.push(match step {
                Step::Inactive => '-',
                Step::Stands(standing) if standing.fired.is_some() => 'F',
                Step::Stands(_) => 'P',
                Step::Resolved(ResolvedBecause::NoData) => 'N',
                Step::Resolved(_) => 'C',
            });
        }
        letters
    }

    fn verdicts(letters: &str) -> Vec<Verdict> {
        let verdict = |letter| match letter {
            'h' => Verdict::Holds,
            'n' => Verdict::Near,
            'c' => Verdict::Clear,
            't' => Verdict::TooFew,
            _ => Verdict::Blind,
        };
        letters.chars().map(verdict).collect()
    }

    #[test]
    fn it_fires_at_once_and_is_resolved_by_the_margin() {
        assert_eq!(run(&verdicts("chhcch"), pace(0, 9)), "-FFC-F");
    }

    #[test]
    fn it_fires_after_it_held_without_a_break() {
        assert_eq!(run(&verdicts("hhhhc"), pace(3, 9)), "PPPFC");
        assert_eq!(run(&verdicts("hhhnhhhh"), pace(3, 9)), "PPP-PPPF", "near");
        assert_eq!(
            run(&verdicts("hhhthhhh"), pace(3, 9)),
            "PPP-PPPF",
            "too few"
        );
        assert_eq!(run(&verdicts("hhhbhhhh"), pace(3, 9)), "PPP-PPPF", "blind");
    }

    #[test]
    fn near_the_threshold_it_is_resolved_after_a_while_only() {
        assert_eq!(run(&verdicts("hnhnhnhnhnhn"), pace(0, 3)), "FFFFFFFFFFFF");
        assert_eq!(run(&verdicts("hnnnnn"), pace(0, 3)), "FFFFC-");
        assert_eq!(
            run(&verdicts("hnnhnnnn"), pace(0, 3)),
            "FFFFFFFC",
            "a break"
        );
    }

    #[test]
    fn without_samples_it_is_resolved_after_a_while_and_never_fires() {
        assert_eq!(run(&verdicts("tttt"), pace(0, 3)), "----");
        assert_eq!(run(&verdicts("httttt"), pace(0, 3)), "FFFFN-");
        assert_eq!(run(&verdicts("htthttt"), pace(0, 3)), "FFFFFFF");
        assert_eq!(
            run(&verdicts("hbbbbbbbb"), pace(0, 3)),
            "FFFFFFFFF",
            "blind"
        );
    }

    #[test]
    fn a_gap_is_a_break() {
        let at = |seconds: u64| Timestamp::from_unix_nanos(seconds * 1_000_000_000);
        let waits = pace(10, 10);
        let gap = Pace {
            after_gap: true,
            ..waits
        };
        let Step::Stands(pending) = step(None, Verdict::Holds, at(100), waits) else {
            panic!("it is pending");
        };
        let later = step(Some(pending), Verdict::Holds, at(3_700), gap);
        assert!(matches!(later, Step::Stands(s) if s.fired.is_none() && s.began == at(3_700)));

        let firing = Standing {
            fired: Some(at(100)),
            near_since: Some(at(105)),
            ..pending
        };
        let later = step(Some(firing), Verdict::Near, at(3_700), gap);
        assert!(matches!(later, Step::Stands(s) if s.near_since == Some(at(3_700))));
    }

    fn any_verdict() -> impl Strategy<Value = Verdict> {
        prop_oneof![
            4 => Just(Verdict::Holds),
            2 => Just(Verdict::Near),
            1 => Just(Verdict::Clear),
            2 => Just(Verdict::TooFew),
            1 => Just(Verdict::Blind),
        ]
    }

    proptest! {
        /// Whatever comes: it begins to fire only where it held in as many looks as it waits for,
        /// is resolved only by what may resolve it, and these two alternate.
        #[test]
        fn it_fires_only_where_it_held(
            verdicts in prop::collection::vec(any_verdict(), 0..80),
            pending_for in 0..6_u32,
            patience in 1..6_u32,
        ) {
            let letters = run(&verdicts, pace(pending_for, patience));
            let letters: Vec<char> = letters.chars().collect();
            let mut fired = false;
            for (at, letter) in letters.iter().enumerate() {
                let last = |count: usize, wanted: fn(&Verdict) -> bool| {
                    at + 1 >= count && verdicts[at + 1 - count..=at].iter().all(wanted)
                };
                match letter {
                    'F' if !fired => {
                        let held = last(pending_for as usize + 1, |v| *v == Verdict::Holds);
                        prop_assert!(held, "fires at {at}");
                        fired = true;
                    }
                    'F' => {}
                    'C' => {
                        prop_assert!(fired);
                        let near = last(patience as usize + 1, |v| *v == Verdict::Near);
                        prop_assert!(verdicts[at] == Verdict::Clear || near);
                        fired = false;
                    }
                    'N' => {
                        prop_assert!(fired);
                        let without = |v: &Verdict| matches!(v, Verdict::TooFew | Verdict::Blind);
                        prop_assert!(last(patience as usize + 1, without));
                        fired = false;
                    }
                    _ => prop_assert!(!fired, "forgotten at {at}"),
                }
            }
        }
    }
}
