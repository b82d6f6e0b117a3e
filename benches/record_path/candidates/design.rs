//! Ways in which one record can reach every surface, without the rest of a monitor.
//!
//! All have their bound instruments in hand; what it takes to find them is left out.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::otel::{Bound, Buckets, Metrics, Readers};
use super::{Built, Candidate};
use crate::workload::{COST, DISTINCT, Labels, duration, timed};

/// Meter providers, and for each of the known labels the instruments bound to them.
struct FanOut {
    metrics: Vec<Metrics>,
    bound: Vec<(Labels, Vec<Bound>)>,
}

impl FanOut {
    fn new(metrics: Vec<Metrics>) -> Self {
        let instruments: Vec<_> = metrics.iter().map(Metrics::instruments).collect();
        let bound = DISTINCT
            .iter()
            .map(|&labels| {
                let each = instruments.iter().map(|each| each.bind(labels));
                (labels, each.collect())
            })
            .collect();
        Self { metrics, bound }
    }

    /// The place of `labels` among the bound ones.
    fn find(&self, labels: Labels) -> usize {
        self.bound
            .iter()
            .position(|(known, _)| known.model == labels.model)
            .unwrap_or(0)
    }

    #[inline(always)]
    fn record(&self, place: usize, seconds: f64, cost: f64) {
        if let Some((_, instruments)) = self.bound.get(place) {
            for each in instruments {
                each.record(seconds, cost);
            }
        }
    }

    fn collect(&self) {
        for metrics in &self.metrics {
            metrics.collect();
        }
    }
}

impl Candidate for FanOut {
    fn burst(&self, labels: Labels, count: usize) -> Duration {
        let place = black_box(self.find(labels));
        timed(|| {
            for index in 0..count {
                self.record(place, duration(index).as_secs_f64(), COST);
            }
        })
    }

    fn settle(&self) {
        self.collect();
    }

    fn counted(&self) -> Option<u64> {
        self.metrics.iter().find_map(Metrics::counted)
    }
}

pub(super) fn one_provider() -> Built {
    Ok(Box::new(FanOut::new(vec![Metrics::new(
        Readers::Both,
        Buckets::Exponential,
    )?])))
}

pub(super) fn two_providers() -> Built {
    Ok(Box::new(FanOut::new(vec![
        Metrics::new(Readers::Delta, Buckets::Exponential)?,
        Metrics::new(Readers::Prometheus, Buckets::Classic)?,
    ])))
}

pub(super) fn deferred() -> Built {
    let instruments = FanOut::new(vec![Metrics::new(Readers::Both, Buckets::Exponential)?]);
    Ok(Box::new(Deferred {
        shards: Default::default(),
        instruments,
    }))
}

/// What is put off: as large as all that a span can say, in numbers.
struct Deferrable {
    place: usize,
    seconds: f64,
    cost: f64,
    _rest: [u64; 13],
}

const _: () = assert!(size_of::<Deferrable>() == 128);

/// Far enough from its neighbours that two threads do not share a cache line.
#[repr(align(128))]
#[derive(Default)]
struct Shard(Mutex<Vec<Deferrable>>);

/// A shard that is full sends its threads to the instruments themselves.
const SHARD_CAPACITY: usize = 4_096;

struct Deferred {
    shards: [Shard; 8],
    instruments: FanOut,
}

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn own_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    SHARD.with(|shard| {
        if shard.get() == usize::MAX {
            shard.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        shard.get()
    })
}

impl Deferred {
    #[inline(always)]
    fn push(&self, place: usize, seconds: f64, cost: f64) {
        let shard = self.shards.get(own_shard() % self.shards.len());
        if let Some(Ok(mut pending)) = shard.map(|shard| shard.0.lock())
            && pending.len() < SHARD_CAPACITY
        {
            pending.push(Deferrable {
                place,
                seconds,
                cost,
                _rest: black_box([0; 13]),
            });
            return;
        }
        self.instruments.record(place, seconds, cost);
    }

    fn drain(&self) {
        for shard in &self.shards {
            let Ok(mut pending) = shard.0.lock() else {
                continue;
            };
            if pending.is_empty() {
                continue;
            }
            let taken = std::mem::replace(&mut *pending, Vec::with_capacity(SHARD_CAPACITY));
            drop(pending);
            for each in taken {
                self.instruments.record(each.place, each.seconds, each.cost);
            }
        }
    }
}

impl Candidate for Deferred {
    fn burst(&self, labels: Labels, count: usize) -> Duration {
        let place = black_box(self.instruments.find(labels));
        timed(|| {
            for index in 0..count {
                self.push(place, duration(index).as_secs_f64(), COST);
            }
        })
    }

    fn settle(&self) {
        self.drain();
        self.instruments.collect();
    }

    fn counted(&self) -> Option<u64> {
        self.instruments.counted()
    }
}
