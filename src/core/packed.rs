//! Aggregates in few bytes, readable in place.

use std::sync::Arc;

use crate::core::aggregate::Aggregate;
use crate::core::classic::ClassicHistogram;
use crate::core::histogram::ExponentialHistogram;
use crate::core::packing::{BitReader, Reader, Writer, best_order};

/// The boundaries that packed classic histograms refer to by position.
pub(crate) type BoundsTable = Vec<Arc<[f64]>>;

const EXPONENTIAL: u8 = 0;
const CLASSIC: u8 = 1;
const SUMMARY: u8 = 2;
const SUM: u8 = 3;
const WHOLE_SUM: u8 = 4;
const MONEY: u8 = 5;
const GAUGE: u8 = 6;

// What a packed histogram has.
const HAS_MIN: u8 = 1;
const HAS_MAX: u8 = 2;
const HAS_BUCKETS: u8 = 4;
/// One value, which is also sum, least and largest.
const SINGLE: u8 = 8;
/// Every bucket of the range, as the difference from the one before; else only those that hold
/// something, as gap and count.
const DENSE: u8 = 16;

/// Writes `aggregate`, whose boundaries, if it has any, go to `bounds`.
pub(crate) fn pack(aggregate: &Aggregate, bounds: &mut BoundsTable, to: &mut Writer) {
    match aggregate {
        Aggregate::Exponential(histogram) => {
            to.byte(EXPONENTIAL);
            pack_exponential(histogram, to);
        }
        Aggregate::Classic(histogram) => {
            to.byte(CLASSIC);
            pack_classic(histogram, bounds, to);
        }
        Aggregate::Summary { count, sum } => {
            to.byte(SUMMARY);
            to.varint(u128::from(*count));
            to.f64(*sum);
        }
        Aggregate::Sum(sum) if sum.fract() == 0.0 && sum.abs() < 1e15 => {
            to.byte(WHOLE_SUM);
            to.signed(*sum as i128);
        }
        Aggregate::Sum(sum) => {
            to.byte(SUM);
            to.f64(*sum);
        }
        Aggregate::Money(nano) => {
            to.byte(MONEY);
            to.signed(*nano);
        }
        Aggregate::Gauge(value) => {
            to.byte(GAUGE);
            to.f64(*value);
        }
    }
}

/// One packed aggregate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packed<'a> {
    bytes: &'a [u8],
    bounds: &'a [Arc<[f64]>],
}

impl<'a> Packed<'a> {
    /// What [`pack`] wrote to `bytes` and `bounds`.
    pub(crate) fn new(bytes: &'a [u8], bounds: &'a [Arc<[f64]>]) -> Self {
        Self { bytes, bounds }
    }

    /// How many values, without a look at the buckets.
    pub(crate) fn count(&self) -> u64 {
        let mut from = Reader::new(self.bytes);
        match from.byte() {
            EXPONENTIAL | CLASSIC | SUMMARY => from.u64(),
            _ => 0,
        }
    }

    /// Adds it to `to`, which is earlier.
    pub(crate) fn merge_into(&self, to: &mut Aggregate) {
        let mut from = Reader::new(self.bytes);
        match (from.byte(), to) {
            (EXPONENTIAL, Aggregate::Exponential(to)) => to.merge_packed(&Buckets::read(from)),
            (_, to) => to.merge(&self.unpack()),
        }
    }

    /// The aggregate.
    pub(crate) fn unpack(&self) -> Aggregate {
        let mut from = Reader::new(self.bytes);
        match from.byte() {
            EXPONENTIAL => {
                let buckets = Buckets::read(from);
                let mut histogram = ExponentialHistogram::new(buckets.scale);
                histogram.merge_packed(&buckets);
                Aggregate::Exponential(histogram)
            }
            CLASSIC => Aggregate::Classic(self.unpack_classic(from)),
            SUMMARY => Aggregate::Summary {
                count: from.u64(),
                sum: from.f64(),
            },
            SUM => Aggregate::Sum(from.f64()),
            WHOLE_SUM => Aggregate::Sum(from.signed() as f64),
            MONEY => Aggregate::Money(from.signed()),
            _ => Aggregate::Gauge(from.f64()),
        }
    }

