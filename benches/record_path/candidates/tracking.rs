//! Work of a component as a guard and by the macros, with a handle and without, and a timer.

use std::hint::black_box;
use std::time::Duration;

use aimux_otel::{PerformanceMonitor, Timer, Window, timer, track_operation};

use super::{Built, Candidate};
use crate::workload::{Labels, duration, timed};

/// What is measured by one monitor, or by none.
struct Tracked<F> {
    work: F,
    monitor: Option<PerformanceMonitor>,
}

impl<F: Fn(Labels, usize) + Send + Sync> Candidate for Tracked<F> {
    fn burst(&self, labels: Labels, count: usize) -> Duration {
        timed(|| (0..count).for_each(|index| (self.work)(black_box(labels), index)))
    }

    fn settle(&self) {
        if let Some(monitor) = &self.monitor {
            monitor.collect();
        }
    }

    fn counted(&self) -> Option<u64> {
        let monitor = self.monitor.as_ref()?;
        monitor.collect();
        let view = monitor.components(Window::SinceStart).ok()?;
        let components = view.components.values();
        let work: u64 = components.map(|c| c.stats.total_operations).sum();
        let timers = view.timers.values();
        Some(work + timers.map(|t| t.total_operations).sum::<u64>())
    }
}

fn monitor() -> Result<PerformanceMonitor, aimux_otel::BuildError> {
    let builder = PerformanceMonitor::builder();
    builder.collection_interval(Duration::from_secs(60)).build()
}

fn tracked(
    monitor: Option<PerformanceMonitor>,
    work: impl Fn(Labels, usize) + Send + Sync + 'static,
) -> Built {
    Ok(Box::new(Tracked { work, monitor }))
}

pub(super) fn handle() -> Built {
    let monitor = monitor()?;
    let own = monitor.clone();
    tracked(Some(monitor), move |labels, _| {
        track_operation!(own, labels.provider, labels.model);
    })
}

pub(super) fn global() -> Built {
    let monitor = monitor()?;
    monitor.set_global();
    tracked(Some(monitor), |labels, _| {
        track_operation!(labels.provider, labels.model);
    })
}

pub(super) fn nobody() -> Built {
    tracked(None, |labels, _| {
        track_operation!(labels.provider, labels.model);
    })
}

pub(super) fn metadata() -> Built {
    let monitor = monitor()?;
    let own = monitor.clone();
    tracked(Some(monitor), move |labels, _| {
        track_operation!(own, "provider_call", "execute", {
            "provider" => labels.provider,
            "model" => labels.model,
        });
    })
}

pub(super) fn kept_timer() -> Built {
    let monitor = monitor()?;
    let kept: Timer = monitor.timer("user_actions_login");
    tracked(Some(monitor), move |_, index| kept.observe(duration(index)))
}

pub(super) fn named_timer() -> Built {
    let monitor = monitor()?;
    monitor.set_global();
    tracked(Some(monitor), |_, index| {
        timer!("user_actions_login").observe(duration(index));
    })
}
