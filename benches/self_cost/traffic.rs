//! Requests as they come: begun at their time, ended when they are done, on threads of their own.

use crate::load::{Dice, FAILURES, Failure, Law, Load, Pair, RATE};
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tracing::{Span, field::Empty};

/// Threads that serve requests.
const THREADS: u64 = 2;
/// Requests that one thread has in flight at the most.
const IN_FLIGHT: usize = 8_192;

/// Traffic that goes on until it is stopped.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    ended: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

struct Request {
    operation: Span,
    attempt: Span,
    pair: usize,
    failure: Option<&'static Failure>,
}

impl Traffic {
    pub(crate) fn start(load: &'static Load) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::new(AtomicU64::new(0));
        let threads = (0..THREADS).map(|number| {
            let (stop, ended) = (Arc::clone(&stop), Arc::clone(&ended));
            let name = format!("request-{number}");
            let builder = thread::Builder::new().name(name);
            builder.spawn(move || serve(load, number, &stop, &ended))
        });
        Ok(Self {
            threads: threads.collect::<Result<_, _>>()?,
            stop,
            ended,
        })
    }

    /// Requests that have ended.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().ok();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark keeps time")]
fn now() -> Instant {
    Instant::now()
}

fn serve(load: &'static Load, number: u64, stop: &AtomicBool, ended: &AtomicU64) {
    let mut dice = Dice::new(number + 1);
    let mut due: BinaryHeap<Reverse<(Duration, usize)>> = BinaryHeap::with_capacity(IN_FLIGHT);
    let mut requests: Vec<Option<Request>> = Vec::with_capacity(IN_FLIGHT);
    requests.resize_with(IN_FLIGHT, || None);
    let mut free: Vec<usize> = (0..IN_FLIGHT).collect();
    // The registry has its pages before anything is measured, as many with the monitor as without.
    let held: Vec<Span> = (0..IN_FLIGHT)
        .map(|_| tracing::info_span!("of no interest"))
        .collect();
    drop(held);
    let start = now();
    let pace = Duration::from_secs(1) * THREADS as u32 / RATE as u32;
    let mut next = pace;
    while !stop.load(Ordering::Relaxed) {
        let time = start.elapsed();
        if time < next {
            thread::sleep(next - time);
            continue;
        }
        next += pace;
        while let Some(Reverse((end, place))) = due.peek().copied()
            && end <= time
        {
            due.pop();
            free.push(place);
            if let Some(request) = requests[place].take() {
                end_request(load, request, &mut dice);
                ended.fetch_add(1, Ordering::Relaxed);
            }
        }
        if let Some(place) = free.pop() {
            let (request, takes) = begin_request(load, &mut dice);
            requests[place] = Some(request);
            due.push(Reverse((time + takes, place)));
        }
    }
}

#[inline(never)]
fn begin_request(load: &'static Load, dice: &mut Dice) -> (Request, Duration) {
    let pair = dice.below(load.pairs.len());
    let (path, method) = load.endpoints[dice.below(load.endpoints.len())];
    let mut left = dice.below(1_000) as u64;
    let failure = FAILURES.iter().find(|failure| {
        let fits = left < failure.per_mille;
        left = left.saturating_sub(failure.per_mille);
        fits
    });
    let Pair {
        provider, model, ..
    } = load.pairs[pair];
    let operation = tracing::info_span!(
        "request",
        endpoint = path,
        method = method,
        request_size = Law::request_bytes().draw(dice) as u64,
        response_size = Empty,
        status_code = Empty,
    );
    let attempt = tracing::info_span!(
        parent: &operation,
        "attempt",
        provider = provider,
        model = model,
        operation = "chat",
        status_code = Empty,
        error_type = Empty,
        input_tokens = Empty,
        output_tokens = Empty,
        ttft_ms = Empty,
        cost = Empty,
    );
    let takes = load.pairs[pair].duration(failure).draw(dice);
    let request = Request {
        operation,
        attempt,
        pair,
        failure,
    };
    (request, Duration::from_secs_f64(takes))
}

#[inline(never)]
fn end_request(load: &'static Load, request: Request, dice: &mut Dice) {
    let Request {
        operation,
        attempt,
        pair,
        failure,
    } = request;
    let input = Law::input_tokens().draw(dice);
    let output = Law::output_tokens().draw(dice);
    match failure {
        None => {
            let first = load.pairs[pair].first_chunk().draw(dice);
            attempt
                .record("status_code", 200)
                .record("input_tokens", input as u64)
                .record("output_tokens", output as u64)
                .record("ttft_ms", first * 1e3)
                .record("cost", Pair::cost(input, output));
        }
        Some(failure) if failure.is_status() => {
            attempt.record("status_code", failure.status);
        }
        Some(failure) => {
            attempt.record("error_type", failure.error);
        }
    }
    drop(attempt);
    operation
        .record("status_code", failure.map_or(200, |f| f.status))
        .record("response_size", Law::response_bytes().draw(dice) as u64);
    drop(operation);
}
