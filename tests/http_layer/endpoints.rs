//! Routes, methods, statuses and sizes.

use crate::app::{App, active_requests, monitor, only, outcome, within};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::Path,
    http::{Method, Request, Response, StatusCode, header},
    routing::{any, get, post},
};
use futures_util::{StreamExt, stream};
use std::{convert::Infallible, sync::Arc};
use tokio::sync::{Barrier, mpsc};
use tower::{Layer, ServiceExt, service_fn};

#[tokio::test]
async fn an_answered_request_is_one_operation_of_its_route() {
    let monitor = monitor();
    let echo = async |body: String| format!("{body}!");
    let routes = Router::new()
        .route("/v1/echo/{id}", post(echo))
        .layer(monitor.http_layer());
    let app = App::serve(&monitor, routes).await;
    let client = reqwest::Client::new();
    for id in 0..3 {
        let url = app.url(&format!("/v1/echo/{id}"));
        let answer = client.post(url).body("hello").send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "hello!");
    }
    let view = app.finish().await;
    let echo = only(&view, "/v1/echo/{id}");
    assert_eq!(outcome(echo), (3, 0, vec![]));
    let method = view.endpoints["/v1/echo/{id}"].method.as_deref();
    assert_eq!(method, Some("POST"));
    assert_eq!(echo.status_code_counts["200"], 3);
    assert_eq!(echo.parameter_averages.avg_request_size, Some(5.0));
    assert_eq!(echo.parameter_averages.avg_response_size, Some(6.0));
    assert!(echo.stats.min_duration_ms.unwrap() > 0.0);
    let health = monitor.health();
    assert_eq!((health.offered, health.counted), (3, 3));
}

#[tokio::test]
async fn an_operation_lasts_to_the_end_of_a_streamed_body() {
    let monitor = monitor();
    let (chunks, from_test) = mpsc::channel::<Bytes>(1);
    let from_test = Arc::new(tokio::sync::Mutex::new(Some(from_test)));
    let answer = async move || {
        let chunks = from_test.lock().await.take().unwrap();
        let chunks = stream::unfold(chunks, async |mut chunks| {
            let chunk = chunks.recv().await?;
            Some((Ok::<_, Infallible>(chunk), chunks))
        });
        Body::from_stream(chunks)
    };
    let routes = Router::new()
        .route("/stream", get(answer))
        .layer(monitor.http_layer());
    let app = App::serve(&monitor, routes).await;

    let answer = reqwest::get(app.url("/stream")).await.unwrap();
    let mut answer = answer.bytes_stream();
    for _ in 0..3 {
        chunks.send(Bytes::from_static(b"data")).await.unwrap();
        within(answer.next()).await.unwrap().unwrap();
        assert_eq!(monitor.health().offered, 0, "it goes on");
        assert_eq!(active_requests(&monitor), 1.0);
    }
    drop(chunks);
    assert!(within(answer.next()).await.is_none());

    let view = app.finish().await;
    let streamed = only(&view, "/stream");
    assert_eq!(outcome(streamed), (1, 0, vec![]));
    assert_eq!(streamed.parameter_averages.avg_response_size, Some(12.0));
}

#[tokio::test]
async fn an_answer_without_a_body_is_complete() {
    let monitor = monitor();
    let routes = Router::new()
        .route("/body", get("five!"))
        .route("/204", get(StatusCode::NO_CONTENT))
        .route("/304", get(StatusCode::NOT_MODIFIED))
        .route("/empty", get(""))
        .layer(monitor.http_layer());
    let app = App::serve(&monitor, routes).await;
    let client = reqwest::Client::new();
    let head = client.head(app.url("/body")).send().await.unwrap();
    assert_eq!(head.headers()[header::CONTENT_LENGTH], "5");
    for path in ["/204", "/304", "/empty"] {
        client.get(app.url(path)).send().await.unwrap();
    }
    let view = app.finish().await;
    assert_eq!(view.endpoints_count, 4);
    assert_eq!(view.endpoints["/body"].method.as_deref(), Some("HEAD"));
    for endpoint in view.endpoints.values() {
        assert_eq!(outcome(&endpoint.all), (1, 0, vec![]));
        let sizes = &endpoint.all.parameter_averages;
        assert_eq!(sizes.avg_response_size, Some(0.0));
        assert_eq!(sizes.avg_request_size, Some(0.0));
    }
}

/// No server polls what it must not send.
#[tokio::test]
async fn a_body_that_is_not_sent_need_not_end() {
    let monitor = monitor();
    for (method, status) in [
        (Method::HEAD, StatusCode::OK),
        (Method::GET, StatusCode::NOT_MODIFIED),
        (Method::GET, StatusCode::SWITCHING_PROTOCOLS),
    ] {
        let answer = service_fn(async |_: Request<Body>| {
            let endless = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
            Ok::<_, Infallible>(Response::builder().status(status).body(endless).unwrap())
        });
        let request = Request::builder().method(method);
        let request = request.body(Body::empty()).unwrap();
        let measured = monitor.http_layer().layer(answer);
        drop(within(measured.oneshot(request)).await.unwrap());
    }
    monitor.collect();
    let view = monitor.endpoints(aimux_otel::Window::SinceStart).unwrap();
    let (total, _, errors) = outcome(only(&view, "_OTHER"));
    assert_eq!((total, errors), (3, vec![]));
}

