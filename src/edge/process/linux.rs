//! What `/proc` and control groups tell.

use super::text::{self, Rollup, Status};
use crate::{
    clock::Timestamp,
    core::{
        memory::{HeapSource, MemoryLimitSource},
        process::{Heap, Network, ProcessSample, SystemMemory, Transfer},
    },
};
use std::{
    fs::{self, File},
    io::Read,
    path::{Component, Path, PathBuf},
    thread,
    time::Duration,
};

/// A longer text is none of the kernel's, or of a machine with some thousand interfaces.
const LONGEST: u64 = 256 * 1024;
/// Levels of control groups that are looked at.
const DEEPEST: usize = 32;
/// Limits are read again after this: they are changed by hand, if at all.
const LIMITS: Duration = Duration::from_secs(15);
/// What takes the kernel a walk over all pages is read again after this.
const ROLLUP: Duration = Duration::from_secs(60);
/// But not with more than this resident. The walk takes some 20 ms for each GiB, several times as
/// long while the machine is busy, and until it ends, whoever maps or unmaps memory has to wait:
/// threads of the host, on their way to answer.
pub(super) const LARGEST_ROLLUP: u64 = 64 << 20;
/// Units of `/proc/self/stat` in a second: the same on every machine, whatever the kernel ticks at.
const TICKS: u64 = 100;

/// Reads the kernel's texts.
#[derive(Debug)]
pub(super) struct System {
    files: Files,
    cgroups: PathBuf,
    /// For control groups of the first version.
    sysinfo: Option<sysinfo::System>,
    limits: Seldom<Limits>,
    rollup: Seldom<Rollup>,
    /// When the process began; looked for once.
    started: Option<Option<Timestamp>>,
    open_files: OpenFiles,
    network: Option<Growing>,
}

/// What was read, and when to read it again.
#[derive(Debug, Default)]
struct Seldom<T> {
    value: T,
    again: Timestamp,
}

/// What is in the way of the process.
#[derive(Debug, Clone, Copy, Default)]
struct Limits {
    memory: Option<(u64, MemoryLimitSource)>,
    cpus: Option<f64>,
}

/// Whether the kernel tells how many entries `/proc/self/fd` has, as it does since 6.2: to list
/// them takes longer the more there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenFiles {
    Unknown,
    Told,
    Listed,
}

impl System {
    pub(super) fn new() -> Self {
        let nothing = sysinfo::RefreshKind::nothing();
        let sysinfo = sysinfo::System::new_with_specifics(nothing).ok();
        Self::at(Path::new("/proc"), Path::new("/sys/fs/cgroup"), sysinfo)
    }

    /// The files below `proc` and `cgroups`.
    pub(super) fn at(proc: &Path, cgroups: &Path, sysinfo: Option<sysinfo::System>) -> Self {
        Self {
            files: Files {
                proc: proc.to_owned(),
                bytes: Vec::new(),
            },
            cgroups: cgroups.to_owned(),
            sysinfo,
            limits: Seldom::default(),
            rollup: Seldom::default(),
            started: None,
            open_files: OpenFiles::Unknown,
            network: None,
        }
    }

    pub(super) fn sample(&mut self, now: Timestamp) -> ProcessSample {
        let files = &mut self.files;
        let status = files.read("self/status", text::status);
        let status = status.unwrap_or_default();
        let system_memory = files.read("meminfo", text::memory).flatten();
        let io = files.read("self/io", text::io).flatten();
        let network = files.read("self/net/dev", text::network).flatten();
        let network = network.map(|now| match &mut self.network {
            Some(growing) => growing.add(now),
            None => self.network.insert(Growing::from(now)).total,
        });
        if now >= self.limits.again {
            self.limits = Seldom {
                value: self.read_limits(&status, system_memory),
                again: now.after(LIMITS),
            };
        }
        let rollup = self.rollup.value;
        let open_files = self.count_open_files();
        let started = self.started(now);
        ProcessSample {
            at: now,
            resident: status.resident,
            anonymous: status.anonymous,
            file: status.file,
            shared: status.shared,
            peak: status.peak,
            swapped: status.swapped,
            virtual_size: status.virtual_size,
            stack: status.stack,
            private: rollup.private,
            heap: heap(&status, &rollup),
            memory_limit: self.limits.value.memory,
            system_memory,
            cpu_limit: self.limits.value.cpus,
            threads: status.threads,
            open_files,
            uptime: started.map(|started| now.since(started)),
            io,
            network,
            ..ProcessSample::default()
        }
    }

    /// Reads what takes the kernel a walk over all pages, if that was long ago.
    pub(super) fn look_closer(&mut self, now: Timestamp) {
        if now < self.rollup.again {
            return;
        }
        let files = &mut self.files;
        let status = files.read("self/status", text::status);
        let resident = status.and_then(|status| status.resident);
        let rollup = resident
            .filter(|bytes| *bytes <= LARGEST_ROLLUP)
            .and_then(|_| files.read("self/smaps_rollup", text::rollup));
        self.rollup = Seldom {
            value: rollup.unwrap_or_default(),
            again: now.after(ROLLUP),
        };
    }

