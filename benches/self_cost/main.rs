//! What the monitor itself takes: memory and processor time.
//!
//! `cargo bench --bench self_cost` runs a service twice, each time in a process of its own: with
//! the monitor, and without. The service has 1,000 requests a second, each an operation and an
//! attempt in spans that are open for as long as a model takes, so that some two thousand are in
//! flight. The monitor's windows are full: a day of that traffic is booked beforehand.
//!
//! * **Memory** is what the allocator has given out and not got back, with the monitor minus
//!   without. It is nearly the same on every run, and the bench fails if it is more than the guide
//!   promises. What the monitor tells of its own memory stands beside it.
//! * **Processor time** is that of the monitor's own threads, and of the threads that serve
//!   requests with the monitor minus without. It says what the machine was like, too: nothing is
//!   asserted of it.

#![expect(clippy::indexing_slicing, reason = "a benchmark may")]

mod child;
mod figures;
mod load;
mod options;
mod past;
mod report;
mod traffic;
mod usage;

use figures::Figures;
use options::{Mode, Pace};
use std::{error::Error, process::ExitCode};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("self_cost: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    match options::parse(std::env::args().skip(1))? {
        Mode::Help => println!("{}", options::HELP),
        Mode::Bare(pace) => child::bare(pace)?.print(),
        Mode::Monitored(pace) => child::monitored(pace)?.print(),
        Mode::Compare(pace) => {
            let bare = start("--bare", pace)?;
            let monitored = start("--monitored", pace)?;
            if !report::print(&bare, &monitored) {
                return Err("the monitor takes more memory than the guide promises".into());
            }
        }
    }
    Ok(())
}

fn start(mode: &str, pace: Pace) -> Result<Figures, Box<dyn Error>> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"OTEL_") {
            command.env_remove(name);
        }
    }
    let output = command
        .args([pace.name(), mode])
        .stderr(std::process::Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the process {mode} ended with {}", output.status).into());
    }
    Ok(Figures::parse(&String::from_utf8_lossy(&output.stdout)))
}
