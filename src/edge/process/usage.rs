//! What every Unix tells of a process: CPU time and page faults.

use crate::core::process::{CpuTime, ProcessSample};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};
use std::time::Duration;

/// Adds them to `sample`: of all threads, also of those that ended.
pub(super) fn add(sample: &mut ProcessSample) {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return;
    };
    let cpu = duration(usage.user_time()).zip(duration(usage.system_time()));
    sample.cpu = cpu.map(|(user, system)| CpuTime { user, system });
    sample.minor_faults = u64::try_from(usage.minor_page_faults()).ok();
    sample.major_faults = u64::try_from(usage.major_page_faults()).ok();
}

fn duration(time: TimeVal) -> Option<Duration> {
    let seconds = u64::try_from(time.tv_sec()).ok()?;
    let micros = u64::try_from(time.tv_usec()).ok()?;
    Some(Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros)))
}
