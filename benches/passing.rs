//! What it costs a chunk of a streamed answer to be read on its way: `cargo bench --bench passing`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench"
)]

use aimux_otel::{PerformanceMonitor, ProviderCall};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
use http_body::{Body, Frame};
use std::{
    collections::VecDeque,
    convert::Infallible,
    hint::black_box,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Instant,
};

const CHUNKS: usize = 20_000;
const RUNS: usize = 11;

/// Chunks that are all there.
struct Chunks(VecDeque<Bytes>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }
}

fn read<B: Body<Data = Bytes>>(body: B, mut each: impl FnMut(&[u8])) {
    let mut body = pin!(body);
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(&mut context) {
        each(frame.data_ref().unwrap());
    }
}

/// Nanoseconds per chunk, the median of some runs.
fn nanos(mut run: impl FnMut()) -> f64 {
    let mut runs: Vec<f64> = (0..RUNS)
        .map(|_| {
            #[allow(clippy::disallowed_methods, reason = "a bench measures time")]
            let began = Instant::now();
            run();
            began.elapsed().as_secs_f64() * 1e9 / CHUNKS as f64
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    runs[RUNS / 2]
}

fn call(monitor: &PerformanceMonitor) -> ProviderCall {
    let mut call = monitor.provider_call("openai", "gpt-4o-mini");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    call.head(StatusCode::OK, &headers);
    call
}

fn main() -> Result<(), aimux_otel::BuildError> {
    let monitor = PerformanceMonitor::builder().build()?;
    let openai = r#"data: {"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk","created":1741569952,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}"#;
    let anthropic = r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" token"}}"#;
    println!("event                bare body   through CallBody   each parsed by serde_json");
    for (name, event) in [("OpenAI", openai), ("Anthropic", anthropic)] {
        let event = format!("{event}\n\n");
        let chunks: VecDeque<Bytes> = std::iter::repeat_with(|| Bytes::from(event.clone()))
            .take(CHUNKS)
            .collect();
        let bare = nanos(|| {
            read(Chunks(chunks.clone()), |chunk| {
                black_box(chunk.len());
            })
        });
        let passed = nanos(|| {
            let body = call(&monitor).body(Chunks(chunks.clone()));
            read(body, |chunk| {
                black_box(chunk.len());
            });
        });
        let parsed = nanos(|| {
            read(Chunks(chunks.clone()), |chunk| {
                let json = &chunk["data: ".len()..];
                let value: serde_json::Value = serde_json::from_slice(json).unwrap();
                black_box(value["usage"].is_null());
            });
        });
        let bytes = event.len();
        println!(
            "{name:>9}, {bytes:>3} bytes {bare:>6.0} ns {passed:>14.0} ns {parsed:>24.0} ns   {:.2}",
            (passed - bare) / (parsed - bare)
        );
    }
    Ok(())
}
