//! Time: the one file of this example that reads a clock, and how `--speed` changes the pace.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[allow(
    clippy::disallowed_methods,
    reason = "this is the clock of the example"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Whole seconds since the Unix epoch, for the `created` fields of the OpenAI dialect.
#[allow(
    clippy::disallowed_methods,
    reason = "this is the clock of the example"
)]
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// How many seconds of the played world pass in one real second (`--speed`).
///
/// Arrivals, the upstreams' latencies, the gateway's time limits and its rate limits all go through
/// it, so an hour played in a minute has the same shape. What is *measured* never does: a recorded
/// duration is the time that really went by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    speed: f64,
}

impl Pace {
    pub(crate) fn new(speed: f64) -> Self {
        Self { speed }
    }

    pub(crate) fn speed(self) -> f64 {
        self.speed
    }

    /// The real time that a played duration takes.
    pub(crate) fn real(self, played: Duration) -> Duration {
        played.div_f64(self.speed)
    }

    /// The played time that a real duration stands for.
    pub(crate) fn played(self, real: Duration) -> Duration {
        real.mul_f64(self.speed)
    }
}
