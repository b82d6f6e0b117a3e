//! What a monitor can be asked, and told by hand.

#[cfg(feature = "reqwest-middleware")]
use crate::edge::call::CallMiddleware;
use crate::{
    PerformanceMonitor,
    cardinality::{CardinalityView, cardinality},
    clock::saturating_nanos,
    core::{
        events::PerformanceEvent,
        guards::Operation,
        record::EventId,
        recorder::Recorder,
        timer::Timer,
        views::{
            self, ComponentsView, EndpointsView, MemoryView, PerformanceReport, ProvidersView,
            RealTimeView, SlowestView, ViewError,
        },
        window::Window,
        work::ComponentWork,
    },
    edge::call::ProviderCall,
    event_type::PerformanceEventType,
    health::MonitorHealth,
};
use std::{sync::Arc, time::Duration};

#[cfg(feature = "reqwest-middleware")]
impl CallMiddleware {
    /// A middleware that measures for `monitor`.
    #[must_use]
    pub fn new(monitor: &PerformanceMonitor) -> Self {
        Self::of(Arc::clone(monitor.recorder()))
    }
}

impl PerformanceMonitor {
    /// What each provider did over `window`.
    ///
    /// As with all these getters the numbers are not older than a second, or than the last
    /// collection if that takes longer than 50 ms: it may block the caller for as long.
    ///
    /// # Errors
    /// A window longer than the retention, or of no length.
    pub fn providers(&self, window: Window) -> Result<ProvidersView, ViewError> {
        views::providers(&self.shared().fresh(), window, None)
    }

    /// What each endpoint did over `window`.
    ///
    /// # Errors
    /// A window longer than the retention, or of no length.
    pub fn endpoints(&self, window: Window) -> Result<EndpointsView, ViewError> {
        views::endpoints(&self.shared().fresh(), window, None)
    }

    /// What each component did over `window`.
    ///
    /// # Errors
    /// A window longer than the retention, or of no length.
    pub fn components(&self, window: Window) -> Result<ComponentsView, ViewError> {
        views::components(&self.shared().fresh(), window)
    }

    /// The memory of the process, how it changed over `window`, and its CPU, network, input and
    /// output.
    ///
    /// # Errors
    /// A window longer than the retention, or of no length.
    pub fn memory(&self, window: Window) -> Result<MemoryView, ViewError> {
        views::memory(&self.shared().fresh(), window)
    }

    /// Providers and endpoints over `window`, the newest events, memory and alerts.
    ///
    /// # Errors
    /// A window longer than the retention, or of no length.
    pub fn real_time(&self, window: Window) -> Result<RealTimeView, ViewError> {
        views::real_time(&self.shared().fresh(), window)
    }

    /// The whole report over `window`.
    ///
    /// # Errors
    /// A window longer than the retention, or of no length.
    pub fn report(&self, window: Window) -> Result<PerformanceReport, ViewError> {
        views::report(&self.shared().fresh(), window)
    }

    /// The recent events that were kept, newest last.
    #[must_use]
    pub fn recent_events(&self) -> Vec<PerformanceEvent> {
        self.shared().counter.newest(usize::MAX).newest(usize::MAX)
    }

    /// Of each provider and model, and of each endpoint, the few slowest and the last failed requests
    /// of `window`.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use aimux_otel::{PerformanceMonitor, Window};
    /// use std::time::Duration;
    ///
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// for (seconds, error) in [(1, ""), (9, "timeout"), (2, "")] {
    ///     let took = Duration::from_secs(seconds);
    ///     monitor.record_provider_request("openai", "gpt-4o", took, error.is_empty(), error, 0.0);
    /// }
    /// monitor.collect();
    /// let view = monitor.slowest(Window::SinceStart)?;
    /// let calls = &view.providers["openai"].models["gpt-4o"];
    /// assert_eq!(calls.slowest[0].duration_ms, 9_000.0);
    /// assert_eq!(calls.slowest.len(), 3);
    /// assert_eq!(calls.failed[0].error_type.as_deref(), Some("timeout"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// A window longer than the retention, or of no length.
    pub fn slowest(&self, window: Window) -> Result<SlowestView, ViewError> {
        views::slowest(&self.shared().fresh(), window, None, None)
    }

