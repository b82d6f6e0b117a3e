//! The monitor that the macros and functions without a handle use, if there is one.

use crate::{
    PerformanceMonitor,
    core::{recorder::Recorder, timer::Timer, work::ComponentWork},
    monitor::WeakMonitor,
};
use std::{
    cell::RefCell,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

/// How often a global monitor was set: so far none, mostly once.
static SET: AtomicU64 = AtomicU64::new(0);
static GLOBAL: Mutex<Global> = Mutex::new(Global {
    monitor: WeakMonitor::NONE,
    recorder: Weak::new(),
});

struct Global {
    monitor: WeakMonitor,
    recorder: Weak<Recorder>,
}

thread_local! {
    /// What this thread last saw, and which it was: so that threads do not meet at a lock.
    static SEEN: RefCell<(u64, Weak<Recorder>)> = const { RefCell::new((0, Weak::new())) };
}

impl PerformanceMonitor {
    /// Makes this the monitor that [`track_component!`](crate::track_component!),
    /// [`track_operation!`](crate::track_operation!) and [`timer!`](crate::timer!) use without a
    /// handle, in place of the one before. [`install`](crate::MonitorBuilder::install) does it too.
    ///
    /// The global does not keep the monitor alive: that is up to the handles.
    ///
    /// ```
    /// use aimux_otel::{PerformanceMonitor, track_component};
    ///
    /// # fn main() -> Result<(), aimux_otel::BuildError> {
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// monitor.set_global();
    /// {
    ///     track_component!("router");
    /// }
    /// monitor.collect();
    /// assert_eq!(monitor.health().counted, 1);
    ///
    /// drop(monitor);
    /// assert!(aimux_otel::global().is_none());
    /// # Ok(()) }
    /// ```
    pub fn set_global(&self) {
        let mut global = GLOBAL.lock().unwrap_or_else(PoisonError::into_inner);
        global.monitor = self.downgrade();
        global.recorder = Arc::downgrade(&self.shared().recorder);
        // While it is locked: who sees the new number waits for what it stands for.
        SET.fetch_add(1, Ordering::Release);
    }
}

/// The monitor that was [set as the global one](PerformanceMonitor::set_global), while there is a
/// handle of it somewhere.
///
/// ```
/// assert!(aimux_otel::global().is_none());
/// ```
#[must_use]
pub fn global() -> Option<PerformanceMonitor> {
    let global = GLOBAL.lock().unwrap_or_else(PoisonError::into_inner);
    global.monitor.upgrade()
}

/// As [`PerformanceMonitor::track_component`] of the global monitor; without one, work that nobody
/// measures.
///
/// ```
/// let mut work = aimux_otel::track_component("router");
/// work.metadata("provider", "cerebras");
/// assert!(!work.is_recording(), "there is no global monitor");
/// ```
#[inline]
pub fn track_component(component: &str) -> ComponentWork {
    track_operation(component, "")
}

/// As [`PerformanceMonitor::track_operation`] of the global monitor; without one, work that nobody
/// measures.
///
/// ```
/// let mut work = aimux_otel::track_operation("request_processor", "parse");
/// work.metadata("provider", "cerebras");
/// ```
#[inline]
pub fn track_operation(component: &str, operation: &str) -> ComponentWork {
    recorder().map_or(ComponentWork::NONE, |recorder| {
        ComponentWork::begin(recorder, component, operation)
    })
}

/// As [`PerformanceMonitor::timer`] of the monitor that is the global one now, and stays with that;
/// without one, a timer that nobody observes.
///
/// ```
/// aimux_otel::timer("user_actions_login").time(|| { /* … */ });
/// ```
#[must_use]
pub fn timer(name: &str) -> Timer {
    recorder().map_or(Timer::NONE, |recorder| Timer::new(recorder, name))
}

/// Where the global monitor records.
#[inline]
fn recorder() -> Option<Arc<Recorder>> {
    match SET.load(Ordering::Acquire) {
        0 => None,
        set => recorder_of(set),
    }
}

/// See [`recorder`], once `set` were set.
fn recorder_of(set: u64) -> Option<Arc<Recorder>> {
    let current = || {
        let global = GLOBAL.lock().unwrap_or_else(PoisonError::into_inner);
        Weak::clone(&global.recorder)
    };
    let seen = SEEN.try_with(|seen| {
        let mut seen = seen.try_borrow_mut().ok()?;
        if seen.0 != set {
            *seen = (set, current());
        }
        Some(seen.1.upgrade())
    });
    // While a thread ends its locals may be gone.
    match seen {
        Ok(Some(recorder)) => recorder,
        _ => current().upgrade(),
    }
}
