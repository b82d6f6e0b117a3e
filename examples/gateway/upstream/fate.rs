//! What becomes of one attempt: how long it takes and how it ends, drawn from the seed.
//!
//! The dice of an attempt are made of the seed, the provider and the request's id, so a run with
//! the same seed meets the same luck whatever the order in which things happen. Incidents hang on
//! the played time instead: now and then one provider is slow and failing for twenty seconds.

use std::time::Duration;

use crate::catalog::{Model, PROVIDERS, Provider};
use crate::chat::Chat;
use crate::dice::{self, Dice};

/// All times are in the played world, before `--speed`.
pub(super) struct Fate {
    pub(super) first_token: Duration,
    pub(super) tokens_per_second: f64,
    pub(super) answer_tokens: u64,
    pub(super) ending: Ending,
}

pub(super) enum Ending {
    Whole,
    /// An error status instead of an answer.
    Refusal(u16),
    /// Nothing, ever.
    Hang,
    /// The connection ends after this many tokens.
    Break(u64),
}

const INCIDENT_EVERY_SECONDS: u64 = 90;
const INCIDENT_LASTS_SECONDS: u64 = 20;
const INCIDENT_CHANCE: f64 = 0.4;
const INCIDENT_FAULTS: f64 = 12.0;
const INCIDENT_SLOWNESS: f64 = 2.5;

/// How fast a prompt is read.
const PROMPT_TOKENS_PER_SECOND: f64 = 25_000.0;

pub(super) fn draw(
    seed: u64,
    provider: &Provider,
    model: &Model,
    chat: &Chat,
    request_id: &str,
    played: Duration,
) -> Fate {
    let mut dice = Dice::of(&[seed, dice::number(provider.name), dice::number(request_id)]);
    let (faults, slowness) = if incident(seed, provider, played) {
        (INCIDENT_FAULTS, INCIDENT_SLOWNESS)
    } else {
        (1.0, 1.0)
    };

    let answer_tokens = answer_tokens(chat, &mut dice);
    let straggles = if dice.chance(0.02) { 4.0 } else { 1.0 };
    let thinking = dice.log_normal(model.first_token_ms, 0.35) / 1e3 * slowness * straggles;
    let reading = chat.prompt_tokens() as f64 / PROMPT_TOKENS_PER_SECOND;
    let tokens_per_second = dice.log_normal(model.tokens_per_second, 0.15) / slowness;

    let ending = ending(provider, faults, answer_tokens, &mut dice);
    let first_token = match ending {
        // A refusal comes from the door, not from the model.
        Ending::Refusal(_) => dice.log_normal(0.045, 0.4),
        _ => thinking + reading,
    };
    Fate {
        first_token: Duration::from_secs_f64(first_token),
        tokens_per_second,
        answer_tokens,
        ending,
    }
}

fn ending(provider: &Provider, faults: f64, answer_tokens: u64, dice: &mut Dice) -> Ending {
    let mut roll = dice.unit() / faults;
    for (status, share) in provider.faults.statuses {
        roll -= share;
        if roll < 0.0 {
            return Ending::Refusal(*status);
        }
    }
    roll -= provider.faults.hangs;
    if roll < 0.0 {
        return Ending::Hang;
    }
    roll -= provider.faults.breaks;
    if roll < 0.0 {
        return Ending::Break(dice.below(answer_tokens));
    }
    Ending::Whole
}

fn incident(seed: u64, provider: &Provider, played: Duration) -> bool {
    let slot = played.as_secs() / INCIDENT_EVERY_SECONDS;
    let mut dice = Dice::of(&[seed, dice::number("incident"), slot]);
    let begins = dice.below(INCIDENT_EVERY_SECONDS - INCIDENT_LASTS_SECONDS);
    let second = played.as_secs() % INCIDENT_EVERY_SECONDS;
    let whom = dice.below(PROVIDERS.len() as u64) as usize;
    dice.chance(INCIDENT_CHANCE)
        && (begins..begins + INCIDENT_LASTS_SECONDS).contains(&second)
        && PROVIDERS
            .get(whom)
            .is_some_and(|hit| hit.name == provider.name)
}

/// The length of the answer: what the prompt asks for with "exactly N tokens", else as it falls;
/// `max_tokens` at most.
fn answer_tokens(chat: &Chat, dice: &mut Dice) -> u64 {
    let natural = dice.log_normal(120.0, 0.6).clamp(8.0, 1_000.0) as u64;
    let wanted = chat
        .messages
        .last()
        .and_then(|message| asked_for(&message.text));
    let tokens = wanted.unwrap_or(natural).max(1);
    chat.max_tokens
        .map_or(tokens, |limit| tokens.min(u64::from(limit)))
}

fn asked_for(prompt: &str) -> Option<u64> {
    let (_, rest) = prompt.split_once("exactly ")?;
    let (number, _) = rest.split_once(" tokens")?;
    number.parse().ok().filter(|tokens| *tokens <= 100_000)
}
