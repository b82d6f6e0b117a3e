//! The settings of a monitor, before it is built.

use crate::{
    PerformanceMonitor,
    config::{Config, Conventions, Limits, OtlpProtocol, TraceSampling},
    core::{
        alerts::{
            change::AlertSink,
            custom::{AlertContext, CustomRule, check_custom},
            rule::{AlertRule, Severity},
        },
        events::PerformanceEvent,
        prices::PriceTable,
        settings::{Settings, check_pace, check_rules},
        standing::HealthPolicy,
    },
    counter::Observer,
    edge::otel::reader::ViewReader,
    error::BuildError,
    event_type::EventFilter,
};
use opentelemetry_sdk::{metrics::SdkMeterProvider, trace::SdkTracerProvider};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

/// Interval and retention of [`MonitorBuilder::high_performance`].
const HIGH_PERFORMANCE: (Duration, Duration) =
    (Duration::from_secs(10), Duration::from_secs(6 * 3_600));
/// Interval and retention of [`MonitorBuilder::comprehensive`].
const COMPREHENSIVE: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(48 * 3_600));
/// Memory for windows of [`MonitorBuilder::comprehensive`].
const COMPREHENSIVE_MEMORY: usize = 4 << 20;
/// What may be set as that.
const WINDOW_MEMORY: std::ops::RangeInclusive<usize> = 64 << 10..=1 << 30;

/// Settings for a [`PerformanceMonitor`]; [`build`](Self::build) checks them all before anything
/// is started.
///
/// What is set here wins over the `OTEL_*` variables.
#[must_use = "nothing happens before `build`"]
#[derive(Default)]
pub struct MonitorBuilder {
    pub(crate) config: Config,
    pub(crate) listen: Option<SocketAddr>,
    #[cfg(feature = "server")]
    pub(crate) access: crate::http::Access,
    #[cfg(feature = "server")]
    pub(crate) trace_ids_in_logs: bool,
    pub(crate) conventions: Option<Conventions>,
    pub(crate) observer: Option<Observer>,
    pub(crate) rules: Vec<AlertRule>,
    pub(crate) custom_rules: Vec<CustomRule>,
    pub(crate) sinks: Vec<Arc<dyn AlertSink>>,
    pub(crate) otlp_endpoint: Option<String>,
    pub(crate) otlp_protocol: Option<OtlpProtocol>,
    pub(crate) otlp_interval: Option<Duration>,
    pub(crate) sampling: Option<TraceSampling>,
    pub(crate) meter_provider: Option<(SdkMeterProvider, ViewReader)>,
    pub(crate) tracer_provider: Option<SdkTracerProvider>,
    pub(crate) registry: Option<prometheus::Registry>,
    pub(crate) prices: Prices,
    pub(crate) health_policy: HealthPolicy,
    #[cfg(feature = "push")]
    pub(crate) destinations: crate::edge::push::Destinations,
}

/// Where the price table comes from.
#[derive(Debug, Default)]
pub(crate) enum Prices {
    #[default]
    None,
    Table(Box<PriceTable>),
    File(PathBuf),
}

impl std::fmt::Debug for MonitorBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MonitorBuilder")
            .field("config", &self.config)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

