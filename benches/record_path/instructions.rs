//! Instructions and calls to the allocator, counted by callgrind.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::candidates::Spec;
use crate::child::{self, COUNTED_BURSTS};
use crate::options::Options;
use crate::timing::median;

/// Per operation.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Instructions {
    /// On the thread that does the operation; on both if the span is closed on another one.
    pub(crate) request: f64,
    /// On all other threads, until everything is counted.
    pub(crate) others: f64,
    /// Calls to the allocator on the thread that does the operation.
    pub(crate) request_allocations: f64,
    /// Calls to the allocator on all other threads.
    pub(crate) other_allocations: f64,
}

impl Instructions {
    /// On all threads.
    pub(crate) fn all(&self) -> f64 {
        self.request + self.others
    }
}

/// What `valgrind --version` says, if there is one.
pub(crate) fn valgrind_version() -> Option<String> {
    let output = Command::new("valgrind").arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| version.trim().to_owned())
}

/// Runs every candidate twice under callgrind.
pub(crate) fn measure(
    chosen: &[&'static Spec],
    options: &Options,
) -> Result<Vec<(&'static str, Instructions)>, Box<dyn Error>> {
    let mut found = Vec::new();
    for (index, spec) in chosen.iter().enumerate() {
        eprint!("\rinstructions: {} of {}", index + 1, chosen.len());
        check(spec)?;
        let mut pairs = Vec::new();
        for _ in 0..options.repeats {
            pairs.push((count(spec, BURST)?, count(spec, 2 * BURST)?));
        }
        let per_operation = |of: fn(&Counted) -> u64| {
            let operations = (COUNTED_BURSTS * BURST) as f64;
            let pairs = pairs.iter();
            let each = pairs.map(|(once, twice)| (of(twice) as f64 - of(once) as f64) / operations);
            median(each.collect())
        };
        let instructions = Instructions {
            request: per_operation(|counted| counted.request),
            others: per_operation(|counted| counted.others),
            request_allocations: per_operation(|counted| counted.request_allocations),
            other_allocations: per_operation(|counted| counted.other_allocations),
        };
        found.push((spec.name, instructions));
    }
    eprintln!();
    Ok(found)
}

/// Operations in a burst of the smaller run. Twice as many fit into the queue of the SDK's batch
/// processor, which would throw the rest away and look cheap.
const BURST: usize = 512;

#[derive(Debug, Default)]
struct Counted {
    request: u64,
    others: u64,
    request_allocations: u64,
    other_allocations: u64,
}

/// Fails unless the candidate counts all that it is given.
fn check(spec: &Spec) -> Result<(), Box<dyn Error>> {
    let status = child::command(std::env::current_exe()?)
        .args(["--check", spec.name, &(2 * BURST).to_string()])
        .stdin(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} does not count right", spec.name).into())
    }
}

fn count(spec: &Spec, burst: usize) -> Result<Counted, Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("record_path-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let outcome = count_in(&folder, spec, burst);
    fs::remove_dir_all(&folder)?;
    outcome
}

fn count_in(folder: &Path, spec: &Spec, burst: usize) -> Result<Counted, Box<dyn Error>> {
    let status = child::command("valgrind")
        .args(["--quiet", "--tool=callgrind", "--separate-threads=yes"])
        .arg(format!(
            "--callgrind-out-file={}",
            folder.join("out").display()
        ))
        .arg(std::env::current_exe()?)
        .args(["--count", spec.name, &burst.to_string()])
        .stdin(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(format!("{} under callgrind: {status}", spec.name).into());
    }
    let request_threads = if spec.moved { 2 } else { 1 };
    let mut counted = Counted::default();
    for entry in fs::read_dir(folder)? {
        let profile = Profile::read(&fs::read_to_string(entry?.path())?);
        if (1..=request_threads).contains(&profile.thread) {
            counted.request += profile.instructions;
            counted.request_allocations += profile.allocations;
        } else {
            counted.others += profile.instructions;
            counted.other_allocations += profile.allocations;
        }
    }
    if counted.request == 0 {
        return Err("callgrind left no profile of the main thread".into());
    }
    Ok(counted)
}

/// What one thread did.
#[derive(Debug, Default)]
struct Profile {
    thread: u32,
    instructions: u64,
    allocations: u64,
}

impl Profile {
    /// Reads callgrind's own format, of which only a few lines matter: a function that is called
    /// is named by `cfn=(number) name`, the name given only the first time, and the line after
    /// it says `calls=` how often.
    fn read(text: &str) -> Self {
        let mut profile = Self::default();
        let mut names: HashMap<&str, bool> = HashMap::new();
        let mut callee_allocates = false;
        for line in text.lines() {
            if let Some(number) = line.strip_prefix("thread: ") {
                profile.thread = number.trim().parse().unwrap_or_default();
            } else if let Some(number) = line.strip_prefix("totals: ") {
                profile.instructions = number.trim().parse().unwrap_or_default();
            } else if let Some(function) = line.strip_prefix("fn=") {
                allocates(&mut names, function);
            } else if let Some(function) = line.strip_prefix("cfn=") {
                callee_allocates = allocates(&mut names, function);
            } else if let Some(calls) = line.strip_prefix("calls=")
                && callee_allocates
            {
                let number = calls.split_whitespace().next().unwrap_or_default();
                profile.allocations += number.parse::<u64>().unwrap_or_default();
            }
        }
        profile
    }
}

/// Whether the function written as `(number) name` or `(number)` is the C library's allocator.
fn allocates<'text>(names: &mut HashMap<&'text str, bool>, function: &'text str) -> bool {
    match function.split_once(' ') {
        Some((number, name)) => {
            let allocates = matches!(
                name,
                "malloc" | "calloc" | "realloc" | "posix_memalign" | "aligned_alloc" | "memalign"
            );
            *names.entry(number).or_insert(allocates)
        }
        None => names.get(function).copied().unwrap_or(false),
    }
}
