//! The one place that reads the time; everything inward takes it as an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time: nanoseconds since the Unix epoch.
///
/// Within one monitor these come from a monotonic clock anchored to the wall clock once, so
/// they never run backwards when the wall clock is stepped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch itself.
    pub const EPOCH: Self = Self(0);

    /// The last time there is.
    pub(crate) const MAX: Self = Self(u64::MAX);

    /// From nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_unix_nanos(self) -> u64 {
        self.0
    }

    /// Seconds since the Unix epoch, to the microsecond.
    #[must_use]
    pub fn as_unix_seconds(self) -> f64 {
        (self.0 / 1_000) as f64 / 1e6
    }

    /// As RFC 3339 writes it, in UTC and to the millisecond: `2026-11-24T12:00:00.000Z`.
    #[cfg_attr(
        not(feature = "push"),
        expect(dead_code, reason = "only what is pushed says it so")
    )]
    pub(crate) fn rfc3339(self) -> String {
        let millis = self.0 / 1_000_000;
        let (days, of_day) = (millis / 86_400_000, millis % 86_400_000);
        let (year, month, day) = civil(days);
        let (second, milli) = (of_day / 1_000, of_day % 1_000);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This time plus `duration`, at most the largest time there is.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(saturating_nanos(duration)))
    }

    /// This time minus `duration`, at least the epoch.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_nanos(duration)))
    }
}

/// Year, month and day of the day that is so many after the first of 1970.
///
/// Counted from the first of March of the year 0, so that a leap day is the last of its year and
/// the months before it have the lengths of a fixed pattern; 400 years have 146,097 days.
pub(crate) const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // March is 0 here; five months from there have 153 days.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + 400 * era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

impl From<SystemTime> for Timestamp {
    /// What is before the Unix epoch becomes the epoch.
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH);
        Self(saturating_nanos(since_epoch.unwrap_or(Duration::ZERO)))
    }
}

/// Nanoseconds of `duration`, at most `u64::MAX` (some 584 years).
pub(crate) fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A monotonic clock that tells wall-clock times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// What the monotonic clock told at the Unix epoch, so to say.
    epoch: u64,
}

impl Clock {
    /// A clock anchored to the wall clock at this moment.
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn start() -> Self {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Self {
            epoch: monotonic::nanos().wrapping_sub(saturating_nanos(wall)),
        }
    }

    /// The time now.
    #[inline]
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(monotonic::nanos().wrapping_sub(self.epoch))
    }
}

/// Processor time that this thread has had; `None` where the system does not tell.
pub(crate) fn thread_cpu() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    {
        use nix::time::{ClockId, clock_gettime};
        let used = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).ok()?;
        Some(Duration::from(used))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// The clock as it is, since the arithmetic of `Instant` takes several times as long: this is on
/// the path of every request.
#[cfg(unix)]
mod monotonic {
    use nix::time::{ClockId, clock_gettime};

    #[inline]
    pub(super) fn nanos() -> u64 {
        // Every Unix has this clock, and it does not fail.
        let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC) else {
            return 0;
        };
        let seconds = (now.tv_sec() as u64).wrapping_mul(1_000_000_000);
        seconds.wrapping_add(now.tv_nsec() as u64)
    }
}

#[cfg(not(unix))]
mod monotonic {
    use std::{sync::LazyLock, time::Instant};

    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);

    pub(super) fn nanos() -> u64 {
        super::saturating_nanos(START.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_never_goes_below_the_epoch_or_past_the_end() {
        let soon = Timestamp::EPOCH.before(Duration::from_secs(1));
        assert_eq!(soon, Timestamp::EPOCH);
        let end = Timestamp::from_unix_nanos(u64::MAX).after(Duration::MAX);
        assert_eq!(end.as_unix_nanos(), u64::MAX);
        assert_eq!(soon.since(end), Duration::ZERO);
    }

    #[test]
    #[cfg(feature = "push")]
    fn a_date_is_that_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
        ] {
            let time = Timestamp::from_unix_nanos(seconds * 1_000_000_000);
            assert_eq!(time.rfc3339(), text);
        }
        let millis = Timestamp::from_unix_nanos(1_699_999_999_123_999_999);
        assert_eq!(millis.rfc3339(), "2023-11-14T22:13:19.123Z");
    }

    #[test]
    fn seconds_keep_the_microsecond() {
        let time = Timestamp::from_unix_nanos(1_699_999_999_123_456_789);
        assert_eq!(time.as_unix_seconds(), 1_699_999_999.123_456);
    }
}
