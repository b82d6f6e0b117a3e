//! One run: start everything, wait for the end, stop everything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use aimux_otel::{PerformanceMonitor, ViewError};
use tokio::time::sleep;

use crate::args::Options;
use crate::clock::{self, Pace};
use crate::error::GatewayError;
use crate::proxy::Gateway;
use crate::report::screen::{Addresses, Screen};
use crate::report::summary::Inside;
use crate::server::Server;
use crate::traffic::{Plan, Traffic};
use crate::upstream::Upstreams;

pub(crate) const SIGNAL: &str = "a signal";

/// A run that is over, and those who can still tell what they counted.
pub(crate) struct Played {
    /// What was to be sent.
    pub(crate) plan: String,
    pub(crate) seed: u64,
    pub(crate) speed: f64,
    pub(crate) ended_by: &'static str,
    pub(crate) lasted: Duration,
    pub(crate) addresses: Addresses,
    pub(crate) inside: Inside,
    pub(crate) traffic: Traffic,
    pub(crate) upstreams: Upstreams,
}

/// Returns while the gateway still serves.
pub(crate) async fn play(
    options: &Options,
    plan: Plan,
    monitor: &PerformanceMonitor,
) -> Result<(Played, Server), GatewayError> {
    let pace = Pace::new(options.speed);
    let upstreams = Upstreams::start(options.seed, pace)
        .await
        .map_err(GatewayError::Upstreams)?;
    let gateway = Gateway::new(monitor.clone(), upstreams.urls(), options.rate_limit, pace)?;
    let router = gateway.router().layer(monitor.http_layer());
    let server = Server::start(options.listen, router)
        .await
        .map_err(|source| GatewayError::Listen {
            address: options.listen,
            source,
        })?;
    let addresses = Addresses {
        gateway: server.address,
        monitor: monitor.local_addr().unwrap_or(options.monitor_listen),
    };

    let plan_name = plan.name.clone();
    let lasts = plan.lasts.map(|lasts| pace.real(lasts));
    let lasts = [lasts, options.duration].into_iter().flatten().min();
    let traffic = Traffic::new(reachable(server.address), pace)?;
    let started = clock::now();
    let mut sending = tokio::spawn(traffic.clone().run(plan));

    // This task is not on a worker thread of the runtime: to wait for a slow terminal here, or for
    // the monitor, keeps no request waiting.
    let mut inside = None;
    let ended_by = {
        let screen = Screen::new(addresses).show(monitor, &traffic);
        let duration = after(options.duration);
        let signal = interrupted();
        let nearly_over = after(lasts.map(|lasts| lasts.mul_f64(0.9)));
        tokio::pin!(screen, duration, signal, nearly_over);
        loop {
            tokio::select! {
                _ = &mut sending => break "the end of the trace",
                () = &mut duration => break "the duration",
                () = &mut signal => break SIGNAL,
                () = &mut screen => {}
                () = &mut nearly_over, if inside.is_none() => {
                    inside = Some(ask_inside(monitor, clock::now() - started)?);
                }
            }
        }
    };
    sending.abort();
    let lasted = clock::now() - started;
    let inside = match inside {
        Some(inside) => inside,
        None => ask_inside(monitor, lasted)?,
    };

    // What is under way may end, but nobody who pressed Ctrl-C waits long for it.
    let patience = match ended_by {
        SIGNAL => Duration::from_secs(3),
        _ => pace
            .real(Duration::from_secs(60))
            .max(Duration::from_secs(5)),
    };
    tokio::select! {
        () = traffic.finish(patience) => {}
        () = interrupted() => {}
    }
    let played = Played {
        plan: plan_name,
        seed: options.seed,
        speed: options.speed,
        ended_by,
        lasted,
        addresses,
        inside,
        traffic,
        upstreams,
    };
    Ok((played, server))
}

/// The views over the latter part of the run so far.
fn ask_inside(monitor: &PerformanceMonitor, so_far: Duration) -> Result<Inside, ViewError> {
    let last = so_far.mul_f64(0.4);
    Inside::ask(
        monitor,
        last.clamp(Duration::from_secs(1), Duration::from_secs(3_600)),
    )
}

/// Where the driving client finds a gateway that listens on all addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

async fn after(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// Ctrl-C, and on Unix what `kill` and container engines send.
pub(crate) async fn interrupted() {
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => terminate.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<Option<()>>();
    tokio::select! {
        result = tokio::signal::ctrl_c() => {
            if result.is_err() {
                std::future::pending::<()>().await;
            }
        }
        _ = terminated => {}
    }
}
