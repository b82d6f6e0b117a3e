//! The seeded generator: an endless run of days, each ten minutes long.
//!
//! Five kinds of clients come and go with the hour. People chat most around eleven and four,
//! editors complete code in the same hours, agents work round the clock, a batch job comes in
//! bursts that run into its rate limit, and now and then somebody sends nonsense. One request in
//! ten asks what was asked before, and may be answered from the cache.

use std::time::Duration;

use super::shot::{Ask, Question, Shot};
use crate::dialect::Dialect;
use crate::dice::{self, Dice};
use crate::proxy::{HEALTH, MODELS};

const DAY_SECONDS: f64 = 600.0;
/// The first request comes at this hour.
const FIRST_HOUR: f64 = 9.0;
/// Above the sum of all clients' rates at any time.
const HIGHEST_RATE: f64 = 40.0;
/// Topics that many ask about.
const COMMON_TOPICS: u64 = 12;

#[derive(Clone, Copy)]
enum Who {
    People,
    Editors,
    Agents,
    Batch,
    Strangers,
    Probes,
}

pub(super) struct Day {
    dice: Dice,
    seconds: f64,
    sent: u64,
}

impl Day {
    pub(super) fn new(seed: u64) -> Self {
        let dice = Dice::of(&[seed, dice::number("day")]);
        Self {
            dice,
            seconds: 0.0,
            sent: 0,
        }
    }
}

impl Iterator for Day {
    type Item = Shot;

    /// Thinning: arrivals at the highest rate, of which those are kept that the hour allows.
    fn next(&mut self) -> Option<Shot> {
        loop {
            self.seconds += self.dice.gap_seconds(HIGHEST_RATE);
            let rates = rates(self.seconds);
            let rate: f64 = rates.iter().map(|(_, rate)| rate).sum();
            if self.dice.chance(rate / HIGHEST_RATE) {
                let who = self.dice.pick(Who::People, &rates);
                self.sent += 1;
                return Some(Shot {
                    at: Duration::from_secs_f64(self.seconds),
                    id: format!("day-{}", self.sent),
                    client: client(who, &mut self.dice),
                    ask: self.ask(who),
                });
            }
        }
    }
}

/// Requests per second of each kind of client at this second.
fn rates(seconds: f64) -> [(Who, f64); 6] {
    let hour = (FIRST_HOUR + 24.0 * seconds / DAY_SECONDS) % 24.0;
    let peak = |at: f64, width: f64| (-((hour - at) / width).powi(2)).exp();
    let busy = peak(11.0, 2.5) + peak(16.0, 3.0);
    let burst = seconds % 50.0 > 46.0;
    [
        (Who::People, 0.5 + 5.0 * busy),
        (Who::Editors, 0.3 + 4.0 * busy),
        (Who::Agents, 2.0),
        (Who::Batch, if burst { 20.0 } else { 0.1 }),
        (Who::Strangers, 0.15),
        (Who::Probes, 0.2),
    ]
}

fn client(who: Who, dice: &mut Dice) -> &'static str {
    let people = [
        ("key-ann", 1.0),
        ("key-bob", 1.0),
        ("key-cleo", 1.0),
        ("key-dan", 1.0),
    ];
    let editors = [
        ("key-editor-1", 1.0),
        ("key-editor-2", 1.0),
        ("key-editor-3", 1.0),
    ];
    match who {
        Who::People => dice.pick("key-ann", &people),
        Who::Editors => dice.pick("key-editor-1", &editors),
        Who::Agents => "key-agents",
        Who::Batch => "key-batch",
        Who::Strangers => "key-stranger",
        Who::Probes => "key-probe",
    }
}

impl Day {
    fn ask(&mut self, who: Who) -> Ask {
        use Dialect::{Anthropic, OpenAi};
        let dice = &mut self.dice;
        let (dialect, model, stream, prompt, answer) = match who {
            Who::People => {
                let models = [
                    ("gpt-4o", 4.0),
                    ("gpt-4o-mini", 4.0),
                    ("claude-sonnet-4-5", 2.0),
                    ("llama3.1-70b", 2.0),
                ];
                (OpenAi, dice.pick("gpt-4o", &models), true, 400.0, 130.0)
            }
            Who::Editors => {
                let models = [
                    ("llama3.1-8b", 6.0),
                    ("llama3.1-70b", 3.0),
                    ("gpt-4o-mini", 1.0),
                ];
                (
                    OpenAi,
                    dice.pick("llama3.1-8b", &models),
                    false,
                    1_500.0,
                    14.0,
                )
            }
            Who::Agents => {
                let models = [
                    ("claude-sonnet-4-5", 4.0),
                    ("claude-haiku-4-5", 5.0),
                    ("gpt-4o", 1.0),
                ];
                (
                    Anthropic,
                    dice.pick("claude-haiku-4-5", &models),
                    true,
                    2_500.0,
                    160.0,
                )
            }
            Who::Batch => (OpenAi, "gpt-4o-mini", false, 700.0, 40.0),
            Who::Strangers => {
                let dialect = dice.pick(OpenAi, &[(OpenAi, 1.0), (Anthropic, 1.0)]);
                if dice.chance(0.6) {
                    return Ask::Nonsense(dialect);
                }
                (dialect, "gpt-9-ultra", false, 50.0, 10.0)
            }
            Who::Probes => return Ask::Get(dice.pick(HEALTH, &[(HEALTH, 4.0), (MODELS, 1.0)])),
        };
        if dice.chance(0.1) {
            return Ask::Chat(common(dialect, model, stream, dice));
        }
        let answer_tokens = dice.log_normal(answer, 0.7).clamp(1.0, 1_500.0) as u64;
        Ask::Chat(Question {
            dialect,
            model,
            stream,
            prompt_tokens: dice.log_normal(prompt, 0.8).clamp(16.0, 8_000.0) as u64,
            answer_tokens,
            topic: COMMON_TOPICS + self.sent,
            hang_up: stream && answer_tokens > 150 && dice.chance(0.03),
        })
    }
}

fn common(dialect: Dialect, model: &'static str, stream: bool, dice: &mut Dice) -> Question {
    let topic = dice.below(COMMON_TOPICS);
    Question {
        dialect,
        model,
        stream,
        prompt_tokens: 30 + topic,
        answer_tokens: 60,
        topic,
        hang_up: false,
    }
}
