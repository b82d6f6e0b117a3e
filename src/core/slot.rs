//! What all series did between two points in time: immutable, packed into one piece of memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::core::aggregate::Aggregate;
use crate::core::packed::{BoundsTable, Packed, pack};
use crate::core::packing::{Reader, Writer};

/// The position of a series in the totals, which is its short name in a slot.
pub(crate) type SeriesId = u32;

/// What all series did in `(since, until]`.
#[derive(Debug)]
pub(crate) struct Slot {
    since: Timestamp,
    until: Timestamp,
    /// For each series, by id: the distance from the id before, a length, a packed aggregate.
    entries: Box<[u8]>,
    bounds: Box<[Arc<[f64]>]>,
}

impl Slot {
    /// Packs what the series did in `(since, until]`.
    pub(crate) fn new(
        since: Timestamp,
        until: Timestamp,
        aggregates: &BTreeMap<SeriesId, Aggregate>,
    ) -> Self {
        let mut bounds = BoundsTable::new();
        let mut entries = Writer::default();
        let mut next = 0;
        for (&id, aggregate) in aggregates {
            let mut entry = Writer::default();
            pack(aggregate, &mut bounds, &mut entry);
            let entry = entry.finish();
            entries.varint(u128::from(id.saturating_sub(next)));
            entries.varint(entry.len() as u128);
            entries.bytes(&entry);
            next = id.saturating_add(1);
        }
        Self {
            since,
            until,
            entries: entries.finish().into(),
            bounds: bounds.into(),
        }
    }

    /// One slot for all of `slots`, which follow each other.
    pub(crate) fn merged(slots: &[Arc<Self>]) -> Self {
        let since = slots.first().map_or(Timestamp::EPOCH, |slot| slot.since);
        let until = slots.last().map_or(Timestamp::EPOCH, |slot| slot.until);
        let mut aggregates = BTreeMap::new();
        for slot in slots {
            for (id, packed) in slot.entries() {
                merge_packed(&mut aggregates, id, packed);
            }
        }
        Self::new(since, until, &aggregates)
    }

    /// Where the slot begins; that moment is not in it.
    pub(crate) fn since(&self) -> Timestamp {
        self.since
    }

    /// Where the slot ends; that moment is in it.
    pub(crate) fn until(&self) -> Timestamp {
        self.until
    }

    /// All series that did something, by id.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (SeriesId, Packed<'_>)> {
        let mut from = Reader::new(&self.entries);
        let mut next: SeriesId = 0;
        std::iter::from_fn(move || {
            if from.is_empty() {
                return None;
            }
            let gap = SeriesId::try_from(from.varint()).ok()?;
            let length = usize::try_from(from.varint()).ok()?;
            let packed = Packed::new(from.take(length), &self.bounds);
            let id = next.saturating_add(gap);
            next = id.saturating_add(1);
            Some((id, packed))
        })
    }

    /// Bytes on the heap, the slot itself included.
    pub(crate) fn heap_bytes(&self) -> usize {
        // The two counts of the `Arc` around it are 16.
        16 + size_of::<Self>() + self.entries.len() + size_of_val(&*self.bounds)
    }
}

/// Adds `packed` to the aggregate of `id`.
pub(crate) fn merge_packed(
    aggregates: &mut BTreeMap<SeriesId, Aggregate>,
    id: SeriesId,
    packed: Packed<'_>,
) {
    match aggregates.get_mut(&id) {
        Some(aggregate) => packed.merge_into(aggregate),
        None => {
            aggregates.insert(id, packed.unpack());
        }
    }
}
