//! An answer on its way through: what is seen of it, and how the call ends with it.

use super::{ProviderCall, open::OpenCall};
use crate::core::{
    answer::{AnswerForm, AnswerReader},
    error_type,
};

/// Dropped before its end, the call was cancelled.
#[derive(Debug)]
pub(super) struct Passage {
    // `None` once the call has ended.
    call: Option<OpenCall>,
    reader: AnswerReader,
    form: AnswerForm,
    passed: u64,
    /// How long it will be, as far as is known.
    length: Option<u64>,
    /// What is wrapped runs: if this is still so at the end, it panicked.
    running: bool,
}

impl Passage {
    pub(super) fn new(mut call: ProviderCall) -> Self {
        let call = call.0.take();
        let told = call.as_ref().and_then(|call| call.form);
        let form = told.unwrap_or(AnswerForm::Json);
        Self {
            call,
            reader: AnswerReader::new(form),
            form,
            passed: 0,
            length: None,
            running: false,
        }
    }

    pub(super) const fn set_length(&mut self, length: Option<u64>) {
        self.length = length;
    }

    /// Runs what is wrapped.
    pub(super) fn run<R>(&mut self, wrapped: impl FnOnce() -> R) -> R {
        self.running = true;
        let result = wrapped();
        self.running = false;
        result
    }

    /// These bytes have passed.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        self.passed = self.passed.saturating_add(bytes.len() as u64);
        let Some(call) = self.call.as_mut() else {
            return;
        };
        let chunks = self.reader.read(bytes);
        if chunks > 0 {
            call.first_token();
            let all = &mut call.measurement.chunks;
            *all = all.saturating_add(chunks);
        }
    }

    /// So many bytes have passed that could not be looked at: no more can be said of the answer.
    pub(super) fn pass_unread(&mut self, bytes: usize) {
        self.passed = self.passed.saturating_add(bytes as u64);
        self.form = AnswerForm::Other;
        self.reader = AnswerReader::new(AnswerForm::Other);
    }

    /// Nothing follows.
    pub(super) fn end(&mut self) {
        let unfinished = self.form == AnswerForm::EventStream && !self.reader.is_complete();
        self.end_with(unfinished.then_some(error_type::STREAM_BROKEN));
    }

    /// It failed on its way.
    pub(super) fn fail(&mut self) {
        self.end_with(Some(error_type::STREAM_BROKEN));
    }

    /// Nothing came for too long.
    pub(super) fn stall(&mut self) {
        let complete = self.reader.is_complete();
        self.end_with((!complete).then_some(error_type::TIMEOUT));
    }

    fn end_with(&mut self, error: Option<&'static str>) {
        if let Some(mut call) = self.call.take() {
            call.take_over(&self.reader);
            call.end(error);
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        // Who reads need not ask whether more follows once all that was declared has passed.
        let passed_all = self.length.is_some_and(|length| self.passed >= length);
        if self.running {
            self.end_with(Some(error_type::INTERNAL));
        } else if passed_all || self.reader.is_complete() {
            self.end();
        } else if let Some(mut call) = self.call.take() {
            call.take_over(&self.reader);
            call.abandon();
        }
    }
}
