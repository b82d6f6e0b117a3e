//! What a request asks for, out of its query: parameters of a declared kind, each once.

use super::problem::Problem;
use crate::{
    clock::Timestamp,
    core::{labels::is_unprintable, moment, span},
};
use axum::{
    extract::Query,
    http::{StatusCode, Uri},
};
use std::time::Duration;

/// A parameter of a query. To add one, declare it here or beside what takes it, and name it in
/// the table of routes: it is then parsed, refused where it is wrong, and described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    /// What it is for, in a sentence or two.
    pub(crate) about: &'static str,
    pub(crate) kind: Kind,
}

/// What values a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A length of time such as `5m`: longer than zero, and no longer than the retention.
    Span,
    /// Any text.
    Text,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A point in time: Unix seconds or RFC 3339.
    Moment,
}

/// Which time the answer is about.
pub(crate) const WINDOW: Parameter = Parameter {
    name: "window",
    about: "The last so much, at most the retention. Without it, all since the start; \
            for `/performance/real-time`, five minutes.",
    kind: Kind::Span,
};
/// One provider of many.
pub(crate) const PROVIDER: Parameter = Parameter {
    name: "provider",
    about: "Only the provider of this name.",
    kind: Kind::Text,
};
/// One endpoint of many.
pub(crate) const ENDPOINT: Parameter = Parameter {
    name: "endpoint",
    about: "Only the endpoint of this path.",
    kind: Kind::Text,
};

/// One experiment of many.
pub(crate) const EXPERIMENT: Parameter = Parameter {
    name: "experiment",
    about: "Only the experiment of this name.",
    kind: Kind::Text,
};

