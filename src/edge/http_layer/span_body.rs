//! A body that keeps a span open.

use crate::core::error_type;
use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};
use tracing::Span;

pin_project_lite::pin_project! {
    /// A body that keeps a tracing span open, and entered while it is polled, until the body ends,
    /// fails or is dropped.
    ///
    /// The trap: `#[instrument]` on a function closes its span when the function returns. A
    /// function that returns a *streamed* answer returns when the stream begins, so a call that
    /// takes a minute would be measured as milliseconds, as a success whatever became of it, and
    /// without the tokens that only the last chunk tells of. Hand the span on with the body:
    ///
    /// ```
    /// use aimux_otel::SpanBody;
    /// use axum::{body::Body, response::Response};
    /// use tracing::{Span, instrument};
    ///
    /// #[instrument(skip_all, fields(provider = "cerebras", model, output_tokens, error_type))]
    /// async fn call(upstream: Body) -> Response {
    ///     Span::current().record("model", "llama3.1-8b");
    ///     Response::new(Body::new(SpanBody::new(upstream, Span::current())))
    /// }
    /// ```
    ///
    /// If the body fails, it records `stream_broken`, and if it is dropped half-way, as when the
    /// client hangs up, `cancelled`, in the span's field `error.type` or `error_type`. The span has
    /// to have one of them: one that has neither then closes like that of a success. An error type
    /// that was recorded before stays the one that is counted.
    ///
    /// Its frames, its size hint and its end are those of `inner`.
    #[derive(Debug)]
    pub struct SpanBody<B> {
        // `None` once it has ended: what it keeps is dropped inside the span.
        #[pin]
        inner: Option<B>,
        span: Span,
        passed: u64,
        length: Option<u64>,
        // A body that was never asked for anything may just not be wanted, as for `HEAD`.
        polled: bool,
    }

    impl<B> PinnedDrop for SpanBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let complete = this.length.is_some_and(|length| *this.passed >= length);
            if *this.polled && !complete && this.inner.is_some() {
                record_error(this.span, error_type::CANCELLED);
            }
            this.span.in_scope(|| this.inner.set(None));
        }
    }
}

impl<B: Body> SpanBody<B> {
    /// `inner`, with `span` open until its end.
    pub fn new(inner: B, span: Span) -> Self {
        Self {
            length: inner.size_hint().exact(),
            inner: Some(inner),
            span,
            passed: 0,
            polled: false,
        }
    }
}

impl<B: Body> Body for SpanBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        *this.polled = true;
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let entered = this.span.enter();
        let frame = ready!(inner.poll_frame(context));
        let ended = match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Buf::remaining);
                *this.passed = this.passed.saturating_add(bytes as u64);
                this.inner
                    .as_ref()
                    .as_pin_ref()
                    .is_some_and(|b| b.is_end_stream())
            }
            Some(Err(_)) => {
                record_error(this.span, error_type::STREAM_BROKEN);
                true
            }
            None => true,
        };
        if ended {
            this.inner.set(None);
            drop(entered);
            *this.span = Span::none();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let ended = || SizeHint::with_exact(0);
        self.inner.as_ref().map_or_else(ended, Body::size_hint)
    }
}

/// In the field that the span has for it.
fn record_error(span: &Span, error: &'static str) {
    let name = if span.has_field("error.type") {
        "error.type"
    } else {
        "error_type"
    };
    span.record(name, error);
}
