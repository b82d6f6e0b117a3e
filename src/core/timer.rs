//! Named timers, each observed into a histogram of its own.

use super::{
    labels::Label,
    measurement::{Kind, Measurement},
    recorder::{DropReason, Recorder, nanos},
};
use crate::{clock::Timestamp, event_type::PerformanceEventType};
use std::{sync::Arc, time::Duration};

/// Durations under a name of your own, such as `user_actions_login`.
///
/// Made by [`PerformanceMonitor::timer`](crate::PerformanceMonitor::timer) and
/// [`timer!`](crate::timer!). Cheap to clone and to keep; many of the same name are one. Shown as
/// `timers` beside the components, on `/metrics` and by OTLP as `aimux.timer.duration` with the
/// attribute `aimux.timer`. An observation is no event: it is neither among the recent ones nor
/// shown to the observer.
#[derive(Debug, Clone)]
pub struct Timer(Option<Named>);

#[derive(Debug, Clone)]
struct Named {
    recorder: Arc<Recorder>,
    name: Label,
}

/// A timer that runs, until it is dropped or [stopped](Self::stop): then the time since its start
/// is observed.
#[derive(Debug)]
#[must_use = "a timer that is dropped at once observes no time"]
pub struct RunningTimer(Option<(Named, Timestamp)>);

impl Timer {
    /// What nobody observes.
    pub(crate) const NONE: Self = Self(None);

    pub(crate) fn new(recorder: Arc<Recorder>, name: &str) -> Self {
        if recorder.disabled {
            return Self::NONE;
        }
        let name = recorder.labels.timers.label(name);
        Self(Some(Named { recorder, name }))
    }

    /// Observes one duration. One that nanoseconds in 64 bits cannot tell, some 584 years, is
    /// refused and counted, as `invalid_value`.
    ///
    /// ```
    /// use aimux_otel::{PerformanceMonitor, Window};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// let timer = monitor.timer("user_actions_login");
    /// timer.observe(Duration::from_millis(40));
    /// timer.observe(Duration::from_millis(60));
    /// monitor.collect();
    /// let login = &monitor.components(Window::SinceStart)?.timers["user_actions_login"];
    /// assert_eq!((login.total_operations, login.avg_duration_ms), (2, Some(50.0)));
    /// # Ok(()) }
    /// ```
    pub fn observe(&self, duration: Duration) {
        let Some(named) = &self.0 else {
            return;
        };
        match u64::try_from(duration.as_nanos()) {
            Ok(duration) => named.observe(duration, named.recorder.now()),
            Err(_) => named.recorder.refuse(DropReason::InvalidValue),
        }
    }

    /// Starts: what is returned observes the time until it is dropped.
    ///
    /// ```
    /// # fn main() -> Result<(), aimux_otel::BuildError> {
    /// let monitor = aimux_otel::PerformanceMonitor::builder().build()?;
    /// let timer = monitor.timer("render");
    /// {
    ///     let _running = timer.start();
    ///     // … what takes time …
    /// }
    /// timer.start().stop();
    /// timer.start().discard();
    /// monitor.collect();
    /// assert_eq!(monitor.health().counted, 2);
    /// # Ok(()) }
    /// ```
    pub fn start(&self) -> RunningTimer {
        let running = |named: &Named| (named.clone(), named.recorder.now());
        RunningTimer(self.0.as_ref().map(running))
    }

    /// Runs `body`, and observes how long it took; also if it panics.
    ///
    /// ```
    /// # fn main() -> Result<(), aimux_otel::BuildError> {
    /// let monitor = aimux_otel::PerformanceMonitor::builder().build()?;
    /// let sum: u64 = monitor.timer("sum").time(|| (1..=1_000).sum());
    /// assert_eq!(sum, 500_500);
    /// # Ok(()) }
    /// ```
    pub fn time<R>(&self, body: impl FnOnce() -> R) -> R {
        let _running = self.start();
        body()
    }
}

impl Named {
    fn observe(&self, duration: u64, ended: Timestamp) {
        let mut measurement = Measurement::new(Kind::Timer, PerformanceEventType::RequestEnd);
        measurement.component = self.name;
        measurement.duration = duration;
        measurement.ended = ended;
        self.recorder.offer(measurement);
    }
}

impl RunningTimer {
    /// Observes the time since its start.
    pub fn stop(self) {
        drop(self);
    }

    /// Stops without observing anything.
    pub fn discard(mut self) {
        self.0 = None;
    }
}

impl Drop for RunningTimer {
    fn drop(&mut self) {
        if let Some((named, started)) = self.0.take() {
            let ended = named.recorder.now();
            named.observe(nanos(ended, started), ended);
        }
    }
}
