//! One candidate in a process of its own.

use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, Write};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::candidates::{self, Candidate};
use crate::workload::{DISTINCT, SHARED};

/// One measurement of time, as sent to a child.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) threads: usize,
    /// Whether each thread has a provider and model of its own.
    pub(crate) distinct: bool,
    pub(crate) bursts: usize,
    pub(crate) burst: usize,
    /// Whether all that is pending is counted after each burst, off the clock; if not, only at
    /// the end.
    pub(crate) settle: bool,
}

impl Run {
    /// The line that is sent to the child.
    pub(crate) fn to_line(self) -> String {
        let Self {
            threads,
            distinct,
            bursts,
            burst,
            settle,
        } = self;
        format!("{threads} {distinct} {bursts} {burst} {settle}\n")
    }

    fn from_line(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        Some(Self {
            threads: words.next()?.parse().ok()?,
            distinct: words.next()?.parse().ok()?,
            bursts: words.next()?.parse().ok()?,
            burst: words.next()?.parse().ok()?,
            settle: words.next()?.parse().ok()?,
        })
    }
}

/// A command that starts `program` without the variables that would change what is measured.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"OTEL_") {
            command.env_remove(name);
        }
    }
    command
}

/// Answers each [`Run`] on stdin with a line: nanoseconds per operation on the thread that did
/// it, and nanoseconds of CPU per operation over all threads.
pub(crate) fn serve(name: &str) -> Result<(), Box<dyn Error>> {
    let candidate = candidates::build(name)?;
    let mut out = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let run = Run::from_line(&line?).ok_or("malformed line")?;
        let (wall, cpu) = execute(&*candidate, run);
        writeln!(out, "{wall} {cpu}")?;
        out.flush()?;
    }
    Ok(())
}

fn execute(candidate: &dyn Candidate, run: Run) -> (f64, f64) {
    let barrier = SpinBarrier::new(run.threads);
    let mut wall = 0.0;
    let mut cpu = f64::NAN;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..run.threads)
            .map(|index| {
                let barrier = &barrier;
                scope.spawn(move || work(candidate, run, index, barrier))
            })
            .collect();
        for (index, worker) in workers.into_iter().enumerate() {
            let Ok((its_wall, its_cpu)) = worker.join() else {
                wall = f64::NAN;
                continue;
            };
            wall += its_wall / run.threads as f64;
            if index == 0 {
                cpu = its_cpu;
            }
        }
    });
    (wall, cpu)
}

fn work(candidate: &dyn Candidate, run: Run, index: usize, barrier: &SpinBarrier) -> (f64, f64) {
    let labels = match DISTINCT.get(index) {
        Some(labels) if run.distinct => *labels,
        _ => SHARED,
    };
    // This thread is new: let it find its place first.
    candidate.burst(labels, run.burst);
    barrier.wait();
    if index == 0 {
        candidate.settle();
    }
    barrier.wait();
    let cpu_before = cpu_of_all_threads();
    let mut elapsed = Duration::ZERO;
    for _ in 0..run.bursts {
        if run.settle {
            barrier.wait();
        }
        elapsed += candidate.burst(labels, run.burst);
        if run.settle {
            barrier.wait();
            if index == 0 {
                candidate.settle();
            }
        }
    }
    barrier.wait();
    if index == 0 {
        candidate.settle();
    }
    let operations = (run.bursts * run.burst) as f64;
    let cpu = match (cpu_before, cpu_of_all_threads()) {
        (Some(before), Some(after)) => (after.saturating_sub(before)) as f64 / operations,
        _ => f64::NAN,
    };
    // Nobody may leave before the processor time of all has been read.
    barrier.wait();
    (elapsed.as_nanos() as f64 / operations, cpu)
}

/// Nanoseconds that the living threads of this process have run; `None` where the kernel does
/// not tell.
fn cpu_of_all_threads() -> Option<u64> {
    // The kernel brings a thread's account up to date when it leaves the processor.
    thread::yield_now();
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task").ok()? {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        sum += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(sum)
}

/// How many bursts a counted run has.
pub(crate) const COUNTED_BURSTS: usize = 16;

/// Runs bursts on the main thread, each followed by counting all that is pending on a thread
/// that is neither the main one nor the candidate's.
///
/// Both of the runs that are compared settle equally often, so what a settling costs however
/// little is pending cancels.
pub(crate) fn count(name: &str, burst: usize) -> Result<(), Box<dyn Error>> {
    count_with(&*candidates::build(name)?, burst)
}

/// Does the same, and looks whether all of it has arrived: a candidate that loses some would look
/// cheap. For a run of its own, since to look takes instructions too.
pub(crate) fn check(name: &str, burst: usize) -> Result<(), Box<dyn Error>> {
    let candidate = candidates::build(name)?;
    count_with(&*candidate, burst)?;
    let done = (COUNTED_BURSTS * (WARM_BURST + burst)) as u64;
    match candidate.counted() {
        Some(counted) if counted != done => {
            Err(format!("{name} counted {counted} of {done} attempts").into())
        }
        _ => Ok(()),
    }
}

fn count_with(candidate: &dyn Candidate, burst: usize) -> Result<(), Box<dyn Error>> {
    let run = |burst| {
        candidate.burst(SHARED, burst);
        thread::scope(|scope| scope.spawn(|| candidate.settle()).join())
            .map_err(|_| "settling panicked")
    };
    for _ in 0..COUNTED_BURSTS {
        run(WARM_BURST)?;
    }
    for _ in 0..COUNTED_BURSTS {
        run(burst)?;
    }
    Ok(())
}

/// Large enough that every buffer has the size that the larger counted burst needs.
const WARM_BURST: usize = 1_024;

/// Lets threads start a burst at the same moment: a futex would wake the second one when the
/// first is half done.
struct SpinBarrier {
    parties: usize,
    arrived: AtomicUsize,
}

impl SpinBarrier {
    fn new(parties: usize) -> Self {
        Self {
            parties,
            arrived: AtomicUsize::new(0),
        }
    }

    fn wait(&self) {
        let ticket = self.arrived.fetch_add(1, Ordering::AcqRel);
        let last_of_generation = (ticket / self.parties + 1) * self.parties;
        let mut spins = 0_u32;
        while self.arrived.load(Ordering::Acquire) < last_of_generation {
            spins = spins.saturating_add(1);
            if spins > 2_000 {
                thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }
}
