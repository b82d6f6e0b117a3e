//! What tells one series of ours from another, and the attributes it has.

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

/// What shares a series when there are too many.
pub(super) trait Fold: Copy {
    /// With others that have some labels in common.
    fn shared(self) -> Self;
    /// With all others: there is one of these, and one more for what failed.
    fn rest(self) -> Self;
}

impl Fold for AttemptKey {
    fn shared(self) -> Self {
        Self {
            model: Label::OTHER,
            operation: Label::NONE,
            ..self
        }
    }

    fn rest(self) -> Self {
        Self {
            provider: Label::OTHER,
            error: any(self.error),
            ..self.shared()
        }
    }
}

impl Fold for RequestKey {
    fn shared(self) -> Self {
        Self {
            endpoint: Label::OTHER,
            ..self
        }
    }

    fn rest(self) -> Self {
        let failed = self.status.is_some_and(|status| status >= 400);
        Self {
            endpoint: Label::OTHER,
            method: None,
            status: None,
            error: any(self.error).or(failed.then_some(names::OTHER)),
        }
    }
}

impl Fold for ComponentKey {
    fn shared(self) -> Self {
        Self {
            operation: Label::OTHER,
            ..self
        }
    }

    fn rest(self) -> Self {
        Self {
            component: Label::OTHER,
            operation: Label::OTHER,
            error: any(self.error),
        }
    }
}

impl Fold for ExperimentKey {
    fn shared(self) -> Self {
        Self {
            variant: Label::OTHER,
            ..self
        }
    }

    fn rest(self) -> Self {
        Self {
            experiment: Label::OTHER,
            variant: Label::OTHER,
            error: any(self.error),
        }
    }
}

/// The name of a timer.
impl Fold for Label {
    fn shared(self) -> Self {
        Self::OTHER
    }

    fn rest(self) -> Self {
        Self::OTHER
    }
}

/// The error that stands for all.
fn any(error: Option<&'static str>) -> Option<&'static str> {
    error.map(|_| names::OTHER)
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
            .or_else(|| {
                Some(KeyValue::new(
                    names::GEN_AI_OPERATION_NAME,
                    names::USUAL_OPERATION,
                ))
            }),
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
    pub(super) const fn place(self) -> Self {
        Self {
            status: None,
            error: None,
            ..self
        }
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
pub(super) fn hash_error(error: Option<&'static str>, state: &mut impl Hasher) {
    if let Some(error) = error {
        let first = error.bytes().take(4).fold(0, |n, b| n << 8 | u64::from(b));
        state.write_u64(first << 8 | error.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shares_a_series_still_tells_success_from_failure() {
        let key = |status, error| RequestKey {
            endpoint: Label::NONE,
            method: Some(Method::from_text("GET")),
            status,
            error,
        };
        let rest = |status, error| key(status, error).rest().error;
        assert_eq!(rest(Some(200), None), None);
        assert_eq!(rest(Some(404), None), Some(names::OTHER));
        assert_eq!(rest(None, Some("timeout")), Some(names::OTHER));
        let all = [rest(None, None), rest(Some(503), Some("503"))];
        assert_eq!(all, [None, Some(names::OTHER)], "there are two of these");
        assert_eq!(key(Some(503), None).shared().status, Some(503));
        let attempt = AttemptKey {
            provider: Label::NONE,
            model: Label::NONE,
            operation: Label::NONE,
            error: Some("timeout"),
        };
        assert_eq!(attempt.shared().error, Some("timeout"));
        assert_eq!(attempt.rest().error, Some(names::OTHER));
    }
}
