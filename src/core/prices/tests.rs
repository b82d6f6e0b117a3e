//! Tables, and what they say a call costs.

use super::*;
use crate::core::money::NanoUsd;
use proptest::prelude::*;
use serde_json::json;

fn table(entries: Value) -> PriceTable {
    PriceTable::from_json(&entries.to_string()).unwrap()
}

fn entry(provider: &str, input: f64) -> Value {
    json!({"litellm_provider": provider, "input_cost_per_token": input, "output_cost_per_token": 0})
}

/// The nano-USD of a million tokens of input.
fn million(table: &PriceTable, provider: &str, model: &str) -> Option<i64> {
    let tokens = Tokens {
        input: 1_000_000,
        ..Tokens::default()
    };
    table
        .price(provider, model)?
        .of(&tokens)
        .map(NanoUsd::nanos)
}

#[test]
fn the_entry_that_says_most_counts() {
    let table = table(json!({
        "gpt-4": entry("openai", 3e-05),
        "gpt-4o": entry("openai", 2.5e-06),
        "gpt-4o-2024-05-13": entry("openai", 5e-06),
        "ft:gpt-4o-2024-08-06": entry("openai", 3.75e-06),
        "command-r": entry("cohere_chat", 1.5e-07),
        "phi-4": entry("azure_ai", 1.25e-07),
        "azure/gpt-4o": entry("azure", 2.75e-06),
        "groq/llama-3.1-8b-instant": entry("groq", 5e-08),
        "claude-x": entry("anthropic", 3e-06),
        "claude-y": entry("vertex_ai-anthropic_models", 4e-06),
        "eu.claude-x-v1:0": entry("bedrock_converse", 6e-06),
    }));
    for (provider, model, nanos) in [
        ("openai", "gpt-4o", Some(2_500_000_000)),
        ("openai", "gpt-4o-2024-08-06", Some(2_500_000_000)),
        ("openai", "gpt-4o-2024-05-13", Some(5_000_000_000)),
        ("openai", "gpt-4o-latest", Some(2_500_000_000)),
        ("openai", "gpt-4o-mini", None),
        ("openai", "gpt-4o-mini-2024-07-18", None),
        ("openai", "gpt-4-0613", Some(30_000_000_000)),
        ("openai", "gpt-4-32k", None),
        ("openai", "gpt-4-1106-preview", None),
        (
            "openai",
            "ft:gpt-4o-2024-08-06:somebody::id",
            Some(3_750_000_000),
        ),
        ("openai", "ft:gpt-4o:somebody::id", None),
        ("cohere", "command-r-08-2024", Some(150_000_000)),
        ("cohere", "command-r-plus-08-2024", None),
        ("openai", "gpt-4.1", None),
        ("azure", "gpt-4o", Some(2_750_000_000)),
        ("azure.ai.openai", "gpt-4o-2024-08-06", Some(2_750_000_000)),
        ("groq", "llama-3.1-8b-instant", Some(50_000_000)),
        ("anthropic", "claude-x-20250101", Some(3_000_000_000)),
        ("gcp.vertex_ai", "claude-y@20250101", Some(4_000_000_000)),
        ("aws.bedrock", "eu.claude-x-v1:0", Some(6_000_000_000)),
        // Another's price is none, where the table knows the provider.
        ("groq", "gpt-4o", None),
        ("azure", "phi-4", None),
        ("azure_ai", "phi-4", Some(125_000_000)),
        ("azure.ai.inference", "phi-4", Some(125_000_000)),
        ("anthropic", "gpt-4o", None),
        // Of a gateway behind the gateway it knows nothing.
        ("my-proxy", "gpt-4o", Some(2_500_000_000)),
        ("", "claude-x", Some(3_000_000_000)),
        ("openai", "", None),
        ("", "", None),
    ] {
        assert_eq!(
            million(&table, provider, model),
            nanos,
            "{provider} {model}"
        );
    }
}

