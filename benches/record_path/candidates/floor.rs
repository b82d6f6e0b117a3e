//! What a span costs before anybody measures it.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Span, Subscriber};

use super::{Built, Candidate};
use crate::workload::{Labels, attempt, timed};

/// Closes each span where it was created.
pub(crate) struct Spans;

impl Candidate for Spans {
    fn burst(&self, labels: Labels, count: usize) -> Duration {
        timed(|| {
            for _ in 0..count {
                drop(attempt(labels));
            }
        })
    }
}

/// Creates spans on the calling thread and closes them on another.
///
/// What is timed is creating and closing, each on its own thread, not the way between.
pub(crate) struct MovedSpans {
    lanes: Mutex<Vec<Lane>>,
}

struct Lane {
    to_close: Sender<Vec<Span>>,
    closed: Receiver<(Vec<Span>, Duration)>,
}

impl MovedSpans {
    /// Starts the closing thread, before any other thread of the candidate: it is the second one
    /// of the process.
    pub(crate) fn start() -> Self {
        Self {
            lanes: Mutex::new(vec![Lane::start()]),
        }
    }
}

impl Lane {
    fn start() -> Self {
        let (to_close, spans_to_close) = channel::<Vec<Span>>();
        let (closed_spans, closed) = channel();
        thread::spawn(move || {
            for mut spans in spans_to_close {
                let elapsed = timed(|| spans.clear());
                if closed_spans.send((spans, elapsed)).is_err() {
                    return;
                }
            }
        });
        Self { to_close, closed }
    }
}

impl Candidate for MovedSpans {
    fn burst(&self, labels: Labels, count: usize) -> Duration {
        let lane = self.lanes.lock().ok().and_then(|mut lanes| lanes.pop());
        let lane = lane.unwrap_or_else(Lane::start);
        let mut spans = Vec::with_capacity(count);
        let mut elapsed = timed(|| {
            for _ in 0..count {
                spans.push(attempt(labels));
            }
        });
        if lane.to_close.send(spans).is_ok()
            && let Ok((_, closing)) = lane.closed.recv()
        {
            elapsed += closing;
        }
        if let Ok(mut lanes) = self.lanes.lock() {
            lanes.push(lane);
        }
        elapsed
    }
}

pub(super) fn nothing() -> Built {
    tracing::subscriber::set_global_default(Nothing)?;
    Ok(Box::new(Spans))
}

pub(super) fn registry() -> Built {
    tracing::subscriber::set_global_default(tracing_subscriber::registry())?;
    Ok(Box::new(Spans))
}

pub(super) fn registry_moved() -> Built {
    let spans = MovedSpans::start();
    tracing::subscriber::set_global_default(tracing_subscriber::registry())?;
    Ok(Box::new(spans))
}

/// Takes every span and does nothing with it.
struct Nothing;

impl Subscriber for Nothing {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