impl MonitorBuilder {
    /// The service's name in what is exported; `OTEL_SERVICE_NAME` otherwise.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.config.service_name = Some(name.into());
        self
    }

    /// What tokens cost: gives a call that used some its cost, unless that is told.
    pub fn price_table(mut self, table: PriceTable) -> Self {
        self.prices = Prices::Table(Box::new(table));
        self
    }

    /// The same, from a file: read when the monitor is built, and again on
    /// [`reload_prices`](PerformanceMonitor::reload_prices).
    pub fn price_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.prices = Prices::File(path.into());
        self
    }

    /// By what the health of providers is judged.
    ///
    /// ```
    /// use aimux_otel::{HealthPolicy, PerformanceMonitor};
    ///
    /// # fn main() -> Result<(), aimux_otel::BuildError> {
    /// let mut policy = HealthPolicy::default();
    /// policy.unhealthy_below_percent = 50.0;
    /// let monitor = PerformanceMonitor::builder().health_policy(policy).build()?;
    /// # drop(monitor); Ok(()) }
    /// ```
    pub fn health_policy(mut self, policy: HealthPolicy) -> Self {
        self.health_policy = policy;
        self
    }

    /// A provider with its models: always shown, with zeros before its first request, and never
    /// refused for want of room. May be called for many.
    pub fn provider<M: Into<String>>(
        mut self,
        name: impl Into<String>,
        models: impl IntoIterator<Item = M>,
    ) -> Self {
        let models = models.into_iter().map(Into::into).collect();
        self.config.providers.push((name.into(), models));
        self
    }

    /// An endpoint, as a route template such as `/v1/threads/{id}`: always shown, and never
    /// refused for want of room. May be called for many.
    pub fn endpoint(mut self, path: impl Into<String>) -> Self {
        self.config.endpoints.push(path.into());
        self
    }

    /// How many other values of each label are admitted.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// Little overhead: collects every 10 s and keeps 6 h.
    ///
    /// The same as `collection_interval` and `retention` with these; what is set later wins.
    ///
    /// ```
    /// use aimux_otel::PerformanceMonitor;
    ///
    /// # fn main() -> Result<(), aimux_otel::BuildError> {
    /// let monitor = PerformanceMonitor::builder().high_performance().build()?;
    /// assert_eq!(monitor.collection_interval().as_secs(), 10);
    /// assert_eq!(monitor.retention().as_secs(), 6 * 3_600);
    /// # Ok(()) }
    /// ```
    pub const fn high_performance(self) -> Self {
        let (interval, retention) = HIGH_PERFORMANCE;
        self.collection_interval(interval).retention(retention)
    }

    /// All there is to see: collects every second, keeps 48 h, and has 4 MiB for windows.
    ///
    /// The same as `collection_interval`, `retention` and `window_memory` with these; what is set
    /// later wins.
    ///
    /// ```
    /// use aimux_otel::PerformanceMonitor;
    ///
    /// # fn main() -> Result<(), aimux_otel::BuildError> {
    /// let monitor = PerformanceMonitor::builder().comprehensive().build()?;
    /// assert_eq!(monitor.collection_interval().as_secs(), 1);
    /// assert_eq!(monitor.retention().as_secs(), 48 * 3_600);
    /// # Ok(()) }
    /// ```
    pub const fn comprehensive(self) -> Self {
        let (interval, retention) = COMPREHENSIVE;
        self.collection_interval(interval)
            .retention(retention)
            .window_memory(COMPREHENSIVE_MEMORY)
    }

    /// Time between two collections: 5 s by default, from 10 ms to an hour.
    pub const fn collection_interval(mut self, interval: Duration) -> Self {
        self.config.collection_interval = interval;
        self
    }

    /// For how long windows reach back: 24 h by default, from one collection interval to 48 h.
    pub const fn retention(mut self, retention: Duration) -> Self {
        self.config.retention = retention;
        self
    }

    /// What windows may take of memory, in bytes: 1 MiB by default, from 64 KiB to 1 GiB.
    ///
    /// Where many series are busy for long and need more, windows cover more time than was asked
    /// for, at the most two and a half times it, up to five minutes twice; and percentiles of what
    /// is older than five minutes become less exact, 2.2 % at the worst instead of 0.54 %. Each
    /// answer says what it covers and how exact it is. Totals since the start are not in this, and stay exact.
    pub const fn window_memory(mut self, bytes: usize) -> Self {
        self.config.window_memory = bytes;
        self
    }

    /// How many spans, requests and operations may be open at once: 16,384 by default. What comes
    /// beyond is dropped and counted.
    pub const fn max_open(mut self, open: usize) -> Self {
        self.config.max_open = open;
        self
    }

    /// How many recent events are kept: 512 by default, 10,000 at the most.
    pub const fn recent_events(mut self, events: usize) -> Self {
        self.config.recent_events = events;
        self
    }

    /// Which events are kept among the recent ones. All are counted in any case.
    pub const fn event_filter(mut self, filter: EventFilter) -> Self {
        self.config.event_filter = filter;
        self
    }

    /// One more thing to watch for. A rule of the same id, or without one of the same metric, scope,
    /// severity, comparison and window, replaces the earlier.
    pub fn alert(mut self, rule: AlertRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Watches for the guide's table of targets: see [`AlertRule::recommended`].
    pub fn recommended_alerts(mut self) -> Self {
        self.rules.extend(AlertRule::recommended());
        self
    }

    /// One more thing to watch for that no [`AlertRule`] can say. `find` looks at the views after
    /// each collection, and returns what is the case: a name for what it is about, and a sentence
    /// for people. Each name is one alert, which fires at once and is resolved as soon as it is not
    /// returned any more.
    ///
    /// It runs on the monitor's own thread: nothing is collected until it returns. If it panics,
    /// that is counted in `custom_rule_panics` of the view, and what fires goes on for five
    /// minutes. Up to 64 names at once; names are cut to 128 bytes, messages to 512, and what
    /// cannot be shown is left out of both. Up to 64 custom rules, each with an id of its own.
    ///
    /// ```
    /// use aimux_otel::{PerformanceMonitor, Severity, Window};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // Provider-specific performance issues
    /// let monitor = PerformanceMonitor::builder()
    ///     .custom_alert("provider_health", Severity::Warning, |views| {
    ///         let window = Window::Last(Duration::from_secs(300));
    ///         let Ok(view) = views.providers(window) else { return Vec::new() };
    ///         let mut found = Vec::new();
    ///         for (name, perf) in view.providers {
    ///             if let Some(rate) = perf.success_rate_percent
    ///                 && rate < 90.0
    ///                 && perf.total_requests > 100
    ///             {
    ///                 let message = format!("Provider {name} has low success rate: {rate}%");
    ///                 found.push((name.clone(), message));
    ///             }
    ///             if let Some(average) = perf.average_response_time_ms
    ///                 && average > 5000.0
    ///             {
    ///                 let message =
    ///                     format!("Provider {name} has high average response time: {average}ms");
    ///                 found.push((name, message));
    ///             }
    ///         }
    ///         found
    ///     })
    ///     .build()?;
    ///
    /// for call in 0..200 {
    ///     let error_type = if call % 5 == 0 { "timeout" } else { "" };
    ///     let took = Duration::from_millis(800);
    ///     monitor.record_provider_request("zai", "glm-4.6", took, call % 5 != 0, error_type, 0.0);
    /// }
    /// monitor.collect();
    /// assert_eq!(monitor.alerts().alerts, ["[warning] Provider zai has low success rate: 80%"]);
    /// # Ok(()) }
    /// ```
    pub fn custom_alert<I, S, M>(
        mut self,
        id: impl Into<String>,
        severity: Severity,
        find: impl Fn(&AlertContext<'_>) -> I + Send + Sync + 'static,
    ) -> Self
    where
        I: IntoIterator<Item = (S, M)>,
        S: Into<String>,
        M: Into<String>,
    {
        let rule = CustomRule::new(id.into(), severity, find);
        self.custom_rules.push(rule);
        self
    }

    /// One more to be told of alerts. May be called for several.
    pub fn alert_sink(mut self, sink: Arc<dyn AlertSink>) -> Self {
        self.sinks.push(sink);
        self
    }

    /// Metadata keys of events made by hand that are kept, beside the recognised ones.
    pub fn metadata_keys<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        let keys = keys.into_iter().map(Into::into);
        self.config.metadata_keys.extend(keys);
        self
    }

    /// Of the instrumentation scopes that record the same metric, the views use the first of
    /// these; then the first by name. `aimux-otel` by default.
    pub fn preferred_scopes<K: Into<String>>(
        mut self,
        scopes: impl IntoIterator<Item = K>,
    ) -> Self {
        self.config.preferred_scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Whether an `ERROR` event with an `error` field, such as `#[instrument(err)]` emits, makes
    /// the span directly around it a failure. It does by default.
    pub const fn error_events(mut self, count: bool) -> Self {
        self.config.error_events = count;
        self
    }

    /// Shows every event to `observer`, exact and in the order in which they are counted: on the
    /// monitor's thread, or on a recording thread while the queue is full. It should return soon,
    /// since nothing is collected meanwhile; inside it the getters answer with the last snapshot.
    /// A panic in it is caught.
    pub fn on_event(
        mut self,
        observer: impl Fn(&PerformanceEvent) + Send + Sync + 'static,
    ) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Serves the routes and `/metrics` on a listener and a thread of the monitor's own. Port 0
    /// takes any free port: [`PerformanceMonitor::local_addr`] tells which.
    ///
    /// At most 256 clients at once; one that does not send the head of a request within 75 s, or
    /// does not read on for 30 s, is disconnected.
    #[cfg(feature = "server")]
    pub const fn serve(mut self, address: SocketAddr) -> Self {
        self.listen = Some(address);
        self
    }

    /// Asks for `Authorization: Bearer <token>` on every route, `/metrics` included, on the
    /// monitor's own listener and on a merged router. Without a token, who reaches the listener
    /// may read. It does not allow changes: see [`admin_token`](Self::admin_token).
    #[cfg(feature = "server")]
    pub fn read_token(mut self, token: impl Into<String>) -> Self {
        self.access.read = Some(crate::http::Token::new(token));
        self
    }

    /// Allows changes, such as `POST /performance/config`, to who sends `Authorization: Bearer
    /// <token>`. It also reads what a [`read_token`](Self::read_token) guards, and has to be
    /// another.
    ///
    /// Without one nothing can be changed over HTTP, but on the monitor's own listener, if that is
    /// on loopback and no token was set at all: there, every program on the machine can. Tokens
    /// are compared in a time that does not tell where they differ, and are never shown.
    ///
    /// ```
    /// use aimux_otel::PerformanceMonitor;
    ///
    /// # fn main() -> Result<(), aimux_otel::BuildError> {
    /// let monitor = PerformanceMonitor::builder()
    ///     .read_token("to-look")
    ///     .admin_token("to-change")
    ///     .build()?;
    /// # drop(monitor); Ok(()) }
    /// ```
    #[cfg(feature = "server")]
    pub fn admin_token(mut self, token: impl Into<String>) -> Self {
        self.access.admin = Some(crate::http::Token::new(token));
        self
    }

    /// Origins of web pages, such as `https://status.internal`, that may change something, beside
    /// the monitor's own: for a page that reaches the monitor through a proxy under another name.
    /// Such a page needs the token all the same, and no CORS headers are sent to it.
    #[cfg(feature = "server")]
    pub fn allowed_origins<O: Into<String>>(
        mut self,
        origins: impl IntoIterator<Item = O>,
    ) -> Self {
        let origins = origins.into_iter().map(Into::into);
        self.access.allowed_origins.extend(origins);
        self
    }

    /// Names under which the routes may be addressed, such as `monitor.internal:9464`; without a
    /// port, on any. `/metrics` answers under every name.
    ///
    /// On its own loopback listener the monitor takes `localhost`, `127.0.0.1` and `[::1]` with
    /// its port in any case, and other names only from here: so that no web page can read it by
    /// having a name of its own lead to it. If somebody reaches it through a forwarded port,
    /// `localhost` without a port is the name to give. Elsewhere, any name will do until there are
    /// some here.
    #[cfg(feature = "server")]
    pub fn allowed_hosts<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        let hosts = hosts.into_iter().map(Into::into);
        self.access.allowed_hosts.extend(hosts);
        self
    }

    /// Pushes metrics and traces to this OTLP endpoint, such as `http://localhost:4317` for gRPC
    /// or `http://localhost:4318` for HTTP.
    ///
    /// Whatever is the matter with who listens there, no request waits for it. A push is tried for ten seconds, or as
    /// long as `OTEL_EXPORTER_OTLP_TIMEOUT` says, with up to three more attempts where the answer is
    /// that it may help; a `Retry-After` is kept to within that time. Of an answer no more than 4 MiB are read. Spans
    /// wait in a queue of `OTEL_BSP_MAX_QUEUE_SIZE` (2,048). What was sent and what was lost, by reason, is
    /// in [`health`](crate::PerformanceMonitor::health), under `otlp_metrics` in data points and `otlp_traces` in spans.
    /// By gRPC it is not seen what a Collector rejects of a push that it takes.
    #[cfg(feature = "otlp")]
    pub fn otlp_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.otlp_endpoint = Some(endpoint.into());
        self
    }

    /// How OTLP is spoken: HTTP by default, or what `OTEL_EXPORTER_OTLP_PROTOCOL` says.
    #[cfg(feature = "otlp")]
    pub const fn otlp_protocol(mut self, protocol: OtlpProtocol) -> Self {
        self.otlp_protocol = Some(protocol);
        self
    }

    /// Time between two pushes of metrics: a minute by default, or what
    /// `OTEL_METRIC_EXPORT_INTERVAL` says; 100 ms at the least.
    #[cfg(feature = "otlp")]
    pub const fn otlp_interval(mut self, interval: Duration) -> Self {
        self.otlp_interval = Some(interval);
        self
    }

    /// Which traces are exported: all that the caller did not decide against by default, or what
    /// `OTEL_TRACES_SAMPLER` says. Metrics see every request whatever is sampled.
    pub const fn trace_sampling(mut self, sampling: TraceSampling) -> Self {
        self.sampling = Some(sampling);
        self
    }

    /// The spans of the [HTTP layer](crate::PerformanceMonitor::http_layer) tell their trace in the
    /// field `trace_id`, for your log: a
    /// `tracing_subscriber::fmt` layer that shows the target `aimux_otel::http` then writes it
    /// beside whatever is logged while a request is answered, whether its trace is sampled or not.
    /// Off by default. If no traces are exported, it is the trace that the caller began.
    #[cfg(feature = "server")]
    pub const fn trace_ids_in_logs(mut self, tell: bool) -> Self {
        self.trace_ids_in_logs = tell;
        self
    }

    /// By which names calls to providers are told; what `OTEL_SEMCONV_STABILITY_OPT_IN` says, if
    /// this does not: `gen_ai_latest_experimental`, or `gen_ai_latest_experimental/dup` for both.
    pub const fn conventions(mut self, conventions: Conventions) -> Self {
        self.conventions = Some(conventions);
        self
    }

    /// Records on your own meter provider instead of making one. `reader` must have been added to
    /// its builder:
    ///
    /// ```
    /// use aimux_otel::{PerformanceMonitor, ViewReader};
    /// use opentelemetry_sdk::metrics::SdkMeterProvider;
    ///
    /// # fn main() -> Result<(), aimux_otel::BuildError> {
    /// let reader = ViewReader::new();
    /// let meter_provider = SdkMeterProvider::builder()
    ///     .with_reader(reader.clone())
    ///     .with_view(aimux_otel::streams)
    ///     .build();
    /// let monitor = PerformanceMonitor::builder()
    ///     .meter_provider(meter_provider, reader)
    ///     .build()?;
    /// # drop(monitor); Ok(()) }
    /// ```
    ///
    /// Without `streams` the histograms are classic ones: the views understand them too, with a
    /// larger error that each answer states. OTLP push of metrics is then up to your provider, and
    /// so is its shutdown; for `/metrics`, add a Prometheus exporter with the registry that you
    /// give to [`prometheus_registry`](Self::prometheus_registry).
    pub fn meter_provider(mut self, provider: SdkMeterProvider, reader: ViewReader) -> Self {
        self.meter_provider = Some((provider, reader));
        self
    }

    /// Hands sampled spans to your own tracer provider instead of making one. Its sampler should
    /// be `AlwaysOn`: what is sampled is decided before.
    pub fn tracer_provider(mut self, provider: SdkTracerProvider) -> Self {
        self.tracer_provider = Some(provider);
        self
    }

    /// The registry that `/metrics` renders; one of the monitor's own by default.
    pub fn prometheus_registry(mut self, registry: prometheus::Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Checks the settings, binds, and only then starts.
    ///
    /// # Errors
    /// A setting that is out of range, an address that cannot be listened on, an exporter that
    /// cannot be made. Nothing is running then.
    pub fn build(self) -> Result<PerformanceMonitor, BuildError> {
        self.check()?;
        PerformanceMonitor::start(self)
    }

    /// [`build`](Self::build), the monitor's layer on a registry as the global subscriber, and the
    /// monitor as [the global one](PerformanceMonitor::set_global): for a service that has no
    /// subscriber yet.
    ///
    /// # Errors
    /// As `build`; and if there is a global subscriber already.
    pub fn install(self) -> Result<PerformanceMonitor, BuildError> {
        use tracing_subscriber::layer::SubscriberExt;
        let monitor = self.build()?;
        let subscriber = tracing_subscriber::registry().with(monitor.layer());
        tracing::subscriber::set_global_default(subscriber).map_err(BuildError::SubscriberSet)?;
        monitor.set_global();
        Ok(monitor)
    }

    fn check(&self) -> Result<(), BuildError> {
        #[cfg(feature = "server")]
        self.access.check()?;
        #[cfg(feature = "push")]
        self.destinations.check()?;
        check_pace(self.config.collection_interval, self.config.retention)?;
        self.check_alerts()?;
        if let Some((setting, found, allowed)) = self.health_policy.wrong() {
            return Err(BuildError::Setting {
                setting,
                found,
                allowed: allowed.to_owned(),
            });
        }
        if !WINDOW_MEMORY.contains(&self.config.window_memory) {
            return Err(BuildError::Setting {
                setting: "window_memory",
                found: self.config.window_memory.to_string(),
                allowed: "65536 to 1073741824 bytes".to_owned(),
            });
        }
        if self.config.recent_events > 10_000 {
            return Err(BuildError::Setting {
                setting: "recent_events",
                found: self.config.recent_events.to_string(),
                allowed: "at most 10000".to_owned(),
            });
        }
        if let Some(TraceSampling::Ratio(ratio) | TraceSampling::ParentBasedRatio(ratio)) =
            self.sampling
            && !(0.0..=1.0).contains(&ratio)
        {
            return Err(BuildError::Setting {
                setting: "trace_sampling",
                found: ratio.to_string(),
                allowed: "a ratio from 0 to 1".to_owned(),
            });
        }
        Ok(())
    }

    fn check_alerts(&self) -> Result<(), BuildError> {
        for rule in &self.rules {
            rule.check().map_err(|source| BuildError::Alert {
                rule: rule.id(),
                source,
            })?;
        }
        // Some may replace others.
        check_rules(Settings::new(&self.config, &self.rules).rules.len())?;
        check_custom(&self.custom_rules)?;
        Ok(())
    }
}
