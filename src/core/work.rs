//! Component work as a guard: measured from its making until it is dropped.

use super::{
    error_type,
    labels::Label,
    measurement::{Kind, Measurement},
    record::settle,
    recorder::{Recorder, label_of, nanos},
};
use crate::{clock::Timestamp, event_type::PerformanceEventType};
use std::{sync::Arc, thread};

/// One piece of work of one component, measured until it is dropped.
///
/// Made by [`PerformanceMonitor::track_component`](crate::PerformanceMonitor::track_component),
/// [`track_operation`](crate::PerformanceMonitor::track_operation) and the macros
/// [`track_component!`](crate::track_component!) and
/// [`track_operation!`](crate::track_operation!). It may be kept across `.await`, sent to another
/// thread, and nested in others, which are measured each by itself. A success unless told
/// otherwise, also on an early return by `?`: [`fail`](Self::fail) says that it was none. One that
/// a panic drops counts as a failure, with the error type `internal`.
///
/// It allocates nothing before there is metadata.
#[derive(Debug)]
#[must_use = "work that is dropped at once took no time"]
pub struct ComponentWork(Option<Open>);

/// Small, since it is moved about; most work has no metadata.
#[derive(Debug)]
struct Open {
    recorder: Arc<Recorder>,
    started: Timestamp,
    component: Label,
    operation: Label,
    /// What [`fail`](ComponentWork::fail) said, which wins over metadata.
    error: Option<&'static str>,
    /// What metadata told.
    noted: Option<Box<Measurement>>,
    /// Metadata said so.
    failed: bool,
    /// It was begun while a panic unwound: in a destructor, which may well succeed.
    unwinding: bool,
}

impl ComponentWork {
    /// What nobody measures.
    pub(crate) const NONE: Self = Self(None);

    /// An empty `operation` is none.
    pub(crate) fn begin(recorder: Arc<Recorder>, component: &str, operation: &str) -> Self {
        if recorder.disabled {
            return Self::NONE;
        }
        let labels = &recorder.labels;
        Self(Some(Open {
            component: labels.components.label(component),
            operation: label_of(&labels.component_operations, operation),
            started: recorder.now(),
            recorder,
            error: None,
            noted: None,
            failed: false,
            unwinding: thread::panicking(),
        }))
    }

    /// The same with one more metadata value, as [`metadata`](Self::metadata) takes it.
    ///
    /// ```
    /// # fn main() -> Result<(), aimux_otel::BuildError> {
    /// let monitor = aimux_otel::PerformanceMonitor::builder().build()?;
    /// let work = monitor
    ///     .track_operation("provider_call", "execute")
    ///     .with_metadata("provider", "cerebras")
    ///     .with_metadata("model", "llama3.1-70b");
    /// drop(work);
    /// monitor.collect();
    /// let events = monitor.recent_events();
    /// assert_eq!(events[0].metadata["provider"], "cerebras");
    /// # Ok(()) }
    /// ```
    pub fn with_metadata(mut self, key: &str, value: impl AsRef<str>) -> Self {
        self.metadata(key, value);
        self
    }

    /// A value that its event in the recent ones will carry, as
    /// [`PerformanceEvent::metadata`](crate::PerformanceEvent::metadata) does: of keys that are
    /// neither recognised nor declared it is dropped. The same key again replaces the value.
    /// `error_type`, a `status_code` from 400 on, and `success` with `false` make it a failure.
    ///
    /// ```
    /// # fn main() -> Result<(), aimux_otel::BuildError> {
    /// let builder = aimux_otel::PerformanceMonitor::builder().metadata_keys(["rows"]);
    /// let monitor = builder.build()?;
    /// {
    ///     let mut work = monitor.track_operation("database", "query");
    ///     // … the query …
    ///     work.metadata("rows", 42.to_string()).metadata("sql", "dropped: nobody declared it");
    /// }
    /// monitor.collect();
    /// let metadata = &monitor.recent_events()[0].metadata;
    /// assert_eq!(metadata.len(), 1);
    /// assert_eq!(metadata["rows"], "42");
    /// # Ok(()) }
    /// ```
    pub fn metadata(&mut self, key: &str, value: impl AsRef<str>) -> &mut Self {
        if let Some(open) = &mut self.0 {
            let noted = open.noted.get_or_insert_with(|| Box::new(blank()));
            open.failed |= open.recorder.note(noted, key, value.as_ref());
        }
        self
    }

    /// It has failed, for this reason: what is not in the closed set of error types counts as
    /// `_OTHER`.
    ///
    /// ```
    /// use aimux_otel::{PerformanceMonitor, Window};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// monitor.track_component("router").fail("timeout");
    /// monitor.collect();
    /// let view = monitor.components(Window::SinceStart)?;
    /// assert_eq!(view.components["router"].stats.failed_operations, 1);
    /// # Ok(()) }
    /// ```
    pub fn fail(&mut self, error_type: &str) -> &mut Self {
        if let Some(open) = &mut self.0 {
            open.error = Some(error_type::canonical(error_type));
        }
        self
    }

    /// Whether anybody measures it: not without a global monitor, for work that was begun on that
    /// one, nor where `OTEL_SDK_DISABLED` is `true`.
    #[must_use]
    pub const fn is_recording(&self) -> bool {
        self.0.is_some()
    }

    /// It ends now, before the end of its scope.
    pub fn finish(self) {
        drop(self);
    }
}

impl Drop for ComponentWork {
    fn drop(&mut self) {
        let Some(open) = self.0.take() else {
            return;
        };
        let mut measurement = open.noted.map_or_else(blank, |noted| *noted);
        measurement.component = open.component;
        measurement.component_operation = open.operation;
        measurement.error = open.error.or(measurement.error);
        if !open.unwinding && thread::panicking() {
            measurement.error.get_or_insert(error_type::INTERNAL);
        }
        measurement.ended = open.recorder.now();
        measurement.duration = nanos(measurement.ended, open.started);
        settle(&mut measurement, open.failed);
        open.recorder.offer(measurement);
    }
}

fn blank() -> Measurement {
    Measurement::new(Kind::Component, PerformanceEventType::RequestEnd)
}
