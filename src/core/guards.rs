//! A guard: an operation that is measured from its making to its end.

use super::{
    error_type, measurement::Measurement, operation_handle::OperationHandle, recorder::Recorder,
};
use crate::clock::Timestamp;
use std::sync::Arc;

/// What the gateway's client asked for, measured until [`finish`](Self::finish).
///
/// An operation that is dropped before was cancelled, and counts as a failure with the error type
/// `cancelled`.
#[derive(Debug)]
#[must_use = "an operation that is dropped at once counts as cancelled"]
pub struct Operation(Option<Open>);

#[derive(Debug)]
struct Open {
    recorder: Arc<Recorder>,
    started: Timestamp,
    measurement: Measurement,
}

impl Operation {
    pub(crate) fn begin(recorder: &Arc<Recorder>, endpoint: &str, method: &str) -> Self {
        let measurement = recorder.operation(endpoint, method);
        Self(Some(Open::new(recorder, measurement)))
    }

    /// The status that it is answered with, from 100 to 599; from 400 on the operation has failed.
    /// Any other number is refused and counted.
    pub fn status(&mut self, code: u16) -> &mut Self {
        self.change(|open| open.set_status(code))
    }

    /// Size of the request's body, in bytes.
    pub fn request_size(&mut self, bytes: u64) -> &mut Self {
        self.change(|open| open.measurement.request_size = open.recorder.count_of(bytes))
    }

    /// Size of the response's body, in bytes.
    pub fn response_size(&mut self, bytes: u64) -> &mut Self {
        self.change(|open| open.measurement.response_size = open.recorder.count_of(bytes))
    }

    /// Why it failed; what is not in the closed set of error types counts as `_OTHER`.
    pub fn error(&mut self, error_type: &str) -> &mut Self {
        self.change(|open| open.measurement.error = Some(error_type::canonical(error_type)))
    }

    /// It ends now.
    pub fn finish(mut self) {
        if let Some(open) = self.0.take() {
            open.finish();
        }
    }

    /// A hold on it, while it is open.
    pub(crate) fn handle(&self) -> Option<OperationHandle> {
        self.0.as_ref().map(|open| OperationHandle {
            recorder: Arc::clone(&open.recorder),
            key: None,
        })
    }

    fn change(&mut self, change: impl FnOnce(&mut Open)) -> &mut Self {
        self.0.as_mut().map(change);
        self
    }
}

impl Open {
    fn new(recorder: &Arc<Recorder>, measurement: Measurement) -> Self {
        Self {
            started: recorder.now(),
            recorder: Arc::clone(recorder),
            measurement,
        }
    }

    fn set_status(&mut self, code: u16) {
        let status = self.recorder.status_of(code);
        self.measurement.status = status.or(self.measurement.status);
    }

    fn finish(self) {
        self.recorder.finish(self.measurement, self.started);
    }

    fn cancel(mut self) {
        self.measurement.error.get_or_insert(error_type::CANCELLED);
        self.finish();
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            open.cancel();
        }
    }
}
