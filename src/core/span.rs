//! Lengths of time as people write them: `90s`, `5m`, `2h`, `1d`.
#![cfg_attr(
    not(feature = "server"),
    allow(dead_code, reason = "nobody writes any without it")
)]

use std::time::Duration;

/// Units, and their seconds, largest first.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// How a length of time is written, as a regular expression.
pub(crate) const PATTERN: &str = "^[0-9]+[smhd]$";

/// The forms in which a length of time may be written.
pub(crate) fn forms() -> impl Iterator<Item = String> {
    UNITS.iter().rev().map(|(unit, _)| format!("<n>{unit}"))
}

/// The length of time that `text` says, if it is written as one.
pub(crate) fn read(text: &str) -> Option<Duration> {
    let last = text.chars().last()?;
    let (unit, seconds) = UNITS.iter().find(|(unit, _)| *unit == last)?;
    let number = text.strip_suffix(*unit)?;
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Only digits, so a number that does not fit is a large one.
    let number: u64 = number.parse().unwrap_or(u64::MAX);
    Some(Duration::from_secs(number.saturating_mul(*seconds)))
}

/// A length of time in the largest unit of which it is a whole number; what is less than a second
/// is left out.
pub(crate) fn written(span: Duration) -> String {
    let seconds = span.as_secs();
    let whole = |(_, length): &&(char, u64)| seconds > 0 && seconds.is_multiple_of(*length);
    let (unit, length) = UNITS.iter().find(whole).unwrap_or(&('s', 1));
    format!("{}{unit}", seconds / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_in_the_largest_unit_that_fits() {
        for (seconds, text) in [
            (0, "0s"),
            (1, "1s"),
            (90, "90s"),
            (300, "5m"),
            (7_200, "2h"),
            (36 * 3_600, "36h"),
            (86_400, "1d"),
        ] {
            let span = Duration::from_secs(seconds);
            assert_eq!(written(span), text);
            assert_eq!(read(text), Some(span));
        }
        assert_eq!(written(Duration::from_millis(90_500)), "90s");
    }

    #[test]
    fn what_is_too_long_is_the_longest() {
        let longest = Some(Duration::from_secs(u64::MAX));
        assert_eq!(read("99999999999999999999999d"), longest);
        assert_eq!(read("18446744073709551615h"), longest);
    }
}
