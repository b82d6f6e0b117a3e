//! The body of a provider's answer: the call ends with it.

use super::{
    passage::Passage,
    stall::{BoxError, StallTimer, Stalled},
};
use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use std::{
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

pin_project_lite::pin_project! {
    /// The body of a provider's answer, passed on unchanged, and measured to its end: see
    /// [`ProviderCall::body`](crate::ProviderCall::body).
    #[derive(Debug)]
    pub struct CallBody<B> {
        // `None` once it has ended.
        #[pin]
        inner: Option<B>,
        passage: Passage,
    }
}

impl<B: Body> CallBody<B> {
    pub(super) fn new(inner: B, mut passage: Passage) -> Self {
        passage.set_length(inner.size_hint().exact());
        // Nobody need ask a body that has ended for anything.
        if inner.is_end_stream() {
            passage.end();
        }
        Self {
            inner: Some(inner),
            passage,
        }
    }

    /// The same, given up with the error [`Stalled`] when nothing came for `limit`, while somebody
    /// waited for it. The call is then recorded as `timeout`.
    ///
    /// The time is that of the tokio runtime in which it is polled, which needs its timers enabled;
    /// without a runtime it waits for as long as it takes.
    pub fn stall_after(self, limit: Duration) -> StallBody<B> {
        StallBody {
            body: self,
            timer: StallTimer::new(limit),
        }
    }
}

impl<B: Body> Body for CallBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let (mut inner, passage) = (this.inner, this.passage);
        let Some(mut body) = inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let polled = passage.run(|| {
            let frame = ready!(body.as_mut().poll_frame(context));
            let ended = !matches!(frame, Some(Ok(_))) || body.is_end_stream();
            Poll::Ready((frame, ended))
        });
        let (frame, ended) = ready!(polled);
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    pass(passage, data);
                }
                if ended {
                    passage.end();
                }
            }
            Some(Err(_)) => passage.fail(),
            None => passage.end(),
        }
        if ended {
            inner.set(None);
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

/// Shows all of `data` to the passage, without taking anything from it.
fn pass(passage: &mut Passage, data: &impl Buf) {
    let remaining = data.remaining();
    let whole = data.chunk();
    if whole.len() >= remaining {
        return passage.pass(whole);
    }
    // In several pieces, which is rare: nobody else asks for more of them at once.
    let mut pieces = [IoSlice::new(&[]); 16];
    let count = data.chunks_vectored(&mut pieces);
    let pieces = pieces.get(..count).unwrap_or_default();
    let seen: usize = pieces.iter().map(|piece| piece.len()).sum();
    if seen < remaining {
        return passage.pass_unread(remaining);
    }
    for piece in pieces {
        passage.pass(piece);
    }
}

pin_project_lite::pin_project! {
    /// A [`CallBody`] that is given up when nothing comes for too long: see
    /// [`CallBody::stall_after`].
    ///
    /// Its bytes and their boundaries are those of the body inside. Its error is a boxed one, since
    /// nobody else can make an error of the body's own type: [`Stalled`], or that of the body.
    #[derive(Debug)]
    pub struct StallBody<B> {
        #[pin]
        body: CallBody<B>,
        timer: StallTimer,
    }
}

impl<B> Body for StallBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        if let Poll::Ready(frame) = this.body.as_mut().poll_frame(context) {
            this.timer.came();
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(this.timer.poll_stalled(context));
        let mut body = this.body.project();
        body.passage.stall();
        body.inner.set(None);
        Poll::Ready(Some(Err(Stalled.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
