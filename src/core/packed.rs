//! Aggregates in few bytes, readable in place.

use std::sync::Arc;

use crate::core::aggregate::Aggregate;
use crate::core::classic::ClassicHistogram;
use crate::core::course::Course;
use crate::core::histogram::ExponentialHistogram;
use crate::core::level::Level;
use crate::core::packing::{BitReader, Reader, Writer, best_order};

/// The boundaries that packed classic histograms refer to by position.
pub(crate) type BoundsTable = Vec<Arc<[f64]>>;

// What it is: three bits of the first byte.
const KIND: u8 = 7;
const EXPONENTIAL: u8 = 0;
const CLASSIC: u8 = 1;
const SUMMARY: u8 = 2;
const SUM: u8 = 3;
const MONEY: u8 = 4;
const LEVEL: u8 = 5;

// What it has: the other bits of the first byte.
/// Least and largest value are known.
const EXTREMES: u8 = 8;
/// The sum is whole, and written as such; of a gauge, also what was read.
const WHOLE: u8 = 16;
/// Some values were zero.
const ZEROS: u8 = 32;
/// One value above zero, which is also sum, least and largest; of a gauge, any one value.
const SINGLE: u8 = 64;
/// Every bucket of the range is there; else only those that hold something, as gap and count.
const DENSE: u8 = 128;

/// Above this, sums are not written as whole numbers.
const LARGEST_WHOLE: f64 = 1e15;

/// Writes `aggregate`, whose boundaries, if it has any, go to `bounds`.
pub(crate) fn pack(aggregate: &Aggregate, bounds: &mut BoundsTable, to: &mut Writer) {
    match aggregate {
        Aggregate::Exponential(histogram) => pack_exponential(histogram, to),
        Aggregate::Classic(histogram) => pack_classic(histogram, bounds, to),
        Aggregate::Summary { count, sum } => {
            to.byte(SUMMARY | whole(*sum));
            to.varint(u128::from(*count));
            pack_sum(*sum, to);
        }
        Aggregate::Sum(sum) => {
            to.byte(SUM | whole(*sum));
            pack_sum(*sum, to);
        }
        Aggregate::Money(nano) => {
            to.byte(MONEY);
            to.signed(*nano);
        }
        Aggregate::Level(level) => pack_level(level, to),
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
        match from.byte() & KIND {
            EXPONENTIAL | CLASSIC | SUMMARY | LEVEL => from.u64(),
            _ => 0,
        }
    }

    /// The sum, money in USD, without a look at the buckets of an exponential histogram.
    pub(crate) fn sum(&self) -> f64 {
        let mut from = Reader::new(self.bytes);
        let first = from.byte();
        match first & KIND {
            EXPONENTIAL => Buckets::read(first, from).sum,
            _ => self.unpack().sum(),
        }
    }

    /// Adds it to `to`, which is earlier.
    pub(crate) fn merge_into(&self, to: &mut Aggregate) {
        let mut from = Reader::new(self.bytes);
        let first = from.byte();
        match (first & KIND, to) {
            (EXPONENTIAL, Aggregate::Exponential(to)) => {
                to.merge_packed(&Buckets::read(first, from));
            }
            (_, to) => to.merge(&self.unpack()),
        }
    }

    /// The aggregate.
    pub(crate) fn unpack(&self) -> Aggregate {
        let mut from = Reader::new(self.bytes);
        let first = from.byte();
        match first & KIND {
            EXPONENTIAL => {
                let buckets = Buckets::read(first, from);
                let mut histogram = ExponentialHistogram::new(buckets.scale);
                histogram.merge_packed(&buckets);
                Aggregate::Exponential(histogram)
            }
            CLASSIC => Aggregate::Classic(self.unpack_classic(first, from)),
            SUMMARY => Aggregate::Summary {
                count: from.u64(),
                sum: unpack_sum(first, &mut from),
            },
            SUM => Aggregate::Sum(unpack_sum(first, &mut from)),
            MONEY => Aggregate::Money(from.signed()),
            _ => Aggregate::Level(unpack_level(first, from)),
        }
    }

    fn unpack_classic(&self, first: u8, mut from: Reader<'_>) -> ClassicHistogram {
        let _count = from.u64();
        let bounds = usize::try_from(from.u64())
            .ok()
            .and_then(|position| self.bounds.get(position).cloned())
            .unwrap_or_default();
        let sum = unpack_sum(first, &mut from);
        let (min, max) = unpack_extremes(first, &mut from);
        let counts: Vec<u64> = (0..=bounds.len()).map(|_| from.u64()).collect();
        ClassicHistogram::from_parts(bounds, counts, sum, min, max)
    }
}