#[tokio::test]
async fn a_body_is_complete_when_its_declared_length_has_passed() {
    let monitor = monitor();
    let answer = async || {
        let chunk = Ok::<_, Infallible>(Bytes::from_static(b"12345"));
        let body = Body::from_stream(stream::iter([chunk]).chain(stream::pending()));
        ([(header::CONTENT_LENGTH, "5")], body)
    };
    let routes = Router::new()
        .route("/five", get(answer))
        .layer(monitor.http_layer());
    let app = App::serve(&monitor, routes).await;
    let text = reqwest::get(app.url("/five")).await.unwrap().text();
    assert_eq!(within(text).await.unwrap(), "12345");
    let view = app.finish().await;
    assert_eq!(outcome(only(&view, "/five")), (1, 0, vec![]));
}

#[tokio::test]
async fn a_path_that_is_no_route_is_other() {
    let monitor = monitor();
    let routes = Router::new()
        .route("/known", get("here"))
        .layer(monitor.http_layer());
    let app = App::serve(&monitor, routes).await;
    for path in ["/unknown/1", "/unknown/2"] {
        reqwest::get(app.url(path)).await.unwrap();
    }
    let view = app.finish().await;
    let other = only(&view, "_OTHER");
    assert_eq!(outcome(other), (2, 2, vec![]));
    assert_eq!(other.status_code_counts["404"], 2);
}

#[tokio::test]
async fn a_bad_status_fails_and_from_500_on_it_is_the_error_type() {
    let monitor = monitor();
    let answer = async |Path(status): Path<u16>| StatusCode::from_u16(status).unwrap();
    let routes = Router::new()
        .route("/status/{code}", any(answer))
        .layer(monitor.http_layer());
    let app = App::serve(&monitor, routes).await;
    let client = reqwest::Client::new();
    let brew = Method::from_bytes(b"BREW").unwrap();
    for (method, status) in [(Method::GET, 200), (Method::PUT, 404), (brew, 503)] {
        let url = app.url(&format!("/status/{status}"));
        client.request(method, url).send().await.unwrap();
    }
    let view = app.finish().await;
    let all = only(&view, "/status/{code}");
    assert_eq!(outcome(all), (3, 2, vec![("503", 1)]));
    let methods: Vec<&str> = view.endpoints["/status/{code}"]
        .methods
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(methods, ["GET", "PUT", "_OTHER"]);
}

#[tokio::test]
async fn a_route_of_a_nested_router_is_the_whole_template() {
    let monitor = monitor();
    let inner = Router::new().route("/items/{id}", get("item"));
    let opaque = Router::new().route("/things/{id}", get("thing"));
    let routes = Router::new()
        .nest("/users/{user}", inner)
        .nest_service("/opaque", opaque.layer(monitor.http_layer()))
        .layer(monitor.http_layer());
    let app = App::serve(&monitor, routes).await;
    for path in ["/users/7/items/1", "/users/8/items/2", "/opaque/things/1"] {
        reqwest::get(app.url(path)).await.unwrap();
    }
    let view = app.finish().await;
    let counts: Vec<(&str, u64)> = view
        .endpoints
        .iter()
        .map(|(path, endpoint)| (path.as_str(), endpoint.all.stats.total_operations))
        .collect();
    // The layer is applied twice to the last: what only the inner one knows, it tells the outer.
    let expected = [("/opaque/things/{id}", 1), ("/users/{user}/items/{id}", 2)];
    assert_eq!(counts, expected);
}

#[tokio::test]
async fn ten_requests_at_once_are_ten_operations() {
    let monitor = monitor();
    let all_are_here = Arc::new(Barrier::new(11));
    let gate = Arc::clone(&all_are_here);
    let answer = async move || {
        gate.wait().await;
        gate.wait().await;
        "done"
    };
    let routes = Router::new()
        .route("/wait", get(answer))
        .layer(monitor.http_layer());
    let app = App::serve(&monitor, routes).await;
    let clients: Vec<_> = (0..10)
        .map(|_| tokio::spawn(reqwest::get(app.url("/wait"))))
        .collect();
    within(all_are_here.wait()).await;
    assert_eq!(active_requests(&monitor), 10.0);
    all_are_here.wait().await;
    for client in clients {
        client.await.unwrap().unwrap();
    }
    let view = app.finish().await;
    assert_eq!(outcome(only(&view, "/wait")), (10, 0, vec![]));
}

#[tokio::test]
async fn what_was_read_of_a_request_is_its_size_and_else_what_it_declared() {
    let monitor = monitor();
    let read = async |body: String| body.len().to_string();
    let routes = Router::new()
        .route("/read", post(read))
        .route("/unread", post("not now"))
        .layer(monitor.http_layer());
    let app = App::serve(&monitor, routes).await;
    let client = reqwest::Client::new();
    let parts = ["some", " ", "parts"].map(Ok::<_, Infallible>);
    let chunked = reqwest::Body::wrap_stream(stream::iter(parts));
    client
        .post(app.url("/read"))
        .body(chunked)
        .send()
        .await
        .unwrap();
    let unread = client.post(app.url("/unread")).body("123456789");
    unread.send().await.unwrap();
    let view = app.finish().await;
    for (path, size) in [("/read", 10.0), ("/unread", 9.0)] {
        let sizes = &view.endpoints[path].all.parameter_averages;
        assert_eq!(sizes.avg_request_size, Some(size), "{path}");
    }
}
