//! A middleware for `reqwest-middleware`: calls to providers are measured where they are sent.

use super::ProviderCall;
use crate::core::{
    error_type::{CONNECTION_REFUSED, CONNECTION_RESET, DNS, TIMEOUT, TLS},
    operation_handle::OperationHandle,
    recorder::Recorder,
};
use crate::names::OTHER;
use http::Extensions;
use reqwest::{Body, Request, Response, ResponseBuilderExt};
use reqwest_middleware::{Error, Middleware, Next, Result};
use std::{error::Error as StdError, io, sync::Arc, time::Duration};

/// Which provider and model a request is a call to.
#[derive(Debug, Clone)]
pub struct CallTarget {
    provider: String,
    model: String,
    operation: Option<String>,
    within: Option<OperationHandle>,
}

impl CallTarget {
    /// A call to `model` of `provider`.
    pub fn new(provider: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            provider: provider.into(),
            model: model.into(),
            operation: None,
            within: None,
        }
    }

    /// What is asked of the model, as in `gen_ai.operation.name`; `chat` unless told.
    #[must_use]
    pub fn operation(mut self, name: impl Into<String>) -> Self {
        self.operation = Some(name.into());
        self
    }

    /// The operation that it belongs to.
    #[must_use]
    pub fn within(mut self, operation: OperationHandle) -> Self {
        self.within = Some(operation);
        self
    }
}

type Resolve = dyn Fn(&Request) -> Option<CallTarget> + Send + Sync;

/// Measures the requests of a `reqwest-middleware` client that are calls to a provider: those with
/// a [`CallTarget`] among their extensions, and those that a closure knows.
///
/// ```no_run
/// # async fn ask(monitor: aimux_otel::PerformanceMonitor) -> Result<(), Box<dyn std::error::Error>> {
/// use aimux_otel::{CallMiddleware, CallTarget};
///
/// let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
///     .with(CallMiddleware::new(&monitor))
///     .build();
/// let answer = client
///     .post("https://api.openai.com/v1/chat/completions")
///     .with_extension(CallTarget::new("openai", "gpt-4o-mini"))
///     .body(r#"{"model":"gpt-4o-mini","messages":[]}"#)
///     .send()
///     .await?;
/// // The call ends with the body, which is read or passed on as any other.
/// let text = answer.text().await?;
/// # drop(text); Ok(()) }
/// ```
///
/// Each is a [`ProviderCall`](crate::ProviderCall), whose answer goes through
/// [`body`](crate::ProviderCall::body). What fails before there is an answer is `timeout`, `dns`,
/// `connection_refused`, `connection_reset` or `tls` where `reqwest` lets that be told, else
/// `_OTHER`; a request that is dropped is `cancelled`. Add it after a middleware that retries, so
/// that each try is measured by itself. If there is a trace, it goes on by the W3C header
/// `traceparent`. All other requests pass as they are.
#[derive(Clone)]
pub struct CallMiddleware {
    recorder: Arc<Recorder>,
    resolve: Option<Arc<Resolve>>,
    stall_after: Option<Duration>,
}

impl std::fmt::Debug for CallMiddleware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallMiddleware")
            .field("stall_after", &self.stall_after)
            .finish_non_exhaustive()
    }
}

impl CallMiddleware {
    pub(crate) const fn of(recorder: Arc<Recorder>) -> Self {
        Self {
            recorder,
            resolve: None,
            stall_after: None,
        }
    }

    /// The same, which asks `resolve` about requests that have no [`CallTarget`] of their own.
    #[must_use]
    pub fn with_resolver(
        mut self,
        resolve: impl Fn(&Request) -> Option<CallTarget> + Send + Sync + 'static,
    ) -> Self {
        self.resolve = Some(Arc::new(resolve));
        self
    }

    /// The same, which gives an answer up when nothing of its body came for `limit`, as
    /// [`CallBody::stall_after`](crate::CallBody::stall_after).
    #[must_use]
    pub const fn stall_after(mut self, limit: Duration) -> Self {
        self.stall_after = Some(limit);
        self
    }

    fn begin(&self, request: &Request, extensions: &Extensions) -> Option<ProviderCall> {
        let told = extensions.get::<CallTarget>().cloned();
        let target = told.or_else(|| self.resolve.as_ref()?(request))?;
        let CallTarget {
            provider,
            model,
            operation,
            within,
        } = &target;
        let mut call = match within {
            Some(handle) => handle.provider_call(provider, model),
            None => ProviderCall::begin(&self.recorder, provider, model, None),
        };
        if let Some(operation) = operation {
            call.operation(operation);
        }
        Some(call)
    }

    fn measured(&self, mut call: ProviderCall, response: Response) -> Response {
        call.head(response.status(), response.headers());
        let url = response.url().clone();
        let (mut parts, body) = http::Response::<Body>::from(response).into_parts();
        // What the address was is an extension that only this makes.
        if let Ok(with_url) = http::response::Builder::new().url(url).body(()) {
            parts.extensions.extend(with_url.into_parts().0.extensions);
        }
        let body = call.body(body);
        let body = match self.stall_after {
            Some(limit) => Body::wrap(body.stall_after(limit)),
            None => Body::wrap(body),
        };
        http::Response::from_parts(parts, body).into()
    }
}

#[async_trait::async_trait]
impl Middleware for CallMiddleware {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let Some(mut call) = self.begin(&request, extensions) else {
            return next.run(request, extensions).await;
        };
        call.inject_trace(request.headers_mut());
        match next.run(request, extensions).await {
            Ok(response) => Ok(self.measured(call, response)),
            Err(error) => {
                call.error(reason(&error));
                Err(error)
            }
        }
    }
}

/// Why there is no answer.
fn reason(error: &Error) -> &'static str {
    let Error::Reqwest(error) = error else {
        return OTHER;
    };
    if error.is_timeout() {
        return TIMEOUT;
    }
    if error.is_dns() {
        return DNS;
    }
    let below = std::iter::successors(error.source(), |error| (*error).source());
    for cause in below {
        if let Some(error) = cause.downcast_ref::<hyper::Error>()
            && error.is_incomplete_message()
        {
            return CONNECTION_RESET;
        }
        let kind = cause.downcast_ref().map(io::Error::kind);
        match kind {
            Some(io::ErrorKind::ConnectionRefused) => return CONNECTION_REFUSED,
            Some(
                io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof,
            ) => return CONNECTION_RESET,
            // What the other side of a handshake said was not what it should.
            Some(io::ErrorKind::InvalidData) if error.is_connect() => return TLS,
            _ => {}
        }
    }
    OTHER
}
