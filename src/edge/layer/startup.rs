//! The warning at start-up that a global filter keeps every span from the layer.

use crate::names::LOG_TARGET;
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};
use tracing_core::{Dispatch, dispatcher::WeakDispatch};

/// The subscribers that a layer of the monitor is part of, until they were looked at.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    waiting: Mutex<Vec<WeakDispatch>>,
    /// A span of ours came through: whatever a filter says, we are not blind.
    pub(super) span_seen: AtomicBool,
}

/// Subscribers that wait to be looked at, at the most.
const MAX_WAITING: usize = 16;

impl Subscribers {
    /// Nothing can be asked of the subscriber yet: it is being registered.
    pub(super) fn add(&self, dispatch: &Dispatch) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MAX_WAITING {
            waiting.push(dispatch.downgrade());
        }
    }

    /// Looks at the subscribers that were added since, and says in their log if a span at `INFO`
    /// does not come through. Called from the monitor's own thread.
    pub(crate) fn warn_if_blind(&self) {
        let waiting = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *waiting)
        };
        if self.span_seen.load(Ordering::Relaxed) {
            return;
        }
        for dispatch in waiting.iter().filter_map(WeakDispatch::upgrade) {
            tracing_core::dispatcher::with_default(&dispatch, || {
                if !tracing::enabled!(target: LOG_TARGET, tracing::Level::INFO, provider) {
                    tracing::warn!(
                        target: LOG_TARGET,
                        "a global filter disables spans at INFO, so that nothing of them can be \
                         measured; put the filter on the layers it is meant for, with \
                         `.with_filter()`"
                    );
                }
            });
        }
    }
}
