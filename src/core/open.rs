//! What has begun and not ended: a bounded table, sharded so that threads seldom meet.

use parking_lot::{Mutex, MutexGuard};
use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

const SHARDS: usize = 128;

/// Values by a number that their maker chose: a span's id, or one that [`OpenTable`] gave.
#[derive(Debug)]
pub(crate) struct OpenTable<T> {
    shards: Box<[Shard<T>; SHARDS]>,
    /// Of one shard.
    limit: usize,
    bytes: OpenBytes,
}

/// Bytes that tables have on the heap, all of a monitor's together.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenBytes(Arc<AtomicUsize>);

impl OpenBytes {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
#[repr(align(128))]
struct Shard<T>(Mutex<Open<T>>);

/// A shard seldom holds more than a few, so a scan of the keys beats a hash table; and a value
/// is moved only when it comes and when it goes.
#[derive(Debug)]
struct Open<T> {
    keys: Vec<u64>,
    values: Vec<T>,
}

impl<T> OpenTable<T> {
    /// A table of at most some `limit` values at once, which adds what it takes to `bytes`.
    pub(crate) fn new(limit: usize, bytes: &OpenBytes) -> Self {
        let shard = |_| {
            Shard(Mutex::new(Open {
                keys: Vec::new(),
                values: Vec::new(),
            }))
        };
        let shards: Box<[Shard<T>; SHARDS]> = Box::new(std::array::from_fn(shard));
        bytes.0.fetch_add(size_of_val(&*shards), Ordering::Relaxed);
        Self {
            shards,
            limit: limit.div_ceil(SHARDS),
            bytes: bytes.clone(),
        }
    }

    /// Whether there was room for it.
    #[inline]
    pub(crate) fn insert(&self, key: u64, value: T) -> bool {
        self.insert_and(key, value, |_| {})
    }

    /// Whether there was room for it; then `complete` changes it in its place, while its shard is
    /// locked: it must not call out.
    #[inline]
    pub(crate) fn insert_and(&self, key: u64, value: T, complete: impl FnOnce(&mut T)) -> bool {
        let Some(mut shard) = self.shard(key) else {
            return false;
        };
        if shard.keys.len() >= self.limit {
            return false;
        }
        if shard.is_full() {
            shard.grow(&self.bytes);
        }
        shard.keys.push(key);
        shard.values.push(value);
        shard.values.last_mut().map(complete).is_some()
    }

    /// Takes it out, and hands it on when nothing is locked any more.
    #[inline]
    pub(crate) fn remove(&self, key: u64) -> Option<T> {
        let mut shard = self.shard(key)?;
        let at = shard.find(key)?;
        shard.take(at)
    }

    /// Looks at it, or changes it, while its shard is locked: `then` must not call out.
    #[inline]
    pub(crate) fn with<R>(&self, key: u64, then: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut shard = self.shard(key)?;
        let at = shard.find(key)?;
        shard.values.get_mut(at).map(then)
    }

    /// Takes out all that `expired` says so of.
    pub(crate) fn remove_if(&self, mut expired: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut removed = Vec::new();
        for shard in self.shards.iter() {
            let mut shard = shard.0.lock();
            while let Some(at) = shard.values.iter().position(&mut expired) {
                removed.extend(shard.take(at));
            }
        }
        removed
    }

    /// How many are open.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|s| s.0.lock().keys.len()).sum()
    }

    /// A number that no table has given before: another monitor's does not fit here.
    pub(crate) fn next_key(&self) -> u64 {
        static GIVEN: AtomicU64 = AtomicU64::new(0);
        GIVEN.fetch_add(1, Ordering::Relaxed) + 1
    }

    #[inline]
    fn shard(&self, key: u64) -> Option<MutexGuard<'_, Open<T>>> {
        self.shards.get(shard_of(key)).map(|shard| shard.0.lock())
    }
}

impl<T> Drop for OpenTable<T> {
    fn drop(&mut self) {
        let of_one = |shard: &Shard<T>| shard.0.lock().heap_bytes();
        let all: usize = self.shards.iter().map(of_one).sum();
        let all = all + size_of_val(&*self.shards);
        self.bytes.0.fetch_sub(all, Ordering::Relaxed);
    }
}

impl<T> Open<T> {
    #[inline]
    fn is_full(&self) -> bool {
        self.keys.len() == self.keys.capacity() || self.values.len() == self.values.capacity()
    }

    /// By an eighth, since values are large.
    #[cold]
    fn grow(&mut self, bytes: &OpenBytes) {
        let before = self.heap_bytes();
        let more = (self.keys.len() / 8).max(4);
        self.keys.reserve_exact(more);
        self.values.reserve_exact(more);
        bytes
            .0
            .fetch_add(self.heap_bytes() - before, Ordering::Relaxed);
    }

    fn heap_bytes(&self) -> usize {
        self.keys.capacity() * size_of::<u64>() + self.values.capacity() * size_of::<T>()
    }

    #[inline]
    fn find(&self, key: u64) -> Option<usize> {
        self.keys.iter().position(|open| *open == key)
    }

    #[inline]
    fn take(&mut self, at: usize) -> Option<T> {
        self.keys.swap_remove(at);
        // Mostly it is the last one, and no other has to be moved.
        if at != self.keys.len() {
            self.values.swap(at, self.keys.len());
        }
        self.values.pop()
    }
}

/// Spreads numbers that differ in few bits, as span ids do: their high bits tell the thread, and
/// the low ones the place.
#[inline]
fn shard_of(key: u64) -> usize {
    let mixed = (key ^ (key >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 57) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out_once() {
        let table = OpenTable::new(1_000, &OpenBytes::default());
        assert!(table.insert(7, "seven"));
        assert_eq!(table.with(7, |v| *v), Some("seven"));
        assert_eq!(table.remove(7), Some("seven"));
        assert_eq!(table.remove(7), None);
    }

    #[test]
    fn it_never_holds_more_than_its_limit() {
        let table = OpenTable::new(256, &OpenBytes::default());
        let taken = (0..10_000).filter(|key| table.insert(*key, ())).count();
        assert_eq!(taken, table.len());
        assert!((128..=256).contains(&taken), "{taken}");
    }

    #[test]
    fn the_expired_leave() {
        let table = OpenTable::new(1_000, &OpenBytes::default());
        for key in 0..100 {
            table.insert(key, key);
        }
        assert_eq!(table.remove_if(|v| *v < 30).len(), 30);
        assert_eq!(table.len(), 70);
    }
}
