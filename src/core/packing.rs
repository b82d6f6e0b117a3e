//! Numbers in few bytes: varints, and Rice codes of single bits.
//!
//! A Rice code of order `k` takes about `k` bits for a number near `2^k`, so the counts of a
//! histogram's buckets cost little more than their entropy. Numbers far larger take an escape.

/// A quotient so large is not written in unary, but marks a number written in full.
const ESCAPE: u32 = 20;

/// The largest order.
const MAX_ORDER: u32 = 40;

/// Up to this order a code is no longer than what is always in the window of a reader.
const SHORT_ORDER: u32 = 56 - ESCAPE;

/// Appends numbers to bytes.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    /// Bits that do not fill a byte yet, and how many.
    pending: u64,
    pending_bits: u32,
}

impl Writer {
    /// The bytes written, with the last bits padded to a whole byte.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.align();
        self.bytes
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn f64(&mut self, value: f64) {
        self.bytes(&value.to_le_bytes());
    }

    /// LEB128.
    pub(crate) fn varint(&mut self, mut value: u128) {
        loop {
            let low = (value & 0x7f) as u8;
            value >>= 7;
            if value == 0 {
                self.byte(low);
                return;
            }
            self.byte(low | 0x80);
        }
    }

    pub(crate) fn signed(&mut self, value: i128) {
        self.varint(((value << 1) ^ (value >> 127)).cast_unsigned());
    }

    /// The code of order `order` of `value`: the quotient as so many zeros and a one, then the
    /// rest.
    #[inline]
    pub(crate) fn rice(&mut self, value: u64, order: u32) {
        let quotient = value >> order;
        if quotient < u64::from(ESCAPE) && order <= SHORT_ORDER {
            let mark = 1 << order;
            self.bits(mark | (value & (mark - 1)), quotient as u32 + 1 + order);
        } else {
            self.rice_long(value, order);
        }
    }

    #[cold]
    fn rice_long(&mut self, value: u64, order: u32) {
        let quotient = value >> order;
        if quotient < u64::from(ESCAPE) {
            self.bits(1, quotient as u32 + 1);
            self.bits(value & ((1 << order) - 1), order);
        } else {
            self.bits(0, ESCAPE);
            let length = bit_length(value);
            self.bits(u64::from(length), 7);
            self.bits(value >> 32, length.saturating_sub(32));
            self.bits(value & u64::from(u32::MAX), length.min(32));
        }
    }

    /// `value` in `count` bits, at most 56, of which it needs no more.
    #[inline]
    fn bits(&mut self, value: u64, count: u32) {
        if self.pending_bits + count > 64 {
            self.flush();
        }
        self.pending = (self.pending << count) | value;
        self.pending_bits += count;
    }

    /// Writes the whole bytes that there are.
    fn flush(&mut self) {
        let first_at_the_top = self
            .pending
            .checked_shl(64 - self.pending_bits)
            .unwrap_or(0);
        let whole = self.pending_bits / 8;
        let bytes = first_at_the_top.to_be_bytes();
        self.bytes.extend(bytes.iter().take(whole as usize));
        self.pending_bits %= 8;
    }

    /// Pads the last bits to a whole byte.
    pub(crate) fn align(&mut self) {
        self.flush();
        if self.pending_bits > 0 {
            self.bits(0, 8 - self.pending_bits);
            self.flush();
        }
    }
}

/// The order with the shortest code for all of `values`.
pub(crate) fn best_order(values: impl Iterator<Item = u64> + Clone) -> u32 {
    let (mut sum, mut count) = (0_u64, 0_u64);
    for value in values.clone() {
        sum = sum.saturating_add(value);
        count = count.saturating_add(1);
    }
    let mean = sum.checked_div(count).unwrap_or(0);
    let around = bit_length(mean).min(MAX_ORDER);
    let length = |order: &u32| {
        let bits = values.clone().map(|value| code_length(value, *order));
        bits.fold(0, u64::saturating_add)
    };
    (around.saturating_sub(2)..=around)
        .min_by_key(length)
        .unwrap_or(0)
}

fn code_length(value: u64, order: u32) -> u64 {
    match value >> order {
        quotient if quotient < u64::from(ESCAPE) => quotient + 1 + u64::from(order),
        _ => u64::from(ESCAPE + 7 + bit_length(value)),
    }
}

fn bit_length(value: u64) -> u32 {
    64_u32.saturating_sub(value.leading_zeros())
}

/// Reads what [`Writer`] wrote. After the end it reads zeros: bytes never come from outside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((&byte, rest)) => {
                self.bytes = rest;
                byte
            }
            None => 0,
        }
    }

    /// The next `count` bytes, or as many as are left.
    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(count.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }

    pub(crate) fn f64(&mut self) -> f64 {
        let bytes = self.take(8).try_into().unwrap_or([0; 8]);
        f64::from_le_bytes(bytes)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> u128 {
        // Nearly all are of one or two bytes; only money needs the width.
        let first = self.byte();
        let mut value = u128::from(first & 0x7f);
        let mut shift = 7_u32;
        let mut byte = first;
        while byte & 0x80 != 0 && shift < 128 {
            byte = self.byte();
            value |= u128::from(byte & 0x7f) << shift;
            shift = shift.saturating_add(7);
        }
        value
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::try_from(self.varint()).unwrap_or(u64::MAX)
    }

    pub(crate) fn signed(&mut self) -> i128 {
        let value = self.varint();
        (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
    }

    /// What is left, as bits.
    pub(crate) fn bits(&self) -> BitReader<'a> {
        BitReader {
            bytes: self.bytes,
            window: 0,
            available: 0,
        }
    }
}

