//! An upstream that has stopped sending.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    time::{Instant, Sleep, sleep_until},
};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Nothing more came from the provider for too long, and the answer was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the provider stopped sending in the middle of its answer")]
pub struct Stalled;

/// Tells when somebody has waited in vain for too long. It is made once, and only moved while the
/// answer comes.
#[derive(Debug)]
pub(super) struct StallTimer {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    /// The time runs.
    waiting: bool,
    /// There is no timer to be had here.
    broken: bool,
}

impl StallTimer {
    pub(super) const fn new(limit: Duration) -> Self {
        Self {
            limit,
            sleep: None,
            waiting: false,
            broken: false,
        }
    }

    /// Something came.
    pub(super) const fn came(&mut self) {
        self.waiting = false;
    }

    /// Nothing is here: ready if that is so for too long.
    pub(super) fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.broken {
            return Poll::Pending;
        }
        // A runtime without timers, or one that is gone, makes tokio panic. That must not reach the
        // host, who has an answer to wait for all the same.
        let polled = catch_unwind(AssertUnwindSafe(|| self.poll_sleep(context)));
        polled.unwrap_or_else(|_| {
            self.broken = true;
            self.sleep = None;
            Poll::Pending
        })
    }

    fn poll_sleep(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.waiting {
            let now = Instant::now();
            // What is later than any time there is never comes.
            let Some(end) = now.checked_add(self.limit) else {
                return Poll::Pending;
            };
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(end),
                None if Handle::try_current().is_err() => return Poll::Pending,
                none => *none = Some(Box::pin(sleep_until(end))),
            }
            self.waiting = true;
        }
        let sleep = self.sleep.as_mut();
        sleep.map_or(Poll::Pending, |sleep| sleep.as_mut().poll(context))
    }
}
