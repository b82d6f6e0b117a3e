//! The monitor: the only place that wires the parts together, and starts and stops threads.

#[cfg(any(feature = "push", feature = "otlp"))]
use crate::edge::otel::pushes;
use crate::{
    builder::{MonitorBuilder, Prices},
    clock::{Clock, thread_cpu},
    config::{Environment, TraceSampling},
    core::{
        alerts::{engine::Engine, figures::AlertFigures},
        cost::{Account, Work},
        deliveries::Deliveries,
        events::RecentEvents,
        prices::PriceTable,
        recorder::Recorder,
        settings::Settings,
        slowest::SlowestKeeper,
        standing::Standings,
    },
    counter::Counter,
    edge::{
        layer::{self, Traces},
        otel::{
            alerts,
            current_trace::current_trace,
            health::observe_health,
            instruments::Instruments,
            observed::observe_cost,
            process::observe_process,
            prometheus::{ClassicBuckets, DURATION_BOUNDARIES},
        },
        own_log,
    },
    error::{BuildError, ShutdownError},
    names,
    providers::{MeterProviders, SpanQueue, build_tracer_provider, resource},
    tick::Shared,
};
#[cfg(feature = "server")]
use crate::{
    edge::http_layer::{HttpLayer, Tracing},
    http,
};
#[cfg(feature = "push")]
use crate::{
    edge::push::{Destinations, Prepared, Pushes},
    pushing,
};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    metrics::SdkMeterProvider,
    trace::SdkTracerProvider,
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    thread,
    time::Duration,
};
use tracing_core::Subscriber;
use tracing_subscriber::{Layer, registry::LookupSpan};

/// Measures what providers and endpoints do, and tells.
///
/// A handle: clones are the same monitor. When the last one is dropped, the monitor stops by
/// itself without making anybody wait; [`shutdown`](Self::shutdown) stops it in an orderly way,
/// within a deadline, and sends the last data first.
#[derive(Clone)]
pub struct PerformanceMonitor {
    inner: Arc<Inner>,
}

/// A monitor that may be gone.
pub(crate) struct WeakMonitor(Option<Weak<Inner>>);

impl WeakMonitor {
    pub(crate) const NONE: Self = Self(None);

    pub(crate) fn upgrade(&self) -> Option<PerformanceMonitor> {
        let inner = self.0.as_ref()?.upgrade()?;
        Some(PerformanceMonitor { inner })
    }
}

struct Inner {
    shared: Arc<Shared>,
    metrics: MeterProviders,
    tracer_provider: Option<SdkTracerProvider>,
    owns_tracer_provider: bool,
    /// Where spans wait that are pushed.
    spans: Option<Arc<SpanQueue>>,
    sampling: TraceSampling,
    registry: prometheus::Registry,
    #[cfg(feature = "server")]
    surface: Arc<http::Surface>,
    #[cfg(feature = "server")]
    trace_ids_in_logs: bool,
    io: Mutex<Option<Io>>,
    #[cfg(feature = "push")]
    pushes: Arc<Pushes>,
    #[cfg(feature = "push")]
    runtime: tokio::runtime::Handle,
    local_addr: Option<SocketAddr>,
    /// Disconnects when all of the above is gone: fields are dropped in order.
    gone: Option<mpsc::Sender<()>>,
}

/// The thread that serves the listener and drives the exporter's connections.
struct Io {
    stop: tokio::sync::oneshot::Sender<()>,
    /// Disconnected when the thread has ended.
    ended: mpsc::Receiver<()>,
}

/// How long a monitor that was dropped waits for its last collection, before it lets go.
const LAST_COLLECTION: Duration = Duration::from_secs(10);

impl PerformanceMonitor {
    /// Settings for a new monitor.
    pub fn builder() -> MonitorBuilder {
        MonitorBuilder::default()
    }

