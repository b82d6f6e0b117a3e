//! The guide's macros: what they measure lasts to the end of the block in which they stand.

/// Measures from here to the end of the block, as work of a component.
///
/// On the global monitor, or on one that is given first. Without a global monitor it does nothing
/// and costs next to nothing. Several in one block are measured each by itself, as are those of
/// blocks within. For metadata during the work, or to [say that it
/// failed](crate::ComponentWork::fail), keep the guard that
/// [`track_component()`](fn@crate::track_component) returns.
///
/// ```
/// use aimux_otel::{PerformanceMonitor, Window, track_component};
///
/// fn route(monitor: &PerformanceMonitor) {
///     track_component!("router"); // on the global monitor
///     track_component!(monitor, "router"); // on this one
///     // … your code …
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let monitor = PerformanceMonitor::builder().build()?;
/// route(&monitor);
/// monitor.collect();
/// let view = monitor.components(Window::SinceStart)?;
/// assert_eq!(view.components["router"].stats.total_operations, 1);
/// # Ok(()) }
/// ```
#[macro_export]
macro_rules! track_component {
    ($component:expr $(,)?) => {
        let _aimux_work = $crate::track_component($component);
    };
    ($monitor:expr, $component:expr $(,)?) => {
        let _aimux_work = $monitor.track_component($component);
    };
}

/// Measures from here to the end of the block, as an operation of a component, with metadata if
/// you like.
///
/// On the global monitor, or on one that is given first. Without a global monitor it does nothing:
/// keys and values are not even evaluated. See [`track_component!`](crate::track_component!).
///
/// ```
/// use aimux_otel::{PerformanceMonitor, Window, track_component, track_operation};
///
/// fn process(monitor: &PerformanceMonitor) {
///     track_operation!(monitor, "request_processor", "parse");
///     {
///         track_component!(monitor, "validation");
///         // … validation …
///     }
///     {
///         track_operation!(monitor, "provider_call", "execute", {
///             "provider" => "cerebras",
///             "model" => "llama3.1-70b",
///         });
///         // … the call …
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let monitor = PerformanceMonitor::builder().build()?;
/// process(&monitor);
/// monitor.collect();
/// let view = monitor.components(Window::SinceStart)?;
/// assert!(view.components["request_processor"].operations.contains_key("parse"));
/// assert_eq!(view.components_count, 3);
/// let call = &monitor.recent_events()[1];
/// assert_eq!(call.metadata["model"], "llama3.1-70b");
/// # Ok(()) }
/// ```
#[macro_export]
macro_rules! track_operation {
    ($component:expr, $operation:expr, { $($key:expr => $value:expr),* $(,)? } $(,)?) => {
        let _aimux_work = {
            let mut work = $crate::track_operation($component, $operation);
            if work.is_recording() {
                $( work.metadata($key, $value); )*
            }
            work
        };
    };
    ($monitor:expr, $component:expr, $operation:expr, { $($key:expr => $value:expr),* $(,)? } $(,)?) => {
        let _aimux_work = {
            let mut work = $monitor.track_operation($component, $operation);
            if work.is_recording() {
                $( work.metadata($key, $value); )*
            }
            work
        };
    };
    ($component:expr, $operation:expr $(,)?) => {
        let _aimux_work = $crate::track_operation($component, $operation);
    };
    ($monitor:expr, $component:expr, $operation:expr $(,)?) => {
        let _aimux_work = $monitor.track_operation($component, $operation);
    };
}

/// The [`Timer`](crate::Timer) of this name: of the global monitor, or of one that is given first.
///
/// ```
/// use aimux_otel::{PerformanceMonitor, timer};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let monitor = PerformanceMonitor::builder().build()?;
/// monitor.set_global();
/// timer!("user_actions_login").observe(Duration::from_millis(40));
/// timer!(monitor, "user_actions_logout").time(|| { /* … */ });
/// monitor.collect();
/// assert_eq!(monitor.health().counted, 2);
/// # Ok(()) }
/// ```
#[macro_export]
macro_rules! timer {
    ($name:expr $(,)?) => {
        $crate::timer($name)
    };
    ($monitor:expr, $name:expr $(,)?) => {
        $monitor.timer($name)
    };
}
