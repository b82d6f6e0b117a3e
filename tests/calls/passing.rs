//! Whatever bytes come, and wherever they are cut, the same come out.

use crate::{app::monitor, gateway::Call};
use aimux_otel::{PerformanceMonitor, ProviderCall};
use bytes::{Buf, Bytes};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
use http_body::{Body, Frame, SizeHint};
use proptest::prelude::*;
use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::{Pin, pin},
    sync::LazyLock,
    task::{Context, Poll, Waker},
    time::Duration,
};

static MONITOR: LazyLock<PerformanceMonitor> = LazyLock::new(monitor);

fn call(form: &'static str) -> ProviderCall {
    let mut call = MONITOR.provider_call("openai", "m");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form));
    call.head(StatusCode::OK, &headers);
    call
}

/// Frames that are all there, of data or trailers.
#[derive(Debug)]
struct Frames<D>(VecDeque<Frame<D>>);

impl<D: Buf + Unpin> Body for Frames<D> {
    type Data = D;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<D>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let sizes = self.0.iter().filter_map(Frame::data_ref);
        SizeHint::with_exact(sizes.map(|data| data.remaining() as u64).sum())
    }
}

/// The data and the trailers of all frames, in their order.
fn frames<B: Body>(body: B) -> Vec<Result<Vec<u8>, HeaderMap>> {
    let mut body = pin!(body);
    let mut context = Context::from_waker(Waker::noop());
    let mut seen = Vec::new();
    while let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(&mut context) {
        seen.push(match frame.into_data() {
            Ok(mut data) => Ok(data.copy_to_bytes(data.remaining()).to_vec()),
            Err(frame) => Err(frame.into_trailers().ok().unwrap()),
        });
    }
    assert!(body.is_end_stream());
    assert!(matches!(
        body.as_mut().poll_frame(&mut context),
        Poll::Ready(None)
    ));
    seen
}

/// Bytes that a reader of answers may stumble over.
fn chunk() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n".to_vec()),
        Just(b"data: [DO".to_vec()),
        Just(b"NE]\n\n".to_vec()),
        Just("{\"usage\":{\"prompt_tokens\":1}}\r\n".as_bytes().to_vec()),
        Just(b"\xff\xfe\n\n".to_vec()),
    ]
}

proptest! {
    #[test]
    fn bytes_pass_unchanged_at_the_same_boundaries(
        chunks in prop::collection::vec(chunk(), 0..12),
        form in prop_oneof![
            Just("text/event-stream"),
            Just("application/json"),
            Just("application/octet-stream"),
        ],
        with_trailers in any::<bool>(),
        stalls in any::<bool>(),
    ) {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let mut sent: VecDeque<Frame<Bytes>> = chunks
            .iter()
            .map(|chunk| Frame::data(Bytes::copy_from_slice(chunk)))
            .collect();
        let mut expected: Vec<_> = chunks.iter().cloned().map(Ok).collect();
        if with_trailers {
            sent.push_back(Frame::trailers(trailers.clone()));
            expected.push(Err(trailers));
        }
        let inner = Frames(sent);
        let (size, is_end) = (inner.size_hint(), inner.is_end_stream());
        let body = call(form).body(inner);
        prop_assert_eq!(body.size_hint().exact(), size.exact());
        prop_assert_eq!(body.is_end_stream(), is_end);
        let seen = match stalls {
            true => frames(body.stall_after(Duration::from_secs(60))),
            false => frames(body),
        };
        prop_assert_eq!(&seen, &expected);

        let items = chunks.iter().cloned().map(Ok::<_, Infallible>);
        let through = call(form).stream(stream::iter(items));
        let seen: Vec<_> = futures_util::FutureExt::now_or_never(through.collect()).unwrap();
        let seen: Vec<Vec<u8>> = seen.into_iter().map(Result::unwrap).collect();
        prop_assert_eq!(seen, chunks);
    }
}

#[test]
fn data_that_lies_in_pieces_is_read_as_a_whole() {
    let monitor = monitor();
    let mut call = monitor.provider_call("openai", "m");
    call.head(
        StatusCode::OK,
        &HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]),
    );
    let (one, other) = (
        Bytes::from_static(br#"{"choices":[],"usage":{"prompt_tok"#),
        Bytes::from_static(br#"ens":12,"completion_tokens":34}}"#),
    );
    let data = one.clone().chain(other.clone());
    let body = call.body(Frames(VecDeque::from([Frame::data(data)])));
    assert_eq!(frames(body), [Ok([one, other].concat())]);
    let call = Call::only(&monitor);
    assert_eq!(call.get("input_tokens"), Some("12"));
    assert_eq!(call.get("output_tokens"), Some("34"));
}

#[test]
fn a_body_that_is_dropped_after_what_it_declared_was_whole() {
    let monitor = monitor();
    let mut call = monitor.provider_call("openai", "m");
    call.status(200);
    /// Never says that it has ended.
    struct Endless(Frames<Bytes>);
    impl Body for Endless {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Pin::new(&mut self.0).poll_frame(context)
        }
        fn size_hint(&self) -> SizeHint {
            self.0.size_hint()
        }
    }
    let data = Frame::data(Bytes::from_static(b"{}"));
    let mut body = call.body(Endless(Frames(VecDeque::from([data]))));
    let mut context = Context::from_waker(Waker::noop());
    let polled = Pin::new(&mut body).poll_frame(&mut context);
    assert!(polled.is_ready());
    assert_eq!(monitor.health().offered, 0);
    drop(body);
    assert_eq!(Call::only(&monitor).error(), None);
}

#[test]
fn a_body_that_has_ended_from_the_first_ends_the_call() {
    let monitor = monitor();
    let mut call = monitor.provider_call("openai", "m");
    call.status(204);
    let body = call.body(Frames::<Bytes>(VecDeque::new()));
    assert_eq!(monitor.health().offered, 1, "nobody need poll it");
    drop(body);
    assert_eq!(Call::only(&monitor).error(), None);
}
