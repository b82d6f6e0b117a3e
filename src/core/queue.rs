//! The bounded queue between the request threads and the tick.
//!
//! A thread pushes into its own shard, so that threads seldom meet; the tick takes a whole shard
//! by swapping an empty buffer in, so the lock is held for the time of a copy.

use super::measurement::Measurement;
use parking_lot::{Mutex, MutexGuard};
use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Measurements that a shard has room for at first; where that is too few, it doubles.
const SHARD_START: usize = 128;

/// Measurements that one shard holds before the recording threads count for themselves.
const SHARD_CAPACITY: usize = 1_024;

/// What became of a pushed measurement.
#[derive(Debug)]
pub(crate) enum Pushed {
    /// It waits for the tick.
    Queued,
    /// It waits, and the tick should come soon.
    AskTick,
    /// There is no room: whoever pushed must count it.
    Full(Measurement),
    /// The queue takes nothing, for this reason.
    Closed(Closed),
}

/// Why the queue takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// For now.
    Stopped,
    /// For good.
    ShutDown,
}

/// Aligned so that two shards never share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Buffer>);

#[derive(Debug, Default)]
struct Buffer {
    waiting: Vec<Measurement>,
    /// All that was ever pushed here, also what came back as full or closed.
    offered: u64,
    closed: Option<Closed>,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Queue {
    shards: Box<[Shard]>,
}

impl Queue {
    /// A queue for a machine with this many cores.
    pub(crate) fn new(cores: usize) -> Self {
        let shards = cores.saturating_mul(2).clamp(4, 32).next_power_of_two();
        Self {
            shards: std::iter::repeat_with(Shard::default)
                .take(shards)
                .collect(),
        }
    }

    /// Never waits unless every shard is busy at once.
    // A call would move the measurement once more, which is what most of a push is.
    #[inline(always)]
    pub(crate) fn push(&self, measurement: Measurement) -> Pushed {
        let Some(mut buffer) = self.own_shard() else {
            return Pushed::Full(measurement);
        };
        buffer.offered += 1;
        if let Some(why) = buffer.closed {
            return Pushed::Closed(why);
        }
        let waiting = buffer.waiting.len();
        if waiting == buffer.waiting.capacity() {
            if waiting >= SHARD_CAPACITY {
                return Pushed::Full(measurement);
            }
            buffer.waiting.reserve_exact(waiting.max(SHARD_START));
        }
        buffer.waiting.push(measurement);
        // The tick should come soon: it is awake before there is no room.
        if waiting + 1 == SHARD_START {
            Pushed::AskTick
        } else {
            Pushed::Queued
        }
    }

