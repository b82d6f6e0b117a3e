//! Changes of alerts, for whoever listens: a channel that never waits for a slow listener.

use crate::core::alerts::change::AlertChange;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};

/// Changes that are kept for listeners that have not come to them yet.
const KEPT: usize = 512;

/// Where changes go in.
#[derive(Debug)]
pub(crate) struct AlertBroadcast(Mutex<Option<broadcast::Sender<Arc<AlertChange>>>>);

/// Every change of an alert from the moment this was made, in the order in which they happened.
///
/// The last 512 are kept: whoever is slower loses the oldest, and [`missed`](Self::missed) says
/// how many.
#[derive(Debug)]
pub struct AlertChanges {
    receiver: Option<broadcast::Receiver<Arc<AlertChange>>>,
    missed: u64,
}

impl AlertBroadcast {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Some(broadcast::Sender::new(KEPT))))
    }

    pub(crate) fn send(&self, changes: &[AlertChange]) {
        if changes.is_empty() {
            return;
        }
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*sender {
            for change in changes {
                // It fails if nobody listens, which is nothing to worry about.
                sender.send(Arc::new(change.clone())).ok();
            }
        }
    }

    pub(crate) fn listen(&self) -> AlertChanges {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        AlertChanges {
            receiver: sender.as_ref().map(broadcast::Sender::subscribe),
            missed: 0,
        }
    }

    /// There will be no more: listeners come to the end.
    pub(crate) fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl AlertChanges {
    /// The next change, once there is one; none any more after the monitor was shut down. It loses
    /// nothing if it is dropped while it waits, as in a `select!`.
    pub async fn next(&mut self) -> Option<AlertChange> {
        loop {
            match self.receiver.as_mut()?.recv().await {
                Ok(change) => return Some(AlertChange::clone(&change)),
                Err(RecvError::Lagged(missed)) => self.miss(missed),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The next change, if there is one already: for code that is not async.
    pub fn try_next(&mut self) -> Option<AlertChange> {
        loop {
            match self.receiver.as_mut()?.try_recv() {
                Ok(change) => return Some(AlertChange::clone(&change)),
                Err(TryRecvError::Lagged(missed)) => self.miss(missed),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }

    /// How many changes were lost so far, since they were not fetched soon enough.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }

    fn miss(&mut self, missed: u64) {
        self.missed = self.missed.saturating_add(missed);
    }
}
