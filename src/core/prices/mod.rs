//! A table of what providers ask for their tokens, in the format of LiteLLM's
//! `model_prices_and_context_window.json`.

mod lookup;
mod price;
#[cfg(test)]
mod tests;

use crate::{clock::Timestamp, error::PriceTableError};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

pub(crate) use price::{Price, Tokens};

/// Entries that could not be read are named up to so many.
const MAX_SKIPPED: usize = 20;

/// What models cost per token: a table in the format that the field shares, LiteLLM's
/// [`model_prices_and_context_window.json`](https://github.com/BerriAI/litellm/blob/main/model_prices_and_context_window.json).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use aimux_otel::{PerformanceMonitor, PriceTable, TokenUsage, Window};
///
/// let table = PriceTable::from_json(
///     r#"{"gpt-4o-mini": {
///         "litellm_provider": "openai",
///         "input_cost_per_token": 1.5e-07,
///         "output_cost_per_token": 6e-07
///     }}"#,
/// )?;
/// let monitor = PerformanceMonitor::builder().price_table(table).build()?;
/// for model in ["gpt-4o-mini-2024-07-18", "gpt-5-nano"] {
///     let mut call = monitor.provider_call("openai", model);
///     call.usage(TokenUsage::new(1_001, 100));
///     call.finish();
/// }
/// monitor.collect();
/// let view = monitor.providers(Window::SinceStart)?;
/// let models = &view.providers["openai"].model_stats;
/// assert_eq!(models["gpt-4o-mini-2024-07-18"].total_cost, 0.00021015);
/// // What has no price is not free: it is told.
/// assert_eq!(view.unpriced_models[0].model, "gpt-5-nano");
/// # Ok(()) }
/// ```
///
/// Of an entry these are read: `litellm_provider`, and the prices in USD per token
/// `input_cost_per_token`, `output_cost_per_token`, `cache_read_input_token_cost`,
/// `cache_creation_input_token_cost` and `output_cost_per_reasoning_token`, each also with
/// `_above_200k_tokens` or another number of thousands, which counts where the prompt is longer, or
/// in `tiered_pricing`; and `alias_of`.
/// Prices are kept exactly as they are written, down to 10⁻¹⁸ USD; a cost is computed in whole
/// numbers, and rounded once, half to even, to nano-USD.
///
/// The price of a call is found by its provider and model, in this order:
/// 1. the entry `provider/model`;
/// 2. the entry `model`, if it is of that provider;
/// 3. the same for the longest beginning of the model's name that only a version follows: `gpt-4o`
///    is the price of `gpt-4o-2024-08-06`, and never that of `gpt-4o-mini`.
///
/// The names of providers that the OpenTelemetry conventions have are known by those of the table
/// too, such as `aws.bedrock` by `bedrock`. Where the table knows nothing of the provider, or none
/// was told, the entry `model` counts, whoever's it is. A call has no cost, and is told of, where
/// there is no price for some of the tokens that it used.
#[derive(Debug, Clone)]
pub struct PriceTable {
    entries: HashMap<Box<str>, Entry>,
    providers: BTreeSet<Box<str>>,
    version: String,
    skipped: usize,
    skipped_entries: Vec<String>,
    pub(crate) path: Option<PathBuf>,
}

#[derive(Debug, Clone)]
struct Entry {
    provider: Box<str>,
    price: Price,
}

/// A price table that is in force.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct PriceTableInfo {
    /// The version that it was given, or a hash of its text.
    pub version: String,
    /// How many models have a price.
    pub entries: usize,
    /// How many entries could not be read.
    pub skipped: usize,
    /// The first twenty of these, each with what is wrong.
    pub skipped_entries: Vec<String>,
    /// Since when it is in force, in Unix seconds.
    pub loaded_at: f64,
}

impl PriceTable {
    /// Reads a table. An entry that cannot be read is skipped, and told of: see
    /// [`PriceTableInfo`]. Its version is a hash of the text.
    ///
    /// # Errors
    /// It is not JSON, no object of objects, or no model in it has a price.
    pub fn from_json(text: &str) -> Result<Self, PriceTableError> {
        let all: Map<String, Value> =
            serde_json::from_str(text).map_err(PriceTableError::NotATable)?;
        let mut table = Self {
            entries: HashMap::new(),
            providers: BTreeSet::new(),
            version: format!("{:016x}", hash(text.as_bytes())),
            skipped: 0,
            skipped_entries: Vec::new(),
            path: None,
        };
        let mut aliases = Vec::new();
        for (model, entry) in all {
            // It says what an entry looks like.
            if model == "sample_spec" {
                continue;
            }
            if let Some(of) = entry.get("alias_of").and_then(Value::as_str) {
                aliases.push((model, of.to_owned()));
                continue;
            }
            match Price::read(&entry) {
                Ok(Some(price)) => table.add(&model, &entry, price),
                // Such as a price per image or second.
                Ok(None) => {}
                Err(wrong) => table.skip(&model, &wrong),
            }
        }
        for (alias, of) in aliases {
            match table.entries.get(of.as_str()).cloned() {
                Some(entry) => {
                    table.entries.insert(alias.into(), entry);
                }
                None => table.skip(&alias, &format!("alias_of is {of:?}, which has no price")),
            }
        }
        if table.entries.is_empty() {
            return Err(PriceTableError::Empty {
                skipped: table.skipped_entries,
            });
        }
        Ok(table)
    }

    /// The same under a version of your own.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    fn add(&mut self, model: &str, entry: &Value, price: Price) {
        let provider = entry.get("litellm_provider").and_then(Value::as_str);
        let provider: Box<str> = provider.unwrap_or_default().into();
        self.providers.insert(provider.clone());
        let entry = Entry { provider, price };
        self.entries.insert(model.into(), entry);
    }

    fn skip(&mut self, model: &str, wrong: &str) {
        self.skipped += 1;
        if self.skipped_entries.len() < MAX_SKIPPED {
            self.skipped_entries.push(format!("{model:?}: {wrong}"));
        }
    }

    fn heap_bytes(&self) -> usize {
        let entries = self.entries.iter();
        let texts: usize = entries
            .map(|(model, entry)| model.len() + entry.provider.len() + entry.price.heap_bytes())
            .sum();
        texts + self.entries.capacity() * 8 / 7 * (size_of::<(Box<str>, Entry)>() + 1)
    }
}

/// FNV-1a, of 64 bits.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The table that is in force, which may be changed at any time.
#[derive(Debug, Default)]
pub(crate) struct PriceCell {
    current: Mutex<Option<(Arc<PriceTable>, Timestamp)>>,
    /// How often it was changed.
    generation: AtomicU64,
}

impl PriceCell {
    /// From now on `table` counts.
    pub(crate) fn set(&self, table: PriceTable, now: Timestamp) {
        let before = self.current.lock().replace((Arc::new(table), now));
        self.generation.fetch_add(1, Ordering::Release);
        drop(before);
    }

    /// Which one it is: another number, another table.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn table(&self) -> Option<Arc<PriceTable>> {
        self.current
            .lock()
            .as_ref()
            .map(|(table, _)| Arc::clone(table))
    }

    /// What is known of it.
    pub(crate) fn info(&self) -> Option<PriceTableInfo> {
        let current = self.current.lock();
        current.as_ref().map(|(table, since)| PriceTableInfo {
            version: table.version.clone(),
            entries: table.entries.len(),
            skipped: table.skipped,
            skipped_entries: table.skipped_entries.clone(),
            loaded_at: since.as_unix_seconds(),
        })
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.table().map_or(0, |table| table.heap_bytes())
    }
}
