//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::{Long, Short, ValueExt};

pub(crate) const HELP: &str = "\
A small AI gateway that is measured by aimux-otel, with its providers and its clients.

Usage: cargo run --release --example gateway -- [OPTIONS]

Traffic (without an option: a generated day-like mix, until Ctrl-C)
  --replay FILE          replay a trace: CSV with TIMESTAMP,ContextTokens,GeneratedTokens
  --no-traffic           send nothing; your own client does
  --speed N              play N times as fast: arrivals, upstream latencies, time limits and
                         rate limits alike, 0.1 to 1000 [default: 1]
  --duration SECONDS     end after so many real seconds
  --hold                 after the end, serve on until Ctrl-C
  --seed N               another seed, another run [default: 1]

Gateway
  --listen ADDRESS          [default: 127.0.0.1:8080]
  --monitor-listen ADDRESS  [default: 127.0.0.1:9464]; port 0 takes a free one
  --rate-limit N            requests per second that one client may send on average, with bursts
                            of six times that; 0 is no limit [default: 5]

Output
  --json FILE            write a summary at the end
  -h, --help             print this
";

#[derive(Debug)]
pub(crate) enum Command {
    Run(Options),
    Help,
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) source: Source,
    pub(crate) speed: f64,
    pub(crate) duration: Option<Duration>,
    pub(crate) hold: bool,
    pub(crate) seed: u64,
    pub(crate) listen: SocketAddr,
    pub(crate) monitor_listen: SocketAddr,
    pub(crate) rate_limit: Option<f64>,
    pub(crate) json: Option<PathBuf>,
}

/// Where the requests come from.
#[derive(Debug)]
pub(crate) enum Source {
    Day,
    Replay(PathBuf),
    Nothing,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ArgsError {
    #[error(transparent)]
    Lexopt(#[from] lexopt::Error),
    #[error("{option}: expected {expected}")]
    Value {
        option: &'static str,
        expected: &'static str,
    },
    #[error("--replay and --no-traffic exclude each other")]
    ReplayWithoutTraffic,
}

/// Reads the command line of this process.
pub(crate) fn read() -> Result<Command, ArgsError> {
    let mut options = Options {
        source: Source::Day,
        speed: 1.0,
        duration: None,
        hold: false,
        seed: 1,
        listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
        monitor_listen: SocketAddr::from(([127, 0, 0, 1], 9464)),
        rate_limit: Some(5.0),
        json: None,
    };
    let mut no_traffic = false;
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("replay") => options.source = Source::Replay(args.value()?.into()),
            Long("hold") => options.hold = true,
            Long("no-traffic") => no_traffic = true,
            Long("speed") => {
                options.speed = number(&mut args, "--speed", "a number from 0.1 to 1000", |n| {
                    (0.1..=1_000.0).contains(&n)
                })?;
            }
            Long("duration") => {
                let expected = "a number of seconds above 0, up to 31536000";
                let allowed = |n| n > 0.0 && n <= 31_536_000.0;
                let seconds = number(&mut args, "--duration", expected, allowed)?;
                options.duration = Some(Duration::from_secs_f64(seconds));
            }
            Long("seed") => {
                let expected = "a whole number from 0 to 18446744073709551615";
                options.seed = value(&mut args, "--seed", expected)?;
            }
            Long("listen") => options.listen = address(&mut args, "--listen")?,
            Long("monitor-listen") => {
                options.monitor_listen = address(&mut args, "--monitor-listen")?;
            }
            Long("rate-limit") => {
                let expected = "a number from 0 to 1000000";
                let allowed = |n| (0.0..=1e6).contains(&n);
                let rate = number(&mut args, "--rate-limit", expected, allowed)?;
                options.rate_limit = Some(rate).filter(|rate| *rate > 0.0);
            }
            Long("json") => options.json = Some(args.value()?.into()),
            _ => return Err(arg.unexpected().into()),
        }
    }
    match (no_traffic, &options.source) {
        (true, Source::Replay(_)) => return Err(ArgsError::ReplayWithoutTraffic),
        (true, _) => options.source = Source::Nothing,
        (false, _) => {}
    }
    Ok(Command::Run(options))
}

fn value<T: std::str::FromStr>(
    args: &mut lexopt::Parser,
    option: &'static str,
    expected: &'static str,
) -> Result<T, ArgsError>
where
    T::Err: Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
{
    let value = args.value()?;
    value
        .parse()
        .map_err(|_| ArgsError::Value { option, expected })
}

fn number(
    args: &mut lexopt::Parser,
    option: &'static str,
    expected: &'static str,
    allowed: impl Fn(f64) -> bool,
) -> Result<f64, ArgsError> {
    let number = value(args, option, expected)?;
    if allowed(number) {
        Ok(number)
    } else {
        Err(ArgsError::Value { option, expected })
    }
}

fn address(args: &mut lexopt::Parser, option: &'static str) -> Result<SocketAddr, ArgsError> {
    value(args, option, "an address and port such as 127.0.0.1:8080")
}
