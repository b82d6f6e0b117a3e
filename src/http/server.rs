//! The monitor's own listener: bounded in connections, and in the time it gives to each.

use super::{counted::Counted, stall::Stall};
use crate::core::cost::Account;
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
    account: Arc<Account>,
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
            stream.set_nodelay(true).ok();
            let stopped = stopped.clone();
            let stream = Counted::new(stream, Arc::clone(&account));
            connections.spawn(connection(stream, router.clone(), stopped, bounds, place));
        }
    }
    drop(listener);
    drop(stopping);
    let ended = async { while connections.join_next().await.is_some() {} };
    timeout(bounds.grace, ended).await.ok();
}

async fn connection(
    stream: Counted<TcpStream>,
    router: Router,
    mut stopped: watch::Receiver<()>,
    bounds: Bounds,
    _place: OwnedSemaphorePermit,
) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, routing::get};
    use std::net::SocketAddr;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::{Notify, oneshot},
        task::JoinHandle,
    };

    /// No more patient than it has to be where it is waited for, and for ever where it is not.
    const BOUNDS: Bounds = Bounds {
        connections: 8,
        head: Duration::from_secs(3_600),
        stall: Duration::from_secs(3_600),
        grace: Duration::from_secs(3_600),
    };
    const SOON: Duration = Duration::from_millis(10);
    const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    struct Served {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        task: JoinHandle<()>,
    }

    async fn served(router: Router, bounds: Bounds) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async move { drop(stopped.await) };
        let task = tokio::spawn(serve(listener, router, stopped, bounds, Arc::default()));
        Served {
            address,
            stop,
            task,
        }
    }

    fn ok() -> Router {
        Router::new().route("/", get(|| async { "ok" }))
    }

    async fn connect(served: &Served, send: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(send).await.unwrap();
        stream
    }

    /// The first answer's head and body, as far as they come with the last byte `until`.
    async fn read_until(stream: &mut TcpStream, until: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(until) {
            let mut byte = [0];
            if stream.read_exact(&mut byte).await.is_err() {
                break;
            }
            text.push(char::from(byte[0]));
        }
        text
    }

    /// Whether the other side closes without another byte.
    async fn is_closed(stream: &mut TcpStream) -> bool {
        !matches!(stream.read(&mut [0; 1]).await, Ok(1))
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_is_not_waited_for() {
        let served = served(
            ok(),
            Bounds {
                head: SOON,
                ..BOUNDS
            },
        )
        .await;
        for begun in ["", "GET / HTTP/1.1\r\nhost: x\r\nx-slow: "] {
            let mut slow = connect(&served, begun.as_bytes()).await;
            assert!(is_closed(&mut slow).await, "{begun}");
        }
    }

    #[tokio::test]
    async fn a_head_that_is_too_long_is_refused() {
        let served = served(ok(), BOUNDS).await;
        let long = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(2 * HEAD));
        let mut stream = connect(&served, long.as_bytes()).await;
        let answer = read_until(&mut stream, "\r\n").await;
        assert!(answer.is_empty() || answer.contains(" 431 "), "{answer}");
    }

    #[tokio::test]
    async fn beyond_its_bound_a_connection_is_closed_at_once() {
        let bounds = Bounds {
            connections: 1,
            ..BOUNDS
        };
        let served = served(ok(), bounds).await;
        let mut first = connect(&served, ASK).await;
        assert!(read_until(&mut first, "ok").await.contains("200 OK"));
        let mut second = TcpStream::connect(served.address).await.unwrap();
        assert!(is_closed(&mut second).await);
        first.write_all(ASK).await.unwrap();
        assert!(read_until(&mut first, "ok").await.contains("200 OK"));
        drop(first);
        // Free again as soon as the server has seen that.
        loop {
            let mut third = TcpStream::connect(served.address).await.unwrap();
            third.write_all(ASK).await.ok();
            if read_until(&mut third, "ok").await.contains("200 OK") {
                break;
            }
        }
    }

    #[tokio::test]
    async fn who_does_not_read_on_is_given_up() {
        let much = || async { Body::from(vec![b'x'; 64 << 20]) };
        let router = ok().route("/much", get(much));
        let bounds = Bounds {
            connections: 1,
            stall: SOON,
            ..BOUNDS
        };
        let served = served(router, bounds).await;
        let ask = b"GET /much HTTP/1.1\r\nhost: x\r\n\r\n";
        let mut stalled = connect(&served, ask).await;
        assert!(read_until(&mut stalled, "\r\n").await.contains("200 OK"));
        // The only place is taken until the server gives up.
        loop {
            let mut next = TcpStream::connect(served.address).await.unwrap();
            next.write_all(ASK).await.ok();
            if read_until(&mut next, "ok").await.contains("200 OK") {
                break;
            }
        }
    }

    #[tokio::test]
    async fn what_is_being_answered_is_ended_before_it_stops() {
        let (begun, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begins, finishes) = (Arc::clone(&begun), Arc::clone(&finish));
        let slow = move || async move {
            begins.notify_one();
            finishes.notified().await;
            "done"
        };
        let served = served(ok().route("/slow", get(slow)), BOUNDS).await;
        let mut idle = connect(&served, ASK).await;
        assert!(read_until(&mut idle, "ok").await.contains("200 OK"));
        let mut busy = connect(&served, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
        begun.notified().await;
        served.stop.send(()).unwrap();
        assert!(is_closed(&mut idle).await, "nothing is lost by closing it");
        assert!(TcpStream::connect(served.address).await.is_err());
        assert!(!served.task.is_finished());
        finish.notify_one();
        assert!(read_until(&mut busy, "done").await.contains("200 OK"));
        served.task.await.unwrap();
    }

    #[tokio::test]
    async fn it_stops_without_those_who_take_too_long() {
        let begun = Arc::new(Notify::new());
        let begins = Arc::clone(&begun);
        let never = move || async move {
            begins.notify_one();
            std::future::pending::<&str>().await
        };
        let bounds = Bounds {
            grace: SOON,
            ..BOUNDS
        };
        let served = served(ok().route("/never", get(never)), bounds).await;
        let mut busy = connect(&served, b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await;
        begun.notified().await;
        served.stop.send(()).unwrap();
        served.task.await.unwrap();
        assert!(is_closed(&mut busy).await);
    }
}