    /// Hands all that waits to `count`, a shard at a time. `spare` is an empty buffer to swap in.
    pub(crate) fn drain(
        &self,
        spare: &mut Vec<Measurement>,
        mut count: impl FnMut(&mut Vec<Measurement>),
    ) {
        for shard in &self.shards {
            {
                let mut buffer = shard.0.lock();
                if buffer.waiting.is_empty() {
                    continue;
                }
                std::mem::swap(&mut buffer.waiting, spare);
            }
            count(spare);
            // What a burst needed is not kept for ever.
            let wanted = spare.len().saturating_mul(4).max(SHARD_START);
            spare.clear();
            if spare.capacity() > wanted {
                spare.shrink_to(spare.capacity() / 2);
            }
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let of_one = |shard: &Shard| shard.0.lock().waiting.capacity();
        let waiting: usize = self.shards.iter().map(of_one).sum();
        size_of_val(&*self.shards) + waiting * size_of::<Measurement>()
    }

    /// From now on every push is refused.
    pub(crate) fn close(&self, why: Closed) {
        self.set_closed(Some(why));
    }

    /// Takes what is pushed again, unless it was shut down.
    pub(crate) fn reopen(&self) {
        self.set_closed(None);
    }

    fn set_closed(&self, closed: Option<Closed>) {
        for shard in &self.shards {
            let mut buffer = shard.0.lock();
            if buffer.closed != Some(Closed::ShutDown) {
                buffer.closed = closed;
            }
        }
    }

    /// How many measurements were ever pushed.
    pub(crate) fn offered(&self) -> u64 {
        self.shards.iter().map(|s| s.0.lock().offered).sum()
    }

    #[inline]
    fn own_shard(&self) -> Option<MutexGuard<'_, Buffer>> {
        let mask = self.shards.len() - 1;
        let own = thread_number();
        // Another thread or the tick may be in this thread's shard: the next one will do.
        for step in 0..self.shards.len() {
            let shard = self.shards.get((own + step) & mask)?;
            if let Some(buffer) = shard.0.try_lock() {
                return Some(buffer);
            }
        }
        self.shards.get(own & mask).map(|shard| shard.0.lock())
    }
}

/// A number that differs between threads that started one after the other.
#[inline]
pub(super) fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    // While a thread ends its locals may be gone; any number will do then.
    NUMBER
        .try_with(|number| {
            if number.get() == usize::MAX {
                number.set(NEXT.fetch_add(1, Ordering::Relaxed));
            }
            number.get()
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{core::measurement::Kind, event_type::PerformanceEventType};

    fn attempt() -> Measurement {
        Measurement::new(Kind::Attempt, PerformanceEventType::ProviderEnd)
    }

    fn drained(queue: &Queue) -> usize {
        let mut count = 0;
        queue.drain(&mut Vec::new(), |batch| count += batch.len());
        count
    }

    #[test]
    fn what_is_pushed_is_drained_once() {
        let queue = Queue::new(2);
        for _ in 0..10 {
            assert!(matches!(queue.push(attempt()), Pushed::Queued));
        }
        assert_eq!(drained(&queue), 10);
        assert_eq!(drained(&queue), 0);
        assert_eq!(queue.offered(), 10);
    }

    #[test]
    fn a_full_shard_asks_first_and_then_gives_back() {
        let queue = Queue::new(1);
        let pushed: Vec<Pushed> = (0..=SHARD_CAPACITY)
            .map(|_| queue.push(attempt()))
            .collect();
        let asked = pushed
            .iter()
            .filter(|p| matches!(p, Pushed::AskTick))
            .count();
        assert_eq!(asked, 1);
        assert!(matches!(pushed.last(), Some(Pushed::Full(_))));
        assert_eq!(drained(&queue), SHARD_CAPACITY);
        assert_eq!(queue.offered(), SHARD_CAPACITY as u64 + 1);
    }

    #[test]
    fn a_closed_queue_takes_nothing_and_counts_it() {
        let queue = Queue::new(1);
        queue.push(attempt());
        queue.close(Closed::Stopped);
        let pushed = queue.push(attempt());
        assert!(matches!(pushed, Pushed::Closed(Closed::Stopped)));
        assert_eq!(drained(&queue), 1);
        assert_eq!(queue.offered(), 2);
    }

    #[test]
    fn only_what_was_stopped_can_be_opened_again() {
        let queue = Queue::new(1);
        queue.close(Closed::Stopped);
        queue.reopen();
        assert!(matches!(queue.push(attempt()), Pushed::Queued));
        queue.close(Closed::ShutDown);
        queue.reopen();
        queue.close(Closed::Stopped);
        let pushed = queue.push(attempt());
        assert!(matches!(pushed, Pushed::Closed(Closed::ShutDown)));
    }

    #[test]
    fn threads_and_a_drain_lose_nothing() {
        let queue = Queue::new(2);
        let counted = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        if let Pushed::Full(_) = queue.push(attempt()) {
                            counted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            for _ in 0..50 {
                counted.fetch_add(drained(&queue), Ordering::Relaxed);
            }
        });
        counted.fetch_add(drained(&queue), Ordering::Relaxed);
        assert_eq!(counted.into_inner(), 20_000);
        assert_eq!(queue.offered(), 20_000);
    }
}