    /// What became of all that was offered to the monitor.
    #[must_use]
    pub fn health(&self) -> MonitorHealth {
        self.shared().health()
    }

    /// Which label values are admitted, and which were refused for want of room.
    ///
    /// ```
    /// # fn main() -> Result<(), aimux_otel::BuildError> {
    /// use aimux_otel::{Limits, PerformanceMonitor};
    /// use std::time::Duration;
    ///
    /// let mut limits = Limits::default();
    /// limits.models = 1;
    /// let monitor = PerformanceMonitor::builder().limits(limits).build()?;
    /// for model in ["first", "second", "second"] {
    ///     monitor.record_provider_request("p", model, Duration::ZERO, true, "", 0.0);
    /// }
    /// let models = &monitor.cardinality().labels["model"];
    /// assert_eq!((models.admitted, models.limit, models.refused), (1, 1, 2));
    /// assert_eq!(models.top_refused[0].value, "second");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn cardinality(&self) -> CardinalityView {
        cardinality(self.shared())
    }

    /// Collects now, and waits until it is done: what was recorded before this call is then in the
    /// views. Waits ten seconds at the most, and not at all after a shutdown.
    pub fn collect(&self) {
        self.shared().collect(Duration::from_secs(10));
    }

    /// Records one finished call to a provider.
    ///
    /// An empty `error_type` with `success` is a success; an error type outside the closed set
    /// counts as `_OTHER`. A cost that is negative or not finite is refused and counted.
    pub fn record_provider_request(
        &self,
        provider: &str,
        model: &str,
        duration: Duration,
        success: bool,
        error_type: &str,
        cost_usd: f64,
    ) {
        let recorder = self.recorder();
        recorder.provider_request(provider, model, duration, success, error_type, cost_usd);
    }

    /// An operation begins. With a provider or a model it is one attempt too.
    ///
    /// What is never ended is given up after an hour, and counted as dropped. Several may be open at
    /// once, of the same `request_id` too, and end in any order: the id that is returned tells them
    /// apart.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use aimux_otel::{PerformanceMonitor, Window};
    ///
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// let start = |id| monitor.record_request_start(id, "/anthropic", "POST", "cerebras", "llama3.1-70b");
    /// let (first, second) = (start("req_12345"), start("req_12346"));
    /// assert!(monitor.record_request_end(second, true, 200, 2_048, "", 0.0042));
    /// assert!(monitor.record_request_end(first, false, 500, 0, "timeout", 0.0));
    /// assert!(!monitor.record_request_end(first, true, 200, 0, "", 0.0), "it has ended");
    /// monitor.collect();
    /// let aggregated = monitor.endpoints(Window::SinceStart)?.aggregated;
    /// assert_eq!(aggregated.total_operations, 2);
    /// # Ok(()) }
    /// ```
    pub fn record_request_start(
        &self,
        request_id: &str,
        endpoint: &str,
        method: &str,
        provider: &str,
        model: &str,
    ) -> EventId {
        let recorder = self.recorder();
        recorder.request_start(request_id, endpoint, method, provider, model)
    }

    /// The operation ends; whether it was open. To end it twice does nothing.
    pub fn record_request_end(
        &self,
        event: EventId,
        success: bool,
        status_code: u16,
        response_size: u64,
        error_type: &str,
        cost_usd: f64,
    ) -> bool {
        self.recorder().request_end(
            event,
            success,
            status_code,
            response_size,
            error_type,
            cost_usd,
        )
    }

    /// The response cache had the answer of `provider` and `model`, and what it saved, as far as
    /// that is known: what the answer cost when it was made, in USD, and how long that took. A cost
    /// that is negative or not finite is refused and counted.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use aimux_otel::{PerformanceMonitor, Window};
    /// use std::time::Duration;
    ///
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// let took = Duration::from_millis(850);
    /// monitor.cache_hit("cerebras", "llama3.1-70b", Some(0.0042), Some(took));
    /// monitor.cache_miss("cerebras", "llama3.1-70b");
    /// monitor.rate_limit_hit("", "");
    /// monitor.failover("openai", "cerebras", "timeout");
    /// monitor.collect();
    /// let report = monitor.report(Window::SinceStart)?;
    /// assert_eq!(report.cache.hit_rate_percent, Some(50.0));
    /// assert_eq!(report.cache.saved_cost, 0.0042);
    /// assert_eq!(report.cache.saved_seconds, 0.85);
    /// assert_eq!(report.gateway_rate_limit_hits, 1);
    /// assert_eq!(report.failovers[0].to, "cerebras");
    /// # Ok(()) }
    /// ```
    pub fn cache_hit(
        &self,
        provider: &str,
        model: &str,
        cost_usd: Option<f64>,
        took: Option<Duration>,
    ) {
        let event = PerformanceEventType::CacheHit;
        let recorder = self.recorder();
        recorder.signal(event, provider, model, |signal| {
            if let Some(cost) = cost_usd {
                recorder.note_cost(signal, cost);
            }
            signal.duration = took.map_or(0, saturating_nanos);
        });
    }

    /// The response cache had no answer of `provider` and `model`.
    pub fn cache_miss(&self, provider: &str, model: &str) {
        let event = PerformanceEventType::CacheMiss;
        self.recorder().signal(event, provider, model, |_| {});
    }

    /// A rate limit was reached: that of `provider`, or with an empty name one of the gateway's
    /// own.
    pub fn rate_limit_hit(&self, provider: &str, model: &str) {
        let event = PerformanceEventType::RateLimitHit;
        self.recorder().signal(event, provider, model, |_| {});
    }

    /// The provider `from` is given up for `to`; `reason` is in a word why, one of 32 at the most.
    pub fn failover(&self, from: &str, to: &str, reason: &str) {
        let recorder = self.recorder();
        let event = PerformanceEventType::FailoverInitiated;
        recorder.signal(event, from, "", |signal| {
            signal.failover_to = recorder.labels.providers.label(to);
            signal.reason = recorder.labels.reasons.label(reason);
        });
    }

    /// Records an event made by hand.
    ///
    /// `PROVIDER_END` with a `provider` or `model` counts as an attempt, `REQUEST_END` with an
    /// `endpoint` as an operation, one of component `abtest` with a `variant`
    /// and a duration as a try of that variant of the experiment that its operation names, and any
    /// other with a duration as work of its component.
    ///
    /// Without a timestamp it happened now; one in the future is taken for now. A duration that
    /// nanoseconds in 64 bits cannot tell is refused and counted.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use aimux_otel::{PerformanceEvent, PerformanceEventType, PerformanceMonitor, Window};
    /// use std::time::Duration;
    ///
    /// let builder = PerformanceMonitor::builder().metadata_keys(["query_type", "table"]);
    /// let monitor = builder.build()?;
    /// let event_type = PerformanceEventType::RequestStart;
    /// let event = PerformanceEvent::new("custom_event_id", event_type, "database", "query")
    ///     .with_metadata("query_type", "SELECT")
    ///     .with_metadata("table", "users")
    ///     .with_duration(Duration::from_micros(150_500));
    /// monitor.record_event(event);
    /// monitor.collect();
    /// let database = &monitor.components(Window::SinceStart)?.components["database"];
    /// assert_eq!(database.operations["query"].avg_duration_ms, Some(150.5));
    /// # Ok(()) }
    /// ```
    pub fn record_event(&self, event: PerformanceEvent) {
        self.recorder().event(event);
    }

    /// Records each of `events` as [`record_event`](Self::record_event) does, in their order.
    ///
    /// It saves calls, no more: every event costs what it costs alone, some microseconds of which
    /// nearly all goes into its metadata. They are not recorded as one: another thread's may come
    /// between, and a collection too.
    ///
    /// ```
    /// use aimux_otel::{PerformanceEvent, PerformanceEventType, PerformanceMonitor};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), aimux_otel::BuildError> {
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// monitor.record_events((1..=3).map(|n| {
    ///     PerformanceEvent::new(format!("query-{n}"), PerformanceEventType::RequestEnd, "database", "query")
    ///         .with_duration(Duration::from_millis(n))
    /// }));
    /// monitor.collect();
    /// assert_eq!(monitor.health().counted, 3);
    /// # Ok(()) }
    /// ```
    pub fn record_events(&self, events: impl IntoIterator<Item = PerformanceEvent>) {
        events
            .into_iter()
            .for_each(|event| self.record_event(event));
    }

    /// Begins to measure work of a component, until what is returned is dropped.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use aimux_otel::{PerformanceMonitor, Window};
    ///
    /// fn port(monitor: &PerformanceMonitor, text: &str) -> Result<u16, std::num::ParseIntError> {
    ///     let mut work = monitor.track_component("configuration");
    ///     text.parse().inspect_err(|_| { work.fail("invalid_request"); })
    /// }
    ///
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// assert!(port(&monitor, "8080").is_ok() && port(&monitor, "none").is_err());
    /// monitor.collect();
    /// let stats = &monitor.components(Window::SinceStart)?.components["configuration"].stats;
    /// assert_eq!((stats.total_operations, stats.failed_operations), (2, 1));
    /// # Ok(()) }
    /// ```
    pub fn track_component(&self, component: &str) -> ComponentWork {
        self.track_operation(component, "")
    }

    /// Begins to measure an operation of a component, until what is returned is dropped.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use aimux_otel::{PerformanceMonitor, Window};
    ///
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// monitor.track_operation("request_processor", "parse").finish();
    /// monitor.collect();
    /// let view = monitor.components(Window::SinceStart)?;
    /// assert_eq!(view.components["request_processor"].operations["parse"].total_operations, 1);
    /// # Ok(()) }
    /// ```
    pub fn track_operation(&self, component: &str, operation: &str) -> ComponentWork {
        ComponentWork::begin(Arc::clone(self.recorder()), component, operation)
    }

    /// The timer of this name, which observes durations into a histogram of its own. Names are
    /// admitted up to a limit, 64 by default ([`Limits::timers`](crate::Limits::timers)); what comes
    /// later is `_OTHER`.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use aimux_otel::{PerformanceMonitor, Window};
    ///
    /// let monitor = PerformanceMonitor::builder().build()?;
    /// let timer = monitor.timer("user_actions_login");
    /// timer.time(|| { /* the login */ });
    /// monitor.collect();
    /// let timers = monitor.components(Window::SinceStart)?.timers;
    /// assert_eq!(timers["user_actions_login"].total_operations, 1);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn timer(&self, name: &str) -> Timer {
        Timer::new(Arc::clone(self.recorder()), name)
    }

    /// Begins to measure one call to a provider, which belongs to no operation: for one that does,
    /// [`Operation::provider_call`] and [`OperationHandle::provider_call`](crate::OperationHandle::provider_call).
    pub fn provider_call(&self, provider: &str, model: &str) -> ProviderCall {
        ProviderCall::begin(self.recorder(), provider, model, None)
    }

    /// Begins to measure what the gateway's client asked for.
    pub fn operation(&self, endpoint: &str, method: &str) -> Operation {
        Operation::begin(self.recorder(), endpoint, method)
    }

    pub(crate) fn recorder(&self) -> &Arc<Recorder> {
        &self.shared().recorder
    }
}
