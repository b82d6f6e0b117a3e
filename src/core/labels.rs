//! Label values from outside, admitted up to a limit and turned into small integers.
//!
//! An admitted value keeps its number for the life of the process, so a look-up needs no lock:
//! the table only ever grows, by cells that are written once.

use crate::names::OTHER;
use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
};

/// A value longer than this, in bytes, is refused.
const MAX_VALUE_BYTES: usize = 128;

/// The number of an admitted value in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Label(u16);

impl Label {
    /// No value was given.
    pub(crate) const NONE: Self = Self(0);
    /// A value was given and refused.
    pub(crate) const OTHER: Self = Self(1);

    pub(crate) const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// `self`, or `fallback` if no value was given.
    pub(crate) const fn or(self, fallback: Self) -> Self {
        if self.is_none() { fallback } else { self }
    }

    pub(crate) const fn number(self) -> u16 {
        self.0
    }
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    label: Label,
    text: Arc<str>,
}

/// The values admitted for one kind of label.
#[derive(Debug)]
pub(crate) struct LabelTable {
    cells: Box<[OnceLock<Entry>]>,
    texts: Box<[OnceLock<Arc<str>>]>,
    /// The number that the next admitted value gets.
    next: AtomicU16,
    admitting: Mutex<()>,
    refused: AtomicU64,
    seed: u64,
}

impl LabelTable {
    /// A table that admits `configured` at once and up to `limit` other values as they come.
    /// All in all it holds at most 32,000.
    pub(crate) fn new<'a>(configured: impl IntoIterator<Item = &'a str>, limit: usize) -> Self {
        let configured: Vec<&str> = configured.into_iter().collect();
        let capacity = configured.len().saturating_add(limit).min(32_000);
        let table = Self {
            cells: empty_cells((capacity.max(4) * 2).next_power_of_two()),
            texts: empty_cells(capacity),
            next: AtomicU16::new(2),
            admitting: Mutex::new(()),
            refused: AtomicU64::new(0),
            seed: RandomState::new().hash_one(0_u64),
        };
        for text in configured {
            table.label(text);
        }
        table
    }

    /// The number of `text`, which is admitted now if it is new and there is room.
    #[inline]
    pub(crate) fn label(&self, text: &str) -> Label {
        if text.len() > MAX_VALUE_BYTES {
            return self.refuse();
        }
        let hash = self.hash(text);
        match self.find(text, hash) {
            Some(label) => label,
            None => self.admit(text, hash),
        }
    }

    /// The text of `label`; `None` for [`Label::NONE`].
    pub(crate) fn text(&self, label: Label) -> Option<Arc<str>> {
        match label {
            Label::NONE => None,
            Label(number) => Some(
                self.texts
                    .get(usize::from(number).wrapping_sub(2))
                    .and_then(OnceLock::get)
                    .map_or_else(|| Arc::from(OTHER), Arc::clone),
            ),
        }
    }

    /// How many values are admitted.
    pub(crate) fn admitted(&self) -> usize {
        usize::from(self.next.load(Ordering::Relaxed)) - 2
    }

    /// How often a value was refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    #[inline]
    fn find(&self, text: &str, hash: u64) -> Option<Label> {
        let mask = self.cells.len() - 1;
        let mut at = hash as usize & mask;
        // At most half of the cells are ever taken, so this meets an empty one.
        while let Some(entry) = self.cells.get(at)?.get() {
            if entry.hash == hash && &*entry.text == text {
                return Some(entry.label);
            }
            at = (at + 1) & mask;
        }
        None
    }

    #[cold]
    fn admit(&self, text: &str, hash: u64) -> Label {
        if self.admitted() < self.texts.len() && is_fit(text) {
            let _admitting = self
                .admitting
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            // Another thread may have admitted it, or taken the last place, in the meantime.
            if let Some(label) = self.find(text, hash) {
                return label;
            }
            if let Some(label) = self.write(text, hash) {
                return label;
            }
        }
        self.refuse()
    }

    fn refuse(&self) -> Label {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Label::OTHER
    }

    fn write(&self, text: &str, hash: u64) -> Option<Label> {
        let label = Label(self.next.load(Ordering::Relaxed));
        let text: Arc<str> = Arc::from(text);
        self.texts
            .get(usize::from(label.0) - 2)?
            .set(Arc::clone(&text))
            .ok()?;
        let mask = self.cells.len() - 1;
        let mut at = hash as usize & mask;
        let mut entry = Entry { hash, label, text };
        while let Err(back) = self.cells.get(at)?.set(entry) {
            entry = back;
            at = (at + 1) & mask;
        }
        self.next.fetch_add(1, Ordering::Relaxed);
        Some(label)
    }

    /// A multiplicative hash, seeded so that nobody outside can aim at one cell.
    #[inline]
    fn hash(&self, text: &str) -> u64 {
        let bytes = text.as_bytes();
        let mut hash = self.seed ^ bytes.len() as u64;
        let mut rest = bytes;
        while let Some((word, after)) = rest.split_first_chunk::<8>() {
            hash = mix(hash ^ u64::from_le_bytes(*word));
            rest = after;
        }
        // The last eight bytes again instead of one by one; or the first and last four.
        let last = if let Some(word) = bytes.last_chunk::<8>() {
            u64::from_le_bytes(*word)
        } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk()) {
            u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
        } else {
            bytes
                .iter()
                .fold(0, |all, byte| all << 8 | u64::from(*byte))
        };
        mix(hash ^ last)
    }
}

