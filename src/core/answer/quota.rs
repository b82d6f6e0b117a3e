//! What the head of an answer says is left of a quota.

use crate::{clock::Timestamp, core::moment};
use std::time::Duration;

/// A longer time than this is none that a quota takes to be refilled.
const LONGEST: f64 = 366.0 * 86_400.0;

/// One quota, as far as it is told.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Quota {
    pub(crate) limit: Option<u64>,
    pub(crate) remaining: Option<u64>,
    pub(crate) resets_at: Option<Timestamp>,
}

/// The quotas of one answer.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Quotas {
    pub(crate) requests: Quota,
    pub(crate) tokens: Quota,
    pub(crate) input_tokens: Quota,
    pub(crate) output_tokens: Quota,
}

/// The headers of one quota: its limit, what remains, and when it is whole again.
type Names = [&'static str; 3];

/// OpenAI's, and those who took them over (Groq, Mistral, Together):
/// <https://platform.openai.com/docs/guides/rate-limits>.
const OPENAI_REQUESTS: Names = [
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
];
const OPENAI_TOKENS: Names = [
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
];
/// Cerebras': <https://inference-docs.cerebras.ai/support/rate-limits>.
const CEREBRAS_REQUESTS: Names = [
    "x-ratelimit-limit-requests-day",
    "x-ratelimit-remaining-requests-day",
    "x-ratelimit-reset-requests-day",
];
const CEREBRAS_TOKENS: Names = [
    "x-ratelimit-limit-tokens-minute",
    "x-ratelimit-remaining-tokens-minute",
    "x-ratelimit-reset-tokens-minute",
];
/// Anthropic's: <https://docs.claude.com/en/api/rate-limits>.
const ANTHROPIC_REQUESTS: Names = [
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
];
const ANTHROPIC_TOKENS: Names = [
    "anthropic-ratelimit-tokens-limit",
    "anthropic-ratelimit-tokens-remaining",
    "anthropic-ratelimit-tokens-reset",
];
const ANTHROPIC_INPUT_TOKENS: Names = [
    "anthropic-ratelimit-input-tokens-limit",
    "anthropic-ratelimit-input-tokens-remaining",
    "anthropic-ratelimit-input-tokens-reset",
];
const ANTHROPIC_OUTPUT_TOKENS: Names = [
    "anthropic-ratelimit-output-tokens-limit",
    "anthropic-ratelimit-output-tokens-remaining",
    "anthropic-ratelimit-output-tokens-reset",
];

impl Quotas {
    /// What the headers say that `header` finds by their names in small letters; what is no amount
    /// or no time is left out.
    pub(crate) fn read<'h>(header: impl Fn(&str) -> Option<&'h str>, now: Timestamp) -> Self {
        let first = |all: &[Names]| {
            let told = all.iter().map(|names| quota(names, &header, now));
            let mut told = told.filter(|quota| *quota != Quota::default());
            told.next().unwrap_or_default()
        };
        Self {
            requests: first(&[OPENAI_REQUESTS, ANTHROPIC_REQUESTS, CEREBRAS_REQUESTS]),
            tokens: first(&[OPENAI_TOKENS, ANTHROPIC_TOKENS, CEREBRAS_TOKENS]),
            input_tokens: first(&[ANTHROPIC_INPUT_TOKENS]),
            output_tokens: first(&[ANTHROPIC_OUTPUT_TOKENS]),
        }
    }
}

fn quota<'h>(
    [limit, remaining, reset]: &Names,
    header: &impl Fn(&str) -> Option<&'h str>,
    now: Timestamp,
) -> Quota {
    let amount = |name: &str| header(name)?.trim_ascii().parse::<u64>().ok();
    Quota {
        limit: amount(limit),
        remaining: amount(remaining),
        resets_at: header(reset).and_then(|text| resets_at(text.trim_ascii(), now)),
    }
}

/// A date, or how long it takes: `1s`, `6m0s`, `1h2m3.5s`, `20ms`, or seconds alone.
fn resets_at(text: &str, now: Timestamp) -> Option<Timestamp> {
    if text.contains('T') {
        return moment::parse(text);
    }
    let seconds = text.parse().ok().or_else(|| seconds(text));
    let seconds = seconds.filter(|seconds: &f64| (0.0..=LONGEST).contains(seconds))?;
    Some(now.after(Duration::from_secs_f64(seconds)))
}

