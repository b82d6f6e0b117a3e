//! One call to a provider, from the request to the end of the answer: a guard, and what it wraps
//! around an answer that is still to come.

#[cfg(feature = "server")]
mod body;
#[cfg(feature = "server")]
mod head;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod open;
#[cfg(feature = "server")]
mod passage;
mod span;
#[cfg(feature = "server")]
mod stall;
#[cfg(feature = "server")]
mod stream;

use crate::core::{
    error_type, guards::Operation, operation_handle::OperationHandle, recorder::Recorder,
    token_usage::TokenUsage,
};
#[cfg(feature = "server")]
pub use body::{CallBody, StallBody};
#[cfg(feature = "reqwest-middleware")]
pub use middleware::{CallMiddleware, CallTarget};
use open::OpenCall;
#[cfg(feature = "server")]
pub use stall::Stalled;
use std::sync::Arc;
#[cfg(feature = "server")]
pub use stream::{CallStream, StallStream};

/// One call to one provider and model, measured from its making to the end of the answer.
///
/// ```
/// # #[cfg(feature = "server")] {
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use aimux_otel::{PerformanceMonitor, Window};
/// use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
///
/// let monitor = PerformanceMonitor::builder().build()?;
/// let mut call = monitor.provider_call("openai", "gpt-4o-mini");
/// // The client of your choice sends the request here.
/// let mut headers = HeaderMap::new();
/// headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
/// headers.insert("x-ratelimit-limit-requests", HeaderValue::from_static("500"));
/// headers.insert("x-ratelimit-remaining-requests", HeaderValue::from_static("499"));
/// call.head(StatusCode::OK, &headers);
/// call.answer(br#"{"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":34}}"#);
/// call.finish();
///
/// monitor.collect();
/// let openai = &monitor.providers(Window::SinceStart)?.providers["openai"];
/// assert_eq!(openai.successful_requests, 1);
/// assert_eq!(openai.model_stats["gpt-4o-mini"].output_tokens, 34);
/// assert_eq!(openai.rate_limits["requests"].remaining, Some(499));
/// # Ok(()) }
/// # main().unwrap() }
/// ```
///
/// A streamed answer, or one that is passed on as it comes, goes through [`body`](Self::body) or
/// [`stream`](Self::stream): the same bytes come out, and the call ends when they do.
///
/// ```
/// # #[cfg(feature = "server")] {
/// use aimux_otel::PerformanceMonitor;
/// use axum::{body::Body, response::Response};
///
/// async fn relay(monitor: PerformanceMonitor, request: reqwest::Request) -> reqwest::Result<Response> {
///     let mut call = monitor.provider_call("openai", "gpt-4o-mini");
///     let answer = reqwest::Client::new().execute(request).await?;
///     call.head(answer.status(), answer.headers());
///     Ok(Response::new(Body::from_stream(call.stream(answer.bytes_stream()))))
/// }
/// # }
/// ```
///
/// A call that is dropped before it has ended was cancelled, and counts as a failure with the error
/// type `cancelled`; with `internal` while its thread panics. What was told before stays: the error
/// type, and a status of 400 or more. So it is fine to return early once [`head`](Self::head),
/// [`status`](Self::status) or [`error`](Self::error) have said why.
///
/// If traces are exported, a span of the target `aimux_otel::call` is open as long, below the span
/// that is entered when the call is made.
#[derive(Debug)]
#[must_use = "a call that is dropped at once counts as cancelled"]
pub struct ProviderCall(Option<OpenCall>);

impl ProviderCall {
    pub(crate) fn begin(
        recorder: &Arc<Recorder>,
        provider: &str,
        model: &str,
        operation: Option<u64>,
    ) -> Self {
        Self(Some(OpenCall::begin(recorder, provider, model, operation)))
    }

    /// What is asked of the model, as in `gen_ai.operation.name`; `chat` unless told.
    pub fn operation(&mut self, name: &str) -> &mut Self {
        self.change(|open| open.set_operation(name))
    }