#[inline]
fn mix(value: u64) -> u64 {
    const ODD: u128 = 0x9E37_79B9_7F4A_7C15;
    let wide = u128::from(value) * ODD;
    (wide as u64) ^ ((wide >> 64) as u64)
}

fn empty_cells<T>(count: usize) -> Box<[OnceLock<T>]> {
    std::iter::repeat_with(OnceLock::new).take(count).collect()
}

/// Whether `text` may be shown as a label value: not empty, not huge, and free of characters
/// that end a line, drive a terminal or turn the writing direction.
fn is_fit(text: &str) -> bool {
    (1..=MAX_VALUE_BYTES).contains(&text.len()) && !text.chars().any(is_unprintable)
}

/// Control characters, and the format characters that reorder or hide what follows.
pub(crate) fn is_unprintable(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{061C}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_keeps_its_number() {
        let table = LabelTable::new(["cerebras", "openai"], 2);
        let first = table.label("cerebras");
        assert_eq!(table.label("cerebras"), first);
        assert_ne!(table.label("openai"), first);
        assert_eq!(table.text(first).as_deref(), Some("cerebras"));
        assert_eq!(table.text(Label::NONE), None);
    }

    #[test]
    fn beyond_the_limit_is_other_and_counted() {
        let table = LabelTable::new(["a"], 2);
        assert_ne!(table.label("b"), Label::OTHER);
        assert_ne!(table.label("c"), Label::OTHER);
        assert_eq!(table.label("d"), Label::OTHER);
        assert_eq!(table.label("e"), Label::OTHER);
        assert_eq!(table.refused(), 2);
        assert_eq!(table.admitted(), 3);
        assert_ne!(
            table.label("a"),
            Label::OTHER,
            "the configured one stays known"
        );
        assert_eq!(table.text(Label::OTHER).as_deref(), Some(OTHER));
    }

    #[test]
    fn what_cannot_be_shown_is_refused() {
        let table = LabelTable::new([], 100);
        let long = "x".repeat(MAX_VALUE_BYTES + 1);
        for text in ["", "nul\0", "esc\x1b[2J", "bidi\u{202e}", "line\n", &long] {
            assert_eq!(table.label(text), Label::OTHER, "{text:?}");
        }
        assert_eq!(table.admitted(), 0);
    }

    #[test]
    fn threads_agree_on_the_numbers() {
        let table = LabelTable::new([], 200);
        let texts: Vec<String> = (0..200).map(|n| format!("model-{n}")).collect();
        let numbers = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| texts.iter().map(|t| table.label(t)).collect::<Vec<_>>()))
                .collect();
            threads
                .into_iter()
                .map(|t| t.join().unwrap())
                .collect::<Vec<_>>()
        });
        assert!(numbers.iter().all(|n| *n == numbers[0]));
        let mut all = numbers[0].clone();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 200);
    }
}
