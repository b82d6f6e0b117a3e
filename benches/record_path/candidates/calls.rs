//! One call that says what an attempt was.

use std::cell::RefCell;
use std::hint::black_box;
use std::time::Duration;

use super::otel::{Bound, Buckets, Instruments, Metrics, Readers};
use super::{Built, Candidate};
use crate::workload::{COST, Labels, duration, timed};

struct Attributes {
    metrics: Metrics,
    instruments: Instruments,
}

impl Candidate for Attributes {
    fn burst(&self, labels: Labels, count: usize) -> Duration {
        timed(|| {
            for index in 0..count {
                let seconds = duration(index).as_secs_f64();
                self.instruments
                    .record_static(black_box(labels), seconds, COST);
            }
        })
    }

    fn settle(&self) {
        self.metrics.collect();
    }

    fn counted(&self) -> Option<u64> {
        self.metrics.counted()
    }
}

pub(super) fn sdk() -> Built {
    attributes(Readers::Prometheus)
}

pub(super) fn sdk_two_readers() -> Built {
    attributes(Readers::Both)
}

fn attributes(readers: Readers) -> Built {
    let metrics = Metrics::new(readers, Buckets::Classic)?;
    Ok(Box::new(Attributes {
        instruments: metrics.instruments(),
        metrics,
    }))
}

struct LookedUp {
    metrics: Metrics,
    instruments: Instruments,
}

thread_local! {
    static BOUND: RefCell<Vec<(Labels, Bound)>> = const { RefCell::new(Vec::new()) };
}

impl LookedUp {
    #[inline(always)]
    fn record(&self, labels: Labels, duration: Duration, cost: f64) {
        BOUND.with_borrow_mut(|bound| {
            let known = bound.iter().position(|(known, _)| {
                known.provider == labels.provider && known.model == labels.model
            });
            let index = known.unwrap_or_else(|| {
                bound.push((labels, self.instruments.bind(labels)));
                bound.len() - 1
            });
            if let Some((_, instruments)) = bound.get(index) {
                instruments.record(duration.as_secs_f64(), cost);
            }
        });
    }
}

impl Candidate for LookedUp {
    fn burst(&self, labels: Labels, count: usize) -> Duration {
        timed(|| {
            for index in 0..count {
                self.record(black_box(labels), duration(index), COST);
            }
        })
    }

    fn settle(&self) {
        self.metrics.collect();
    }

    fn counted(&self) -> Option<u64> {
        self.metrics.counted()
    }
}

pub(super) fn bound() -> Built {
    looked_up(Readers::Prometheus)
}

pub(super) fn bound_two_readers() -> Built {
    looked_up(Readers::Both)
}

fn looked_up(readers: Readers) -> Built {
    let metrics = Metrics::new(readers, Buckets::Classic)?;
    Ok(Box::new(LookedUp {
        instruments: metrics.instruments(),
        metrics,
    }))
}
