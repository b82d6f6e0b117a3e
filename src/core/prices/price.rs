//! What a model's tokens cost, in whole numbers of 10⁻¹⁸ USD.

use crate::core::money::NanoUsd;
use serde_json::Value;
use std::collections::BTreeMap;

/// 10⁻¹⁸ USD for a token: up to some 18 USD.
type Atto = u64;

const ATTO_DIGITS: i32 = 18;
const ATTO_PER_NANO: u128 = 1_000_000_000;

/// The tokens of one call; `input` holds those of the cache, `output` those of reasoning.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tokens {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) cache_read: u64,
    pub(crate) cache_write: u64,
    pub(crate) reasoning: u64,
}

/// The prices of the kinds of tokens, as far as they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Prices {
    input: Option<Atto>,
    output: Option<Atto>,
    cache_read: Option<Atto>,
    cache_write: Option<Atto>,
    reasoning: Option<Atto>,
}

/// The prices of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Price {
    base: Prices,
    /// Those for prompts of more than so many tokens, the fewest first.
    above: Box<[(u64, Prices)]>,
}

impl Price {
    /// That of an entry; `None` if it has none per token, and what is wrong if one is no price.
    pub(super) fn read(entry: &Value) -> Result<Option<Self>, String> {
        let Value::Object(entry) = entry else {
            return Err("it must be an object".to_owned());
        };
        // By the number of tokens that a prompt has to exceed.
        let mut tiers: BTreeMap<u64, Prices> = BTreeMap::new();
        if let Some(Value::Array(ranges)) = entry.get("tiered_pricing") {
            for range in ranges {
                let mut prices = Prices::default();
                prices.read(range.as_object().into_iter().flatten())?;
                // Such as prices of something else than tokens.
                if prices == Prices::default() {
                    continue;
                }
                let from = range.pointer("/range/0").and_then(Value::as_f64);
                let from = from.filter(|from| (0.0..1e12).contains(from));
                let from = from.ok_or("tiered_pricing: each must have a range of tokens")?;
                tiers.insert(from as u64, prices);
            }
        }
        for (key, value) in entry {
            let (name, above) = tier(key).unwrap_or((key, 0));
            tiers.entry(above).or_default().read([(name, value)])?;
        }
        let base = tiers.remove(&0).unwrap_or_default();
        if base.input.is_none() && base.output.is_none() {
            return Ok(None);
        }
        tiers.retain(|_, prices| *prices != Prices::default());
        Ok(Some(Self {
            base,
            above: tiers.into_iter().collect(),
        }))
    }
}

impl Prices {
    /// Takes over those members that are prices.
    fn read<'e>(
        &mut self,
        members: impl IntoIterator<Item = (impl AsRef<str>, &'e Value)>,
    ) -> Result<(), String> {
        for (name, value) in members {
            if let Some(place) = self.place(name.as_ref()) {
                *place = price(name.as_ref(), value)?;
            }
        }
        Ok(())
    }

    fn place(&mut self, key: &str) -> Option<&mut Option<Atto>> {
        Some(match key {
            "input_cost_per_token" => &mut self.input,
            "output_cost_per_token" => &mut self.output,
            "cache_read_input_token_cost" => &mut self.cache_read,
            "cache_creation_input_token_cost" => &mut self.cache_write,
            "output_cost_per_reasoning_token" => &mut self.reasoning,
            _ => return None,
        })
    }
}

/// `input_cost_per_token_above_200k_tokens` is `input_cost_per_token` for more than 200,000 tokens.
fn tier(key: &str) -> Option<(&str, u64)> {
    let (name, rest) = key.split_once("_above_")?;
    let thousands: u64 = rest.strip_suffix("k_tokens")?.parse().ok()?;
    Some((name, thousands.checked_mul(1_000)?))
}

fn price(key: &str, value: &Value) -> Result<Option<Atto>, String> {
    let wrong = || format!("{key} is {value}; it must be from 0 to 18 USD for a token");
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => {
            let usd = number.as_f64().ok_or_else(wrong)?;
            atto(usd).map(Some).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

/// The price exactly as its shortest decimal is written.
fn atto(usd: f64) -> Option<Atto> {
    if !(0.0..18.0).contains(&usd) {
        return None;
    }
    let text = format!("{usd:e}");
    let (mantissa, exponent) = text.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let shift = ATTO_DIGITS + exponent - i32::try_from(fraction.len()).ok()?;
    let power = 10_u128.checked_pow(shift.unsigned_abs());
    let amount = match shift {
        0.. => digits.checked_mul(power?)?,
        // Finer than that; a price so small is none.
        _ => digits.checked_div(power.unwrap_or(u128::MAX))?,
    };
    Atto::try_from(amount).ok()
}

impl Price {
    /// What so many tokens cost, rounded half to even; `None` if there is no price for some of them,
    /// or beyond some nine billion USD.
    pub(crate) fn of(&self, tokens: &Tokens) -> Option<NanoUsd> {
        let longer = |(above, _): &&(u64, Prices)| tokens.input > *above;
        let tier = self.above.iter().rev().find(longer).map(|(_, p)| *p);
        let tier = tier.unwrap_or_default();
        let base = &self.base;
        let input = tier.input.or(base.input);
        let output = tier.output.or(base.output);
        let cache_read = tier.cache_read.or(base.cache_read).or(input);
        let cache_write = tier.cache_write.or(base.cache_write).or(input);
        let reasoning = tier.reasoning.or(base.reasoning).or(output);

        // More of the cache than there is input is the cache's all the same.
        let uncached = tokens.input.saturating_sub(tokens.cache_read);
        let uncached = uncached.saturating_sub(tokens.cache_write);
        let spoken = tokens.output.saturating_sub(tokens.reasoning);
        let parts = [
            (uncached, input),
            (tokens.cache_read, cache_read),
            (tokens.cache_write, cache_write),
            (spoken, output),
            (tokens.reasoning, reasoning),
        ];
        let mut used = parts.iter().filter(|(tokens, _)| *tokens > 0);
        let sum = used.try_fold(0_u128, |sum, (tokens, price)| {
            sum.checked_add(u128::from(*tokens).checked_mul(u128::from((*price)?))?)
        })?;
        let (nanos, rest) = (sum / ATTO_PER_NANO, sum % ATTO_PER_NANO);
        let up = match (rest * 2).cmp(&ATTO_PER_NANO) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => nanos % 2 == 1,
            std::cmp::Ordering::Greater => true,
        };
        let nanos = nanos.checked_add(u128::from(up))?;
        i64::try_from(nanos).ok().map(NanoUsd::from_nanos)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.above)
    }
}