/// Reads Rice codes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The next bits, first at the top. What is below the `available` ones is either zero, or
    /// what the next bytes will bring again.
    window: u64,
    available: u32,
}

impl BitReader<'_> {
    /// The next number, of order `order`.
    #[inline(always)]
    pub(crate) fn rice(&mut self, order: u32) -> u64 {
        if self.available < ESCAPE + order {
            self.refill();
        }
        let quotient = self.window.leading_zeros();
        if quotient >= ESCAPE || order > SHORT_ORDER {
            return self.rice_long(order);
        }
        // Shifted twice, since a shift by 64 is none.
        let rest = (self.window << (quotient + 1)) >> 1 >> (63 - order);
        self.skip(quotient + 1 + order);
        (u64::from(quotient) << order) | rest
    }

    #[cold]
    fn rice_long(&mut self, order: u32) -> u64 {
        self.refill();
        let quotient = self.window.leading_zeros();
        if quotient >= ESCAPE {
            return self.escaped();
        }
        self.skip(quotient + 1);
        self.refill();
        (u64::from(quotient) << order) | self.take(order)
    }

    fn escaped(&mut self) -> u64 {
        self.skip(ESCAPE);
        let length = self.take(7) as u32;
        self.refill();
        let high = match length.saturating_sub(32) {
            0 => 0,
            bits => self.take(bits.min(32)),
        };
        self.refill();
        (high << 32) | self.take(length.clamp(1, 32))
    }

    /// The next `count` bits, from 1 to 56, of those in the window.
    #[inline]
    fn take(&mut self, count: u32) -> u64 {
        let bits = self.window >> 64_u32.saturating_sub(count).min(63);
        self.skip(count);
        bits
    }

    #[inline(always)]
    fn skip(&mut self, count: u32) {
        self.window <<= count;
        self.available = self.available.saturating_sub(count);
    }

    /// At least 56 bits in the window, zeros after the end.
    #[inline(always)]
    fn refill(&mut self) {
        if let Some((chunk, _)) = self.bytes.split_first_chunk::<8>() {
            let fresh = u64::from_be_bytes(*chunk);
            self.window |= fresh >> self.available;
            let whole = (63_u32.saturating_sub(self.available)) / 8;
            self.bytes = self.bytes.get(whole as usize..).unwrap_or_default();
            self.available = self.available.saturating_add(whole.saturating_mul(8));
            return;
        }
        while self.available <= 56 {
            let Some((&byte, rest)) = self.bytes.split_first() else {
                self.available = 64;
                return;
            };
            self.bytes = rest;
            self.window |= u64::from(byte) << 56_u32.saturating_sub(self.available);
            self.available = self.available.saturating_add(8);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number() -> impl Strategy<Value = u64> {
        (0..=64_u32, any::<u64>()).prop_map(|(bits, n)| n.checked_shr(64 - bits).unwrap_or(0))
    }

    proptest! {
        #[test]
        fn codes_of_any_order_come_back(codes in prop::collection::vec((number(), 0..=40_u32), 0..200)) {
            let mut writer = Writer::default();
            codes.iter().for_each(|(value, order)| writer.rice(*value, *order));
            let bytes = writer.finish();
            let mut bits = Reader::new(&bytes).bits();
            for (value, order) in codes {
                prop_assert_eq!(bits.rice(order), value);
            }
        }

        #[test]
        fn numbers_come_back(numbers in prop::collection::vec((any::<u128>(), any::<i128>(), number(), any::<f64>()), 0..20)) {
            let mut writer = Writer::default();
            for (unsigned, signed, small, float) in &numbers {
                writer.varint(*unsigned);
                writer.signed(*signed);
                writer.varint(u128::from(*small));
                writer.f64(*float);
            }
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes);
            for (unsigned, signed, small, float) in numbers {
                prop_assert_eq!(reader.varint(), unsigned);
                prop_assert_eq!(reader.signed(), signed);
                prop_assert_eq!(reader.u64(), small);
                prop_assert_eq!(reader.f64().to_bits(), float.to_bits());
            }
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn the_chosen_order_is_near_the_best(values in prop::collection::vec(0..5_000_u64, 1..100)) {
            let length = |order| values.iter().map(|value| code_length(*value, order)).sum::<u64>();
            let best = (0..=MAX_ORDER).map(length).min().unwrap();
            let chosen = length(best_order(values.iter().copied()));
            prop_assert!(chosen <= best + best / 4, "{chosen} bits where {best} would do");
        }
    }

    #[test]
    fn after_the_end_there_are_zeros() {
        let mut reader = Reader::new(&[]);
        assert_eq!((reader.byte(), reader.u64(), reader.f64()), (0, 0, 0.0));
        assert_eq!(reader.bits().rice(3), 0);
    }
}
