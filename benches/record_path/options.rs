//! The command line.

use std::path::PathBuf;

use crate::candidates::Spec;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
What recording costs, per span and per call.

cargo bench --bench record_path [-- OPTIONS]

  --time            only the times
  --instructions    only instructions and allocations (needs valgrind)
  --only A,B        only these candidates (substrings of their names)
  --rounds N        rounds of all candidates [15]
  --operations N    operations per round, thread and candidate [20480]
  --burst N         operations between two times at which everything is counted [512]
  --repeats N       pairs of runs under callgrind, of which the median counts [3]
  --json FILE       write all figures to FILE
  --list            name the candidates";

/// What this process is for.
pub(crate) enum Mode {
    /// Print the help.
    Help,
    /// Be one candidate, and measure its time whenever told to on stdin.
    Serve(String),
    /// Be one candidate, and run it in bursts of so many operations.
    Count(String, usize),
    /// The same, and look whether all of them were counted.
    Check(String, usize),
    /// Start the others and print what they found.
    Measure(Options),
}

/// What to measure.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) time: bool,
    pub(crate) instructions: bool,
    pub(crate) rounds: usize,
    pub(crate) operations: usize,
    pub(crate) burst: usize,
    pub(crate) repeats: usize,
    pub(crate) json: Option<PathBuf>,
    only: Vec<String>,
}

impl Options {
    /// The candidates that `--only` names; all without it.
    pub(crate) fn choose(&self, all: &'static [Spec]) -> Result<Vec<&'static Spec>, String> {
        let chosen: Vec<_> = all
            .iter()
            .filter(|spec| {
                self.only.is_empty() || self.only.iter().any(|part| spec.name.contains(part))
            })
            .collect();
        if chosen.is_empty() {
            return Err("no candidate has such a name; --list names them".to_owned());
        }
        Ok(chosen)
    }
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Mode, String> {
    let mut options = Options {
        time: true,
        instructions: true,
        rounds: 15,
        operations: 20_480,
        burst: 512,
        repeats: 3,
        json: None,
        only: Vec::new(),
    };
    // Cargo passes --bench from `cargo bench`, and nothing from `cargo test --benches`, which
    // only wants to see it run.
    let mut bench = false;
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "--help" | "-h" => return Ok(Mode::Help),
            "--list" => {
                for spec in crate::candidates::ALL {
                    println!("{:24} {}", spec.name, spec.what);
                }
                return Ok(Mode::Help);
            }
            "--serve" => return Ok(Mode::Serve(value()?)),
            "--count" | "--check" => {
                let name = value()?;
                let burst = number(&argument, &arguments.next().unwrap_or_default())?;
                return Ok(match argument.as_str() {
                    "--check" => Mode::Check(name, burst),
                    _ => Mode::Count(name, burst),
                });
            }
            "--bench" => bench = true,
            "--time" => options.instructions = false,
            "--instructions" => options.time = false,
            "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
            "--rounds" => options.rounds = number(&argument, &value()?)?,
            "--operations" => options.operations = number(&argument, &value()?)?,
            "--burst" => options.burst = number(&argument, &value()?)?,
            "--repeats" => options.repeats = number(&argument, &value()?)?,
            "--json" => options.json = Some(PathBuf::from(value()?)),
            _ => return Err(format!("unknown option {argument}; --help lists them")),
        }
    }
    if !bench {
        options.rounds = 1;
        options.operations = 1_024;
        options.instructions = false;
    }
    Ok(Mode::Measure(options))
}

fn number(option: &str, value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(0) | Err(_) => Err(format!("{option} needs a number from 1 up, not {value:?}")),
        Ok(number) => Ok(number),
    }
}
