//! A guard: an operation that is measured from its making to its end.

use super::{
    error_type, measurement::Measurement, operation_handle::OperationHandle, record::id_of,
    recorder::Recorder,
};
use crate::clock::Timestamp;
use std::sync::Arc;

/// What the gateway's client asked for, measured until [`finish`](Self::finish).
///
/// An operation that is dropped before was cancelled, and counts as a failure with the error type
/// `cancelled`.
#[derive(Debug)]
#[must_use = "an operation that is dropped at once counts as cancelled"]
pub struct Operation {
    recorder: Arc<Recorder>,
    /// Its number among the open operations, as long as it is open, and if there was room.
    key: Option<u64>,
}

impl Operation {
    pub(crate) fn begin(recorder: &Arc<Recorder>, endpoint: &str, method: &str) -> Self {
        let measurement = recorder.operation(endpoint, method);
        Self {
            key: recorder.begin(measurement, true),
            recorder: Arc::clone(recorder),
        }
    }

    /// The status that it is answered with, from 100 to 599; from 400 on the operation has failed.
    /// Any other number is refused and counted.
    pub fn status(&mut self, code: u16) -> &mut Self {
        let status = self.recorder.status_of(code);
        self.change(|own| own.status = status.or(own.status))
    }

    /// Size of the request's body, in bytes.
    pub fn request_size(&mut self, bytes: u64) -> &mut Self {
        let size = self.recorder.count_of(bytes);
        self.change(|own| own.request_size = size)
    }

    /// Size of the response's body, in bytes.
    pub fn response_size(&mut self, bytes: u64) -> &mut Self {
        let size = self.recorder.count_of(bytes);
        self.change(|own| own.response_size = size)
    }

    /// By what the gateway and its client know it: of that, 128 bytes are shown at
    /// `/performance/slowest`, also of its attempts that begin later.
    pub fn request_id(&mut self, id: &str) -> &mut Self {
        let id = id_of(id);
        self.change(|own| own.custom.get_or_insert_default().request_id = Some(id))
    }

    /// Why it failed; what is not in the closed set of error types counts as `_OTHER`.
    pub fn error(&mut self, error_type: &str) -> &mut Self {
        let error = error_type::canonical(error_type);
        self.change(|own| own.error = Some(error))
    }

    /// It waits on purpose until what is returned is dropped: before another attempt, or for a
    /// place. That is not the gateway's overhead.
    pub fn waiting(&self) -> Waiting {
        self.handle().waiting()
    }

    /// It ends now.
    pub fn finish(mut self) {
        self.end(None);
    }

    /// A hold on it, to tell it of what belongs to it from elsewhere.
    #[must_use]
    pub fn handle(&self) -> OperationHandle {
        OperationHandle {
            recorder: Arc::clone(&self.recorder),
            key: self.key,
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Measurement)) -> &mut Self {
        if let Some(key) = self.key {
            let operations = &self.recorder.operations;
            operations.with(key, |open| change(&mut open.measurement));
        }
        self
    }

    fn end(&mut self, error: Option<&'static str>) {
        if let Some(key) = self.key.take() {
            self.recorder
                .end(key, |own| own.error = own.error.or(error));
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.end(Some(if std::thread::panicking() {
            error_type::INTERNAL
        } else {
            error_type::CANCELLED
        }));
    }
}

/// Time in which an operation waits on purpose, until it is dropped.
#[derive(Debug)]
#[must_use = "what is dropped at once waited for no time"]
pub struct Waiting {
    operation: OperationHandle,
    started: Timestamp,
}

impl OperationHandle {
    /// It waits on purpose until what is returned is dropped: before another attempt, or for a
    /// place. That is not the gateway's overhead.
    pub fn waiting(&self) -> Waiting {
        Waiting {
            operation: self.clone(),
            started: self.recorder.now(),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let OperationHandle { recorder, key } = &self.operation;
        if let Some(key) = key {
            recorder.note_wait(*key, self.started, recorder.now());
        }
    }
}
