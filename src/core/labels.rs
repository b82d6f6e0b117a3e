//! Label values from outside, admitted up to a limit and turned into small integers.
//!
//! An admitted value keeps its number for the life of the process, so a look-up needs no lock:
//! the table only ever grows, by cells that are written once.

use super::refused::{RefusedValue, TopRefused};
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

/// A [`Digest`] holds all of a text that is not longer.
const WHOLE_BYTES: usize = 16;

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
    digest: Digest,
    label: Label,
}

/// The values admitted for one kind of label.
#[derive(Debug)]
pub(crate) struct LabelTable {
    /// How many values it holds at the most.
    capacity: usize,
    /// Made for the first value: most services use few of the kinds.
    cells: OnceLock<Box<[OnceLock<Entry>]>>,
    texts: OnceLock<Box<[OnceLock<Arc<str>>]>>,
    /// The number that the next admitted value gets.
    next: AtomicU16,
    admitting: Mutex<()>,
    refused: AtomicU64,
    top_refused: Mutex<TopRefused>,
    seeds: [u64; 2],
}

impl LabelTable {
    /// A table that admits `configured` at once and up to `limit` other values as they come.
    /// All in all it holds at most 32,000.
    pub(crate) fn new<'a>(configured: impl IntoIterator<Item = &'a str>, limit: usize) -> Self {
        let configured: Vec<&str> = configured.into_iter().collect();
        let capacity = configured.len().saturating_add(limit).min(32_000);
        let random = RandomState::new();
        let table = Self {
            capacity,
            cells: OnceLock::new(),
            texts: OnceLock::new(),
            next: AtomicU16::new(2),
            admitting: Mutex::new(()),
            refused: AtomicU64::new(0),
            top_refused: Mutex::default(),
            seeds: [0, 1].map(|n: u64| random.hash_one(n)),
        };
        for text in configured {
            table.label(text);
        }
        table
    }

    /// The number of `text`, which is admitted now if it is new and there is room.
    #[inline]
    pub(crate) fn label(&self, text: &str) -> Label {
        // Nearly always it is short, was admitted, and lies where it should.
        if let Some(digest) = Digest::of_short(text)
            && let Some(cells) = self.cells.get()
            && let Some(entry) = cells.get(self.start(digest, cells)).and_then(OnceLock::get)
            && entry.digest == digest
        {
            return entry.label;
        }
        self.find_or_admit(text)
    }

    #[inline(never)]
    fn find_or_admit(&self, text: &str) -> Label {
        if text.len() > MAX_VALUE_BYTES {
            return self.refuse(text);
        }
        let digest = self.digest(text);
        match self.find(text, digest) {
            Some(label) => label,
            None => self.admit(text, digest),
        }
    }

    /// The text of `label`; `None` for [`Label::NONE`].
    pub(crate) fn text(&self, label: Label) -> Option<Arc<str>> {
        match label {
            Label::NONE => None,
            Label(number) => Some(
                self.texts
                    .get()
                    .and_then(|texts| texts.get(usize::from(number).wrapping_sub(2)))
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

    /// How many values it holds at the most.
    pub(crate) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// The values that were refused most.
    pub(crate) fn top_refused(&self) -> Vec<RefusedValue> {
        let top = self.top_refused.lock();
        top.unwrap_or_else(PoisonError::into_inner).all()
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let cells = self.cells.get().map_or(0, |cells| size_of_val(&**cells));
        let texts = self.texts.get().map_or(0, |texts| {
            let set = texts.iter().filter_map(OnceLock::get);
            let set: usize = set.map(|text| 16 + text.len()).sum();
            size_of_val(&**texts) + set
        });
        let top = self.top_refused.lock();
        let top = top.unwrap_or_else(PoisonError::into_inner).heap_bytes();
        cells + texts + top
    }

    fn find(&self, text: &str, digest: Digest) -> Option<Label> {
        let cells = self.cells.get()?;
        let mask = cells.len() - 1;
        let mut at = self.start(digest, cells);
        // At most half of the cells are ever taken, so this meets an empty one.
        while let Some(entry) = cells.get(at)?.get() {
            let is_it = || digest.is_whole() || self.text(entry.label).as_deref() == Some(text);
            if entry.digest == digest && is_it() {
                return Some(entry.label);
            }
            at = (at + 1) & mask;
        }
        None
    }

    #[cold]
    fn admit(&self, text: &str, digest: Digest) -> Label {
        if text == OTHER {
            return Label::OTHER;
        }
        if self.admitted() < self.capacity && is_fit(text) {
            let _admitting = self
                .admitting
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            // Another thread may have admitted it, or taken the last place, in the meantime.
            if let Some(label) = self.find(text, digest) {
                return label;
            }
            if let Some(label) = self.write(text, digest) {
                return label;
            }
        }
        self.refuse(text)
    }

    fn refuse(&self, text: &str) -> Label {
        self.refused.fetch_add(1, Ordering::Relaxed);
        // Nobody waits to tell that.
        if let Ok(mut top) = self.top_refused.try_lock() {
            top.note(text);
        }
        Label::OTHER
    }

    fn write(&self, text: &str, digest: Digest) -> Option<Label> {
        let label = Label(self.next.load(Ordering::Relaxed));
        self.texts
            .get_or_init(|| empty_cells(self.capacity))
            .get(usize::from(label.0) - 2)?
            .set(Arc::from(text))
            .ok()?;
        let count = (self.capacity.max(4) * 2).next_power_of_two();
        let cells = self.cells.get_or_init(|| empty_cells(count));
        let mask = cells.len() - 1;
        let mut at = self.start(digest, cells);
        let mut entry = Entry { digest, label };
        while let Err(back) = cells.get(at)?.set(entry) {
            entry = back;
            at = (at + 1) & mask;
        }
        self.next.fetch_add(1, Ordering::Relaxed);
        Some(label)
    }

    fn digest(&self, text: &str) -> Digest {
        let [seed, _] = self.seeds;
        Digest::of(text, seed)
    }

    /// Where to look first: seeded so that nobody outside can aim at one cell.
    #[inline]
    fn start(&self, digest: Digest, cells: &[OnceLock<Entry>]) -> usize {
        let [head, tail] = self.seeds;
        let tail = tail.wrapping_add(digest.len as u64) ^ digest.tail;
        fold(digest.head ^ head, tail) as usize & (cells.len() - 1)
    }
}

/// What look-ups compare: a text of up to 16 bytes as two words, or the hash of a longer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Digest {
    head: u64,
    tail: u64,
    len: usize,
}

impl Digest {
    /// Of a text of 4 to 16 bytes, as most are. The two words overlap, or meet.
    #[inline]
    fn of_short(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (head, tail) = match bytes.len() {
            8..=WHOLE_BYTES => (
                u64::from_le_bytes(*bytes.first_chunk()?),
                u64::from_le_bytes(*bytes.last_chunk()?),
            ),
            4..8 => (
                u64::from(u32::from_le_bytes(*bytes.first_chunk()?)),
                u64::from(u32::from_le_bytes(*bytes.last_chunk()?)),
            ),
            _ => return None,
        };
        let len = bytes.len();
        Some(Self { head, tail, len })
    }

    fn of(text: &str, seed: u64) -> Self {
        Self::of_short(text).unwrap_or_else(|| {
            let (words, rest) = text.as_bytes().as_chunks();
            let words = words.iter().map(|word| u64::from_le_bytes(*word));
            Self {
                head: words.fold(seed, |all, word| fold(all ^ word, seed | 1)),
                tail: rest.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)),
                len: text.len(),
            }
        })
    }

    /// Whether no other text has it.
    const fn is_whole(self) -> bool {
        self.len <= WHOLE_BYTES
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
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