    fn unpack_classic(&self, mut from: Reader<'_>) -> ClassicHistogram {
        let _count = from.u64();
        let flags = from.byte();
        let bounds = usize::try_from(from.u64())
            .ok()
            .and_then(|position| self.bounds.get(position).cloned())
            .unwrap_or_default();
        let sum = from.f64();
        let min = (flags & HAS_MIN != 0).then(|| from.f64());
        let max = (flags & HAS_MAX != 0).then(|| from.f64());
        let counts: Vec<u64> = (0..=bounds.len()).map(|_| from.u64()).collect();
        ClassicHistogram::from_parts(bounds, counts, sum, min, max)
    }
}

fn pack_classic(histogram: &ClassicHistogram, table: &mut BoundsTable, to: &mut Writer) {
    let bounds = histogram.bounds();
    let known = table.iter().position(|known| known == bounds);
    let position = known.unwrap_or_else(|| {
        table.push(bounds.clone());
        table.len().saturating_sub(1)
    });
    let (min, max) = (histogram.min(), histogram.max());
    to.varint(u128::from(histogram.count()));
    to.byte(extremes(min, max));
    to.varint(position as u128);
    to.f64(histogram.sum());
    min.into_iter().chain(max).for_each(|value| to.f64(value));
    for count in histogram.counts() {
        to.varint(u128::from(*count));
    }
}

fn pack_exponential(histogram: &ExponentialHistogram, to: &mut Writer) {
    let (offset, counts) = histogram.dense();
    let (sum, min, max) = (histogram.sum(), histogram.min(), histogram.max());
    let single = histogram.count() == 1 && min == Some(sum) && max == Some(sum);
    to.varint(u128::from(histogram.count()));
    let buckets = if counts.is_empty() { 0 } else { HAS_BUCKETS };
    if single {
        to.byte(buckets | SINGLE);
        to.signed(i128::from(histogram.scale()));
        to.f64(sum);
        to.signed(i128::from(offset));
        return;
    }
    let plan = Plan::of(histogram);
    let dense = if plan.dense.is_some() { DENSE } else { 0 };
    to.byte(buckets | dense | extremes(min, max));
    to.signed(i128::from(histogram.scale()));
    to.varint(u128::from(histogram.zero_count()));
    to.f64(sum);
    min.into_iter().chain(max).for_each(|value| to.f64(value));
    if counts.is_empty() {
        return;
    }
    to.signed(i128::from(offset));
    to.varint(counts.len() as u128);
    if let Some(order) = plan.dense {
        to.byte(order as u8);
        differences(counts).for_each(|step| to.exp_golomb(step, order));
    } else {
        to.byte(plan.gap_order as u8);
        to.byte(plan.count_order as u8);
        for (gap, count) in gaps(histogram) {
            to.exp_golomb(gap, plan.gap_order);
            to.exp_golomb(count, plan.count_order);
        }
    }
    to.align();
}

/// Which of the two ways to write the buckets is the shorter.
struct Plan {
    dense: Option<u32>,
    gap_order: u32,
    count_order: u32,
}

impl Plan {
    fn of(histogram: &ExponentialHistogram) -> Self {
        let (_, counts) = histogram.dense();
        let (dense_order, dense_bits) = best_order(differences(counts));
        let (gap_order, gap_bits) = best_order(gaps(histogram).map(|(gap, _)| gap));
        let (count_order, count_bits) = best_order(gaps(histogram).map(|(_, count)| count));
        Self {
            dense: (dense_bits < gap_bits.saturating_add(count_bits)).then_some(dense_order),
            gap_order,
            count_order,
        }
    }
}

/// Each count as the difference from the one before, small ones of either sign first.
fn differences(counts: &[u64]) -> impl Iterator<Item = u64> + Clone + '_ {
    let before = std::iter::once(0).chain(counts.iter().copied());
    counts.iter().zip(before).map(|(&count, before)| {
        let step = count.wrapping_sub(before).cast_signed();
        ((step << 1) ^ (step >> 63)).cast_unsigned()
    })
}

