//! What is known of a call that has not ended.

use super::span;
use crate::{
    clock::Timestamp,
    core::{
        answer::{AnswerForm, AnswerReader},
        error_type,
        measurement::{Amount, Kind, Measurement},
        recorder::{Recorder, label_of, nanos, settle_status},
    },
    event_type::PerformanceEventType,
};
use std::sync::Arc;
use tracing::Span;

/// Dropped without an end, it would not be recorded: who keeps it ends it.
#[derive(Debug)]
pub(super) struct OpenCall {
    pub(super) recorder: Arc<Recorder>,
    pub(super) started: Timestamp,
    pub(super) measurement: Measurement,
    /// What it belongs to, by its number among the open operations.
    operation: Option<u64>,
    span: Span,
    /// How the answer is written, as its head says.
    pub(super) form: Option<AnswerForm>,
}

impl OpenCall {
    pub(super) fn begin(
        recorder: &Arc<Recorder>,
        provider: &str,
        model: &str,
        operation: Option<u64>,
    ) -> Self {
        let mut measurement = Measurement::new(Kind::Attempt, PerformanceEventType::ProviderEnd);
        measurement.provider = recorder.labels.providers.label(provider);
        measurement.model = label_of(&recorder.labels.models, model);
        measurement.set_request_id(operation.and_then(|key| recorder.request_id(key)));
        // That of a span of its own is known at its end.
        measurement.set_trace((recorder.current_trace)());
        let span = span::open(recorder, &measurement);
        Self {
            span,
            started: recorder.now(),
            recorder: Arc::clone(recorder),
            measurement,
            operation,
            form: None,
        }
    }

    pub(super) fn set_operation(&mut self, name: &str) {
        self.measurement.operation = label_of(&self.recorder.labels.operations, name);
        span::rename(&self.span, &self.recorder, &self.measurement);
    }

    #[cfg(feature = "server")]
    pub(super) fn inject_trace(&self, headers: &mut http::HeaderMap) {
        span::inject(&self.span, headers);
    }

    pub(super) fn first_token(&mut self) {
        if self.measurement.time_to_first_chunk.get().is_none() {
            let since = nanos(self.recorder.now(), self.started);
            self.measurement.time_to_first_chunk = Amount::new(since);
        }
    }

    /// Whether the provider refused.
    pub(super) fn is_refused(&self) -> bool {
        self.measurement.status.is_some_and(|status| status >= 400)
    }

    pub(super) fn read_answer(&mut self, body: &[u8]) {
        let form = match self.form {
            Some(AnswerForm::EventStream) => AnswerForm::EventStream,
            _ => AnswerForm::Json,
        };
        let mut reader = AnswerReader::new(form);
        reader.read(body);
        self.take_over(&reader);
    }

    /// Takes over what the answer says of itself and nobody else has told.
    pub(super) fn take_over(&mut self, reader: &AnswerReader) {
        let usage = reader.usage();
        let own = &mut self.measurement;
        own.input_tokens = own.input_tokens.or(usage.input);
        own.output_tokens = own.output_tokens.or(usage.output);
        own.cache_read_tokens = own.cache_read_tokens.or(usage.cache_read);
        own.cache_write_tokens = own.cache_write_tokens.or(usage.cache_write);
        own.reasoning_tokens = own.reasoning_tokens.or(usage.reasoning);
        own.error = own.error.or_else(|| match own.status {
            Some(status @ 400..) => reader.error_for(status),
            _ => reader.error(),
        });
    }

    /// It ends now, and with `error` unless something was told that says more.
    pub(super) fn end(self, error: Option<&'static str>) {
        let refused = self.is_refused();
        let mut measurement = self.measurement;
        if !refused {
            measurement.error = measurement.error.or(error);
        }
        measurement.ended = self.recorder.now();
        measurement.duration = nanos(measurement.ended, self.started);
        settle_status(&mut measurement);
        measurement.set_trace(span::close(self.span, &self.recorder, &measurement));
        if let Some(key) = self.operation {
            // An operation that has ended says no more which it was.
            let around = self.recorder.note_attempt(key, &measurement);
            around.give(&mut measurement);
        }
        self.recorder.offer(measurement);
    }

    /// Nobody waits for its end any more.
    pub(super) fn abandon(self) {
        self.end(Some(if std::thread::panicking() {
            error_type::INTERNAL
        } else {
            error_type::CANCELLED
        }));
    }
}