#[test]
fn longer_prompts_and_caches_have_their_own_prices() {
    let table = table(json!({"m": {
        "litellm_provider": "p",
        "input_cost_per_token": 3e-06,
        "output_cost_per_token": 1.5e-05,
        "cache_read_input_token_cost": 3e-07,
        "cache_creation_input_token_cost": 3.75e-06,
        "output_cost_per_reasoning_token": 2e-05,
        "input_cost_per_token_above_200k_tokens": 6e-06,
        "output_cost_per_token_above_200k_tokens": 2.25e-05,
        "max_tokens": 8192,
        "mode": "chat",
    }}));
    let price = table.price("p", "m").unwrap();
    let cost = |input, cache_read, cache_write, output, reasoning| {
        let tokens = Tokens {
            input,
            output,
            cache_read,
            cache_write,
            reasoning,
        };
        price.of(&tokens).unwrap().nanos()
    };
    assert_eq!(cost(1_000, 0, 0, 0, 0), 3_000_000);
    assert_eq!(
        cost(1_000, 600, 300, 0, 0),
        100 * 3_000 + 600 * 300 + 300 * 3_750
    );
    assert_eq!(cost(0, 0, 0, 100, 40), 60 * 15_000 + 40 * 20_000);
    assert_eq!(cost(200_000, 0, 0, 0, 0), 600_000_000);
    assert_eq!(cost(200_001, 0, 0, 10, 0), 200_001 * 6_000 + 10 * 22_500);
    // A cache that holds more than the prompt is strange, and paid for.
    assert_eq!(cost(10, 20, 0, 0, 0), 20 * 300);
}

#[test]
fn where_there_is_no_price_for_what_was_used_there_is_no_cost() {
    let table = table(json!({
        "embeds": {"litellm_provider": "p", "input_cost_per_token": 1e-07},
        "speaks": {"litellm_provider": "p", "output_cost_per_token": 1e-06},
    }));
    let cost = |model, input, output, cache_read| {
        let tokens = Tokens {
            input,
            output,
            cache_read,
            ..Tokens::default()
        };
        table
            .price("p", model)
            .unwrap()
            .of(&tokens)
            .map(NanoUsd::nanos)
    };
    assert_eq!(cost("embeds", 100, 0, 40), Some(10_000));
    assert_eq!(cost("embeds", 100, 1, 0), None);
    assert_eq!(cost("speaks", 0, 7, 0), Some(7_000));
    assert_eq!(cost("speaks", 1, 7, 0), None);
    assert_eq!(cost("speaks", 0, 7, 1), None);
}

#[test]
fn ranges_of_prompts_and_other_names_of_a_model_are_understood() {
    let table = table(json!({
        "p/tiered": {"litellm_provider": "p", "tiered_pricing": [
            {"range": [0, 32000.0], "input_cost_per_token": 1e-06, "output_cost_per_token": 4e-06},
            {"range": [32000.0, 128000.0], "input_cost_per_token": 2e-06, "output_cost_per_token": 8e-06},
        ]},
        "p/search": {"tiered_pricing": [{"input_cost_per_query": 0.005, "max_results_range": [0, 25]}]},
        "p/other": {"alias_of": "p/tiered"},
        "p/lost": {"alias_of": "nobody"},
        "p/broken": {"tiered_pricing": [{"input_cost_per_token": 1e-06}]},
    }));
    let cost = |model, input| {
        let tokens = Tokens {
            input,
            output: 10,
            ..Tokens::default()
        };
        table
            .price("p", model)
            .unwrap()
            .of(&tokens)
            .map(NanoUsd::nanos)
    };
    for model in ["tiered", "other"] {
        assert_eq!(cost(model, 32_000), Some(32_000_000 + 40_000));
        assert_eq!(cost(model, 32_001), Some(2 * 32_001_000 + 80_000));
    }
    assert_eq!(table.skipped, 2);
    let told = table.skipped_entries.join("\n");
    assert!(
        told.contains("\"p/lost\": alias_of is \"nobody\", which has no price"),
        "{told}"
    );
    assert!(told.contains("\"p/broken\": tiered_pricing"), "{told}");
}

#[test]
fn half_a_nano_goes_to_the_even_one() {
    let table = table(json!({"m": entry("p", 5e-10)}));
    let price = table.price("p", "m").unwrap();
    let nanos = [0, 1, 2, 3, 4, 5].map(|input| {
        price
            .of(&Tokens {
                input,
                ..Tokens::default()
            })
            .unwrap()
            .nanos()
    });
    assert_eq!(nanos, [0, 0, 1, 2, 2, 2]);
}

