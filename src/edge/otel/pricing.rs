//! What is looked up once for each provider and model: the price of its tokens. And what is
//! counted by these two alone: attempts without a price, and the tokens that are part of others.

use super::{keys::AttemptKey, meters::Meters};
use crate::{
    core::{
        labels::Label,
        measurement::{Count, Kind, Measurement},
        prices::{Price, PriceCell, PriceTable, Tokens},
        recorder::LabelTables,
        word_hash::WordMap,
    },
    names,
};
use opentelemetry::{KeyValue, metrics::BoundCounter};
use std::sync::Arc;

/// Pairs of a provider and a model of which something is kept; the rest shares one without a
/// price.
const MAX_PAIRS: usize = 440;

/// Series of what is counted here, of one kind.
pub(super) const MAX_SERIES: usize = MAX_PAIRS + 1;

/// The kinds of tokens that are part of others.
const DETAILS: [&str; 3] = ["cache_read", "cache_write", "reasoning"];

/// See the module's description.
#[derive(Debug)]
pub(super) struct Pricing {
    cell: Arc<PriceCell>,
    /// The table of that generation.
    table: Option<Arc<PriceTable>>,
    generation: u64,
    pairs: WordMap<AttemptKey, Pair>,
}

#[derive(Debug, Default)]
struct Pair {
    /// Looked up in the table of that generation.
    looked_up: Option<u64>,
    price: Option<Price>,
    unpriced: Option<BoundCounter<u64>>,
    details: [Option<BoundCounter<u64>>; DETAILS.len()],
    streamed: Option<(BoundCounter<u64>, BoundCounter<f64>)>,
}

impl Pricing {
    pub(super) fn new(cell: Arc<PriceCell>) -> Self {
        Self {
            cell,
            table: None,
            generation: 0,
            pairs: WordMap::default(),
        }
    }

    /// Gives an attempt that used tokens its cost, unless somebody told that, and counts its
    /// details.
    #[inline]
    pub(super) fn settle(&mut self, attempt: &mut Measurement, meters: &Meters, of: &LabelTables) {
        if attempt.kind != Kind::Attempt {
            return;
        }
        let details = [
            attempt.cache_read_tokens,
            attempt.cache_write_tokens,
            attempt.reasoning_tokens,
        ];
        let used = [attempt.input_tokens, attempt.output_tokens];
        let to_price = attempt.cost().is_none() && used != [Count::NONE; 2];
        if to_price || details != [Count::NONE; DETAILS.len()] || streamed(attempt).is_some() {
            self.look_closer(attempt, to_price, details, meters, of);
        }
    }

    #[inline(never)]
    fn look_closer(
        &mut self,
        attempt: &mut Measurement,
        to_price: bool,
        details: [Count; DETAILS.len()],
        meters: &Meters,
        labels: &LabelTables,
    ) {
        self.refresh();
        let key = self.key(attempt);
        let pair = self.pairs.entry(key).or_default();
        for ((detail, amount), counter) in DETAILS.iter().zip(details).zip(&mut pair.details) {
            let Some(tokens) = amount.get() else {
                continue;
            };
            counter
                .get_or_insert_with(|| {
                    let mut attributes = pair_attributes(key, labels);
                    attributes.insert(0, KeyValue::new(names::TOKEN_DETAIL, *detail));
                    meters.token_details.bind(&attributes)
                })
                .add(tokens);
        }
        if let Some((amount, nanos)) = streamed(attempt) {
            let (tokens, seconds) = pair.streamed.get_or_insert_with(|| {
                let attributes = pair_attributes(key, labels);
                (
                    meters.streamed_tokens.bind(&attributes),
                    meters.streamed_time.bind(&attributes),
                )
            });
            tokens.add(amount);
            seconds.add(nanos as f64 / 1e9);
        }
        if !to_price {
            return;
        }
        if pair.looked_up != Some(self.generation) {
            pair.looked_up = Some(self.generation);
            let table = self.table.as_deref();
            pair.price = table.and_then(|table| find(table, key, labels));
        }
        let cost = pair.price.as_ref().and_then(|p| p.of(&tokens(attempt)));
        if let Some(cost) = cost {
            attempt.set_cost(cost);
            return;
        }
        pair.unpriced
            .get_or_insert_with(|| meters.unpriced.bind(&pair_attributes(key, labels)))
            .add(1);
    }

    fn key(&self, attempt: &Measurement) -> AttemptKey {
        let key = |provider: Label, model: Label| AttemptKey {
            provider,
            model: model.or(Label::OTHER),
            operation: Label::NONE,
            error: None,
        };
        let own = key(attempt.provider, attempt.model);
        if self.pairs.len() < MAX_PAIRS || self.pairs.contains_key(&own) {
            own
        } else {
            key(Label::OTHER, Label::OTHER)
        }
    }

    /// Lets go of a table that is no longer in force.
    pub(super) fn refresh(&mut self) {
        let generation = self.cell.generation();
        if generation != self.generation {
            self.generation = generation;
            self.table = self.cell.table();
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let pairs = self.pairs.capacity() * 8 / 7 * (size_of::<(AttemptKey, Pair)>() + 1);
        pairs + self.cell.heap_bytes()
    }
}

/// What was not admitted has no name, and so no price; of a provider that was not told, the model
/// says enough.
fn find(table: &PriceTable, key: AttemptKey, labels: &LabelTables) -> Option<Price> {
    if key.model == Label::OTHER || key.provider == Label::OTHER {
        return None;
    }
    let provider = labels.providers.text(key.provider).unwrap_or_default();
    let model = labels.models.text(key.model)?;
    table.price(&provider, &model).cloned()
}

/// The tokens of an answer that came as a stream, and to its end, and the nanoseconds from the
/// first chunk on.
#[inline]
fn streamed(attempt: &Measurement) -> Option<(u64, u64)> {
    let nanos = attempt.time_after_first_chunk()?;
    let tokens = attempt.output_tokens.get()?;
    (nanos > 0 && !attempt.failed()).then_some((tokens, nanos))
}

fn tokens(attempt: &Measurement) -> Tokens {
    let count = |count: Count| count.get().unwrap_or(0);
    Tokens {
        input: count(attempt.input_tokens),
        output: count(attempt.output_tokens),
        cache_read: count(attempt.cache_read_tokens),
        cache_write: count(attempt.cache_write_tokens),
        reasoning: count(attempt.reasoning_tokens),
    }
}

fn pair_attributes(key: AttemptKey, labels: &LabelTables) -> Vec<KeyValue> {
    let named = key.attributes(labels).into_iter();
    named
        .filter(|pair| pair.key.as_str() != names::GEN_AI_OPERATION_NAME)
        .collect()
}
