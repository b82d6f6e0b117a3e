//! Spans that are kept open to the end of a streamed body.

use crate::app::{App, monitor, only, outcome, read_until, watch, within};
use aimux_otel::{PerformanceMonitor, SpanBody, Window};
use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue},
    response::Response,
    routing::get,
};
use futures_util::{StreamExt, stream};
use http_body::{Body as _, Frame, SizeHint};
use std::{
    collections::VecDeque,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};
use tokio::sync::mpsc;
use tracing::{Span, instrument};

type Chunk = Result<&'static str, io::Error>;

/// An attempt whose answer is what comes through `chunks`.
#[instrument(skip_all, fields(provider = "cerebras", output_tokens, error_type))]
fn streamed(chunks: mpsc::UnboundedReceiver<Chunk>, gone: mpsc::UnboundedSender<Span>) -> Response {
    let gone = Gone(gone);
    let chunks = stream::unfold((chunks, gone), async |(mut chunks, gone)| {
        let chunk = chunks.recv().await?;
        if let Err(error) = &chunk
            && error.kind() == io::ErrorKind::TimedOut
        {
            Span::current().record("error_type", "timeout");
        }
        Span::current().record("output_tokens", 7);
        Some((chunk, (chunks, gone)))
    });
    Response::new(Body::new(SpanBody::new(
        Body::from_stream(chunks),
        Span::current(),
    )))
}

/// Tells in which span it is dropped.
struct Gone(mpsc::UnboundedSender<Span>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.send(Span::current()).ok();
    }
}

/// One streamed attempt, with what its test needs to drive it.
struct Stream {
    app: App,
    chunks: mpsc::UnboundedSender<Chunk>,
    gone: mpsc::UnboundedReceiver<Span>,
}

impl Stream {
    async fn serve(monitor: &PerformanceMonitor) -> Self {
        let (chunks, from_test) = mpsc::unbounded_channel();
        let (is_gone, gone) = mpsc::unbounded_channel();
        let from_test = std::sync::Arc::new(std::sync::Mutex::new(Some(from_test)));
        let answer = async move || {
            let chunks = from_test.lock().unwrap().take().unwrap();
            streamed(chunks, is_gone)
        };
        let routes = Router::new().route("/stream", get(answer));
        let routes = routes.layer(monitor.http_layer());
        Self {
            app: App::serve(monitor, routes).await,
            chunks,
            gone,
        }
    }

    /// Why the operation and the attempt failed.
    async fn finish(mut self, monitor: &PerformanceMonitor) -> (Vec<String>, Vec<String>) {
        let span = within(self.gone.recv()).await.unwrap();
        assert_eq!(span.metadata().unwrap().name(), "streamed");
        drop(span);
        let view = self.app.finish().await;
        let operation = only(&view, "/stream");
        assert_eq!(outcome(operation).0, 1);
        let of_operation = operation.error_type_counts.keys().cloned().collect();
        let attempts = monitor.recent_events().into_iter();
        let attempts: Vec<_> = attempts
            .filter(|event| event.event_type == aimux_otel::PerformanceEventType::ProviderEnd)
            .collect();
        assert_eq!(attempts.len(), 1);
        let error = attempts[0].metadata.get("error_type").cloned();
        (of_operation, error.into_iter().collect())
    }
}

#[tokio::test]
async fn an_attempt_lasts_to_the_end_of_its_stream() {
    let monitor = monitor();
    let _watching = watch(&monitor);
    let mut stream = Stream::serve(&monitor).await;
    let answer = reqwest::get(stream.app.url("/stream")).await.unwrap();
    let mut answer = answer.bytes_stream();
    stream.chunks.send(Ok("one")).unwrap();
    within(answer.next()).await.unwrap().unwrap();
    assert_eq!(monitor.health().offered, 0, "neither is over");
    let (chunks, _) = mpsc::unbounded_channel();
    drop(std::mem::replace(&mut stream.chunks, chunks));
    assert!(within(answer.next()).await.is_none());
    assert_eq!(stream.finish(&monitor).await, (vec![], vec![]));
    let view = monitor.providers(Window::SinceStart).unwrap();
    assert_eq!(view.summary.total_requests, 1);
    let events = monitor.recent_events();
    let tokens = events
        .iter()
        .find_map(|event| event.metadata.get("output_tokens"));
    assert_eq!(tokens.unwrap(), "7", "what only a late chunk told");
}

#[tokio::test]
async fn an_attempt_whose_client_hangs_up_is_cancelled_too() {
    let monitor = monitor();
    let _watching = watch(&monitor);
    let stream = Stream::serve(&monitor).await;
    let mut client = stream
        .app
        .connect("GET /stream HTTP/1.1\r\nHost: gateway\r\n\r\n")
        .await;
    stream.chunks.send(Ok("one")).unwrap();
    read_until(&mut client, "one").await;
    drop(client);
    let cancelled = || vec!["cancelled".to_owned()];
    assert_eq!(stream.finish(&monitor).await, (cancelled(), cancelled()));
}

#[tokio::test]
async fn an_attempt_whose_stream_breaks_has_failed_for_the_reason_it_told() {
    for (kind, reason) in [
        (io::ErrorKind::Other, "stream_broken"),
        (io::ErrorKind::TimedOut, "timeout"),
    ] {
        let monitor = monitor();
        let _watching = watch(&monitor);
        let stream = Stream::serve(&monitor).await;
        let answer = reqwest::get(stream.app.url("/stream")).await.unwrap();
        let mut answer = answer.bytes_stream();
        stream.chunks.send(Ok("one")).unwrap();
        within(answer.next()).await.unwrap().unwrap();
        stream.chunks.send(Err(kind.into())).unwrap();
        within(answer.next()).await.unwrap().unwrap_err();
        let expected = (vec!["stream_broken".to_owned()], vec![reason.to_owned()]);
        assert_eq!(stream.finish(&monitor).await, expected);
    }
}

/// Frames that are there already.
struct Frames(VecDeque<Frame<Bytes>>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.0.len() as u64);
        hint
    }
}

#[test]
fn frames_and_trailers_and_what_is_said_of_them_are_passed_on() {
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", HeaderValue::from_static("42"));
    let frames = || {
        Frames(VecDeque::from([
            Frame::data(Bytes::from_static(b"data")),
            Frame::trailers(trailers.clone()),
        ]))
    };
    let ended = SpanBody::new(Frames(VecDeque::new()), Span::none());
    assert!(ended.is_end_stream(), "before anybody asks for a frame");
    let mut plain = frames();
    let mut wrapped = pin!(SpanBody::new(frames(), Span::none()));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..4 {
        assert_eq!(plain.is_end_stream(), wrapped.is_end_stream());
        assert_eq!(plain.size_hint().lower(), wrapped.size_hint().lower());
        let expected = Pin::new(&mut plain).poll_frame(&mut context);
        let found = wrapped.as_mut().poll_frame(&mut context);
        assert_eq!(format!("{expected:?}"), format!("{found:?}"));
    }
}
