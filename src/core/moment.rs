//! Points in time as a caller writes them: Unix seconds, or RFC 3339.

use crate::clock::Timestamp;

const SECOND: u64 = 1_000_000_000;

/// The point in time that `text` says, from 1970 on; none if it is not one.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    unix_seconds(text).or_else(|| date_and_time(text))
}

/// Seconds with up to nine decimals.
fn unix_seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let seconds: u64 = digits(whole)?;
    let nanos = seconds.checked_mul(SECOND)?;
    Some(Timestamp::from_unix_nanos(
        nanos.checked_add(nanos_of(fraction)?)?,
    ))
}

/// `2026-11-24T21:02:52.5Z`, or with an offset in place of the `Z`.
fn date_and_time(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut parts = date.splitn(3, '-');
    let year = exactly(parts.next()?, 4)?;
    let month = exactly(parts.next()?, 2)?;
    let day = exactly(parts.next()?, 2)?;
    let at = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at_checked(at)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut parts = time.splitn(3, ':');
    let hour = exactly(parts.next()?, 2).filter(|hour| *hour < 24)?;
    let minute = exactly(parts.next()?, 2).filter(|minute| *minute < 60)?;
    // A leap second counts as the second after it.
    let second = exactly(parts.next()?, 2).filter(|second| *second <= 60)?;
    let days = days_since_1970(year, month, day)?;
    let local = days * 86_400 + i64::from(hour * 3_600 + minute * 60 + second);
    let seconds = u64::try_from(local - offset(zone)?).ok()?;
    let nanos = seconds.checked_mul(SECOND)?;
    Some(Timestamp::from_unix_nanos(
        nanos.checked_add(nanos_of(fraction)?)?,
    ))
}

/// Seconds east of Greenwich.
fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = match zone.strip_prefix('+') {
        Some(rest) => (1, rest),
        None => (-1, zone.strip_prefix('-')?),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let hours = exactly(hours, 2).filter(|hours| *hours < 24)?;
    let minutes = exactly(minutes, 2).filter(|minutes| *minutes < 60)?;
    Some(sign * i64::from(hours * 3_600 + minutes * 60))
}

/// Days from 1 January 1970 to that day of the Gregorian calendar, if there is one.
fn days_since_1970(year: u32, month: u32, day: u32) -> Option<i64> {
    let leap = |year: u32| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let length = |month: u32| match month {
        2 => 28 + u32::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=12).contains(&month) || !(1..=length(month)).contains(&day) {
        return None;
    }
    let before: u32 = (1..month).map(length).sum();
    let of_years = |year: u32| {
        let last = i64::from(year) - 1;
        last * 365 + last.div_euclid(4) - last.div_euclid(100) + last.div_euclid(400)
    };
    Some(of_years(year) - of_years(1970) + i64::from(before + day - 1))
}

/// A number of exactly so many digits.
fn exactly(text: &str, count: usize) -> Option<u32> {
    let number = digits(text).filter(|_| text.len() == count)?;
    u32::try_from(number).ok()
}

fn digits(text: &str) -> Option<u64> {
    let all_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| all_digits)
}

/// Nanoseconds of what stands behind the point; more than nine digits are cut off.
fn nanos_of(fraction: &str) -> Option<u64> {
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let padded = fraction.chars().chain("000000000".chars());
    digits(&padded.take(9).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<f64> {
        parse(text).map(Timestamp::as_unix_seconds)
    }

    #[test]
    fn unix_seconds_have_decimals_if_they_like() {
        assert_eq!(seconds("0"), Some(0.0));
        assert_eq!(seconds("1795554172"), Some(1_795_554_172.0));
        assert_eq!(seconds("1795554172.25"), Some(1_795_554_172.25));
        assert_eq!(
            parse("1.0000000019").map(Timestamp::as_unix_nanos),
            Some(1_000_000_001)
        );
    }

    #[test]
    fn dates_are_read_with_their_offset() {
        // From `date -u -d … +%s.%N`.
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0.0),
            ("2026-11-24T21:02:52Z", 1_795_554_172.0),
            ("2026-11-24T21:02:52.5z", 1_795_554_172.5),
            ("2026-11-24 22:32:52+01:30", 1_795_554_172.0),
            ("2026-11-24t16:02:52-05:00", 1_795_554_172.0),
            ("2000-02-29T23:59:59Z", 951_868_799.0),
            ("2024-03-01T00:00:00Z", 1_709_251_200.0),
            ("2100-03-01T00:00:00Z", 4_107_542_400.0),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_point_in_time_is_refused() {
        for wrong in [
            "",
            ".",
            "5.",
            ".5",
            "-1",
            "+1",
            "1e9",
            "NaN",
            "inf",
            "0x10",
            " 1",
            "99999999999999999999",
            "18446744074",
            "2026-11-24",
            "2026-11-24T21:02:52",
            "2026-11-24T21:02Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-11-24T24:00:00Z",
            "2026-11-24T21:60:00Z",
            "2026-11-24T21:02:61Z",
            "2026-11-24T21:02:52.Z",
            "2026-11-24T21:02:52+1:00",
            "2026-11-24T21:02:52+24:00",
            "2026-11-24T21:02:52Zx",
            "1969-12-31T23:59:59Z",
            "9999-12-31T23:59:59Z",
            "2026-11-24T21:02:52é",
            "1.0000000000000000000000000x",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
