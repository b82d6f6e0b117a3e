//! What tells one series of ours from another, and the attributes it has.

use super::instruments::USUAL_OPERATION;
use crate::{
    core::{
        labels::{Label, LabelTable},
        measurement::Method,
        recorder::LabelTables,
    },
    names,
};
use opentelemetry::KeyValue;
use std::hash::{Hash, Hasher};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AttemptKey {
    pub(super) provider: Label,
    pub(super) model: Label,
    pub(super) operation: Label,
    pub(super) error: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestKey {
    pub(super) endpoint: Label,
    pub(super) method: Option<Method>,
    pub(super) status: Option<u16>,
    pub(super) error: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ComponentKey {
    pub(super) component: Label,
    pub(super) operation: Label,
    pub(super) error: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ExperimentKey {
    pub(super) experiment: Label,
    pub(super) variant: Label,
    pub(super) error: Option<&'static str>,
}

impl AttemptKey {
    /// Sorted by key: the SDK keeps what comes unsorted twice.
    pub(super) fn attributes(&self, labels: &LabelTables) -> Vec<KeyValue> {
        [
            self.error.map(|e| KeyValue::new(names::ERROR_TYPE, e)),
            attribute(
                names::GEN_AI_OPERATION_NAME,
                &labels.operations,
                self.operation,
            )
            .or_else(|| Some(KeyValue::new(names::GEN_AI_OPERATION_NAME, USUAL_OPERATION))),
            attribute(
                names::GEN_AI_PROVIDER_NAME,
                &labels.providers,
                self.provider.or(Label::OTHER),
            ),
            attribute(names::GEN_AI_REQUEST_MODEL, &labels.models, self.model),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    pub(super) const fn without_error(self) -> Self {
        Self {
            error: None,
            ..self
        }
    }
}

impl RequestKey {
    pub(super) fn attributes(&self, labels: &LabelTables) -> Vec<KeyValue> {
        let mut attributes: Vec<KeyValue> = Vec::with_capacity(4);
        attributes.extend(self.error.map(|e| KeyValue::new(names::ERROR_TYPE, e)));
        attributes.extend(
            self.method
                .map(|m| KeyValue::new(names::HTTP_REQUEST_METHOD, m.text())),
        );
        attributes.extend(
            self.status
                .map(|s| KeyValue::new(names::HTTP_RESPONSE_STATUS_CODE, i64::from(s))),
        );
        attributes.extend(attribute(
            names::HTTP_ROUTE,
            &labels.endpoints,
            self.endpoint,
        ));
        attributes
    }

    /// Without how it went.
    pub(super) fn place(&self, labels: &LabelTables) -> Vec<KeyValue> {
        Self {
            status: None,
            error: None,
            ..*self
        }
        .attributes(labels)
    }
}

impl ComponentKey {
    pub(super) fn attributes(&self, labels: &LabelTables) -> Vec<KeyValue> {
        [
            attribute(names::COMPONENT, &labels.components, self.component),
            attribute(
                names::OPERATION,
                &labels.component_operations,
                self.operation,
            ),
            self.error.map(|e| KeyValue::new(names::ERROR_TYPE, e)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl ExperimentKey {
    pub(super) fn attributes(&self, labels: &LabelTables) -> Vec<KeyValue> {
        [
            attribute(names::EXPERIMENT, &labels.experiments, self.experiment),
            attribute(names::VARIANT, &labels.variants, self.variant),
            self.error.map(|e| KeyValue::new(names::ERROR_TYPE, e)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

pub(super) fn attribute(key: &'static str, table: &LabelTable, label: Label) -> Option<KeyValue> {
    table.text(label).map(|text| KeyValue::new(key, text))
}

impl Hash for AttemptKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let labels = u64::from(self.provider.number())
            | u64::from(self.model.number()) << 16
            | u64::from(self.operation.number()) << 32;
        state.write_u64(labels);
        hash_error(self.error, state);
    }
}

impl Hash for RequestKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let method = self.method.map_or(0, |m| 1 + u64::from(m.number()));
        let numbers = u64::from(self.endpoint.number())
            | u64::from(self.status.unwrap_or(0)) << 16
            | method << 32;
        state.write_u64(numbers);
        hash_error(self.error, state);
    }
}

impl Hash for ComponentKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let labels = u64::from(self.component.number()) | u64::from(self.operation.number()) << 16;
        state.write_u64(labels);
        hash_error(self.error, state);
    }
}

impl Hash for ExperimentKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let labels = u64::from(self.experiment.number()) | u64::from(self.variant.number()) << 16;
        state.write_u64(labels);
        hash_error(self.error, state);
    }
}

/// The length and the first bytes tell the values of a closed set well enough apart.
fn hash_error(error: Option<&'static str>, state: &mut impl Hasher) {
    if let Some(error) = error {
        let first = error.bytes().take(4).fold(0, |n, b| n << 8 | u64::from(b));
        state.write_u64(first << 8 | error.len() as u64);
    }
}

/// A hash of a few words that are small numbers chosen by ourselves.
#[derive(Debug, Default)]
pub(super) struct WordHasher(u64);

impl Hasher for WordHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}
