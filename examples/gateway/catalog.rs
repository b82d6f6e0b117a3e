//! The providers and their models: who speaks what, what it costs, who stands in for whom.
//!
//! **Routing rule.** A model name goes to the provider that has it. When that attempt fails in a way
//! another try may mend (429, 408, any 5xx, a timeout, a broken connection), the request goes on to
//! the other providers of the table below, the one that stands best first, and there to the model of
//! the same family. No provider is asked twice for one request. Any other failure, such as a 400,
//! is the caller's and is answered at once.

use aimux_otel::{PriceTable, PriceTableError};
use serde_json::{Map, Value, json};

use crate::chat::Usage;
use crate::dialect::Dialect;

pub(crate) struct Provider {
    pub(crate) name: &'static str,
    pub(crate) dialect: Dialect,
    pub(crate) models: &'static [Model],
    pub(crate) faults: Faults,
}

/// Models of one family stand in for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Large,
    Small,
}

pub(crate) struct Model {
    pub(crate) name: &'static str,
    pub(crate) family: Family,
    /// USD per million tokens.
    pub(crate) input_price: f64,
    pub(crate) output_price: f64,
    /// Median time to the first token, and the pace of those that follow.
    pub(crate) first_token_ms: f64,
    pub(crate) tokens_per_second: f64,
}

impl Model {
    /// What an answer costs, in USD.
    pub(crate) fn cost(&self, usage: Usage) -> f64 {
        let input = self.input_price * usage.input_tokens as f64;
        (input + self.output_price * usage.output_tokens as f64) / 1e6
    }
}

/// What the monitor reckons with, in the format that the field shares.
pub(crate) fn prices() -> Result<PriceTable, PriceTableError> {
    let per_token = |usd_per_million: f64| usd_per_million / 1e6;
    let entry = |Target { provider, model }: Target| {
        let entry = json!({
            "litellm_provider": provider.name,
            "input_cost_per_token": per_token(model.input_price),
            "output_cost_per_token": per_token(model.output_price),
        });
        (model.name.to_owned(), entry)
    };
    let entries: Map<String, Value> = targets().map(entry).collect();
    PriceTable::from_json(&Value::Object(entries).to_string())
}

/// How often an upstream fails, as a share of its attempts.
pub(crate) struct Faults {
    /// Answers with a status: the status and its share.
    pub(crate) statuses: &'static [(u16, f64)],
    /// Never answers: only a time limit ends it.
    pub(crate) hangs: f64,
    /// Ends the connection in the middle of the answer.
    pub(crate) breaks: f64,
}

pub(crate) static PROVIDERS: [Provider; 3] = [
    Provider {
        name: "cerebras",
        dialect: Dialect::OpenAi,
        models: &[
            Model {
                name: "llama3.1-70b",
                family: Family::Large,
                input_price: 0.60,
                output_price: 0.60,
                first_token_ms: 210.0,
                tokens_per_second: 450.0,
            },
            Model {
                name: "llama3.1-8b",
                family: Family::Small,
                input_price: 0.10,
                output_price: 0.10,
                first_token_ms: 120.0,
                tokens_per_second: 1_800.0,
            },
        ],
        faults: Faults {
            statuses: &[(429, 0.025), (503, 0.008)],
            hangs: 0.002,
            breaks: 0.002,
        },
    },
    Provider {
        name: "openai",
        dialect: Dialect::OpenAi,
        models: &[
            Model {
                name: "gpt-4o",
                family: Family::Large,
                input_price: 2.50,
                output_price: 10.00,
                first_token_ms: 480.0,
                tokens_per_second: 85.0,
            },
            Model {
                name: "gpt-4o-mini",
                family: Family::Small,
                input_price: 0.15,
                output_price: 0.60,
                first_token_ms: 360.0,
                tokens_per_second: 120.0,
            },
        ],
        faults: Faults {
            statuses: &[(429, 0.010), (500, 0.005), (503, 0.003)],
            hangs: 0.002,
            breaks: 0.001,
        },
    },
    Provider {
        name: "anthropic",
        dialect: Dialect::Anthropic,
        models: &[
            Model {
                name: "claude-sonnet-4-5",
                family: Family::Large,
                input_price: 3.00,
                output_price: 15.00,
                first_token_ms: 850.0,
                tokens_per_second: 65.0,
            },
            Model {
                name: "claude-haiku-4-5",
                family: Family::Small,
                input_price: 1.00,
                output_price: 5.00,
                first_token_ms: 500.0,
                tokens_per_second: 140.0,
            },
        ],
        faults: Faults {
            statuses: &[(529, 0.015), (429, 0.004), (500, 0.003)],
            hangs: 0.001,
            breaks: 0.002,
        },
    },
];

/// A model at its provider: where one attempt goes.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) provider: &'static Provider,
    pub(crate) model: &'static Model,
}

/// All models, in the order of the table.
pub(crate) fn targets() -> impl Iterator<Item = Target> {
    PROVIDERS.iter().flat_map(|provider| {
        provider
            .models
            .iter()
            .map(move |model| Target { provider, model })
    })
}

/// The target whose model is called so.
pub(crate) fn target(model: &str) -> Option<Target> {
    targets().find(|target| target.model.name == model)
}

/// Where a request for this model goes: first its own provider, then those that stand in.
/// Empty if nobody has the model.
#[tracing::instrument(skip_all, fields(component = "router", operation = "route"))]
pub(crate) fn route(model: &str) -> Vec<Target> {
    let Some(first) = target(model) else {
        return Vec::new();
    };
    let home = PROVIDERS
        .iter()
        .position(|provider| provider.name == first.provider.name)
        .unwrap_or(0);
    let others = PROVIDERS.iter().cycle().skip(home + 1).take(2);
    let stand_ins = others.filter_map(|provider| {
        let model = provider
            .models
            .iter()
            .find(|model| model.family == first.model.family)?;
        Some(Target { provider, model })
    });
    std::iter::once(first).chain(stand_ins).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_stands_in_once_with_the_same_family() {
        for target in targets() {
            let route = route(target.model.name);
            let providers: Vec<&str> = route.iter().map(|to| to.provider.name).collect();
            assert_eq!(providers.len(), PROVIDERS.len());
            assert_eq!(providers[0], target.provider.name);
            assert!(
                route
                    .iter()
                    .all(|to| to.model.family == target.model.family)
            );
            assert!(
                PROVIDERS
                    .iter()
                    .all(|provider| providers.contains(&provider.name))
            );
        }
        assert!(route("gpt-9-ultra").is_empty());
    }
}
