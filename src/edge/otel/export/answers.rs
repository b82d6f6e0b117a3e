//! What a Collector answers, looked at on the way to the exporter, which keeps it for itself.

use crate::core::deliveries::{Delivered, Loss};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response, ResponseBodyTooLarge};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// What became of the last attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All but so many were taken.
    Taken {
        rejected: u64,
    },
    Lost(Loss),
}

/// Where the client leaves the outcome for the exporter: both are of one signal, which pushes one
/// thing at a time.
#[derive(Debug, Clone, Default)]
pub(super) struct LastOutcome(Arc<Mutex<Option<Outcome>>>);

impl LastOutcome {
    fn set(&self, outcome: Outcome) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    /// Takes it; none if nothing was answered or nobody looked.
    pub(super) fn take(&self) -> Option<Outcome> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.take()
    }
}

/// The usual client, with a look at what it brings. It reads no more than 4 MiB of an answer, and
/// never for longer than its timeout.
#[derive(Debug)]
pub(super) struct LookingClient {
    client: reqwest::blocking::Client,
    delivered: Arc<Delivered>,
    last: LastOutcome,
}

impl LookingClient {
    /// One whose attempts take `timeout` at the most.
    ///
    /// # Errors
    /// There can be no more threads, or what TLS needs is not to be had.
    pub(super) fn new(
        timeout: Duration,
        delivered: &Arc<Delivered>,
        last: &LastOutcome,
    ) -> io::Result<Self> {
        let make = move || {
            reqwest::blocking::Client::builder()
                .timeout(timeout)
                // A Collector has no reason to send us elsewhere, headers and all.
                .redirect(reqwest::redirect::Policy::none())
                .build()
        };
        // It must not be made on a thread of a runtime.
        let made = thread::Builder::new().spawn(make)?.join();
        let made = made.map_err(|_| io::Error::other("the client for HTTP panicked"))?;
        Ok(Self {
            client: made.map_err(io::Error::other)?,
            delivered: Arc::clone(delivered),
            last: last.clone(),
        })
    }
}

#[async_trait::async_trait]
impl HttpClient for LookingClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.client.send_bytes(request).await;
        let outcome = match &answer {
            Ok(response) => outcome_of(response),
            Err(error) if error.is::<ResponseBodyTooLarge>() => Outcome::Lost(Loss::Unreadable),
            Err(_) => Outcome::Lost(Loss::Unreachable),
        };
        if matches!(outcome, Outcome::Lost(_)) {
            self.delivered.fail();
        }
        self.last.set(outcome);
        answer
    }
}

fn outcome_of(response: &Response<Bytes>) -> Outcome {
    match response.status().as_u16() {
        // The answer to metrics has the same form: how many were rejected, and why.
        200..=299 => match ExportTraceServiceResponse::decode(&**response.body()) {
            Ok(answer) => {
                let rejected = answer.partial_success.map_or(0, |p| p.rejected_spans);
                let rejected = u64::try_from(rejected).unwrap_or(0);
                Outcome::Taken { rejected }
            }
            // Whoever that was, it was no Collector.
            Err(_) => Outcome::Lost(Loss::Unreadable),
        },
        413 => Outcome::Lost(Loss::TooLarge),
        429 | 500..=599 => Outcome::Lost(Loss::Unavailable),
        _ => Outcome::Lost(Loss::Refused),
    }
}

/// Why a push by gRPC failed, by what the exporter says of it.
pub(super) fn loss_of(error: &str) -> Loss {
    let code = error.split("gRPC code: ").nth(1).unwrap_or_default();
    let (code, cause) = code.split_once(':').unwrap_or((code, ""));
    match code.trim() {
        "Unavailable" if cause.is_empty() => Loss::Unavailable,
        "ResourceExhausted" => Loss::Unavailable,
        "Unavailable" | "DeadlineExceeded" | "Cancelled" => Loss::Unreachable,
        "Internal" | "Unknown" | "DataLoss" => Loss::Unreadable,
        "" => Loss::Unreachable,
        _ => Loss::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u16, body: &'static [u8]) -> Outcome {
        let response = Response::builder().status(status);
        outcome_of(&response.body(Bytes::from_static(body)).unwrap())
    }

    #[test]
    fn an_answer_says_what_was_taken() {
        assert_eq!(outcome(200, b""), Outcome::Taken { rejected: 0 });
        // Field 1, a message of two bytes: field 1, the number 7.
        let partial = b"\x0a\x02\x08\x07";
        assert_eq!(outcome(200, partial), Outcome::Taken { rejected: 7 });
        for (status, body, loss) in [
            (200, &b"<html>"[..], Loss::Unreadable),
            (429, b"", Loss::Unavailable),
            (503, b"", Loss::Unavailable),
            (413, b"", Loss::TooLarge),
            (401, b"", Loss::Refused),
            (301, b"", Loss::Refused),
        ] {
            assert_eq!(outcome(status, body), Outcome::Lost(loss), "{status}");
        }
    }

    #[test]
    fn a_grpc_code_says_why() {
        let failed = |code: &str| loss_of(&format!("T export failed with gRPC code: {code}"));
        assert_eq!(failed("Unavailable"), Loss::Unavailable);
        assert_eq!(failed("Unavailable: transport error"), Loss::Unreachable);
        assert_eq!(failed("ResourceExhausted"), Loss::Unavailable);
        assert_eq!(failed("DeadlineExceeded"), Loss::Unreachable);
        assert_eq!(failed("Unauthenticated"), Loss::Refused);
        assert_eq!(failed("Unknown: h2 protocol error"), Loss::Unreadable);
        assert_eq!(loss_of("anything else"), Loss::Unreachable);
    }
}