    pub(crate) fn start(mut builder: MonitorBuilder) -> Result<Self, BuildError> {
        let environment = Environment::read(|name| std::env::var(name).ok());
        let otlp = environment.otlp(
            builder.otlp_endpoint.take(),
            builder.otlp_protocol,
            builder.otlp_interval,
        );
        let sampling = builder.sampling.or(environment.sampling);
        let sampling = sampling.unwrap_or(TraceSampling::ParentBasedRatio(1.0));

        let prices = match std::mem::take(&mut builder.prices) {
            Prices::None => None,
            Prices::Table(table) => Some(*table),
            Prices::File(path) => Some(PriceTable::load(path)?),
        };

        let account = Arc::new(Account::default());
        let runtime = OwnRuntime::new(&account)?;
        let listener = builder
            .listen
            .map(|address| bind(address, runtime.handle()));
        let listener = listener.transpose()?;
        let local_addr = listener.as_ref().and_then(|l| l.local_addr().ok());

        let mut config = builder.config;
        config.disabled = environment.disabled;
        let conventions = builder.conventions.or(environment.conventions);
        config.conventions = conventions.unwrap_or_default();
        let conventions = config.conventions;
        let resource = resource(config.service_name.as_deref());
        let registry = builder.registry.unwrap_or_default();
        let clock = Clock::start();
        let deliveries = Arc::<Deliveries>::default();
        let metrics = match builder.meter_provider {
            Some(brought) => MeterProviders::brought(brought, config.conventions),
            None => {
                let _in_runtime = runtime.handle().enter();
                MeterProviders::build(
                    &otlp,
                    resource.clone(),
                    &registry,
                    config.conventions,
                    &deliveries,
                    &clock,
                )?
            }
        };
        let meter = metrics.meter();
        #[cfg(feature = "push")]
        let about = pushing::about(&resource);
        let owns_tracer_provider = builder.tracer_provider.is_none();
        let (tracer_provider, spans) = match builder.tracer_provider {
            Some(own) => (Some(own).filter(|_| !environment.disabled), None),
            None => {
                let _in_runtime = runtime.handle().enter();
                build_tracer_provider(&otlp, resource, &deliveries, &clock)?.unzip()
            }
        };

        let cores = thread::available_parallelism().map_or(1, usize::from);
        let mut recorder = Recorder::new(clock, cores, &config);
        recorder.traces = tracer_provider.is_some();
        recorder.current_trace = current_trace;
        let recorder = Arc::new(recorder);
        if let Some(table) = prices {
            recorder.prices.set(table, recorder.now());
        }
        let instruments = Instruments::new(&metrics.meters(), &recorder);
        if metrics.ours().is_none() {
            // What the host's own settings do, they do now, and not while something is recorded.
            instruments.prepare();
        }
        let figures = Arc::new(AlertFigures::default());
        alerts::observe(&meter, &figures);
        let engine = Engine::new(builder.custom_rules, figures);
        instruments.expect_costs(&config.providers);
        let counter = Arc::new(Counter::new(
            instruments,
            RecentEvents::new(config.recent_events, config.event_filter),
            SlowestKeeper::new(DURATION_BOUNDARIES, Arc::clone(&recorder.labels)),
            Arc::clone(&recorder.labels),
            builder.observer,
        ));
        recorder.set_tally(Arc::clone(&counter) as _);
        let settings = Settings::new(&config, &builder.rules);
        observe_cost(&meter, &account);
        #[cfg(feature = "push")]
        let mut prepared = {
            let destinations = match environment.disabled {
                true => Destinations::default(),
                false => builder.destinations,
            };
            Prepared::new(destinations, &deliveries)?
        };
        #[cfg(any(feature = "push", feature = "otlp"))]
        if !deliveries.all().is_empty() {
            pushes::observe(&meter, &deliveries);
        }
        let sinks = builder.sinks.into_iter();
        #[cfg(feature = "push")]
        let sinks = sinks.chain(prepared.take_sinks());
        let sinks = sinks.collect();
        let reader = metrics.reader.clone();
        let mut shared = Shared::new(recorder, counter, reader, config, settings, sinks, engine);
        shared.deliveries = deliveries;
        shared.account = account;
        shared.standings = Mutex::new(Standings::new(builder.health_policy));
        observe_health(&meter, &shared.board);
        let shared = Arc::new(shared);
        observe_process(&meter, &shared.process);

        let of = Arc::downgrade(&shared);
        let empty = shared.latest();
        let latest = move || {
            of.upgrade()
                .map_or_else(|| Arc::clone(&empty), |s| s.latest())
        };
        registry
            .register(Box::new(ClassicBuckets::new(Arc::new(latest), conventions)))
            .map_err(|error| BuildError::Prometheus(Box::new(error)))?;

        let ticking = Arc::clone(&shared);
        spawn("aimux-tick", move || ticking.run())?;
        #[cfg(feature = "server")]
        let surface = http::Surface::new(Arc::clone(&shared), registry.clone(), builder.access);
        #[cfg(feature = "server")]
        let serving = |stopped| serve(&surface, listener, stopped);
        #[cfg(not(feature = "server"))]
        let serving = |stopped: tokio::sync::oneshot::Receiver<()>| async move {
            drop(stopped.await);
        };
        #[cfg(feature = "push")]
        let io_runtime = runtime.handle().clone();
        #[cfg(feature = "push")]
        let (pushes, pushing) =
            prepared.start(&io_runtime, about, &pushing::sources(&shared, &registry));
        #[cfg(not(feature = "push"))]
        let pushing = std::future::ready(());
        let io = start_io(runtime, |stopped| {
            let serving = serving(stopped);
            async move {
                serving.await;
                pushing.await;
            }
        });
        let io = io.inspect_err(|_| shared.stop())?;
        Ok(Self {
            inner: Arc::new(Inner {
                shared,
                metrics,
                tracer_provider,
                owns_tracer_provider,
                spans,
                sampling,
                registry,
                #[cfg(feature = "server")]
                surface,
                #[cfg(feature = "server")]
                trace_ids_in_logs: builder.trace_ids_in_logs,
                io: Mutex::new(Some(io)),
                #[cfg(feature = "push")]
                pushes: Arc::new(pushes),
                #[cfg(feature = "push")]
                runtime: io_runtime,
                local_addr,
                gone: None,
            }),
        })
    }

