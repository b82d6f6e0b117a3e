//! The texts of `/proc` and of control groups, understood: a missing or odd field is `None`.

use crate::core::process::{Io, Network, SystemMemory, Transfer};
use std::time::Duration;

/// More CPUs than the kernel can be built for.
const MOST_CPUS: u64 = 1 << 16;

/// Of `/proc/self/status`; memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Status {
    pub(super) resident: Option<u64>,
    pub(super) anonymous: Option<u64>,
    pub(super) file: Option<u64>,
    pub(super) shared: Option<u64>,
    pub(super) peak: Option<u64>,
    pub(super) swapped: Option<u64>,
    pub(super) virtual_size: Option<u64>,
    pub(super) stack: Option<u64>,
    pub(super) threads: Option<u64>,
    /// CPUs that the main thread may run on.
    pub(super) cpus: Option<u64>,
}

pub(super) fn status(text: &str) -> Status {
    let mut status = Status::default();
    for (name, value) in fields(text) {
        let field = match name {
            "VmRSS" => &mut status.resident,
            "RssAnon" => &mut status.anonymous,
            "RssFile" => &mut status.file,
            "RssShmem" => &mut status.shared,
            "VmHWM" => &mut status.peak,
            "VmSwap" => &mut status.swapped,
            "VmSize" => &mut status.virtual_size,
            "VmStk" => &mut status.stack,
            "Threads" => {
                status.threads = value.parse().ok();
                continue;
            }
            "Cpus_allowed_list" => {
                status.cpus = cpus(value);
                continue;
            }
            _ => continue,
        };
        *field = bytes(value);
    }
    status
}

/// Of `/proc/self/smaps_rollup`, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rollup {
    /// What no other process shares.
    pub(super) private: Option<u64>,
    /// What the allocator gave back and the kernel has not taken yet.
    pub(super) lazily_free: Option<u64>,
}

pub(super) fn rollup(text: &str) -> Rollup {
    let (mut clean, mut dirty, mut lazily_free) = (None, None, None);
    for (name, value) in fields(text) {
        match name {
            "Private_Clean" => clean = bytes(value),
            "Private_Dirty" => dirty = bytes(value),
            "LazyFree" => lazily_free = bytes(value),
            _ => {}
        }
    }
    let sum = |(a, b): (u64, u64)| a.checked_add(b);
    Rollup {
        private: clean.zip(dirty).and_then(sum),
        lazily_free,
    }
}

/// Of `/proc/self/io`.
pub(super) fn io(text: &str) -> Option<Io> {
    let of = |wanted: &str| {
        let mut fields = fields(text);
        let (_, value) = fields.find(|(name, _)| *name == wanted)?;
        value.parse().ok()
    };
    Some(Io {
        read: of("rchar")?,
        written: of("wchar")?,
        read_calls: of("syscr")?,
        write_calls: of("syscw")?,
        disk_read: of("read_bytes")?,
        disk_written: of("write_bytes")?,
    })
}

/// Of `/proc/self/net/dev`. A line that cannot be understood makes the whole text so, since a sum
/// without it would be wrong.
pub(super) fn network(text: &str) -> Option<Network> {
    let mut network = Network::default();
    // The first two lines are the heads of the columns.
    for line in text.lines().skip(2) {
        // A name may hold a colon, as an alias does; a number does not.
        let (name, numbers) = line.rsplit_once(':')?;
        let mut numbers = numbers.split_ascii_whitespace();
        let received: u64 = numbers.next()?.parse().ok()?;
        let sent: u64 = numbers.nth(7)?.parse().ok()?;
        let class: &mut Transfer = if name.trim() == "lo" {
            &mut network.loopback
        } else {
            &mut network.external
        };
        class.received = class.received.wrapping_add(received);
        class.sent = class.sent.wrapping_add(sent);
    }
    text.lines().nth(1).map(|_| network)
}

/// Of `/proc/meminfo`.
pub(super) fn memory(text: &str) -> Option<SystemMemory> {
    let (mut total, mut free) = (None, None);
    let (mut cached, mut reclaimable, mut buffers) = (None, None, None);
    for (name, value) in fields(text) {
        match name {
            "MemTotal" => total = bytes(value),
            "MemFree" => free = bytes(value),
            "Cached" => cached = bytes(value),
            "SReclaimable" => reclaimable = bytes(value),
            "Buffers" => buffers = bytes(value),
            _ => {}
        }
    }
    let cached = cached.unwrap_or(0).saturating_add(reclaimable.unwrap_or(0));
    Some(SystemMemory {
        total: total?,
        free: free?,
        cached,
        buffers: buffers.unwrap_or(0),
    })
}

/// When the process began, in hundredths of a second since the machine did, of
/// `/proc/self/stat`.
pub(super) fn started(text: &str) -> Option<u64> {
    // The second field is the name of the program, in parentheses, and may itself hold some.
    let (_, behind_name) = text.rsplit_once(')')?;
    // What follows begins with the third field; wanted is the 22nd.
    behind_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// For how long the machine has been running, of `/proc/uptime`.
pub(super) fn uptime(text: &str) -> Option<Duration> {
    let seconds: f64 = text.split_ascii_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The path of the process in the second version's hierarchy, of `/proc/self/cgroup`.
pub(super) fn cgroup(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// Of `memory.max`; `None` if there is no limit.
pub(super) fn memory_max(text: &str) -> Option<u64> {
    text.trim_ascii().parse().ok()
}

/// Of `cpu.max`, in CPUs; `None` if there is no limit.
pub(super) fn cpu_max(text: &str) -> Option<f64> {
    let mut numbers = text.split_ascii_whitespace();
    let quota: u64 = numbers.next()?.parse().ok()?;
    let period: u64 = numbers.next()?.parse().ok()?;
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

/// Lines of the form `name: value`, without the blanks around the value.
fn fields(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let field = |line| str::split_once(line, ':').map(|(name, value)| (name, value.trim_ascii()));
    text.lines().filter_map(field)
}

/// `123 kB` in bytes.
fn bytes(value: &str) -> Option<u64> {
    let number = value.strip_suffix("kB")?.trim_ascii_end();
    number.parse::<u64>().ok()?.checked_mul(1_024)
}

/// How many CPUs a list such as `0-3,8` names.
fn cpus(list: &str) -> Option<u64> {
    let mut count: u64 = 0;
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    (count > 0 && count <= MOST_CPUS).then_some(count)
}

#[cfg(test)]
mod tests;
