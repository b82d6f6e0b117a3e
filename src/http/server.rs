//! The monitor's own listener: bounded in connections, and in the time it gives to each.

use super::stall::Stall;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{future::Future, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

/// Bytes of a request's head at the most.
const HEAD: usize = 16 * 1_024;
/// Before the next try to accept when the process has run out of something.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// What a listener gives to its clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Connections at once; what comes beyond is closed.
    pub(crate) connections: usize,
    /// To send the head of a request, idle time before it included.
    pub(crate) head: Duration,
    /// To read on, once an answer waits to be read.
    pub(crate) stall: Duration,
    /// To end what is being answered, once the listener stops.
    pub(crate) grace: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 256,
            // Longer than most scrape intervals, so that a scraper keeps its connection.
            head: Duration::from_secs(75),
            stall: Duration::from_secs(30),
            grace: Duration::from_secs(1),
        }
    }
}

/// Serves `router` until `stop`, then ends what is being answered.
///
/// Needs a runtime with I/O and timers: our own.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    bounds: Bounds,
) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Not ours to mend: out of descriptors, or the client was gone before we came.
            sleep(EXHAUSTED).await;
            continue;
        };
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let stopped = stopped.clone();
            connections.spawn(connection(stream, router.clone(), stopped, bounds, place));
        }
    }
    drop(listener);
    drop(stopping);
    let ended = async { while connections.join_next().await.is_some() {} };
    timeout(bounds.grace, ended).await.ok();
}

async fn connection(
    stream: TcpStream,
    router: Router,
    mut stopped: watch::Receiver<()>,
    bounds: Bounds,
    _place: OwnedSemaphorePermit,
) {
    stream.set_nodelay(true).ok();
    let stream = TokioIo::new(Stall::new(stream, bounds.stall));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(HEAD);
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(http.serve_connection(stream, service));
    // How a connection ends is its client's affair: nothing is to be done about an error.
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await.ok();
        }
    }
}
