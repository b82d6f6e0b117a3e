//! What a JSON text says of a change, field by field: whatever is wrong is named, with what is
//! allowed in its place.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::change::{Change, EventsChange, RemoveThreshold, SetThreshold, ThresholdChange, Wrong};
use super::json::{Json, join};
use super::{CHANGEABLE, scope};
use crate::core::alerts::rule::{AlertMetric, AlertScope, Comparison, Severity};
use crate::core::labels::is_unprintable;
use crate::core::settings::{INTERVALS, MAX_RETENTION, MAX_RULES};
use crate::core::span;
use crate::event_type::PerformanceEventType;

/// Characters of a name at the most, as in `NAME_PATTERN`.
const NAME: usize = 128;
/// The shortest and the longest window of a rule.
const WINDOWS: RangeInclusive<Duration> = Duration::from_secs(1)..=MAX_RETENTION;
/// Samples that a rule may ask for.
const MAX_SAMPLES: u64 = 1_000_000_000;

const RULE: [&str; 10] = [
    "id",
    "metric",
    "threshold",
    "comparison",
    "severity",
    "scope",
    "window",
    "for",
    "min_samples",
    "unless_a_provider_fails",
];

pub(super) fn change(json: Json) -> Result<Change, Wrong> {
    let mut fields = Fields::of(json, "", &CHANGEABLE)?;
    let (least, most) = INTERVALS;
    Ok(Change {
        collection_interval_seconds: fields
            .optional("collection_interval_seconds", |json, path| {
                seconds(&json, path, least..=most)
            })?,
        retention_seconds: fields.optional("retention_seconds", |json, path| {
            seconds(&json, path, least..=MAX_RETENTION)
        })?,
        events: fields.optional("events", events)?,
        alert_thresholds: fields
            .optional("alert_thresholds", thresholds)?
            .unwrap_or_default(),
    })
}

fn events(json: Json, path: &str) -> Result<EventsChange, Wrong> {
    let mut fields = Fields::of(json, path, &["types", "failures_only"])?;
    Ok(EventsChange {
        types: fields.optional("types", |json, path| {
            list(json, path, |json, path| {
                let known = PerformanceEventType::ALL.map(PerformanceEventType::as_str);
                one_of(&json, path, &known, PerformanceEventType::from_text)
            })
        })?,
        failures_only: fields.optional("failures_only", flag)?,
    })
}

fn thresholds(json: Json, path: &str) -> Result<Vec<ThresholdChange>, Wrong> {
    let thresholds = list(json, path, threshold)?;
    if thresholds.len() > MAX_RULES {
        let detail = format!("These are {} rules at once.", thresholds.len());
        return Err(Wrong::refused(
            path,
            detail,
            [format!("at most {MAX_RULES}")],
        ));
    }
    Ok(thresholds)
}

fn threshold(json: Json, path: &str) -> Result<ThresholdChange, Wrong> {
    let removes =
        matches!(&json, Json::Map(fields) if fields.iter().any(|(name, _)| name == "remove"));
    if removes {
        let mut fields = Fields::of(json, path, &["id", "remove"])?;
        return Ok(ThresholdChange::Remove(RemoveThreshold {
            // Whatever its form, for there is such a rule or there is none.
            id: fields.required(
                "id",
                |json, path| match json {
                    Json::Text(text) => Ok(text),
                    _ => Err(Wrong::refused(path, "This is not a name.", name_forms())),
                },
                name_forms(),
            )?,
            remove: fields.required(
                "remove",
                |json, path| match json {
                    Json::Flag(true) => Ok(true),
                    _ => Err(Wrong::refused(
                        path,
                        "A rule is removed, or set without this field.",
                        ["true"],
                    )),
                },
                vec!["true".to_owned()],
            )?,
        }));
    }
    let metrics = AlertMetric::ALL.map(AlertMetric::name);
    let comparisons = Comparison::ALL.map(Comparison::symbol);
    let severities = Severity::ALL.map(Severity::name);
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let mut fields = Fields::of(json, path, &RULE)?;
    Ok(ThresholdChange::Set(SetThreshold {
        id: fields.optional("id", name)?,
        metric: fields.required(
            "metric",
            |json, path| one_of(&json, path, &metrics, AlertMetric::from_name),
            owned(&metrics),
        )?,
        threshold: fields.required(
            "threshold",
            |json, path| match json {
                Json::Number(number) if number.is_finite() => Ok(number),
                _ => Err(Wrong::refused(
                    path,
                    "This is not a number.",
                    ["a finite number"],
                )),
            },
            vec!["a finite number".to_owned()],
        )?,
        comparison: fields.required(
            "comparison",
            |json, path| one_of(&json, path, &comparisons, Comparison::from_symbol),
            owned(&comparisons),
        )?,
        severity: fields.required(
            "severity",
            |json, path| one_of(&json, path, &severities, Severity::from_name),
            owned(&severities),
        )?,
        scope: fields.optional("scope", scope)?,
        window: fields.optional("window", |json, path| length(&json, path, WINDOWS))?,
        pending_for: fields.optional("for", |json, path| {
            length(&json, path, Duration::ZERO..=MAX_RETENTION)
        })?,
        min_samples: fields.optional("min_samples", |json, path| match json {
            Json::Number(number)
                if number.fract() == 0.0 && (0.0..=MAX_SAMPLES as f64).contains(&number) =>
            {
                Ok(number as u64)
            }
            _ => Err(Wrong::refused(
                path,
                "This is not such a number of samples.",
                [format!("a whole number from 0 to {MAX_SAMPLES}")],
            )),
        })?,
        unless_a_provider_fails: fields.optional("unless_a_provider_fails", flag)?,
    }))
}

