//! An axum app on a loopback port, and what its monitor then says.

#![allow(dead_code, reason = "not every test file needs all of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use aimux_otel::{EndpointsView, MethodPerformance, PerformanceMonitor, Window};
use axum::{
    Router,
    body::Body,
    http::{Request, Response},
};
use std::{convert::Infallible, future::IntoFuture, net::SocketAddr, sync::Once, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use tower::{Layer, Service, service_fn};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::{Registry, layer::SubscriberExt as _};

/// Nothing here takes as long, unless it hangs.
const DEADLINE: Duration = Duration::from_secs(20);

/// A monitor that collects only when asked.
pub(crate) fn monitor() -> PerformanceMonitor {
    static REACHED: Once = Once::new();
    REACHED.call_once(|| reach_the_span(&build()));
    build()
}

fn build() -> PerformanceMonitor {
    let builder = PerformanceMonitor::builder().collection_interval(Duration::from_secs(3_600));
    builder.build().unwrap()
}

/// While there is one subscriber, tracing asks that of the thread which reaches a callsite first
/// whether it is wanted, on all threads. Were that a test without one, another test's would not
/// see the layer's span; a callsite that was reached before is asked for again by each new one.
/// Before there is any subscriber, no callsite is reached.
fn reach_the_span(monitor: &PerformanceMonitor) {
    let _watching = watch(monitor);
    let nothing =
        service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::<Body>::default()));
    let mut measured = monitor.http_layer().layer(nothing);
    drop(measured.call(Request::default()));
}

/// From now on this thread's spans are seen by the monitor's layer, and nothing else.
pub(crate) fn watch(monitor: &PerformanceMonitor) -> DefaultGuard {
    let subscriber = tracing_subscriber::registry().with(monitor.layer::<Registry>());
    tracing::subscriber::set_default(subscriber)
}

pub(crate) struct App {
    pub(crate) address: SocketAddr,
    monitor: PerformanceMonitor,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl App {
    pub(crate) async fn serve(monitor: &PerformanceMonitor, routes: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let serving = axum::serve(listener, routes).with_graceful_shutdown(stopped);
        Self {
            address,
            monitor: monitor.clone(),
            stop,
            serving: tokio::spawn(serving.into_future()),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends a request by hand; the connection is open still.
    pub(crate) async fn connect(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Waits until all connections have ended, and collects.
    pub(crate) async fn finish(self) -> EndpointsView {
        self.stop.send(()).unwrap();
        within(self.serving).await.unwrap().unwrap();
        assert_eq!(active_requests(&self.monitor), 0.0);
        self.monitor.endpoints(Window::SinceStart).unwrap()
    }
}

/// Reads until `text` has come.
pub(crate) async fn read_until(stream: &mut TcpStream, text: &str) {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        let count = within(stream.read_buf(&mut read)).await.unwrap();
        assert_ne!(count, 0, "{}", String::from_utf8_lossy(&read));
    }
}

/// What `future` gives, which it does soon.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.unwrap()
}

/// `http.server.active_requests`, whoever counts them, after a collection.
pub(crate) fn active_requests(monitor: &PerformanceMonitor) -> f64 {
    monitor.collect();
    let families = monitor.prometheus_registry().gather();
    let active = families
        .iter()
        .filter(|family| family.name() == "http_server_active_requests");
    active
        .flat_map(|family| family.get_metric())
        .map(|metric| metric.get_gauge().get_value())
        .sum()
}

/// The only endpoint of the only method, with its operations, and how many failed.
pub(crate) fn only<'a>(view: &'a EndpointsView, endpoint: &str) -> &'a MethodPerformance {
    let names: Vec<&String> = view.endpoints.keys().collect();
    assert_eq!(names, [endpoint]);
    &view.endpoints[endpoint].all
}

/// Its operations, those that failed, and why.
pub(crate) fn outcome(endpoint: &MethodPerformance) -> (u64, u64, Vec<(&str, u64)>) {
    let errors = endpoint.error_type_counts.iter();
    let errors = errors.map(|(error, count)| (error.as_str(), *count));
    let stats = &endpoint.stats;
    (
        stats.total_operations,
        stats.failed_operations,
        errors.collect(),
    )
}