    /// The tracing layer that measures for this monitor.
    ///
    /// It brings its own per-layer filter: only callsites with a recognised field are enabled for
    /// it, and all others cost nothing more than that one look. A *global* filter, such as an
    /// `EnvFilter` added with `.with()`, can disable our callsites before this layer sees them:
    /// put filters on the layers they are meant for, with `.with_filter()`.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let config = &self.inner.shared.config;
        let traces = self.inner.tracer_provider.as_ref().map(|provider| {
            let tracer = provider.tracer(names::SCOPE);
            let recorder = &self.inner.shared.recorder;
            Traces::new(tracer, self.inner.sampling, config.max_open, recorder)
        });
        layer::layer(
            Arc::clone(&self.inner.shared.recorder),
            config,
            Arc::clone(&self.inner.shared.subscribers),
            traces,
        )
    }

    /// The tower layer that measures the endpoints of your own axum app, for
    /// [`Router::layer`](axum::Router::layer).
    #[cfg(feature = "server")]
    #[must_use]
    pub fn http_layer(&self) -> HttpLayer {
        let traces = self.inner.tracer_provider.as_ref();
        let traces = match traces {
            Some(_) => Some(self.inner.sampling),
            // Nothing is exported, and the trace of the caller goes on all the same.
            None if self.inner.trace_ids_in_logs => Some(TraceSampling::AlwaysOff),
            None => None,
        };
        HttpLayer::new(
            Arc::clone(&self.inner.shared.recorder),
            Tracing {
                sampling: traces,
                in_logs: self.inner.trace_ids_in_logs,
            },
        )
    }

    /// The meter provider that the monitor records on: what is recorded on it elsewhere reaches
    /// `/metrics` and OTLP too, and under a recognised name the views.
    #[must_use]
    pub fn meter_provider(&self) -> &SdkMeterProvider {
        &self.inner.metrics.all
    }

    /// The registry that `/metrics` renders.
    #[must_use]
    pub fn prometheus_registry(&self) -> &prometheus::Registry {
        &self.inner.registry
    }

    /// Where the monitor's own listener listens, if it has one.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.inner.local_addr
    }

    /// The routes under `/performance` and `/metrics`, to merge into your own app or to nest in it.
    ///
    /// They answer on your listener, and on your runtime's blocking threads: never on an async
    /// worker, and no more than two at a time. Whoever reaches your listener can read them, unless
    /// you set a [`read_token`](MonitorBuilder::read_token); the `Host` header is checked against
    /// [`allowed_hosts`](MonitorBuilder::allowed_hosts), if you set any. Changes need an
    /// [`admin_token`](MonitorBuilder::admin_token) here, and for how long their body may take is
    /// your server's to bound. Like every merge of routers, it panics if your app has one of these paths already: nest it then.
    ///
    /// Once the monitor is shut down, the routes go on answering with what was measured last.
    #[cfg(feature = "server")]
    pub fn router(&self) -> axum::Router {
        http::router(&self.inner.surface, http::Place::Merged)
    }

    /// Stops: takes the last sample, sends what is to be sent, and ends the monitor's threads.
    /// What is recorded from now on is dropped, and counted as dropped. Returns within `deadline`.
    ///
    /// # Errors
    /// The deadline passed first, or an exporter could not send the last data.
    pub fn shutdown(&self, deadline: Duration) -> Result<(), ShutdownError> {
        let clock = Clock::start();
        let end = clock.now().after(deadline);
        let inner = &self.inner;
        inner.shared.stop();
        let late = |unfinished| ShutdownError::Deadline {
            deadline,
            unfinished,
        };
        if !inner.shared.wait_until_stopped(end.since(clock.now())) {
            #[cfg(feature = "push")]
            inner.pushes.finish(Duration::ZERO);
            inner.stop_io();
            return Err(late("the last collection"));
        }
        #[cfg(feature = "push")]
        let lost = inner.pushes.finish(end.since(clock.now()));
        let flushed = inner.flush(end.since(clock.now()));
        if let Some(spans) = &inner.spans {
            spans.give_up();
        }
        #[cfg(feature = "push")]
        let pushed = inner.pushes.wait(end.since(clock.now()));
        let ended = inner.stop_io();
        if let Some(ended) = ended {
            // Until the port is free and the answers begun are sent. Nothing is lost if this takes
            // longer than there is time.
            ended.recv_timeout(end.since(clock.now())).ok();
        }
        match flushed {
            None => return Err(late("the exporter")),
            // Who did that before has sent what there was.
            Some(Ok(()) | Err(OTelSdkError::AlreadyShutdown)) => {}
            Some(Err(error)) => return Err(ShutdownError::Flush(error)),
        }
        #[cfg(feature = "push")]
        match inner.pushes.lost().saturating_sub(lost) {
            _ if !pushed => return Err(late("a push")),
            0 => {}
            lost => return Err(ShutdownError::Push { lost }),
        }
        Ok(())
    }

    /// What pushes, and where it runs.
    #[cfg(feature = "push")]
    pub(crate) fn pushes(&self) -> (&Pushes, &tokio::runtime::Handle) {
        (&self.inner.pushes, &self.inner.runtime)
    }

    /// The same without keeping it alive.
    pub(crate) fn downgrade(&self) -> WeakMonitor {
        WeakMonitor(Some(Arc::downgrade(&self.inner)))
    }

    /// What the tick works on.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }
}

