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
        ("openai", "gpt-4.1", None),
        ("azure", "gpt-4o", Some(2_750_000_000)),
        ("azure.ai.openai", "gpt-4o-2024-08-06", Some(2_750_000_000)),
        ("groq", "llama-3.1-8b-instant", Some(50_000_000)),
        ("anthropic", "claude-x-20250101", Some(3_000_000_000)),
        ("gcp.vertex_ai", "claude-y@20250101", Some(4_000_000_000)),
        ("aws.bedrock", "eu.claude-x-v1:0", Some(6_000_000_000)),
        // Another's price is none, where the table knows the provider.
        ("groq", "gpt-4o", None),
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
        digits in prop::array::uniform4(0..100_000_u64),
        exponent in 6..14_i32,
        input in 0..2_000_000_u64,
        output in 0..200_000_u64,
        cached in 0..100_u64,
    ) {
        let [a, b, c, d] = digits;
        let text = |digits: u64| format!("{digits}e-{exponent}");
        let json = format!(
            r#"{{"m": {{"litellm_provider": "p", "input_cost_per_token": {}, "output_cost_per_token": {},
                "cache_read_input_token_cost": {}, "output_cost_per_reasoning_token": {}}}}}"#,
            text(a), text(b), text(c), text(d),
        );
        let table = PriceTable::from_json(&json).unwrap();
        let read = input * cached / 100;
        let tokens = Tokens { input, output, cache_read: read, cache_write: 0, reasoning: output / 3 };
        let nanos = table.price("p", "m").unwrap().of(&tokens).unwrap().nanos();
        let all = u128::from(input - read) * u128::from(a)
            + u128::from(read) * u128::from(c)
            + u128::from(output - output / 3) * u128::from(b)
            + u128::from(output / 3) * u128::from(d);
        // In units of 10^-exponent USD; twice the distance to any whole nano is at most one.
        let (exact, nano) = match exponent - 9 {
            more @ 0.. => (all as i128, 10_i128.pow(more as u32)),
            less => (all as i128 * 10_i128.pow(less.unsigned_abs()), 1),
        };
        let twice = 2 * (exact - i128::from(nanos) * nano);
        prop_assert!(twice.abs() <= nano);
        if twice.abs() == nano {
            prop_assert_eq!(nanos % 2, 0);
        }
    }
}
