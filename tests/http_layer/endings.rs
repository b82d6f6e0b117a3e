//! Clients that hang up, bodies that fail, and handlers that panic.

use crate::app::{App, monitor, only, outcome, read_until, within};
use aimux_otel::{PerformanceMonitor, Window};
use axum::{
    Router,
    body::{Body, Bytes},
    http::{Request, Response, StatusCode},
    routing::{get, post},
};
use futures_util::{StreamExt, stream};
use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
};
use tokio::{
    io::AsyncWriteExt,
    sync::{mpsc, oneshot},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::catch_panic::CatchPanicLayer;

const HANG: &str = "GET /hang HTTP/1.1\r\nHost: gateway\r\n\r\n";

/// Tells when it is dropped.
struct Dropped(mpsc::UnboundedSender<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.send(()).ok();
    }
}

fn routes(monitor: &PerformanceMonitor, routes: Router) -> Router {
    routes.layer(monitor.http_layer())
}

#[tokio::test]
async fn a_client_that_hangs_up_before_the_response_has_cancelled() {
    let monitor = monitor();
    let (entered, mut is_entered) = mpsc::unbounded_channel();
    let (left, mut is_left) = mpsc::unbounded_channel();
    let hang = async move || {
        let _left = Dropped(left);
        entered.send(()).unwrap();
        std::future::pending::<()>().await;
    };
    let app = App::serve(
        &monitor,
        routes(&monitor, Router::new().route("/hang", get(hang))),
    )
    .await;
    let client = app.connect(HANG).await;
    within(is_entered.recv()).await.unwrap();
    drop(client);
    within(is_left.recv()).await.unwrap();

    let view = app.finish().await;
    let hung = only(&view, "/hang");
    assert_eq!(outcome(hung), (1, 1, vec![("cancelled", 1)]));
    assert!(hung.status_code_counts.is_empty(), "no status was sent");
}

#[tokio::test]
async fn a_client_that_hangs_up_in_the_middle_of_a_stream_has_cancelled() {
    let monitor = monitor();
    let (left, mut is_left) = mpsc::unbounded_channel();
    let hang = async move || {
        let left = Dropped(left);
        let first = Ok::<_, Infallible>(Bytes::from_static(b"first"));
        let stream = stream::iter([first]).chain(stream::pending());
        Body::from_stream(stream.map(move |chunk| {
            let _kept = &left;
            chunk
        }))
    };
    let app = App::serve(
        &monitor,
        routes(&monitor, Router::new().route("/hang", get(hang))),
    )
    .await;
    let mut client = app.connect(HANG).await;
    read_until(&mut client, "first").await;
    assert_eq!(monitor.health().offered, 0);
    drop(client);
    within(is_left.recv()).await.unwrap();

    let view = app.finish().await;
    let hung = only(&view, "/hang");
    assert_eq!(outcome(hung), (1, 1, vec![("cancelled", 1)]));
    assert_eq!(hung.status_code_counts["200"], 1);
    assert_eq!(hung.parameter_averages.avg_response_size, Some(5.0));
}

#[tokio::test]
async fn a_client_that_hangs_up_in_the_middle_of_its_request_has_sent_what_it_sent() {
    let monitor = monitor();
    let (left, mut is_left) = mpsc::unbounded_channel();
    let (read, mut is_read) = mpsc::unbounded_channel();
    let upload = async move |body: Body| {
        let _left = Dropped(left);
        let mut body = body.into_data_stream();
        while let Some(Ok(chunk)) = body.next().await {
            read.send(chunk.len()).unwrap();
        }
        StatusCode::BAD_REQUEST
    };
    let app = App::serve(
        &monitor,
        routes(&monitor, Router::new().route("/up", post(upload))),
    )
    .await;
    let head = "POST /up HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1000\r\n\r\n";
    let mut client = app.connect(head).await;
    client.write_all(b"only so much").await.unwrap();
    assert_eq!(within(is_read.recv()).await, Some(12));
    drop(client);
    within(is_left.recv()).await.unwrap();

    let view = app.finish().await;
    let up = only(&view, "/up");
    assert_eq!(outcome(up), (1, 1, vec![]));
    assert_eq!(up.parameter_averages.avg_request_size, Some(12.0));
}

#[tokio::test]
async fn a_body_that_fails_is_a_broken_stream() {
    let monitor = monitor();
    let (has_read, may_break) = oneshot::channel::<()>();
    let may_break = Arc::new(Mutex::new(Some(may_break)));
    let breaks = async move || {
        let may_break = may_break.lock().unwrap().take().unwrap();
        let first = stream::iter([Ok(Bytes::from_static(b"first"))]);
        let second = stream::once(async {
            may_break.await.unwrap();
            Err(io::Error::other("the provider is gone"))
        });
        Body::from_stream(first.chain(second))
    };
    let routes = routes(&monitor, Router::new().route("/", get(breaks)));
    let app = App::serve(&monitor, routes).await;
    let answer = reqwest::get(app.url("/")).await.unwrap();
    has_read.send(()).unwrap();
    assert!(within(answer.bytes()).await.is_err());
    let view = app.finish().await;
    let broken = only(&view, "/");
    assert_eq!(outcome(broken), (1, 1, vec![("stream_broken", 1)]));
}

#[tokio::test]
async fn a_handler_that_panics_is_an_internal_error_wherever_it_is_caught() {
    let panics = || get(async || -> &'static str { panic!("in a handler") });
    let layers: [fn(Router, &PerformanceMonitor) -> Router; 3] = [
        |routes, monitor| routes.layer(monitor.http_layer()),
        |routes, monitor| {
            let measured = routes.layer(monitor.http_layer());
            measured.layer(CatchPanicLayer::new())
        },
        |routes, monitor| {
            let caught = routes.layer(CatchPanicLayer::new());
            caught.layer(monitor.http_layer())
        },
    ];
    let seen = ["internal", "internal", "500"];
    for (layered, error) in layers.into_iter().zip(seen) {
        let monitor = monitor();
        let routes = layered(Router::new().route("/", panics()), &monitor);
        let app = App::serve(&monitor, routes).await;
        drop(within(reqwest::get(app.url("/"))).await);
        let view = app.finish().await;
        assert_eq!(outcome(only(&view, "/")), (1, 1, vec![(error, 1)]));
    }
}

#[tokio::test]
async fn what_never_comes_to_a_response_is_counted_once() {
    let monitor = monitor();
    let request = || Request::new(Body::empty());

    let answers = service_fn(async |_: Request<Body>| {
        let endless = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        Ok::<_, Infallible>(Response::new(endless))
    });
    let measured = monitor.http_layer().layer(answers);
    drop(measured.clone().oneshot(request()));
    assert_eq!(monitor.health().offered, 0, "it was never called");
    let response = measured.clone().oneshot(request()).await.unwrap();
    drop(response);

    let fails = service_fn(async |_: Request<Body>| {
        Err::<Response<Body>, _>(io::Error::other("no response"))
    });
    let measured = monitor.http_layer().layer(fails);
    measured.oneshot(request()).await.unwrap_err();

    monitor.collect();
    let view = monitor.endpoints(Window::SinceStart).unwrap();
    let errors = vec![("cancelled", 1), ("internal", 1)];
    assert_eq!(outcome(only(&view, "_OTHER")), (2, 2, errors));
}