impl std::fmt::Debug for PerformanceMonitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PerformanceMonitor")
            .field("local_addr", &self.inner.local_addr)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Shuts the providers down that are ours, on a thread of their own since the SDK can take
    /// far longer than it is told to; `None` if it did.
    fn flush(&self, wait: Duration) -> Option<OTelSdkResult> {
        let meter_provider = self.metrics.ours();
        let tracer_provider = self.tracer_provider.clone();
        let tracer_provider = tracer_provider.filter(|_| self.owns_tracer_provider);
        let (done, is_done) = mpsc::channel();
        let shut_down = move || {
            let traces = tracer_provider.map_or(Ok(()), |p| p.shutdown_with_timeout(wait));
            let metrics = meter_provider.map_or(Ok(()), |p| p.shutdown_with_timeout(wait));
            done.send(traces.and(metrics)).ok();
        };
        spawn("aimux-flush", shut_down).ok()?;
        is_done.recv_timeout(wait).ok()
    }

    /// Tells the thread to end; what is returned is disconnected when it has.
    fn stop_io(&self) -> Option<mpsc::Receiver<()>> {
        let io = self
            .io
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?;
        io.stop.send(()).ok();
        Some(io.ended)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stop();
        self.stop_io();
        // The SDK's providers shut down when their last handle goes, and may block: not here, and
        // not before the last collection.
        let providers = (self.metrics.clone(), self.tracer_provider.take());
        let shared = Arc::clone(&self.shared);
        let (gone, is_gone) = mpsc::channel();
        self.gone = Some(gone);
        #[cfg(feature = "push")]
        let pushes = Arc::clone(&self.pushes);
        let let_go = move || {
            shared.wait_until_stopped(LAST_COLLECTION);
            #[cfg(feature = "push")]
            pushes.finish(LAST_COLLECTION);
            is_gone.recv().ok();
            drop(providers);
        };
        spawn("aimux-flush", let_go).ok();
    }
}

