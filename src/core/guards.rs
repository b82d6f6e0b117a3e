//! Guards: an attempt or an operation that is measured from its making to its end.

use super::{
    error_type,
    measurement::{Amount, Kind, Measurement},
    recorder::{Recorder, label_of, nanos},
};
use crate::{clock::Timestamp, event_type::PerformanceEventType};
use std::sync::Arc;

/// One call to one provider and model, measured until [`finish`](Self::finish).
///
/// An attempt that is dropped before was cancelled, and counts as a failure with the error type
/// `cancelled`: so a future that is dropped half-way is seen as what it was.
#[derive(Debug)]
#[must_use = "an attempt that is dropped at once counts as cancelled"]
pub struct Attempt(Option<Open>);

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

impl Attempt {
    pub(crate) fn begin(recorder: &Arc<Recorder>, provider: &str, model: &str) -> Self {
        let mut measurement = Measurement::new(Kind::Attempt, PerformanceEventType::ProviderEnd);
        measurement.provider = recorder.labels.providers.label(provider);
        measurement.model = label_of(&recorder.labels.models, model);
        Self(Some(Open::new(recorder, measurement)))
    }

    /// What is asked of the model, as in `gen_ai.operation.name`; `chat` unless told.
    pub fn operation(&mut self, name: &str) -> &mut Self {
        self.change(|open| {
            open.measurement.operation = label_of(&open.recorder.labels.operations, name);
        })
    }

    /// The first chunk of the answer is here.
    pub fn first_chunk(&mut self) -> &mut Self {
        self.change(|open| {
            let since = nanos(open.recorder.now(), open.started);
            let first = &mut open.measurement.time_to_first_chunk;
            *first = first.or(Amount::new(since));
        })
    }

    /// Tokens of the prompt.
    pub fn input_tokens(&mut self, tokens: u64) -> &mut Self {
        self.change(|open| open.measurement.input_tokens = open.recorder.count_of(tokens))
    }

    /// Tokens of the answer.
    pub fn output_tokens(&mut self, tokens: u64) -> &mut Self {
        self.change(|open| open.measurement.output_tokens = open.recorder.count_of(tokens))
    }

    /// What it costs, in USD; what is negative or not finite is refused and counted.
    pub fn cost(&mut self, usd: f64) -> &mut Self {
        self.change(|open| open.recorder.note_cost(&mut open.measurement, usd))
    }

    /// The status that the provider answered with, from 100 to 599; from 400 on the attempt has
    /// failed. Any other number is refused and counted.
    pub fn status(&mut self, code: u16) -> &mut Self {
        self.change(|open| open.set_status(code))
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

    fn change(&mut self, change: impl FnOnce(&mut Open)) -> &mut Self {
        self.0.as_mut().map(change);
        self
    }
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

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            open.cancel();
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            open.cancel();
        }
    }
}