/// The buckets that hold something: how many empty ones are before it, and its count less one.
fn gaps(histogram: &ExponentialHistogram) -> impl Iterator<Item = (u64, u64)> + Clone + '_ {
    let mut next = i64::from(histogram.dense().0);
    histogram.buckets().map(move |(index, count)| {
        let gap = i64::from(index).saturating_sub(next).cast_unsigned();
        next = i64::from(index).saturating_add(1);
        (gap, count.saturating_sub(1))
    })
}

fn extremes(min: Option<f64>, max: Option<f64>) -> u8 {
    let min = if min.is_some() { HAS_MIN } else { 0 };
    let max = if max.is_some() { HAS_MAX } else { 0 };
    min | max
}

/// A packed exponential histogram, of which only the head has been read.
#[derive(Debug)]
pub(crate) struct Buckets<'a> {
    pub(crate) scale: i8,
    pub(crate) zero_count: u64,
    pub(crate) sum: f64,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    first: i32,
    /// How many buckets from the first to the last that holds something.
    span: u64,
    coding: Coding<'a>,
}

#[derive(Debug)]
enum Coding<'a> {
    Single,
    Dense {
        order: u32,
        bits: BitReader<'a>,
    },
    Sparse {
        gap_order: u32,
        count_order: u32,
        bits: BitReader<'a>,
    },
}

impl<'a> Buckets<'a> {
    fn read(mut from: Reader<'a>) -> Self {
        let count = from.u64();
        let flags = from.byte();
        let scale = i8::try_from(from.signed()).unwrap_or_default();
        let has_buckets = flags & HAS_BUCKETS != 0;
        let mut buckets = Self {
            scale,
            zero_count: 0,
            sum: 0.0,
            min: None,
            max: None,
            first: 0,
            span: u64::from(has_buckets),
            coding: Coding::Single,
        };
        if flags & SINGLE != 0 {
            buckets.sum = from.f64();
            buckets.min = Some(buckets.sum);
            buckets.max = Some(buckets.sum);
            buckets.first = i32::try_from(from.signed()).unwrap_or_default();
            buckets.zero_count = count.saturating_sub(buckets.span);
            return buckets;
        }
        buckets.zero_count = from.u64();
        buckets.sum = from.f64();
        buckets.min = (flags & HAS_MIN != 0).then(|| from.f64());
        buckets.max = (flags & HAS_MAX != 0).then(|| from.f64());
        if has_buckets {
            buckets.first = i32::try_from(from.signed()).unwrap_or_default();
            buckets.span = from.u64();
            let order = u32::from(from.byte());
            buckets.coding = if flags & DENSE != 0 {
                let bits = from.bits();
                Coding::Dense { order, bits }
            } else {
                let count_order = u32::from(from.byte());
                let bits = from.bits();
                Coding::Sparse {
                    gap_order: order,
                    count_order,
                    bits,
                }
            };
        }
        buckets
    }

    /// The first and the last bucket that hold something.
    pub(crate) fn range(&self) -> Option<(i32, i32)> {
        let behind_first = i32::try_from(self.span.checked_sub(1)?).ok()?;
        Some((self.first, self.first.saturating_add(behind_first)))
    }

    /// Calls `each` with index and count of every bucket that holds something.
    #[inline]
    pub(crate) fn for_each(&self, mut each: impl FnMut(i32, u64)) {
        let Some((first, last)) = self.range() else {
            return;
        };
        match &self.coding {
            Coding::Single => each(first, 1),
            Coding::Dense { order, bits } => {
                let mut bits = *bits;
                let mut count = 0_u64;
                for index in first..=last {
                    let step = bits.exp_golomb(*order);
                    let step = (step >> 1) ^ (step & 1).wrapping_neg();
                    count = count.wrapping_add(step);
                    if count > 0 {
                        each(index, count);
                    }
                }
            }
            Coding::Sparse {
                gap_order,
                count_order,
                bits,
            } => {
                let mut bits = *bits;
                let mut next = i64::from(first);
                while next <= i64::from(last) {
                    let gap = bits.exp_golomb(*gap_order).cast_signed();
                    let count = bits.exp_golomb(*count_order).saturating_add(1);
                    let index = next.saturating_add(gap);
                    next = index.saturating_add(1);
                    if let Ok(index) = i32::try_from(index) {
                        each(index, count);
                    }
                }
            }
        }
    }
}
