//! Times as people and other programs read them.

use std::fmt;

use crate::clock::{Timestamp, civil};

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400;

/// Writes a time as `2026-01-31T08:30:00.123456789Z`: in UTC, to the nanosecond.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rfc3339(pub(crate) Timestamp);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_unix_nanos();
        let (seconds, fraction) = (nanos / SECOND, nanos % SECOND);
        let (year, month, day) = civil(seconds / DAY);
        let of_day = seconds % DAY;
        let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_are_written() {
        // From `date -u -d @… +%FT%T.%NZ`.
        for (unix, text) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000000000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000000Z"),
            (18_446_744_073, "2554-07-21T23:34:33.000000000Z"),
        ] {
            let time = Timestamp::from_unix_nanos(unix * SECOND);
            assert_eq!(Rfc3339(time).to_string(), text);
        }
        let fraction = Timestamp::from_unix_nanos(1_000_020);
        let text = Rfc3339(fraction).to_string();
        assert_eq!(text, "1970-01-01T00:00:00.001000020Z");
    }
}
