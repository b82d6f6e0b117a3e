//! What has begun and not ended: a bounded table, sharded so that threads seldom meet.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

const SHARDS: usize = 64;

static NEXT_TABLE: AtomicU64 = AtomicU64::new(0);

/// Values by a number that their maker chose: a span's id, or one that [`OpenTable`] gave.
#[derive(Debug)]
pub(crate) struct OpenTable<T> {
    shards: Box<[Shard<T>]>,
    limit: usize,
    next_key: AtomicU64,
}

#[derive(Debug)]
#[repr(align(128))]
struct Shard<T>(Mutex<HashMap<u64, T, BuildHasherDefault<Mixed>>>);

impl<T> OpenTable<T> {
    /// A table of at most some `limit` values at once.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            shards: std::iter::repeat_with(|| Shard(Mutex::new(HashMap::default())))
                .take(SHARDS)
                .collect(),
            limit: limit.div_ceil(SHARDS),
            next_key: AtomicU64::new(NEXT_TABLE.fetch_add(1, Ordering::Relaxed) << 40),
        }
    }

    /// Whether there was room for it.
    #[inline]
    pub(crate) fn insert(&self, key: u64, value: T) -> bool {
        let Some(mut shard) = self.shard(key) else {
            return false;
        };
        let room = shard.len() < self.limit;
        if room {
            shard.insert(key, value);
        }
        room
    }

    /// Takes it out.
    #[inline]
    pub(crate) fn remove(&self, key: u64) -> Option<T> {
        self.shard(key)?.remove(&key)
    }

    /// Looks at it, or changes it, while its shard is locked: `then` must not call out.
    #[inline]
    pub(crate) fn with<R>(&self, key: u64, then: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.shard(key)?.get_mut(&key).map(then)
    }

    /// Takes out all that `expired` says so of.
    pub(crate) fn remove_if(&self, mut expired: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut removed = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.0.lock().unwrap_or_else(PoisonError::into_inner);
            removed.extend(shard.extract_if(|_, v| expired(v)).map(|(_, v)| v));
        }
        removed
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|s| s.0.lock().unwrap_or_else(PoisonError::into_inner).len())
            .sum()
    }

    /// A number that no table of the process has given before, so that one monitor's is never
    /// taken for another's.
    pub(crate) fn next_key(&self) -> u64 {
        self.next_key.fetch_add(1, Ordering::Relaxed) + 1
    }

    #[inline]
    fn shard(
        &self,
        key: u64,
    ) -> Option<MutexGuard<'_, HashMap<u64, T, BuildHasherDefault<Mixed>>>> {
        // The high bits: the map inside goes by the low ones.
        let at = (mixed(key) >> 58) as usize;
        let shard = self.shards.get(at)?;
        Some(shard.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Spreads numbers that differ in few bits, as span ids do.
#[inline]
fn mixed(key: u64) -> u64 {
    let key = (key ^ (key >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    key ^ (key >> 29)
}

#[derive(Debug, Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, key: u64) {
        self.0 = mixed(self.0 ^ key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out_once() {
        let table = OpenTable::new(1_000);
        assert!(table.insert(7, "seven"));
        assert_eq!(table.with(7, |v| *v), Some("seven"));
        assert_eq!(table.remove(7), Some("seven"));
        assert_eq!(table.remove(7), None);
    }

    #[test]
    fn it_never_holds_more_than_its_limit() {
        let table = OpenTable::new(128);
        let taken = (0..10_000).filter(|key| table.insert(*key, ())).count();
        assert_eq!(taken, table.len());
        assert!((64..=128).contains(&taken), "{taken}");
    }

    #[test]
    fn the_expired_leave() {
        let table = OpenTable::new(1_000);
        for key in 0..100 {
            table.insert(key, key);
        }
        assert_eq!(table.remove_if(|v| *v < 30).len(), 30);
        assert_eq!(table.len(), 70);
    }
}
