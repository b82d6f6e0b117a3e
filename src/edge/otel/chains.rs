//! Operations by what came of their attempts, what these cost, and what the gateway itself took of
//! them.

use super::{
    distribution::Distribution,
    instruments::map,
    keys::{attribute, hash_error},
    meters::{Late, Meters},
    observed::{CostLedger, CostSum, observe_later},
};
use crate::{
    core::{
        labels::Label, measurement::Measurement, money::NanoUsd, recorder::LabelTables,
        word_hash::WordMap,
    },
    names,
};
use opentelemetry::{
    KeyValue, Value,
    metrics::{BoundCounter, Meter},
};
use std::{
    hash::{Hash, Hasher},
    sync::{Arc, LazyLock},
};

/// Series of each kind; the rest shares some thirty.
const MAX_SERIES: usize = 400;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Chains {
    operations: WordMap<ChainKey, BoundCounter<u64>>,
    overheads: WordMap<Label, Distribution<f64>>,
    costs: WordMap<Label, CostSum>,
    ledger: Arc<CostLedger>,
    /// Made once something cost something.
    observed: Late<()>,
}

impl Chains {
    pub(super) fn new(meter: &Meter) -> Self {
        let ledger = Arc::default();
        let description = "Cost of operations: that of their attempts";
        Self {
            operations: WordMap::default(),
            overheads: WordMap::default(),
            costs: WordMap::default(),
            observed: observe_later(meter, &ledger, names::OPERATION_COST, description),
            ledger,
        }
    }

    /// Counts one operation.
    pub(super) fn record(&mut self, operation: &Measurement, of: &Meters, labels: &LabelTables) {
        let mut key = ChainKey::of(operation);
        if self.operations.len() >= MAX_SERIES && !self.operations.contains_key(&key) {
            key = key.shared();
        }
        self.operations
            .entry(key)
            .or_insert_with(|| of.operations.bind(&key.attributes(labels)))
            .add(1);
        let Some(nanos) = operation.chain.overhead.get() else {
            return;
        };
        let mut endpoint = operation.endpoint.or(Label::OTHER);
        if self.overheads.len() >= MAX_SERIES && !self.overheads.contains_key(&endpoint) {
            endpoint = Label::OTHER;
        }
        self.overheads
            .entry(endpoint)
            .or_insert_with(|| {
                let attributes = attribute(names::HTTP_ROUTE, &labels.endpoints, endpoint);
                Distribution::new(of.operation_overhead.bind(attributes.as_slice()))
            })
            .record(nanos);
    }

    /// Adds what an attempt cost to the operations of its endpoint, if it belongs to one.
    pub(super) fn add_cost(&mut self, endpoint: Label, cost: NanoUsd, labels: &LabelTables) {
        if endpoint.is_none() {
            return;
        }
        let is_full = self.costs.len() >= MAX_SERIES && !self.costs.contains_key(&endpoint);
        let endpoint = if is_full { Label::OTHER } else { endpoint };
        let entry = self.costs.entry(endpoint).or_insert_with(|| {
            LazyLock::force(&self.observed);
            self.ledger.of_endpoint(endpoint, labels)
        });
        entry.add(cost);
    }

    /// Records what waits.
    pub(super) fn flush(&mut self) {
        self.overheads.values_mut().for_each(Distribution::flush);
    }

    /// Bytes on the heap, without what the SDK has.
    pub(super) fn heap_bytes(&self) -> usize {
        let waiting = self.overheads.values().map(Distribution::heap_bytes);
        waiting.sum::<usize>() + map(&self.operations) + map(&self.overheads) + map(&self.costs)
    }
}

/// What counts operations by their chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ChainKey {
    endpoint: Label,
    attempts: u8,
    outcome: &'static str,
}

impl ChainKey {
    fn of(operation: &Measurement) -> Self {
        let chain = operation.chain;
        Self {
            endpoint: operation.endpoint.or(Label::OTHER),
            attempts: chain.attempts.min(10),
            outcome: match operation.failed() {
                _ if chain.exhausted => names::EXHAUSTED,
                true => names::FAILED,
                false => names::ANSWERED,
            },
        }
    }

    fn attributes(&self, labels: &LabelTables) -> Vec<KeyValue> {
        let attempts = match self.attempts {
            10.. => Value::from("10+"),
            fewer => Value::from(fewer.to_string()),
        };
        let route = attribute(names::HTTP_ROUTE, &labels.endpoints, self.endpoint);
        let own = [
            KeyValue::new(names::OPERATION_ATTEMPTS, attempts),
            KeyValue::new(names::OPERATION_OUTCOME, self.outcome),
        ];
        own.into_iter().chain(route).collect()
    }
}

impl ChainKey {
    /// With all other endpoints: there are some thirty of these.
    const fn shared(self) -> Self {
        Self {
            endpoint: Label::OTHER,
            ..self
        }
    }
}

impl Hash for ChainKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let numbers = u64::from(self.endpoint.number()) | u64::from(self.attempts) << 16;
        state.write_u64(numbers);
        hash_error(Some(self.outcome), state);
    }
}
