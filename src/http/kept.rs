//! Answers that were computed from the latest snapshot, kept for whoever asks the same: several
//! readers share one computation.

use super::{problem::Problem, query::Asked};
use crate::core::snapshot::Snapshot;
use bytes::Bytes;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

/// Answers that are kept at once.
const MOST: usize = 16;
/// Bytes that they may take together.
const MOST_BYTES: usize = 1 << 20;

/// What was asked: of which view, and how.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    /// The type that answers, and the function that makes it.
    pub(crate) view: (&'static str, usize),
    pub(crate) asked: Asked,
}

/// An answer, once it is computed; locked while it is.
type Cell = Arc<Mutex<Option<Bytes>>>;

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<Answers>);

#[derive(Debug, Default)]
struct Answers {
    /// What they are made from.
    of: Weak<Snapshot>,
    /// Oldest first.
    answers: VecDeque<(Question, Cell)>,
}

impl Kept {
    /// The answer to `question` from `snapshot`: what somebody else has computed, or else what
    /// `compute` does. Waits for whoever is at it.
    pub(crate) fn answer(
        &self,
        snapshot: &Arc<Snapshot>,
        question: Question,
        compute: impl FnOnce() -> Result<Bytes, Problem>,
    ) -> Result<Bytes, Problem> {
        let cell = lock(&self.0).cell(snapshot, question);
        let mut answer = lock(&cell);
        if let Some(answer) = &*answer {
            return Ok(answer.clone());
        }
        let computed = compute()?;
        *answer = Some(computed.clone());
        drop(answer);
        lock(&self.0).make_room(&cell);
        Ok(computed)
    }

    /// Bytes that the answers take.
    pub(crate) fn heap_bytes(&self) -> usize {
        lock(&self.0).heap_bytes()
    }
}

impl Answers {
    fn cell(&mut self, snapshot: &Arc<Snapshot>, question: Question) -> Cell {
        if !std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(snapshot)) {
            self.answers.clear();
            self.of = Arc::downgrade(snapshot);
        }
        let known = self.answers.iter().find(|(known, _)| *known == question);
        if let Some((_, cell)) = known {
            return Arc::clone(cell);
        }
        if self.answers.len() >= MOST {
            self.answers.pop_front();
        }
        let cell = Cell::default();
        self.answers.push_back((question, Arc::clone(&cell)));
        cell
    }

    /// Forgets the oldest ones until the rest fits, now that `newest` is computed.
    fn make_room(&mut self, newest: &Cell) {
        while self.heap_bytes() > MOST_BYTES {
            let oldest = self.answers.iter().position(|(_, cell)| {
                let is_newest = Arc::ptr_eq(cell, newest) && self.answers.len() > 1;
                !is_newest && bytes_of(cell) > 0
            });
            let Some(oldest) = oldest else {
                return;
            };
            self.answers.remove(oldest);
        }
    }

    fn heap_bytes(&self) -> usize {
        self.answers.iter().map(|(_, cell)| bytes_of(cell)).sum()
    }
}

/// Bytes of an answer; none while it is computed.
fn bytes_of(cell: &Cell) -> usize {
    let answer = cell.try_lock().ok();
    answer
        .and_then(|answer| answer.as_ref().map(Bytes::len))
        .unwrap_or(0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, core::snapshot::Configured, http::query::WINDOW};
    use axum::http::StatusCode;
    use std::{
        sync::{
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        time::Duration,
    };

    fn snapshot() -> Arc<Snapshot> {
        let configured = Arc::new(Configured::new());
        Arc::new(Snapshot::empty(
            Timestamp::EPOCH,
            Duration::ZERO,
            configured,
        ))
    }

    fn question(seconds: u64) -> Question {
        Question {
            view: ("view", 1),
            asked: Asked::default().with_span(&WINDOW, Duration::from_secs(seconds)),
        }
    }

    /// Asks, and says whether it had to be computed.
    fn computes(kept: &Kept, snapshot: &Arc<Snapshot>, question: Question, bytes: usize) -> bool {
        let mut computed = false;
        let answer = kept.answer(snapshot, question, || {
            computed = true;
            Ok(Bytes::from(vec![b' '; bytes]))
        });
        assert_eq!(answer.unwrap().len(), bytes);
        computed
    }

    #[test]
    fn the_same_question_is_computed_once_for_each_snapshot() {
        let kept = Kept::default();
        let (first, second) = (snapshot(), snapshot());
        assert!(computes(&kept, &first, question(1), 10));
        assert!(!computes(&kept, &first, question(1), 10));
        assert!(computes(&kept, &first, question(2), 10));
        let other_view = Question {
            view: ("other", 1),
            ..question(1)
        };
        assert!(computes(&kept, &first, other_view, 10));
        assert_eq!(kept.heap_bytes(), 30);
        assert!(computes(&kept, &second, question(1), 10));
        assert_eq!(
            kept.heap_bytes(),
            10,
            "those of the snapshot before are gone"
        );
    }

    #[test]
    fn answers_are_bounded_in_number_and_size() {
        let kept = Kept::default();
        let snapshot = snapshot();
        for n in 1..=17 {
            computes(&kept, &snapshot, question(n), 1);
        }
        assert_eq!(kept.heap_bytes(), MOST);
        assert!(!computes(&kept, &snapshot, question(2), 1));
        assert!(
            computes(&kept, &snapshot, question(1), 1),
            "the oldest made room"
        );

        computes(&kept, &snapshot, question(20), MOST_BYTES / 2);
        computes(&kept, &snapshot, question(21), MOST_BYTES / 2 + 1);
        assert_eq!(kept.heap_bytes(), MOST_BYTES / 2 + 1);
        computes(&kept, &snapshot, question(22), MOST_BYTES + 1);
        assert_eq!(kept.heap_bytes(), 0, "what is too large alone is not kept");
    }

    #[test]
    fn a_problem_is_not_kept() {
        let kept = Kept::default();
        let snapshot = snapshot();
        let problem = Problem::new(StatusCode::NOT_FOUND, "Not here.");
        let refused = kept.answer(&snapshot, question(1), || Err(problem.clone()));
        assert_eq!(refused, Err(problem));
        assert!(computes(&kept, &snapshot, question(1), 1));
    }

    #[test]
    fn who_asks_meanwhile_waits_for_the_one_who_computes() {
        let kept = Kept::default();
        let snapshot = snapshot();
        let computed = AtomicUsize::new(0);
        let (begun, has_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let (kept, snapshot, computed) = (&kept, &snapshot, &computed);
        // It takes `go_on`, so that nobody waits for ever if something here fails.
        std::thread::scope(move |scope| {
            scope.spawn(move || {
                kept.answer(snapshot, question(1), || {
                    computed.fetch_add(1, Ordering::Relaxed);
                    begun.send(()).unwrap();
                    may_go_on.recv().ok();
                    Ok(Bytes::from_static(b"once"))
                })
            });
            has_begun.recv().unwrap();
            // Another question does not wait, nor does who counts the bytes.
            assert!(computes(kept, snapshot, question(2), 3));
            assert_eq!(kept.heap_bytes(), 3);
            let waiting = scope.spawn(move || {
                kept.answer(snapshot, question(1), || {
                    computed.fetch_add(1, Ordering::Relaxed);
                    Ok(Bytes::from_static(b"twice"))
                })
            });
            go_on.send(()).unwrap();
            assert_eq!(waiting.join().unwrap().unwrap(), "once");
        });
        assert_eq!(computed.load(Ordering::Relaxed), 1);
    }
}