/// Bytes and counts are whole, and take half of what a fraction takes.
fn pack_level(level: &Level, to: &mut Writer) {
    let Level {
        count,
        sum,
        min,
        max,
        last,
    } = *level;
    if *level == Level::of(sum) {
        to.byte(LEVEL | SINGLE | whole(sum));
        to.varint(1);
        pack_sum(sum, to);
        return;
    }
    let is_whole = [sum, min, max, last].iter().all(|n| whole(*n) == WHOLE);
    to.byte(LEVEL | flag(is_whole, WHOLE));
    to.varint(u128::from(count));
    for number in [sum, min, max, last] {
        if is_whole {
            to.signed(number as i128);
        } else {
            to.f64(number);
        }
    }
}

fn unpack_level(first: u8, mut from: Reader<'_>) -> Level {
    let count = from.u64();
    let mut number = || unpack_sum(first, &mut from);
    let sum = number();
    if first & SINGLE != 0 {
        return Level::of(sum);
    }
    Level {
        count,
        sum,
        min: number(),
        max: number(),
        last: number(),
    }
}

fn pack_classic(histogram: &ClassicHistogram, table: &mut BoundsTable, to: &mut Writer) {
    let bounds = histogram.bounds();
    let known = table.iter().position(|known| known == bounds);
    let position = known.unwrap_or_else(|| {
        table.push(bounds.clone());
        table.len().saturating_sub(1)
    });
    let extremes = histogram.min().zip(histogram.max());
    let sum = histogram.sum();
    to.byte(CLASSIC | whole(sum) | flag(extremes.is_some(), EXTREMES));
    to.varint(u128::from(histogram.count()));
    to.varint(position as u128);
    pack_sum(sum, to);
    pack_extremes(extremes, to);
    for count in histogram.counts() {
        to.varint(u128::from(*count));
    }
}

fn pack_exponential(histogram: &ExponentialHistogram, to: &mut Writer) {
    let (offset, counts) = histogram.dense();
    let (sum, zeros) = (histogram.sum(), histogram.zero_count());
    let extremes = histogram.min().zip(histogram.max());
    if counts == [1] && zeros == 0 && extremes == Some((sum, sum)) {
        let nanos = nanos(sum);
        to.byte(EXPONENTIAL | SINGLE);
        to.varint(1);
        pack_scale(histogram.scale(), nanos.is_some(), to);
        to.signed(i128::from(offset));
        match nanos {
            Some(nanos) => to.varint(nanos.into()),
            None => to.f64(sum),
        }
        return;
    }
    let dense = is_dense(counts);
    let has = flag(extremes.is_some(), EXTREMES) | flag(zeros > 0, ZEROS) | flag(dense, DENSE);
    to.byte(EXPONENTIAL | whole(sum) | has);
    let nanos = extremes.and_then(|(min, max)| nanos(min).zip(nanos(max)));
    to.varint(u128::from(histogram.count()));
    pack_scale(histogram.scale(), nanos.is_some(), to);
    if zeros > 0 {
        to.varint(u128::from(zeros));
    }
    pack_sum(sum, to);
    match nanos {
        Some((min, max)) => {
            to.varint(min.into());
            to.varint(max.into());
        }
        None => pack_extremes(extremes, to),
    }
    to.varint(counts.len() as u128);
    if counts.is_empty() {
        return;
    }
    to.signed(i128::from(offset));
    if dense {
        let mut course = Course::default();
        for &count in counts {
            course.write(count, to);
        }
    } else {
        let gap_order = best_order(gaps(histogram).map(|(gap, _)| gap));
        let count_order = best_order(gaps(histogram).map(|(_, count)| count));
        to.byte(gap_order as u8);
        to.byte(count_order as u8);
        for (gap, count) in gaps(histogram) {
            to.rice(gap, gap_order);
            to.rice(count, count_order);
        }
    }
    to.align();
}

/// The scale, and whether the extremes follow in nanoseconds.
fn pack_scale(scale: i8, in_nanos: bool, to: &mut Writer) {
    to.signed(i128::from(scale) * 2 + i128::from(in_nanos));
}

fn unpack_scale(from: &mut Reader<'_>) -> (i8, bool) {
    let both = i16::try_from(from.signed()).unwrap_or_default();
    (i8::try_from(both >> 1).unwrap_or_default(), both & 1 == 1)
}

