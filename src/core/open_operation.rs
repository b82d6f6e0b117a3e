//! An operation between its beginning and its end.

use super::{chain::ChainSoFar, labels::Label, measurement::Measurement};
use crate::clock::Timestamp;

/// An operation that somebody began by hand, or the HTTP layer.
#[derive(Debug)]
pub(crate) struct OpenOperation {
    pub(crate) started: Timestamp,
    pub(crate) measurement: Measurement,
    /// The attempts that spans and guards below it have recorded.
    pub(crate) chain: ChainSoFar,
    /// Whoever keeps it is sure to end it, however long it takes.
    pub(crate) guarded: bool,
}

impl OpenOperation {
    /// Takes over what a span inside tells and the one who keeps the operation does not know.
    pub(crate) fn enrich(&mut self, by: &Measurement) {
        let own = &mut self.measurement;
        own.endpoint = own.endpoint.or(by.endpoint);
        own.method = own.method.or(by.method);
        own.status = own.status.or(by.status);
        own.error = own.error.or(by.error);
        own.request_size = own.request_size.or(by.request_size);
        own.response_size = own.response_size.or(by.response_size);
        own.cost = own.cost.or(by.cost);
        own.set_request_id(by.request_id().map(Box::from));
    }
}

/// What an operation tells those that belong to it of the request.
#[derive(Debug, Default)]
pub(crate) struct OfRequest {
    endpoint: Label,
    id: Option<Box<str>>,
}

impl OfRequest {
    /// Takes what is not known yet from `operation`.
    pub(crate) fn add(&mut self, operation: &Measurement) {
        self.endpoint = self.endpoint.or(operation.endpoint);
        if self.id.is_none() {
            self.id = operation.request_id().map(Box::from);
        }
    }

    /// Gives it to an attempt of that operation.
    pub(crate) fn give(self, attempt: &mut Measurement) {
        attempt.endpoint = self.endpoint.or(Label::OTHER);
        attempt.set_request_id(self.id);
    }
}
