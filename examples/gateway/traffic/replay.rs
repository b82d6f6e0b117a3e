//! `--replay FILE`: the requests of a recorded trace, `TIMESTAMP,ContextTokens,GeneratedTokens`.
//!
//! Arrivals and sizes are the trace's. It does not say who was asked and how, so a rule does, with
//! dice made of the seed and the row's number, thrown in this order:
//!
//! 1. the client: one of four keys, weighted 35 : 30 : 20 : 15;
//! 2. the model, and by it the provider: `llama3.1-8b` 25, `llama3.1-70b` 20, `gpt-4o-mini` 20,
//!    `gpt-4o` 15, `claude-haiku-4-5` 12, `claude-sonnet-4-5` 8 of 100;
//! 3. the endpoint: Claude models by Anthropic's for 3 of 4 requests, the others by OpenAI's for
//!    9 of 10;
//! 4. streamed: 6 of 10;
//! 5. one row in twenty repeats, sizes and all, the question of one of the 200 rows before it, which
//!    the cache may answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::shot::{Ask, Question, Shot};
use crate::dialect::Dialect;
use crate::dice::{self, Dice};

/// The largest sizes that a row may have.
const LARGEST_CONTEXT: u64 = 1_000_000;
const LARGEST_ANSWER: u64 = 100_000;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error("cannot read {} (--replay)", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}:{line}: {what} (--replay takes TIMESTAMP,ContextTokens,GeneratedTokens)", path.display())]
    Row {
        path: PathBuf,
        line: usize,
        what: &'static str,
    },
    #[error("{}: no rows (--replay)", path.display())]
    Empty { path: PathBuf },
}

struct Row {
    seconds: f64,
    context_tokens: u64,
    generated_tokens: u64,
}

/// Reads the whole file before the first request is sent, so that a bad row ends it at once.
pub(super) fn read(path: &Path, seed: u64) -> Result<Vec<Shot>, ReplayError> {
    let text = std::fs::read_to_string(path).map_err(|source| ReplayError::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut rows = Vec::new();
    for (at, line) in text.lines().enumerate().skip(1) {
        if line.trim().is_empty() {
            continue;
        }
        let row = row(line).map_err(|what| ReplayError::Row {
            path: path.to_owned(),
            line: at + 1,
            what,
        })?;
        rows.push(row);
    }
    rows.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
    let Some(first) = rows.first().map(|row| row.seconds) else {
        return Err(ReplayError::Empty {
            path: path.to_owned(),
        });
    };
    let mut shots: Vec<Shot> = Vec::with_capacity(rows.len());
    for (number, row) in rows.iter().enumerate() {
        let at = Duration::from_secs_f64(row.seconds - first);
        let shot = shot(seed, number, at, row, &shots);
        shots.push(shot);
    }
    Ok(shots)
}

fn shot(seed: u64, number: usize, at: Duration, row: &Row, before: &[Shot]) -> Shot {
    let mut dice = Dice::of(&[seed, dice::number("replay"), number as u64]);
    let client = dice.pick(
        "key-one",
        &[
            ("key-one", 35.0),
            ("key-two", 30.0),
            ("key-three", 20.0),
            ("key-four", 15.0),
        ],
    );
    let model = dice.pick(
        "llama3.1-8b",
        &[
            ("llama3.1-8b", 25.0),
            ("llama3.1-70b", 20.0),
            ("gpt-4o-mini", 20.0),
            ("gpt-4o", 15.0),
            ("claude-haiku-4-5", 12.0),
            ("claude-sonnet-4-5", 8.0),
        ],
    );
    let anthropic = if model.starts_with("claude") {
        0.75
    } else {
        0.1
    };
    let dialect = match dice.chance(anthropic) {
        true => Dialect::Anthropic,
        false => Dialect::OpenAi,
    };
    let stream = dice.chance(0.6);
    let repeats = dice.chance(0.05);
    let back = 1 + dice.below(200) as usize;
    let earlier = number
        .checked_sub(back)
        .and_then(|earlier| before.get(earlier));
    let ask = match earlier {
        Some(earlier) if repeats => earlier.ask.clone(),
        _ => Ask::Chat(Question {
            dialect,
            model,
            stream,
            prompt_tokens: row.context_tokens,
            answer_tokens: row.generated_tokens.max(1),
            topic: number as u64,
            hang_up: false,
        }),
    };
    Shot {
        at,
        id: format!("row-{}", number + 1),
        client,
        ask,
    }
}

fn row(line: &str) -> Result<Row, &'static str> {
    let mut fields = line.split(',').map(str::trim);
    let (Some(time), Some(context), Some(generated), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err("three fields are expected");
    };
    let tokens = |text: &str, largest| text.parse().ok().filter(|tokens| *tokens <= largest);
    Ok(Row {
        seconds: seconds(time).ok_or("the time is not like 2023-11-16 18:17:03.9799600")?,
        context_tokens: tokens(context, LARGEST_CONTEXT)
            .ok_or("ContextTokens is not a number up to 1000000")?,
        generated_tokens: tokens(generated, LARGEST_ANSWER)
            .ok_or("GeneratedTokens is not a number up to 100000")?,
    })
}