/// Nanoseconds, if so many seconds are a whole number of these, as what is measured is: this takes
/// half of what a fraction takes. None for what would not come back to the last bit.
fn nanos(seconds: f64) -> Option<u64> {
    let nanos = (seconds * 1e9).round();
    let comes_back = (0.0..1e15).contains(&nanos) && (nanos / 1e9).to_bits() == seconds.to_bits();
    comes_back.then_some(nanos as u64)
}

fn unpack_nanos(from: &mut Reader<'_>) -> f64 {
    from.u64() as f64 / 1e9
}

/// Whether to write every bucket: where half of them hold something, that is the shorter way.
fn is_dense(counts: &[u64]) -> bool {
    let filled = counts.iter().filter(|&&count| count > 0).count();
    let largest = counts.iter().max().copied().unwrap_or(0);
    filled.saturating_mul(2) > counts.len() && largest < Course::LIMIT
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

fn flag(has: bool, flag: u8) -> u8 {
    if has { flag } else { 0 }
}

fn whole(sum: f64) -> u8 {
    let whole = sum.fract() == 0.0 && sum.abs() < LARGEST_WHOLE;
    flag(whole, WHOLE)
}

fn pack_sum(sum: f64, to: &mut Writer) {
    if whole(sum) == WHOLE {
        to.signed(sum as i128);
    } else {
        to.f64(sum);
    }
}

fn unpack_sum(first: u8, from: &mut Reader<'_>) -> f64 {
    if first & WHOLE != 0 {
        from.signed() as f64
    } else {
        from.f64()
    }
}

fn pack_extremes(extremes: Option<(f64, f64)>, to: &mut Writer) {
    if let Some((min, max)) = extremes {
        to.f64(min);
        to.f64(max);
    }
}

fn unpack_extremes(first: u8, from: &mut Reader<'_>) -> (Option<f64>, Option<f64>) {
    if first & EXTREMES == 0 {
        return (None, None);
    }
    let min = from.f64();
    (Some(min), Some(from.f64()))
}

/// A packed exponential histogram, of which only the head has been read.
#[derive(Debug)]
pub(crate) struct Buckets<'a> {
    pub(crate) scale: i8,
    pub(crate) count: u64,
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
    Dense(BitReader<'a>),
    Sparse {
        gap_order: u32,
        count_order: u32,
        bits: BitReader<'a>,
    },
}

impl<'a> Buckets<'a> {
    /// From what follows the `first` byte.
    fn read(first: u8, mut from: Reader<'a>) -> Self {
        let count = from.u64();
        let (scale, in_nanos) = unpack_scale(&mut from);
        if first & SINGLE != 0 {
            let index = i32::try_from(from.signed()).unwrap_or_default();
            let value = if in_nanos {
                unpack_nanos(&mut from)
            } else {
                from.f64()
            };
            return Self {
                scale,
                count,
                zero_count: 0,
                sum: value,
                min: Some(value),
                max: Some(value),
                first: index,
                span: 1,
                coding: Coding::Single,
            };
        }
        let zero_count = if first & ZEROS != 0 { from.u64() } else { 0 };
        let sum = unpack_sum(first, &mut from);
        let (min, max) = if in_nanos {
            let min = unpack_nanos(&mut from);
            (Some(min), Some(unpack_nanos(&mut from)))
        } else {
            unpack_extremes(first, &mut from)
        };
        let span = from.u64();
        let index = i32::try_from(from.signed()).unwrap_or_default();
        let coding = if first & DENSE != 0 {
            Coding::Dense(from.bits())
        } else {
            let gap_order = u32::from(from.byte());
            let count_order = u32::from(from.byte());
            let bits = from.bits();
            Coding::Sparse {
                gap_order,
                count_order,
                bits,
            }
        };
        Self {
            scale,
            count,
            zero_count,
            sum,
            min,
            max,
            first: index,
            span,
            coding,
        }
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
        match self.coding {
            Coding::Single => each(first, 1),
            Coding::Dense(mut bits) => {
                let mut course = Course::default();
                for index in first..=last {
                    let count = course.read(&mut bits);
                    if count > 0 {
                        each(index, count);
                    }
                }
            }
            Coding::Sparse {
                gap_order,
                count_order,
                mut bits,
            } => {
                let mut next = i64::from(first);
                while next <= i64::from(last) {
                    let gap = bits.rice(gap_order).cast_signed();
                    let count = bits.rice(count_order).saturating_add(1);
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

#[cfg(test)]
mod tests;
