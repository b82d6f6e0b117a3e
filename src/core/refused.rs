//! The names that were refused most, in a small sketch.
//!
//! Space-Saving (Metwally, Agrawal, El Abbadi: Efficient Computation of Frequent and Top-k Elements
//! in Data Streams, 2005): whatever was refused more often than all refusals divided by the number
//! of places is among them, and a count is too large by its error at the most.

use super::labels::is_unprintable;
use schemars::JsonSchema;
use serde::Serialize;

/// How many are kept.
const PLACES: usize = 16;
/// Of a name, at most so many bytes are kept.
const MAX_BYTES: usize = 64;
/// A name so long, without any mark between, may be a key.
const MAX_WORD: usize = 40;
/// How keys of AI providers begin.
const KEYS: [&str; 8] = [
    "sk-", "sk_", "gsk_", "xai-", "csk-", "AIza", "Bearer ", "eyJ",
];

/// A name that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct RefusedValue {
    /// The name, up to 64 bytes of it, without what cannot be printed. Of one that looks like a
    /// key, the first four characters and an ellipsis.
    pub value: String,
    /// How often, at the most.
    pub count: u64,
    /// By how much that may be too large.
    pub error: u64,
}

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct TopRefused(Vec<RefusedValue>);

impl TopRefused {
    /// `text` was refused once more.
    pub(crate) fn note(&mut self, text: &str) {
        let value = shown(text);
        if let Some(known) = self.0.iter_mut().find(|known| known.value == value) {
            known.count = known.count.saturating_add(1);
            return;
        }
        if self.0.len() < PLACES {
            let (count, error) = (1, 0);
            return self.0.push(RefusedValue {
                value,
                count,
                error,
            });
        }
        if let Some(least) = self.0.iter_mut().min_by_key(|known| known.count) {
            *least = RefusedValue {
                value,
                count: least.count.saturating_add(1),
                error: least.count,
            };
        }
    }

    /// All of them, those refused most first.
    pub(crate) fn all(&self) -> Vec<RefusedValue> {
        let mut all = self.0.clone();
        all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        all
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let texts: usize = self.0.iter().map(|known| known.value.capacity()).sum();
        texts + self.0.capacity() * size_of::<RefusedValue>()
    }
}

fn shown(text: &str) -> String {
    let is_mark = |c: char| matches!(c, '-' | '_' | '.' | '/' | ':' | '@' | ' ');
    let is_key = KEYS.iter().any(|key| text.starts_with(key))
        || text.split(is_mark).any(|word| word.len() > MAX_WORD);
    let printed = text.chars().filter(|c| !is_unprintable(*c));
    if is_key {
        return printed.take(4).chain(['…']).collect();
    }
    let end = text.floor_char_boundary(MAX_BYTES);
    let cut = text.get(..end).unwrap_or_default();
    cut.chars().filter(|c| !is_unprintable(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn what_looks_like_a_key_is_not_shown() {
        let long = format!("model-{}", "x".repeat(41));
        for text in ["sk-abcdef", "Bearer abc", "AIzaSyD", "eyJhbGciOi", &long] {
            let value = shown(text);
            assert_eq!(value.chars().count(), 5, "{value}");
            assert!(value.ends_with('…'));
        }
        assert_eq!(shown("gpt-4o-mini-2024-07-18"), "gpt-4o-mini-2024-07-18");
        assert_eq!(shown("esc\x1b[2J\u{202e}"), "esc[2J");
        assert!(shown(&"ab-".repeat(100)).len() <= MAX_BYTES);
    }

    proptest! {
        #[test]
        fn a_count_is_right_within_its_error(
            heavy in prop::collection::vec(0..8_u32, 0..400),
            light in prop::collection::vec(8..500_u32, 0..400),
        ) {
            let mut top = TopRefused::default();
            let mut exact: HashMap<String, u64> = HashMap::new();
            let mut all = heavy.clone();
            for (n, one) in light.iter().enumerate() {
                all.insert((n * 7) % (all.len() + 1), *one);
            }
            for name in &all {
                let name = format!("model-{name}");
                top.note(&name);
                *exact.entry(name).or_default() += 1;
            }
            let told = top.all();
            prop_assert!(told.len() <= PLACES);
            for RefusedValue { value, count, error } in &told {
                let true_count = exact[value];
                prop_assert!(*count >= true_count && count - error <= true_count);
            }
            let limit = all.len() as u64 / PLACES as u64;
            for (name, count) in exact {
                prop_assert!(count <= limit || told.iter().any(|known| known.value == name));
            }
        }
    }
}
