//! The response on its way: from the request's arrival to the head of the response.

use super::{
    request::{OpenRequest, content_length},
    response::MeasuredBody,
};
use crate::core::error_type;
use http::{Response, StatusCode};
use http_body::Body;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

pin_project_lite::pin_project! {
    /// The future of a measured response. Dropped before it is ready, its client has hung up.
    #[derive(Debug)]
    pub struct HttpFuture<F> {
        // `None` once it is done: its spans close before the operation ends.
        #[pin]
        inner: Option<F>,
        // `None` if the request is measured further out.
        open: Option<OpenRequest>,
        asks_for_no_body: bool,
    }

    impl<F> PinnedDrop for HttpFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(open) = this.open.as_ref() {
                open.drop_below(|| this.inner.set(None));
            }
        }
    }
}

impl<F> HttpFuture<F> {
    pub(super) const fn new(inner: F, open: Option<OpenRequest>, asks_for_no_body: bool) -> Self {
        Self {
            inner: Some(inner),
            open,
            asks_for_no_body,
        }
    }
}

impl<F, B, E> Future for HttpFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<MeasuredBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut inner = this.inner;
        let mut poll = || {
            // It may have been ready before, and have nothing more to say.
            let result = inner.as_mut().as_pin_mut().map(|f| f.poll(context));
            if matches!(result, Some(Poll::Ready(_))) {
                inner.set(None);
            }
            result.unwrap_or(Poll::Pending)
        };
        let result = ready!(match this.open.as_mut() {
            Some(open) => open.run(poll),
            None => poll(),
        });
        let mut open = this.open.take();
        Poll::Ready(match result {
            Ok(response) => Ok(measure_body(response, open, *this.asks_for_no_body)),
            Err(error) => {
                if let Some(open) = &mut open {
                    open.end(Some(error_type::INTERNAL));
                }
                Err(error)
            }
        })
    }
}

fn measure_body<B: Body>(
    response: Response<B>,
    open: Option<OpenRequest>,
    asks_for_no_body: bool,
) -> Response<MeasuredBody<B>> {
    let Some(mut open) = open else {
        return response.map(|body| MeasuredBody::new(body, None, None));
    };
    let status = response.status();
    open.answered(status, response.headers());
    let declared = content_length(response.headers());
    let length = declared.or_else(|| response.body().size_hint().exact());
    let has_none = asks_for_no_body
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || length == Some(0)
        || response.body().is_end_stream();
    if has_none {
        open.end(None);
    }
    response.map(|body| MeasuredBody::new(body, Some(open), length))
}