    /// Writes the W3C headers `traceparent` and `tracestate` for the request that is about to be
    /// sent, so that the trace goes on at whoever answers it. Nothing is written where there is no
    /// trace; where it is not sampled, the headers say so.
    ///
    /// The span of the call is begun by it: an [`operation`](Self::operation) told later does not
    /// change its name. [`CallMiddleware`](crate::PerformanceMonitor) does this by itself.
    ///
    /// ```
    /// # fn main() -> Result<(), aimux_otel::BuildError> {
    /// let monitor = aimux_otel::PerformanceMonitor::builder().build()?;
    /// let mut call = monitor.provider_call("openai", "gpt-4o-mini");
    /// let mut headers = http::HeaderMap::new();
    /// call.inject_trace(&mut headers);
    /// assert!(headers.is_empty(), "this monitor exports no traces");
    /// # call.finish(); Ok(()) }
    /// ```
    #[cfg(feature = "server")]
    pub fn inject_trace(&mut self, headers: &mut http::HeaderMap) -> &mut Self {
        self.change(|open| open.inject_trace(headers))
    }

    /// The first token, or chunk, of the answer is here; only the first time counts. [`body`] and
    /// [`stream`] see it by themselves.
    ///
    /// [`body`]: Self::body
    /// [`stream`]: Self::stream
    pub fn first_token(&mut self) -> &mut Self {
        self.change(OpenCall::first_token)
    }

    /// The tokens that it used; what is `None` stays as it was. A number that no call can use, of
    /// 2⁴⁰ or more, is refused and counted. What is told so counts, whatever the answer says of
    /// itself.
    pub fn usage(&mut self, usage: TokenUsage) -> &mut Self {
        self.change(|open| {
            let recorder = &open.recorder;
            let own = &mut open.measurement;
            for (own, told) in [
                (&mut own.input_tokens, usage.input_tokens),
                (&mut own.output_tokens, usage.output_tokens),
                (&mut own.cache_read_tokens, usage.cache_read_tokens),
                (&mut own.cache_write_tokens, usage.cache_write_tokens),
                (&mut own.reasoning_tokens, usage.reasoning_tokens),
            ] {
                if let Some(tokens) = told {
                    *own = recorder.count_of(tokens);
                }
            }
        })
    }

    /// What it costs, in USD; what is negative or not finite is refused and counted.
    pub fn cost(&mut self, usd: f64) -> &mut Self {
        self.change(|open| open.recorder.note_cost(&mut open.measurement, usd))
    }

    /// The status that the provider answered with, from 100 to 599; from 400 on the call has
    /// failed. Any other number is refused and counted.
    pub fn status(&mut self, code: u16) -> &mut Self {
        self.change(|open| {
            let status = open.recorder.status_of(code);
            open.measurement.status = status.or(open.measurement.status);
        })
    }

    /// Why it failed; what is not in the closed set of error types counts as `_OTHER`.
    pub fn error(&mut self, error_type: &str) -> &mut Self {
        self.change(|open| open.measurement.error = Some(error_type::canonical(error_type)))
    }

    /// Reads the whole body of an answer for the tokens that it used and, if it tells of one, for
    /// the error: of a 429, whether a quota is used up. Nothing else of it is kept. It is taken for
    /// JSON, unless the head said that it is a stream of events.
    pub fn answer(&mut self, body: &[u8]) -> &mut Self {
        self.change(|open| open.read_answer(body))
    }

    /// It ends now.
    pub fn finish(mut self) {
        if let Some(open) = self.0.take() {
            open.end(None);
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut OpenCall)) -> &mut Self {
        self.0.as_mut().map(change);
        self
    }
}

impl Drop for ProviderCall {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            open.abandon();
        }
    }
}

impl OperationHandle {
    /// Begins to measure one call to a provider, which belongs to this operation.
    ///
    /// Below [`HttpLayer`](crate::HttpLayer) each request carries such a handle as an extension:
    ///
    /// ```
    /// # #[cfg(feature = "server")] {
    /// use aimux_otel::OperationHandle;
    /// use axum::Extension;
    ///
    /// async fn chat(Extension(operation): Extension<OperationHandle>) -> &'static str {
    ///     let call = operation.provider_call("cerebras", "llama3.1-8b");
    ///     // …
    ///     call.finish();
    ///     "an answer"
    /// }
    /// # }
    /// ```
    pub fn provider_call(&self, provider: &str, model: &str) -> ProviderCall {
        ProviderCall::begin(&self.recorder, provider, model, self.key)
    }
}

impl Operation {
    /// Begins to measure one call to a provider, which belongs to this operation.
    pub fn provider_call(&self, provider: &str, model: &str) -> ProviderCall {
        self.handle().provider_call(provider, model)
    }
}
