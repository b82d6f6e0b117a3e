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
    /// The finest scale that its exponential histograms may have.
    scale: i8,
}

/// As fine as they come.
const FINEST_SCALE: i8 = i8::MAX;

impl Slot {
    /// One slot for all of `slots`, which follow each other.
    ///
    /// Their series are gone through in step, so that only one is unpacked at a time.
    pub(crate) fn merged(slots: &[Arc<Self>]) -> Self {
        let since = slots.first().map_or(Timestamp::EPOCH, |slot| slot.since);
        let until = slots.last().map_or(Timestamp::EPOCH, |slot| slot.until);
        let mut readers: Vec<_> = slots.iter().map(|slot| slot.entries().peekable()).collect();
        let scale = slots.iter().map(|slot| slot.scale).min();
        let mut writer = SlotWriter::new(scale.unwrap_or(FINEST_SCALE));
        loop {
            let ids = readers.iter_mut().filter_map(|reader| reader.peek());
            let Some(next) = ids.map(|(id, _)| *id).min() else {
                break;
            };
            let mut sum: Option<Aggregate> = None;
            for reader in &mut readers {
                if let Some((_, packed)) = reader.next_if(|(id, _)| *id == next) {
                    match &mut sum {
                        Some(sum) => packed.merge_into(sum),
                        None => sum = Some(packed.unpack()),
                    }
                }
            }
            if let Some(sum) = sum {
                writer.add(next, sum);
            }
        }
        writer.finish(since, until)
    }

    /// The same with exponential histograms of this scale, or coarser ones.
    pub(crate) fn coarser(&self, scale: i8) -> Self {
        let mut writer = SlotWriter::new(scale.min(self.scale));
        for (id, packed) in self.entries() {
            writer.add(id, packed.unpack());
        }
        writer.finish(self.since, self.until)
    }

    /// The finest scale that its exponential histograms may have.
    pub(crate) fn scale(&self) -> i8 {
        self.scale
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

/// Writes series to a slot, in the order of their ids.
#[derive(Debug)]
struct SlotWriter {
    entries: Writer,
    bounds: BoundsTable,
    next: SeriesId,
    scale: i8,
}

impl SlotWriter {
    fn new(scale: i8) -> Self {
        Self {
            entries: Writer::default(),
            bounds: BoundsTable::new(),
            next: 0,
            scale,
        }
    }

    fn add(&mut self, id: SeriesId, mut aggregate: Aggregate) {
        if let Aggregate::Exponential(histogram) = &mut aggregate {
            histogram.rescale(self.scale);
        }
        let mut entry = Writer::default();
        pack(&aggregate, &mut self.bounds, &mut entry);
        self.add_packed(id, &entry.finish());
    }

    fn add_packed(&mut self, id: SeriesId, entry: &[u8]) {
        let gap = id.saturating_sub(self.next);
        self.entries.varint(u128::from(gap));
        self.entries.varint(entry.len() as u128);
        self.entries.bytes(entry);
        self.next = id.saturating_add(1);
    }

    fn finish(self, since: Timestamp, until: Timestamp) -> Slot {
        Slot {
            since,
            until,
            entries: self.entries.finish().into(),
            bounds: self.bounds.into(),
            scale: self.scale,
        }
    }
}

/// Packs series for a slot, in any order.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    packed: BTreeMap<SeriesId, Vec<u8>>,
    bounds: BoundsTable,
}

impl Entries {
    /// What the series of this id did. Several may have gone to the same overflow series.
    pub(crate) fn add(&mut self, id: SeriesId, mut aggregate: Aggregate) {
        if let Some(earlier) = self.packed.get(&id) {
            let mut sum = Packed::new(earlier, &self.bounds).unpack();
            sum.merge(&aggregate);
            aggregate = sum;
        }
        let mut entry = Writer::default();
        pack(&aggregate, &mut self.bounds, &mut entry);
        self.packed.insert(id, entry.finish());
    }

    /// The slot of all that was added.
    pub(crate) fn finish(self, since: Timestamp, until: Timestamp) -> Slot {
        let mut writer = SlotWriter {
            bounds: self.bounds,
            ..SlotWriter::new(FINEST_SCALE)
        };
        for (id, entry) in &self.packed {
            writer.add_packed(*id, entry);
        }
        writer.finish(since, until)
    }
}