/// How a point in time is written.
pub(crate) const MOMENT_FORMS: [&str; 2] = ["<Unix seconds>", "<RFC 3339 date and time>"];

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Asked(Vec<(&'static str, Value)>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Span(Duration),
    Text(String),
    OneOf(&'static str),
    Moment(Timestamp),
}

impl Asked {
    /// From the query of `uri`, which may have the parameters `known`, each once.
    pub(crate) fn parse(
        uri: &Uri,
        known: &[Parameter],
        retention: Duration,
    ) -> Result<Self, Problem> {
        let names = || known.iter().map(|known| known.name);
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| {
            bad("The query cannot be read.")
                .field("query")
                .allowed(names())
        })?;
        let mut asked = Self::default();
        for (name, value) in pairs {
            let Some(parameter) = known.iter().find(|known| known.name == name) else {
                return Err(bad("This route has no such parameter.")
                    .field(shown(&name))
                    .allowed(names()));
            };
            if asked.get(parameter).is_some() {
                return Err(bad("This parameter may be given once.")
                    .field(parameter.name)
                    .allowed(["once"]));
            }
            let value = parameter.value(value, retention)?;
            asked.0.push((parameter.name, value));
        }
        Ok(asked)
    }

    fn get(&self, parameter: &Parameter) -> Option<&Value> {
        let given = self.0.iter().find(|(name, _)| *name == parameter.name);
        given.map(|(_, value)| value)
    }

    /// The length of time that was given.
    pub(crate) fn span(&self, parameter: &Parameter) -> Option<Duration> {
        match self.get(parameter)? {
            Value::Span(span) => Some(*span),
            _ => None,
        }
    }

    /// The text that was given.
    pub(crate) fn text(&self, parameter: &Parameter) -> Option<&str> {
        match self.get(parameter)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The choice that was made.
    pub(crate) fn one_of(&self, parameter: &Parameter) -> Option<&'static str> {
        match self.get(parameter)? {
            Value::OneOf(choice) => Some(choice),
            _ => None,
        }
    }

    /// The point in time that was given.
    pub(crate) fn moment(&self, parameter: &Parameter) -> Option<Timestamp> {
        match self.get(parameter)? {
            Value::Moment(moment) => Some(*moment),
            _ => None,
        }
    }

    /// That was asked for too: for tests.
    #[cfg(test)]
    pub(crate) fn with_span(mut self, parameter: &Parameter, span: Duration) -> Self {
        self.0.push((parameter.name, Value::Span(span)));
        self
    }
}

impl Parameter {
    fn value(&self, text: String, retention: Duration) -> Result<Value, Problem> {
        match self.kind {
            Kind::Span => window(self.name, &text, retention).map(Value::Span),
            Kind::Text => Ok(Value::Text(text)),
            Kind::OneOf(choices) => {
                let choice = choices.iter().find(|choice| **choice == text);
                choice.copied().map(Value::OneOf).ok_or_else(|| {
                    self.refused("This is not one of the choices.")
                        .allowed(choices.iter().copied())
                })
            }
            Kind::Moment => moment::parse(&text).map(Value::Moment).ok_or_else(|| {
                self.refused("A point in time is Unix seconds, or a date and time as in RFC 3339.")
                    .allowed(MOMENT_FORMS)
            }),
        }
    }

    /// The problem with a value of this parameter, for what only the route can tell.
    pub(crate) fn refused(&self, detail: impl Into<String>) -> Problem {
        bad(detail).field(self.name)
    }
}

/// The length of time that `text` says.
fn window(field: &str, text: &str, retention: Duration) -> Result<Duration, Problem> {
    let longest = span::written(retention);
    let refused = |detail: String| bad(detail).field(field).allowed(span::forms());
    let Some(window) = span::read(text) else {
        return Err(refused(format!(
            "This is a whole number and a unit, such as 5m: longer than zero, at most {longest}."
        )));
    };
    if window.is_zero() {
        return Err(refused("This has to be longer than zero.".to_owned()));
    }
    if window > retention {
        return Err(refused(format!(
            "This is longer than what is kept: at most {longest}."
        )));
    }
    Ok(window)
}

/// A name that was sent, as much of it as can be shown.
pub(crate) fn shown(name: &str) -> String {
    let printable = |c: char| if is_unprintable(c) { '\u{FFFD}' } else { c };
    name.chars().take(64).map(printable).collect()
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const FORMAT: Parameter = Parameter {
        name: "format",
        about: "",
        kind: Kind::OneOf(&["json", "csv"]),
    };
    const SINCE: Parameter = Parameter {
        name: "since",
        about: "",
        kind: Kind::Moment,
    };

    fn parse(query: &str) -> Result<Asked, Problem> {
        let uri = format!("/performance/providers?{query}").parse().unwrap();
        Asked::parse(&uri, &[WINDOW, PROVIDER, FORMAT, SINCE], DAY)
    }

    fn window_of(query: &str) -> Option<u64> {
        let asked = parse(&format!("window={query}")).ok()?;
        asked.span(&WINDOW).map(|window| window.as_secs())
    }

    #[test]
    fn a_window_is_a_number_and_a_unit() {
        assert_eq!(window_of("90s"), Some(90));
        assert_eq!(window_of("05m"), Some(300));
        assert_eq!(window_of("2h"), Some(7_200));
        assert_eq!(window_of("1d"), Some(86_400));
        assert_eq!(window_of("86400s"), Some(86_400));
    }

    #[test]
    fn any_other_window_is_refused() {
        let wrong = [
            "",
            "5",
            "m",
            "-5m",
            "%2B5m",
            "+5m",
            "5M",
            "5ms",
            "5%20m",
            "1.5h",
            "5m%00",
            "%35m%E2%80%8B",
            "0s",
            "0d",
            "86401s",
            "25h",
            "2d",
            "18446744073709551616s",
            "99999999999999999999999d",
            "%D9%A5m",
            "null",
        ];
        for window in wrong {
            assert_eq!(window_of(window), None, "{window}");
        }
        assert_eq!(window_of("%35m"), Some(300), "an escaped digit is a digit");
    }

    #[test]
    fn a_parameter_is_known_and_comes_once() {
        assert_eq!(parse("").unwrap(), Asked::default());
        assert_eq!(
            parse("provider=a%26b").unwrap().text(&PROVIDER),
            Some("a&b")
        );
        assert!(parse("window=5m&window=5m").is_err());
        assert!(parse("windows=5m").is_err());
        assert!(parse("Window=5m").is_err());
        assert!(parse("endpoint=/x").is_err());
    }

    #[test]
    fn a_choice_is_one_of_those_declared() {
        assert_eq!(parse("format=csv").unwrap().one_of(&FORMAT), Some("csv"));
        for wrong in ["", "CSV", "xml", "json,csv"] {
            assert!(parse(&format!("format={wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_moment_is_read() {
        let since = parse("since=12.5").unwrap().moment(&SINCE);
        assert_eq!(since, Some(Timestamp::from_unix_nanos(12_500_000_000)));
        assert!(parse("since=yesterday").is_err());
    }
}