    fn read_limits(&mut self, status: &Status, memory: Option<SystemMemory>) -> Limits {
        let files = &mut self.files;
        let own = files.read("self/cgroup", |text| text::cgroup(text).map(str::to_owned));
        let own = own.flatten().unwrap_or_default();
        let (mut allowed, mut quota) = (None, None);
        for group in groups(&self.cgroups, &own) {
            let max = files.read_at(&group.join("memory.max"), text::memory_max);
            allowed = least(allowed, max.flatten(), u64::min);
            let max = files.read_at(&group.join("cpu.max"), text::cpu_max);
            quota = least(quota, max.flatten(), f64::min);
        }
        let first_version = || {
            let limits = self.sysinfo.as_ref()?.cgroup_limits()?;
            (limits.total_memory > 0).then_some(limits.total_memory)
        };
        let allowed = allowed.or_else(first_version);
        let machine = memory.map(|memory| memory.total).filter(|total| *total > 0);
        let memory = match (allowed, machine) {
            // Without a limit the first version tells a very large one, or all there is.
            (Some(allowed), Some(machine)) if allowed >= machine => {
                Some((machine, MemoryLimitSource::Machine))
            }
            (Some(allowed), _) => Some((allowed, MemoryLimitSource::Cgroup)),
            (None, machine) => machine.map(|machine| (machine, MemoryLimitSource::Machine)),
        };
        // The standard library knows the first version's quotas, in whole CPUs.
        let known = || Some(thread::available_parallelism().ok()?.get() as f64);
        let cpus = status.cpus.map(|cpus| cpus as f64);
        let cpus = match quota {
            Some(quota) => least(cpus, Some(quota), f64::min),
            None => least(cpus, known(), f64::min),
        };
        Limits { memory, cpus }
    }

    fn started(&mut self, now: Timestamp) -> Option<Timestamp> {
        let files = &mut self.files;
        *self.started.get_or_insert_with(|| {
            let ticks = files.read("self/stat", text::started).flatten()?;
            let running = files.read("uptime", text::uptime).flatten()?;
            let began = Duration::from_millis(ticks.checked_mul(1_000 / TICKS)?);
            Some(now.before(running.checked_sub(began)?))
        })
    }

    fn count_open_files(&mut self) -> Option<u64> {
        let folder = self.files.proc.join("self/fd");
        let told = || Some(fs::metadata(&folder).ok()?.len());
        // The folder itself is open while it is listed.
        let listed = || Some((fs::read_dir(&folder).ok()?.count() as u64).saturating_sub(1));
        match self.open_files {
            OpenFiles::Told => told(),
            OpenFiles::Listed => listed(),
            OpenFiles::Unknown => {
                let (told, listed) = (told()?, listed()?);
                // Others may open some meanwhile; a kernel that does not tell says zero.
                let is_told = told > 0 && told.abs_diff(listed) <= 1 + listed / 10;
                self.open_files = if is_told {
                    OpenFiles::Told
                } else {
                    OpenFiles::Listed
                };
                Some(listed)
            }
        }
    }
}

/// Texts below `/proc`.
#[derive(Debug)]
struct Files {
    proc: PathBuf,
    /// Read into again and again.
    bytes: Vec<u8>,
}

impl Files {
    fn read<T>(&mut self, below_proc: &str, understand: impl Fn(&str) -> T) -> Option<T> {
        let path = self.proc.join(below_proc);
        self.read_at(&path, understand)
    }

    fn read_at<T>(&mut self, path: &Path, understand: impl Fn(&str) -> T) -> Option<T> {
        self.bytes.clear();
        let file = File::open(path).ok()?;
        file.take(LONGEST).read_to_end(&mut self.bytes).ok()?;
        if self.bytes.len() as u64 >= LONGEST {
            return None;
        }
        // The name of a thread may be any bytes.
        Some(understand(&String::from_utf8_lossy(&self.bytes)))
    }
}

/// The folder of the control group `own`, and of each that it is in, up to the root of them. What a
/// container sees of its own path may not exist; the root always does.
fn groups(root: &Path, own: &str) -> Vec<PathBuf> {
    let mut folder = root.to_owned();
    let mut folders = vec![folder.clone()];
    for component in Path::new(own).components().take(DEEPEST) {
        match component {
            Component::Normal(name) => folder.push(name),
            Component::RootDir | Component::CurDir => continue,
            // Outside of what can be seen.
            Component::ParentDir | Component::Prefix(_) => break,
        }
        folders.push(folder.clone());
    }
    folders
}

fn least<T>(a: Option<T>, b: Option<T>, min: impl Fn(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(min(a, b)),
        (a, b) => a.or(b),
    }
}

fn heap(status: &Status, rollup: &Rollup) -> Option<Heap> {
    let used = status.anonymous?.saturating_sub(status.stack.unwrap_or(0));
    Some(Heap {
        source: HeapSource::KernelAnonymous,
        used,
        free: rollup.lazily_free,
    })
}

/// Bytes over interfaces that come and go: what one had counted is not taken back when it goes.
#[derive(Debug, Clone, Copy)]
struct Growing {
    total: Network,
    last: Network,
}

impl From<Network> for Growing {
    fn from(first: Network) -> Self {
        Self {
            total: first,
            last: first,
        }
    }
}

impl Growing {
    fn add(&mut self, now: Network) -> Network {
        let grow = |total: &mut Transfer, last: Transfer, now: Transfer| {
            let add = |total: &mut u64, last: u64, now: u64| {
                *total = total.saturating_add(now.saturating_sub(last));
            };
            add(&mut total.received, last.received, now.received);
            add(&mut total.sent, last.sent, now.sent);
        };
        let (total, last) = (&mut self.total, self.last);
        grow(&mut total.loopback, last.loopback, now.loopback);
        grow(&mut total.external, last.external, now.external);
        self.last = now;
        self.total
    }
}

#[cfg(test)]
mod tests;
