//! Time, by rounds of all candidates.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use crate::candidates::{Group, Spec};
use crate::child;
use crate::options::Options;

/// Median nanoseconds per operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// One thread; what is pending is counted off the clock, every `--burst` operations.
    pub(crate) one_thread: f64,
    /// Two threads at once, with the same provider and model.
    pub(crate) two_threads: f64,
    /// Two threads at once, each with its own.
    pub(crate) two_threads_distinct: f64,
    /// One thread without a pause: whatever is put off has to keep up, or comes back to it.
    pub(crate) one_thread_sustained: f64,
    /// Two threads without a pause.
    pub(crate) two_threads_sustained: f64,
    /// Processor time over all threads while one thread works without a pause.
    pub(crate) cpu: f64,
}

/// Runs every candidate in its own process, in turns.
pub(crate) fn measure(
    chosen: &[&'static Spec],
    options: &Options,
) -> Result<Vec<(&'static str, Times)>, Box<dyn Error>> {
    let mut processes = Vec::new();
    for spec in chosen {
        processes.push(Process::start(spec.name)?);
    }
    let mut samples = vec![[const { Vec::new() }; 6]; chosen.len()];
    for round in 0..options.rounds {
        eprint!("\rtime: round {} of {}", round + 1, options.rounds);
        for ((process, samples), spec) in processes.iter_mut().zip(&mut samples).zip(chosen) {
            let [one, two, distinct, one_sustained, two_sustained, cpu] = samples;
            let bursts = options.operations.div_ceil(options.burst);
            // Shorter operations need more of them.
            let bursts = bursts * if spec.group == Group::Design { 4 } else { 1 };
            let run = child::Run {
                threads: 1,
                distinct: false,
                bursts,
                burst: options.burst,
                settle: true,
            };
            one.push(process.ask(run)?.0);
            let run = child::Run { threads: 2, ..run };
            two.push(process.ask(run)?.0);
            let run = child::Run {
                distinct: true,
                ..run
            };
            distinct.push(process.ask(run)?.0);
            if !spec.sustained {
                continue;
            }
            let run = child::Run {
                threads: 1,
                distinct: false,
                settle: false,
                // The account of processor time is coarse.
                bursts: 4 * bursts,
                ..run
            };
            let (wall, processor) = process.ask(run)?;
            one_sustained.push(wall);
            cpu.push(processor);
            let run = child::Run {
                threads: 2,
                bursts,
                ..run
            };
            two_sustained.push(process.ask(run)?.0);
        }
    }
    eprintln!();
    let times = chosen.iter().zip(samples).map(|(spec, samples)| {
        let [one, two, distinct, one_sustained, two_sustained, cpu] = samples.map(median);
        let times = Times {
            one_thread: one,
            two_threads: two,
            two_threads_distinct: distinct,
            one_thread_sustained: one_sustained,
            two_threads_sustained: two_sustained,
            cpu,
        };
        (spec.name, times)
    });
    Ok(times.collect())
}

/// The middle one, or the upper of the two in the middle.
pub(crate) fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A candidate that waits for what to run.
struct Process {
    name: &'static str,
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Process {
    fn start(name: &'static str) -> Result<Self, Box<dyn Error>> {
        let mut child = child::command(std::env::current_exe()?)
            .args(["--serve", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let from = child.stdout.take().ok_or("the child has no stdout")?;
        Ok(Self {
            name,
            to: child.stdin.take(),
            from: BufReader::new(from),
            child,
        })
    }

    fn ask(&mut self, run: child::Run) -> Result<(f64, f64), Box<dyn Error>> {
        let mut answer = String::new();
        if let Some(to) = &mut self.to {
            to.write_all(run.to_line().as_bytes())?;
            self.from.read_line(&mut answer)?;
        }
        let mut numbers = answer.split_whitespace().map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(wall)), Some(Ok(cpu))) => Ok((wall, cpu)),
            _ => Err(format!("{} gave no answer but {answer:?}", self.name).into()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.to = None;
        let _ = self.child.wait();
    }
}
