//! Numbers in few bytes: varints, and Exp-Golomb codes of single bits.
//!
//! An Exp-Golomb code of order `k` takes about `k` bits for a number near `2^k`, and only grows
//! with the logarithm beyond: the counts of a histogram's buckets cost little more than their
//! entropy, and a stray one does no harm.

/// The largest order: as many bits as [`BitReader`] hands out at once.
const MAX_ORDER: u32 = 56;

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

    /// How many whole bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
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

    /// The code of order `order` of `value`.
    pub(crate) fn exp_golomb(&mut self, value: u64, order: u32) {
        // The quotient plus one has a one in front, and as many zeros before it as bits behind.
        let quotient = (value >> order).saturating_add(1);
        let behind = quotient.ilog2();
        self.bits(0, behind);
        self.bits(quotient, behind.saturating_add(1));
        self.bits(value, order);
    }

    /// The `count` low bits of `value`, at most 56.
    fn bits(&mut self, value: u64, count: u32) {
        if count == 0 {
            return;
        }
        let mask = u64::MAX >> 64_u32.saturating_sub(count);
        self.pending = (self.pending << count) | (value & mask);
        self.pending_bits = self.pending_bits.saturating_add(count);
        while self.pending_bits >= 8 {
            self.pending_bits = self.pending_bits.saturating_sub(8);
            self.byte((self.pending >> self.pending_bits) as u8);
        }
    }

    /// Pads the last bits to a whole byte.
    pub(crate) fn align(&mut self) {
        if self.pending_bits > 0 {
            self.bits(0, 8_u32.saturating_sub(self.pending_bits));
        }
    }
}

/// The order from 0 to 56 with the shortest code for all of `values`, and its length in bits.
pub(crate) fn best_order(values: impl Iterator<Item = u64> + Clone) -> (u32, u64) {
    let (mut sum, mut count, mut largest) = (0_u64, 0_u64, 0_u64);
    for value in values.clone() {
        sum = sum.saturating_add(value);
        count = count.saturating_add(1);
        largest = largest.max(value);
    }
    // Below this a code would be longer than the reader takes.
    let least = bit_length(largest).saturating_sub(24);
    let mean = sum.checked_div(count).unwrap_or(0);
    let around = bit_length(mean).clamp(least, MAX_ORDER);
    (around.saturating_sub(2).max(least)..=around)
        .map(|order| {
            let bits = values.clone().map(|value| code_length(value, order));
            (order, bits.fold(0, u64::saturating_add))
        })
        .min_by_key(|&(_, bits)| bits)
        .unwrap_or((least, 0))
}

fn code_length(value: u64, order: u32) -> u64 {
    let behind = (value >> order).saturating_add(1).ilog2();
    u64::from(
        behind
            .saturating_mul(2)
            .saturating_add(1)
            .saturating_add(order),
    )
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

/// Reads Exp-Golomb codes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The next bits, first at the top; zeros below.
    window: u64,
    available: u32,
}

impl BitReader<'_> {
    /// The next number of order `order`.
    #[inline]
    pub(crate) fn exp_golomb(&mut self, order: u32) -> u64 {
        self.refill();
        let behind = self.window.leading_zeros().min(MAX_ORDER / 2 - 1);
        self.skip(behind);
        let quotient = self.take(behind.saturating_add(1)).saturating_sub(1);
        if order == 0 {
            return quotient;
        }
        if self.available < order {
            self.refill();
        }
        (quotient << order) | self.take(order)
    }

    /// The next `count` bits, from 1 to 56, of those in the window.
    #[inline]
    fn take(&mut self, count: u32) -> u64 {
        let bits = self.window >> 64_u32.saturating_sub(count).min(63);
        self.skip(count);
        bits
    }

    #[inline]
    fn skip(&mut self, count: u32) {
        self.window <<= count.min(63);
        self.available = self.available.saturating_sub(count);
    }

    /// At least 56 bits in the window, zeros after the end.
    #[inline]
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
