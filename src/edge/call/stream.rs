//! A provider's answer as a stream of bytes: the call ends with it.

use super::{
    passage::Passage,
    stall::{BoxError, StallTimer, Stalled},
};
use futures_core::Stream;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

pin_project_lite::pin_project! {
    /// A provider's answer as a stream of bytes, passed on unchanged, and measured to its end: see
    /// [`ProviderCall::stream`](crate::ProviderCall::stream).
    #[derive(Debug)]
    pub struct CallStream<S> {
        // `None` once it has ended.
        #[pin]
        inner: Option<S>,
        passage: Passage,
    }
}

impl<S> CallStream<S> {
    pub(super) const fn new(inner: S, passage: Passage) -> Self {
        Self {
            inner: Some(inner),
            passage,
        }
    }

    /// The same, given up with the error [`Stalled`] when nothing came for `limit`, as
    /// [`CallBody::stall_after`](crate::CallBody::stall_after).
    pub fn stall_after(self, limit: Duration) -> StallStream<S> {
        StallStream {
            stream: self,
            timer: StallTimer::new(limit),
        }
    }
}

impl<S, T, E> Stream for CallStream<S>
where
    S: Stream<Item = Result<T, E>>,
    T: AsRef<[u8]>,
{
    type Item = Result<T, E>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T, E>>> {
        let this = self.project();
        let (mut inner, passage) = (this.inner, this.passage);
        let Some(stream) = inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let chunk = ready!(passage.run(|| stream.poll_next(context)));
        match &chunk {
            Some(Ok(chunk)) => passage.pass(chunk.as_ref()),
            Some(Err(_)) => passage.fail(),
            None => passage.end(),
        }
        if !matches!(chunk, Some(Ok(_))) {
            inner.set(None);
        }
        Poll::Ready(chunk)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.as_ref().map_or((0, Some(0)), Stream::size_hint)
    }
}

pin_project_lite::pin_project! {
    /// A [`CallStream`] that is given up when nothing comes for too long: see
    /// [`CallStream::stall_after`]. Its error is a boxed one: [`Stalled`], or that of the stream.
    #[derive(Debug)]
    pub struct StallStream<S> {
        #[pin]
        stream: CallStream<S>,
        timer: StallTimer,
    }
}

impl<S, T, E> Stream for StallStream<S>
where
    S: Stream<Item = Result<T, E>>,
    T: AsRef<[u8]>,
    E: Into<BoxError>,
{
    type Item = Result<T, BoxError>;

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<T, BoxError>>> {
        let mut this = self.project();
        if let Poll::Ready(chunk) = this.stream.as_mut().poll_next(context) {
            this.timer.came();
            return Poll::Ready(chunk.map(|chunk| chunk.map_err(Into::into)));
        }
        ready!(this.timer.poll_stalled(context));
        let mut stream = this.stream.project();
        stream.passage.stall();
        stream.inner.set(None);
        Poll::Ready(Some(Err(Stalled.into())))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (least, most) = self.stream.size_hint();
        // That it stalls is one more, before what would have come.
        (least.min(1), most.and_then(|most| most.checked_add(1)))
    }
}
