//! What the driving client counted.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Failure, Outcome};
use super::shot::{Ask, Shot};
use crate::report::samples::Samples;

#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) all: Counted,
    pub(crate) cached: u64,
    input_tokens: u64,
    output_tokens: u64,
    endpoints: BTreeMap<&'static str, Counted>,
    models: BTreeMap<&'static str, Counted>,
    /// How long after they were due requests were sent: while many are under way at once, the
    /// next have to wait, and what the gateway gets is then less bursty than the plan.
    late: Samples,
}

#[derive(Default)]
pub(crate) struct Counted {
    pub(crate) sent: u64,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    by_status: BTreeMap<String, u64>,
    by_failure: BTreeMap<&'static str, u64>,
    durations: Samples,
}

impl Tally {
    pub(super) fn sent(&mut self, shot: &Shot, late: Duration) {
        self.late.push(late);
        for counted in self.places(&shot.ask) {
            counted.sent += 1;
        }
    }

    pub(super) fn done(&mut self, shot: &Shot, outcome: &Outcome) {
        self.cached += u64::from(outcome.cached);
        self.input_tokens += outcome.usage.input_tokens;
        self.output_tokens += outcome.usage.output_tokens;
        for counted in self.places(&shot.ask) {
            counted.done(outcome);
        }
    }

    /// Where a request counts: everywhere, at its endpoint, and at the model that it asks for.
    fn places(&mut self, ask: &Ask) -> Vec<&mut Counted> {
        let (endpoint, model) = match ask {
            Ask::Chat(question) => (question.dialect.endpoint(), Some(question.model)),
            Ask::Nonsense(dialect) => (dialect.endpoint(), None),
            Ask::Get(path) => (*path, None),
        };
        let mut places = vec![&mut self.all, self.endpoints.entry(endpoint).or_default()];
        places.extend(model.map(|model| self.models.entry(model).or_default()));
        places
    }

    pub(crate) fn json(&self) -> Value {
        let by = |counted: &BTreeMap<&'static str, Counted>| -> Value {
            counted
                .iter()
                .map(|(name, counted)| (*name, counted.json()))
                .collect()
        };
        json!({
            "all": self.all.json(),
            "by_endpoint": by(&self.endpoints),
            "by_model": by(&self.models),
            "cached": self.cached,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "sent_late": self.late.json(),
        })
    }
}

impl Counted {
    fn done(&mut self, outcome: &Outcome) {
        match outcome.failure {
            None => self.succeeded += 1,
            Some(failure) => {
                self.failed += 1;
                *self.by_failure.entry(failure.name()).or_default() += 1;
            }
        }
        let status = outcome
            .status
            .map_or("none".to_owned(), |status| status.to_string());
        *self.by_status.entry(status).or_default() += 1;
        self.durations.push(outcome.duration);
    }

    fn json(&self) -> Value {
        json!({
            "sent": self.sent,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "unfinished": self.sent - self.succeeded - self.failed,
            "by_status": self.by_status,
            "by_failure": self.by_failure,
            "duration": self.durations.json(),
        })
    }
}

impl Failure {
    fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Stream => "stream",
            Self::Transport => "transport",
            Self::HungUp => "hung_up",
        }
    }
}