fn scope(json: Json, path: &str) -> Result<AlertScope, Wrong> {
    let unknown = || Wrong::refused(path, "This is none of the scopes.", scope_forms());
    let given = match &json {
        Json::Text(text) => return from_word(text).ok_or_else(unknown),
        Json::Map(fields) if !fields.is_empty() => fields,
        _ => return Err(unknown()),
    };
    if given.iter().any(|(name, _)| name == scope::ENDPOINT) {
        let mut fields = Fields::of(json, path, &[scope::ENDPOINT])?;
        let endpoint = fields.optional(scope::ENDPOINT, name)?;
        return endpoint.map(AlertScope::Endpoint).ok_or_else(unknown);
    }
    let mut fields = Fields::of(json, path, &[scope::PROVIDER, scope::MODEL])?;
    let provider = fields.optional(scope::PROVIDER, name)?;
    match (provider, fields.optional(scope::MODEL, name)?) {
        (Some(provider), Some(model)) => Ok(AlertScope::Model { provider, model }),
        (Some(provider), None) => Ok(AlertScope::Provider(provider)),
        (None, _) => Err(Wrong::refused(
            join(path, scope::PROVIDER),
            "A model is one of a provider.",
            scope_forms(),
        )),
    }
}

/// The scope that is this word.
fn from_word(text: &str) -> Option<AlertScope> {
    let known = scope::WORDS.into_iter().find(|(word, _)| *word == text);
    known.map(|(_, scope)| scope)
}

/// How a scope may be written.
fn scope_forms() -> impl Iterator<Item = String> {
    scope::forms().into_iter().map(|(form, _)| form)
}

/// The fields of one object, taken out one after the other.
struct Fields {
    path: String,
    fields: Vec<(String, Json)>,
}

impl Fields {
    /// Those of `json` at `path`, which may be these.
    fn of(json: Json, path: &str, known: &[&str]) -> Result<Self, Wrong> {
        let Json::Map(fields) = json else {
            let forms = known.iter().copied();
            return Err(Wrong::refused(
                path,
                "This is to be an object with these fields.",
                forms,
            ));
        };
        let unknown = fields
            .iter()
            .find(|(name, _)| !known.contains(&name.as_str()));
        if let Some((name, _)) = unknown {
            let known = known.iter().copied();
            return Err(Wrong::refused(
                join(path, name),
                "There is no such field here.",
                known,
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            fields,
        })
    }

    /// The field of that name, read by `read`, if it is there.
    fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Json, &str) -> Result<T, Wrong>,
    ) -> Result<Option<T>, Wrong> {
        let Some(at) = self.fields.iter().position(|(known, _)| known == name) else {
            return Ok(None);
        };
        let (_, json) = self.fields.swap_remove(at);
        read(json, &join(&self.path, name)).map(Some)
    }

    /// The field of that name, which has to be there and may be one of `allowed`.
    fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Json, &str) -> Result<T, Wrong>,
        allowed: Vec<String>,
    ) -> Result<T, Wrong> {
        let path = join(&self.path, name);
        let found = self.optional(name, read)?;
        found.ok_or_else(|| Wrong::refused(path, "This field is missing.", allowed))
    }
}

fn list<T>(
    json: Json,
    path: &str,
    read: impl Fn(Json, &str) -> Result<T, Wrong>,
) -> Result<Vec<T>, Wrong> {
    let Json::List(elements) = json else {
        return Err(Wrong::refused(path, "This is to be a list.", ["a list"]));
    };
    let elements = elements.into_iter().enumerate();
    elements
        .map(|(index, json)| read(json, &format!("{path}[{index}]")))
        .collect()
}

fn one_of<T>(
    json: &Json,
    path: &str,
    known: &[&str],
    from: impl Fn(&str) -> Option<T>,
) -> Result<T, Wrong> {
    let found = match json {
        Json::Text(text) => from(text),
        _ => None,
    };
    found.ok_or_else(|| {
        Wrong::refused(
            path,
            "This is none of what is known.",
            known.iter().copied(),
        )
    })
}

fn flag(json: Json, path: &str) -> Result<bool, Wrong> {
    match json {
        Json::Flag(flag) => Ok(flag),
        _ => Err(Wrong::refused(path, "This is a flag.", ["true", "false"])),
    }
}

/// A name: of a rule, a provider, a model or an endpoint.
fn name(json: Json, path: &str) -> Result<String, Wrong> {
    match json {
        Json::Text(text)
            if (1..=NAME).contains(&text.chars().count()) && !text.contains(is_unprintable) =>
        {
            Ok(text)
        }
        _ => Err(Wrong::refused(path, "This is not a name.", name_forms())),
    }
}

fn name_forms() -> Vec<String> {
    vec![format!("a text of 1 to {NAME} printable characters")]
}

fn seconds(json: &Json, path: &str, range: RangeInclusive<Duration>) -> Result<Duration, Wrong> {
    let seconds = match json {
        Json::Number(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
        _ => None,
    };
    seconds
        .filter(|seconds| range.contains(seconds))
        .ok_or_else(|| {
            let (least, most) = (range.start().as_secs_f64(), range.end().as_secs_f64());
            Wrong::refused(
                path,
                "This is not such a number of seconds.",
                [format!("a number from {least} to {most}")],
            )
        })
}

fn length(json: &Json, path: &str, range: RangeInclusive<Duration>) -> Result<Duration, Wrong> {
    let length = match json {
        Json::Text(text) => span::read(text),
        _ => None,
    };
    length
        .filter(|length| range.contains(length))
        .ok_or_else(|| {
            let (least, most) = (span::written(*range.start()), span::written(*range.end()));
            Wrong::refused(
                path,
                format!("This is not a length of time from {least} to {most}."),
                span::forms(),
            )
        })
}
