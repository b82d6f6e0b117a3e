//! What the head of an answer tells, and the wrappers of its body.

use super::{CallBody, CallStream, ProviderCall, passage::Passage};
use crate::{
    core::{
        answer::{AnswerForm, quota::Quotas},
        record::id_of,
    },
    names,
};
use http::{HeaderMap, StatusCode, header};
use http_body::Body;

impl ProviderCall {
    /// The head of the answer: its status, how its body is written, and what rate-limit headers say
    /// is left of a quota; and by what the provider knows the call, as `x-request-id` or `request-id`
    /// say. What has a `Content-Encoding` is not read.
    pub fn head(&mut self, status: StatusCode, headers: &HeaderMap) -> &mut Self {
        self.change(|open| {
            open.measurement.status = open.recorder.status_of(status.as_u16());
            open.form = Some(form_of(headers));
            let now = open.recorder.now();
            let text = |name: &str| headers.get(name)?.to_str().ok();
            let quotas = Quotas::read(text, now);
            let id = names::PROVIDER_REQUEST_IDS.into_iter().find_map(text);
            if let Some(id) = id.filter(|id| !id.is_empty()) {
                let custom = open.measurement.custom.get_or_insert_default();
                custom.provider_request_id = Some(id_of(id));
            }
            let call = &open.measurement;
            let ledger = &open.recorder.quotas;
            ledger.note(call.provider, call.model, &quotas, now);
        })
    }

    /// The body of the answer, passed on unchanged and as it comes: frames, their boundaries and
    /// errors are those of `body`. The call ends with it, and is recorded once:
    ///
    /// - as a success, when the body has ended, or when it is dropped after as much as it declared,
    ///   or after an event that ends the answer;
    /// - with the error that the answer tells of: an event in the stream, or what the body of an
    ///   answer with an error status says;
    /// - as `stream_broken`, when the body fails, or when a stream of events ends before one that
    ///   ends the answer;
    /// - as `cancelled`, when it is dropped before: the client has hung up;
    /// - as `internal`, when `body` panics.
    ///
    /// The time to the first token, how many chunks of output there are, and the tokens used are
    /// read as they pass. Call [`head`](Self::head) first: without it, the answer is taken for JSON.
    pub fn body<B: Body>(self, body: B) -> CallBody<B> {
        CallBody::new(body, Passage::new(self))
    }

    /// The body of the answer as a stream of bytes, such as that of `reqwest`: as
    /// [`body`](Self::body).
    pub fn stream<S>(self, stream: S) -> CallStream<S> {
        CallStream::new(stream, Passage::new(self))
    }
}

fn form_of(headers: &HeaderMap) -> AnswerForm {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let encoding = text(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return AnswerForm::Other;
    }
    AnswerForm::of_content_type(text(header::CONTENT_TYPE))
}
