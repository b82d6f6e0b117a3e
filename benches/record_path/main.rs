//! What recording costs: time, instructions and allocations per span and per call.
//!
//! `cargo bench --bench record_path` measures every candidate twice.
//!
//! * **Time**: each candidate lives in a process of its own, with its own global subscriber, as
//!   it would in a service. The processes stay up and take turns (A B C A B C …), so a machine
//!   that slows down slows all of them down; what is printed are medians over the rounds, and
//!   ratios.
//! * **Instructions** under `valgrind --tool=callgrind`, the same on every machine with the same
//!   compiler: a run with twice as many operations minus a run with as many, divided by their
//!   difference, so that start-up and warm-up cancel. Split by thread: what the thread that
//!   serves the request runs, and what all threads run until everything is counted. Calls to the
//!   allocator are counted in the same runs. Without valgrind this part is left out.
//!
//! `--help` lists the options.

mod candidates;
mod child;
mod instructions;
mod options;
mod report;
mod timing;
mod workload;

use std::error::Error;
use std::process::ExitCode;

use options::Mode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("record_path: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let options = match options::parse(std::env::args().skip(1))? {
        Mode::Help => {
            println!("{}", options::HELP);
            return Ok(());
        }
        Mode::Serve(name) => return child::serve(&name),
        Mode::Count(name, burst) => return child::count(&name, burst),
        Mode::Check(name, burst) => return child::check(&name, burst),
        Mode::Measure(options) => options,
    };
    let chosen = options.choose(candidates::ALL)?;
    let times = if options.time {
        timing::measure(&chosen, &options)?
    } else {
        Vec::new()
    };
    let instructions = match (options.instructions, instructions::valgrind_version()) {
        (false, _) => Vec::new(),
        (true, Some(_)) => instructions::measure(&chosen, &options)?,
        (true, None) => {
            println!(
                "valgrind is not on PATH: instructions and allocations are left out \
                 (Debian and Ubuntu: apt install valgrind)."
            );
            Vec::new()
        }
    };
    let report = report::Report::new(&chosen, times, instructions);
    report.print();
    if let Some(path) = &options.json {
        std::fs::write(path, report.to_json(&options)?)?;
        println!("\nall figures: {}", path.display());
    }
    Ok(())
}