#[test]
fn a_bad_entry_is_told_and_spoils_nothing() {
    let table = table(json!({
        "sample_spec": {"input_cost_per_token": "in USD"},
        "good": entry("p", 1e-06),
        "images": {"litellm_provider": "p", "input_cost_per_image": 0.04},
        "negative": entry("p", -1e-06),
        "text": {"input_cost_per_token": "1e-06"},
        "huge": entry("p", 1e30),
        "none": 7,
    }));
    assert_eq!((table.entries.len(), table.skipped), (1, 4));
    let told = table.skipped_entries.join("\n");
    assert!(
        told.contains("\"negative\": input_cost_per_token is -1e-6; it must be from 0 to 18 USD"),
        "{told}"
    );
    assert!(told.contains("\"none\": it must be an object"), "{told}");
}

#[test]
fn what_is_no_table_is_an_error_that_says_why() {
    for (text, says) in [
        ("", "EOF"),
        ("[1]", "expected a map"),
        ("{\"a\": {}}", "no model in it has a price"),
        (
            "{\"a\": {\"input_cost_per_token\": -1}}",
            "\"a\": input_cost_per_token is -1",
        ),
    ] {
        let error = PriceTable::from_json(text).unwrap_err();
        let mut message = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            message += &source.to_string();
        }
        assert!(message.contains(says), "{text}: {message}");
    }
}

#[test]
fn another_text_is_another_version() {
    let (a, b) = (
        table(json!({"m": entry("p", 1e-06)})),
        table(json!({"m": entry("p", 2e-06)})),
    );
    assert_ne!(a.version, b.version);
    assert_eq!(a.clone().with_version("2026-11").version, "2026-11");
}

proptest! {
    /// Against the same sum in fractions of another unit, rounded by another rule for the same.
    #[test]
    fn a_cost_is_the_exact_one_rounded_once(
        digits in prop::array::uniform5(0..100_000_u64),
        above in prop::array::uniform2(prop::option::of(0..100_000_u64)),
        exponent in 6..14_i32,
        input in 0..2_000_000_u64,
        output in 0..200_000_u64,
        read in 0..50_u64,
        written in 0..50_u64,
    ) {
        const NAMES: [&str; 5] = [
            "input_cost_per_token",
            "output_cost_per_token",
            "cache_read_input_token_cost",
            "cache_creation_input_token_cost",
            "output_cost_per_reasoning_token",
        ];
        let price = |name: String, digits: u64| format!("\"{name}\": {digits}e-{exponent}");
        let mut members = vec!["\"litellm_provider\": \"p\"".to_owned()];
        members.extend(NAMES.iter().zip(digits).map(|(name, digits)| price((*name).to_owned(), digits)));
        for (name, digits) in NAMES.iter().zip(above) {
            members.extend(digits.map(|digits| price(format!("{name}_above_128k_tokens"), digits)));
        }
        let json = format!("{{\"m\": {{{}}}}}", members.join(","));
        let table = PriceTable::from_json(&json).unwrap();
        let (read, written) = (input * read / 100, input * written / 100);
        let reasoning = output / 3;
        let tokens = Tokens { input, output, cache_read: read, cache_write: written, reasoning };
        let nanos = table.price("p", "m").unwrap().of(&tokens).unwrap().nanos();
        let [mut a, mut b, c, d, e] = digits;
        if input > 128_000 {
            a = above[0].unwrap_or(a);
            b = above[1].unwrap_or(b);
        }
        let parts = [
            (input - read - written, a),
            (output - reasoning, b),
            (read, c),
            (written, d),
            (reasoning, e),
        ];
        let all: i128 = parts.iter().map(|(tokens, price)| i128::from(*tokens) * i128::from(*price)).sum();
        // In units of 10^-exponent USD; twice the distance to any whole nano is at most one.
        let (exact, nano) = match exponent - 9 {
            more @ 0.. => (all, 10_i128.pow(more as u32)),
            less => (all * 10_i128.pow(less.unsigned_abs()), 1),
        };
        let twice = 2 * (exact - i128::from(nanos) * nano);
        prop_assert!(twice.abs() <= nano);
        if twice.abs() == nano {
            prop_assert_eq!(nanos % 2, 0);
        }
    }
}