fn bind(
    address: SocketAddr,
    runtime: &tokio::runtime::Handle,
) -> Result<tokio::net::TcpListener, BuildError> {
    let _in_runtime = runtime.enter();
    let listen = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    };
    listen().map_err(|source| BuildError::Listen { address, source })
}

/// A runtime that may be dropped inside another one, which Tokio's own must not be.
struct OwnRuntime {
    handle: tokio::runtime::Handle,
    runtime: Option<tokio::runtime::Runtime>,
}

impl OwnRuntime {
    fn new(account: &Arc<Account>) -> Result<Self, BuildError> {
        let account = Arc::clone(account);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Two that answer, two that render what is pushed, and four that look addresses up.
            .max_blocking_threads(8)
            .thread_name("aimux-answer")
            .on_thread_park(move || account.set_cpu(Work::Serve, thread_cpu()))
            .build()
            .map_err(BuildError::Thread)?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    const fn handle(&self) -> &tokio::runtime::Handle {
        &self.handle
    }

    fn block_on(&self, body: impl Future<Output = ()>) {
        if let Some(runtime) = &self.runtime {
            runtime.block_on(body);
        }
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Starts the thread that runs `body` until it ends, once it is told to stop.
fn start_io<F>(
    runtime: OwnRuntime,
    body: impl FnOnce(tokio::sync::oneshot::Receiver<()>) -> F,
) -> Result<Io, BuildError>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let (ends, ended) = mpsc::channel();
    let body = body(stopped);
    spawn("aimux-io", move || {
        let _ends: mpsc::Sender<()> = ends;
        own_log::thread("aimux-io", "started");
        runtime.block_on(body);
        drop(runtime);
        own_log::thread("aimux-io", "ended");
    })?;
    Ok(Io { stop, ended })
}

/// Serves the routes on `listener`, if there is one, until `stopped`.
#[cfg(feature = "server")]
fn serve(
    surface: &Arc<http::Surface>,
    listener: Option<tokio::net::TcpListener>,
    stopped: tokio::sync::oneshot::Receiver<()>,
) -> impl Future<Output = ()> + Send + 'static + use<> {
    let account = surface.account();
    let serving = listener.and_then(|listener| {
        let place = http::Place::Own(listener.local_addr().ok()?);
        Some((listener, http::router(surface, place)))
    });
    let stopped = async move { drop(stopped.await) };
    async move {
        match serving {
            None => stopped.await,
            Some((listener, router)) => {
                let bounds = http::Bounds::default();
                http::serve(listener, router, stopped, bounds, account).await;
            }
        }
    }
}

/// A thread of the monitor's own.
fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> Result<thread::JoinHandle<()>, BuildError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(BuildError::Thread)
}
