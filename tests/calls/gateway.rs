//! A gateway that passes on what a provider answers, and what its monitor then says of the call.

use crate::{
    app::{App, monitor, within},
    upstream::{Step, upstream},
};
use aimux_otel::{OperationHandle, PerformanceEvent, PerformanceEventType, PerformanceMonitor};
use axum::{
    Extension, Router,
    body::Body,
    http::{Response, StatusCode},
    routing::get,
};
use std::{net::SocketAddr, time::Duration};
use tokio::net::TcpStream;

/// How the gateway passes an answer on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Way {
    Stream,
    Body,
    /// As a stream, and a body, that is given up when nothing comes for a while.
    StallingStream,
    StallingBody,
}

pub(crate) const WAYS: [Way; 4] = [
    Way::Stream,
    Way::Body,
    Way::StallingStream,
    Way::StallingBody,
];

/// A moment, for an upstream that hangs for ever.
const MOMENT: Duration = Duration::from_millis(50);
/// Longer than any test.
const LONG: Duration = Duration::from_secs(3_600);

async fn relay(
    operation: OperationHandle,
    to: SocketAddr,
    way: Way,
    hangs: bool,
) -> Response<Body> {
    let mut call = operation.provider_call("openai", "gpt-4o-mini");
    let sent = reqwest::get(format!("http://{to}/v1/chat/completions")).await;
    let answer = match sent {
        Ok(answer) => answer,
        Err(_) => {
            call.error("connection_refused");
            let mut refusal = Response::new(Body::empty());
            *refusal.status_mut() = StatusCode::BAD_GATEWAY;
            return refusal;
        }
    };
    call.head(answer.status(), answer.headers());
    let status = answer.status();
    let limit = if hangs { MOMENT } else { LONG };
    let whole = |answer| http::Response::<reqwest::Body>::from(answer).into_body();
    let body = match way {
        Way::Stream => Body::from_stream(call.stream(answer.bytes_stream())),
        Way::Body => Body::new(call.body(whole(answer))),
        Way::StallingStream => {
            Body::from_stream(call.stream(answer.bytes_stream()).stall_after(limit))
        }
        Way::StallingBody => Body::new(call.body(whole(answer)).stall_after(limit)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

pub(crate) struct Gateway {
    pub(crate) app: App,
    pub(crate) monitor: PerformanceMonitor,
}

impl Gateway {
    /// In front of a provider that takes these steps.
    pub(crate) async fn before(steps: impl Into<Vec<Step>>, way: Way) -> Self {
        let steps = steps.into();
        let hangs = matches!(steps.last(), Some(Step::Hang));
        Self::at(upstream(steps).await, way, hangs).await
    }

    pub(crate) async fn at(to: SocketAddr, way: Way, hangs: bool) -> Self {
        let monitor = monitor();
        let handler = move |Extension(operation): Extension<OperationHandle>| {
            relay(operation, to, way, hangs)
        };
        let routes = Router::new().route("/chat", get(handler));
        let app = App::serve(&monitor, routes.layer(monitor.http_layer())).await;
        Self { app, monitor }
    }

    /// The status and body that a client gets; no body if it breaks off.
    pub(crate) async fn ask(&self) -> (u16, Option<String>) {
        let answer = within(reqwest::get(self.app.url("/chat"))).await.unwrap();
        let status = answer.status().as_u16();
        (status, within(answer.text()).await.ok())
    }

    /// A client that reads by itself.
    pub(crate) async fn connect(&self) -> TcpStream {
        let request = "GET /chat HTTP/1.1\r\nHost: gateway\r\n\r\n";
        self.app.connect(request).await
    }

    /// The only call that there was, once all connections have ended.
    pub(crate) async fn call(self) -> Call {
        self.app.finish().await;
        Call::only(&self.monitor)
    }
}

/// A call as the recent events tell it.
#[derive(Debug)]
pub(crate) struct Call(PerformanceEvent);

impl Call {
    pub(crate) fn only(monitor: &PerformanceMonitor) -> Self {
        monitor.collect();
        let mut calls = monitor.recent_events();
        calls.retain(|event| event.event_type == PerformanceEventType::ProviderEnd);
        assert_eq!(calls.len(), 1, "{calls:#?}");
        Self(calls.remove(0))
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.metadata.get(key).map(String::as_str)
    }

    pub(crate) fn error(&self) -> Option<&str> {
        self.get("error_type")
    }

    pub(crate) fn event(&self) -> &PerformanceEvent {
        &self.0
    }
}