fn seconds(mut text: &str) -> Option<f64> {
    let mut sum = None;
    while !text.is_empty() {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, rest) = text.split_at_checked(end)?;
        let number: f64 = number.parse().ok()?;
        let units = [
            ("ms", 1e-3),
            ("d", 86_400.0),
            ("h", 3_600.0),
            ("m", 60.0),
            ("s", 1.0),
        ];
        let found = units.iter().find_map(|(unit, seconds)| {
            let rest = rest.strip_prefix(unit)?;
            Some((rest, seconds))
        });
        let (rest, unit) = found?;
        sum = Some(sum.unwrap_or(0.0) + number * unit);
        text = rest;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn read(headers: &[(&str, &'static str)]) -> Quotas {
        let header = |name: &str| {
            let found = headers.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| *value)
        };
        Quotas::read(header, Timestamp::from_unix_nanos(NOW * 1_000_000_000))
    }

    fn resets_in(text: &'static str) -> Option<f64> {
        let requests = read(&[("x-ratelimit-reset-requests", text)]).requests;
        let at = requests.resets_at.map(Timestamp::as_unix_seconds);
        at.map(|at| ((at - NOW as f64) * 1e3).round() / 1e3)
    }

    #[test]
    fn each_providers_headers_are_understood() {
        let openai = read(&[
            ("x-ratelimit-limit-requests", "500"),
            ("x-ratelimit-remaining-requests", "499"),
            ("x-ratelimit-reset-requests", "120ms"),
            ("x-ratelimit-remaining-tokens", "29999"),
            ("x-ratelimit-limit-requests-day", "14400"),
        ]);
        assert_eq!(openai.requests.limit, Some(500));
        assert_eq!(openai.requests.remaining, Some(499));
        assert_eq!(openai.tokens.remaining, Some(29_999));
        assert_eq!(openai.tokens.limit, None);
        let cerebras = read(&[
            ("x-ratelimit-limit-requests-day", "14400"),
            ("x-ratelimit-remaining-tokens-minute", "60000"),
            ("x-ratelimit-reset-tokens-minute", "11.382883"),
        ]);
        assert_eq!(cerebras.requests.limit, Some(14_400));
        assert_eq!(cerebras.tokens.remaining, Some(60_000));
        let at = cerebras.tokens.resets_at.map(Timestamp::as_unix_seconds);
        assert!(at.is_some_and(|at| (at - 1_800_000_011.382_883).abs() < 1e-3));
        let anthropic = read(&[
            ("anthropic-ratelimit-input-tokens-limit", "50000"),
            ("anthropic-ratelimit-input-tokens-remaining", "0"),
            (
                "anthropic-ratelimit-input-tokens-reset",
                "2027-01-15T08:00:30Z",
            ),
        ]);
        assert_eq!(anthropic.input_tokens.remaining, Some(0));
        let at = anthropic
            .input_tokens
            .resets_at
            .map(Timestamp::as_unix_seconds);
        assert_eq!(at, Some(1_800_000_030.0));
        assert_eq!(read(&[]), Quotas::default());
    }

    #[test]
    fn times_to_wait_are_understood() {
        for (text, seconds) in [
            ("1s", 1.0),
            ("6m0s", 360.0),
            ("1h2m3.5s", 3_723.5),
            ("20ms", 0.02),
            ("1m20ms", 60.02),
            ("30", 30.0),
            ("0", 0.0),
            ("1d", 86_400.0),
        ] {
            assert_eq!(resets_in(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_and_no_time_is_left_out() {
        for text in [
            "-1s",
            "NaN",
            "inf",
            "1e300",
            "s",
            "1",
            "5x",
            "é",
            "",
            "1s5",
            "T",
            "99999999d",
        ] {
            let told = resets_in(text);
            assert!(told.is_none() || text == "1", "{text}: {told:?}");
        }
        for text in ["-1", "1.5", "1e3", "99999999999999999999", "many", ""] {
            let told = read(&[("x-ratelimit-limit-requests", text)]);
            assert_eq!(told.requests.limit, None, "{text}");
        }
    }
}
