//! What a request asks for, out of its query.

use super::problem::Problem;
use crate::core::labels::is_unprintable;
use axum::{
    extract::Query,
    http::{StatusCode, Uri},
};
use std::time::Duration;

/// The parameter that says which time the answer is about.
pub(crate) const WINDOW: &str = "window";
/// The parameter that takes one provider of many.
pub(crate) const PROVIDER: &str = "provider";
/// The parameter that takes one endpoint of many.
pub(crate) const ENDPOINT: &str = "endpoint";

/// Units of a window, and their seconds, largest first.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Asked {
    /// The last so much.
    pub(crate) window: Option<Duration>,
    /// Only the provider or endpoint of this name.
    pub(crate) only: Option<String>,
}

impl Asked {
    /// From the query of `uri`, which may have the parameters `known`, each once.
    pub(crate) fn parse(
        uri: &Uri,
        known: &'static [&'static str],
        retention: Duration,
    ) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| {
            bad("The query cannot be read.")
                .field("query")
                .allowed(known.iter().copied())
        })?;
        let mut asked = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in pairs {
            let Some(name) = known.iter().copied().find(|known| *known == name) else {
                return Err(bad("This route has no such parameter.")
                    .field(shown(&name))
                    .allowed(known.iter().copied()));
            };
            if seen.contains(&name) {
                return Err(bad("This parameter may be given once.").field(name));
            }
            seen.push(name);
            if name == WINDOW {
                asked.window = Some(window(&value, retention)?);
            } else {
                asked.only = Some(value);
            }
        }
        Ok(asked)
    }
}

fn window(text: &str, retention: Duration) -> Result<Duration, Problem> {
    let longest = at_most(retention);
    let refused = |detail: String| {
        let forms = UNITS.iter().rev().map(|(unit, _)| format!("<n>{unit}"));
        bad(detail).field(WINDOW).allowed(forms)
    };
    let unit = text.chars().last();
    let unit = unit.and_then(|last| UNITS.iter().find(|(unit, _)| *unit == last));
    let number = unit.and_then(|(unit, _)| text.strip_suffix(*unit));
    let number = number.filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let (Some((_, seconds)), Some(number)) = (unit, number) else {
        return Err(refused(format!(
            "A window is a whole number and a unit, such as 5m: longer than zero, at most {longest}."
        )));
    };
    // Only digits, so a number that does not fit is a large one.
    let number: u64 = number.parse().unwrap_or(u64::MAX);
    let window = Duration::from_secs(number.saturating_mul(*seconds));
    if window.is_zero() {
        return Err(refused("A window has to be longer than zero.".to_owned()));
    }
    if window > retention {
        return Err(refused(format!(
            "The window is longer than what is kept: at most {longest}."
        )));
    }
    Ok(window)
}

/// The longest window within `retention`, as it is written in a query.
fn at_most(retention: Duration) -> String {
    let seconds = retention.as_secs();
    let whole = |(_, length): &&(char, u64)| seconds.is_multiple_of(*length);
    let (unit, length) = UNITS.iter().find(whole).unwrap_or(&('s', 1));
    format!("{}{unit}", seconds / length)
}

/// The name of a parameter, as much of it as can be shown.
fn shown(name: &str) -> String {
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

    fn parse(query: &str) -> Result<Asked, Problem> {
        let uri = format!("/performance/providers?{query}").parse().unwrap();
        Asked::parse(&uri, &[WINDOW, PROVIDER], DAY)
    }

    fn window_of(query: &str) -> Option<u64> {
        let asked = parse(&format!("window={query}")).ok()?;
        asked.window.map(|window| window.as_secs())
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
            parse("provider=a%26b").unwrap().only.as_deref(),
            Some("a&b")
        );
        assert!(parse("window=5m&window=5m").is_err());
        assert!(parse("windows=5m").is_err());
        assert!(parse("Window=5m").is_err());
        assert!(parse("endpoint=/x").is_err());
    }

    #[test]
    fn the_longest_window_is_written_as_it_is_asked_for() {
        assert_eq!(at_most(DAY), "1d");
        assert_eq!(at_most(Duration::from_secs(36 * 3_600)), "36h");
        assert_eq!(at_most(Duration::from_millis(90_500)), "90s");
    }
}
