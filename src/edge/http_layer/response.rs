//! The body of a measured response: the operation ends with it.

use super::request::OpenRequest;
use crate::core::error_type;
use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

pin_project_lite::pin_project! {
    /// The body of a measured response, passed on unchanged. The operation ends when it ends,
    /// fails or is dropped.
    #[derive(Debug)]
    pub struct MeasuredBody<B> {
        // `None` once it has ended: its spans close before the operation ends.
        #[pin]
        inner: Option<B>,
        // `None` if the request is measured further out.
        open: Option<OpenRequest>,
        // How long it will be, as far as is known.
        length: Option<u64>,
    }

    impl<B> PinnedDrop for MeasuredBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(open) = this.open.as_mut() {
                open.drop_below(|| this.inner.set(None));
            }
            // Who writes to a client need not ask whether more follows once the length that was
            // declared has passed.
            if let Some(open) = this.open.as_mut()
                && this.length.is_some_and(|length| open.response_size() >= length)
            {
                open.end(None);
            }
        }
    }
}

impl<B> MeasuredBody<B> {
    pub(super) const fn new(inner: B, open: Option<OpenRequest>, length: Option<u64>) -> Self {
        Self {
            inner: Some(inner),
            open,
            length,
        }
    }
}

impl<B: Body> Body for MeasuredBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let mut inner = this.inner;
        let mut poll = || {
            let Some(mut body) = inner.as_mut().as_pin_mut() else {
                return Poll::Ready((None, None));
            };
            let frame = ready!(body.as_mut().poll_frame(context));
            let end = match &frame {
                Some(Ok(_)) => body.is_end_stream().then_some(None),
                Some(Err(_)) => Some(Some(error_type::STREAM_BROKEN)),
                None => Some(None),
            };
            if end.is_some() {
                inner.set(None);
            }
            Poll::Ready((frame, end))
        };
        let Some(open) = this.open.as_mut() else {
            return poll().map(|(frame, _)| frame);
        };
        let (frame, end) = ready!(open.run(poll));
        if let Some(Ok(frame)) = &frame {
            open.passed(frame.data_ref().map_or(0, Buf::remaining));
        }
        if let Some(error) = end {
            open.end(error);
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
