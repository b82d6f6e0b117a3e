//! The command line.

use std::time::Duration;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
What the monitor itself takes: memory and processor time, at 1,000 requests a second with 100
pairs of provider and model, 50 endpoints and a day in its windows.

cargo bench --bench self_cost [-- OPTIONS]

  --quick    under a minute: memory is as exact, processor time a rough figure";

/// For how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) warm: Duration,
    pub(crate) measured: Duration,
}

impl Pace {
    /// Long enough that calls which time out do so.
    const FULL: Self = Self {
        warm: Duration::from_secs(45),
        measured: Duration::from_secs(60),
    };
    const QUICK: Self = Self {
        warm: Duration::from_secs(6),
        measured: Duration::from_secs(10),
    };
    /// Just to see it run.
    const GLANCE: Self = Self {
        warm: Duration::from_secs(1),
        measured: Duration::from_secs(1),
    };

    pub(crate) const fn name(self) -> &'static str {
        match self.measured.as_secs() {
            60 => "--full",
            10 => "--quick",
            _ => "--glance",
        }
    }
}

/// What this process is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mode {
    Help,
    Bare(Pace),
    Monitored(Pace),
    Compare(Pace),
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Mode, String> {
    // Cargo passes --bench from `cargo bench`, and nothing from `cargo test --benches`.
    let mut pace = Pace::GLANCE;
    let mut mode: fn(Pace) -> Mode = Mode::Compare;
    for argument in arguments {
        match argument.as_str() {
            "--bench" if pace.measured < Pace::QUICK.measured => pace = Pace::FULL,
            "--bench" => {}
            "--full" => pace = Pace::FULL,
            "--quick" => pace = Pace::QUICK,
            "--glance" => pace = Pace::GLANCE,
            "--bare" => mode = Mode::Bare,
            "--monitored" => mode = Mode::Monitored,
            "--help" => return Ok(Mode::Help),
            _ => return Err(format!("{argument}? --help lists the options")),
        }
    }
    Ok(mode(pace))
}