/// Seconds since the year 0 of a time in UTC, `YYYY-MM-DD HH:MM:SS[.fraction]`.
fn seconds(text: &str) -> Option<f64> {
    let text = text.trim_end_matches("+00:00").trim_end_matches('Z');
    let (date, time) = text.split_once([' ', 'T'])?;
    let [year, month, day] = three(date, '-')?;
    let [hour, minute, second] = three(time, ':')?;
    let valid = (1.0..=9_999.0).contains(&year)
        && (1.0..=12.0).contains(&month)
        && (1.0..=31.0).contains(&day)
        && (0.0..24.0).contains(&hour)
        && (0.0..60.0).contains(&minute)
        && (0.0..61.0).contains(&second);
    if !valid {
        return None;
    }
    // Counted from March, leap days come last in the year, and a formula gives the months.
    let (year, month) = if month < 3.0 {
        (year - 1.0, month + 9.0)
    } else {
        (year, month - 3.0)
    };
    let leap_days = (year / 4.0).floor() - (year / 100.0).floor() + (year / 400.0).floor();
    let days = 365.0 * year + leap_days + ((153.0 * month + 2.0) / 5.0).floor() + day;
    Some(((days * 24.0 + hour) * 60.0 + minute) * 60.0 + second)
}

fn three(text: &str, separator: char) -> Option<[f64; 3]> {
    let mut parts = text.split(separator).map(|part| part.parse().ok());
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> f64 {
        seconds(text).unwrap()
    }

    #[test]
    fn times_are_told_apart_across_leap_days() {
        let day = 86_400.0;
        assert_eq!(
            at("2024-03-01 00:00:00") - at("2024-02-28 00:00:00"),
            2.0 * day
        );
        assert_eq!(at("2023-03-01 00:00:00") - at("2023-02-28 00:00:00"), day);
        assert_eq!(
            at("2024-01-01T00:00:00Z") - at("2023-12-31 23:59:59.5+00:00"),
            0.5
        );
        for wrong in [
            "",
            "2023-11-16",
            "2023-13-01 00:00:00",
            "2023-11-16 24:00:00",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_row_needs_three_good_fields() {
        assert!(row("2023-11-16 18:17:03.97,3180,8").is_ok());
        for wrong in [
            "2023-11-16 18:17:03.97,3180",
            "2023-11-16 18:17:03.97,3180,8,9",
            "2023-11-16 18:17:03.97,-1,8",
            "2023-11-16 18:17:03.97,3180,100001",
            "now,3180,8",
        ] {
            assert!(row(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_rule_depends_on_the_seed_and_the_row_only() {
        let row = row("2023-11-16 18:17:03.97,3180,8").unwrap();
        let model = |seed, number| match shot(seed, number, Duration::ZERO, &row, &[]).ask {
            Ask::Chat(question) => (question.model, question.dialect, question.stream),
            Ask::Get(_) | Ask::Nonsense(_) => unreachable!("a row is a question"),
        };
        let models = |seed| {
            (0..50)
                .map(|number| model(seed, number))
                .collect::<Vec<_>>()
        };
        assert_eq!(models(1), models(1));
        assert_ne!(models(1), models(2));
    }
}
