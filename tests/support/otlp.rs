//! An OTLP receiver, gRPC and HTTP, that keeps what it gets.

use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{KeyValue, any_value},
    metrics::v1::{Metric, metric::Data, number_data_point},
    trace::v1::Span,
};
use prost::Message;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

/// Listens on loopback until it is dropped with its runtime.
#[derive(Clone, Default)]
pub(crate) struct Receiver(Arc<Mutex<Received>>);

#[derive(Default)]
struct Received {
    /// The last cumulative point of each series, by metric name and attributes.
    points: BTreeMap<(String, String), Point>,
    spans: Vec<Span>,
    pushes: usize,
}

/// What one series came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Point {
    pub(crate) count: u64,
    pub(crate) sum: f64,
    /// Scale, offset and counts, of an exponential histogram.
    pub(crate) buckets: Option<(i32, i32, Vec<u64>)>,
}

impl Receiver {
    /// Starts to listen for gRPC.
    pub(crate) async fn grpc() -> (Self, SocketAddr) {
        let receiver = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder()
            .add_service(MetricsServiceServer::new(receiver.clone()))
            .add_service(TraceServiceServer::new(receiver.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        (receiver, address)
    }

    /// Starts to listen for protobuf over HTTP.
    pub(crate) async fn http() -> (Self, SocketAddr) {
        use axum::{Router, body::Bytes, routing::post};
        let receiver = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (metrics, traces) = (receiver.clone(), receiver.clone());
        let router = Router::new()
            .route(
                "/v1/metrics",
                post(async move |body: Bytes| {
                    metrics.add_metrics(ExportMetricsServiceRequest::decode(body).unwrap());
                }),
            )
            .route(
                "/v1/traces",
                post(async move |body: Bytes| {
                    traces.add_spans(ExportTraceServiceRequest::decode(body).unwrap());
                }),
            );
        tokio::spawn(async { axum::serve(listener, router).await });
        (receiver, address)
    }

    /// The last points of `metric`, by attributes, written as `key=value` and sorted.
    pub(crate) fn points(&self, metric: &str) -> BTreeMap<String, Point> {
        let received = self.0.lock().unwrap();
        let of = received
            .points
            .iter()
            .filter(|((name, _), _)| name == metric);
        of.map(|((_, attributes), point)| (attributes.clone(), point.clone()))
            .collect()
    }

    /// The sum of the counts of `metric` over the series whose attributes contain all of `with`.
    pub(crate) fn count(&self, metric: &str, with: &[&str]) -> u64 {
        let points = self.points(metric);
        let of = points.iter().filter(|(attributes, _)| {
            with.iter()
                .all(|w| attributes.split(',').any(|one| one == *w))
        });
        of.map(|(_, point)| point.count).sum()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.0.lock().unwrap().spans.clone()
    }

    pub(crate) fn pushes(&self) -> usize {
        self.0.lock().unwrap().pushes
    }

    fn add_metrics(&self, request: ExportMetricsServiceRequest) {
        let mut received = self.0.lock().unwrap();
        received.pushes += 1;
        for resource in request.resource_metrics {
            for scope in resource.scope_metrics {
                for metric in scope.metrics {
                    let name = metric.name.clone();
                    for (attributes, point) in points_of(metric) {
                        received.points.insert((name.clone(), attributes), point);
                    }
                }
            }
        }
    }

    fn add_spans(&self, request: ExportTraceServiceRequest) {
        let mut received = self.0.lock().unwrap();
        received.pushes += 1;
        for resource in request.resource_spans {
            for scope in resource.scope_spans {
                received.spans.extend(scope.spans);
            }
        }
    }
}

fn points_of(metric: Metric) -> Vec<(String, Point)> {
    let number = |value| match value {
        Some(number_data_point::Value::AsDouble(number)) => number,
        Some(number_data_point::Value::AsInt(number)) => number as f64,
        None => 0.0,
    };
    match metric.data {
        Some(Data::Sum(sum)) => sum
            .data_points
            .into_iter()
            .map(|p| {
                let point = Point {
                    sum: number(p.value),
                    ..Point::default()
                };
                (spelled(&p.attributes), point)
            })
            .collect(),
        Some(Data::ExponentialHistogram(histogram)) => histogram
            .data_points
            .into_iter()
            .map(|p| {
                let positive = p.positive.unwrap_or_default();
                let point = Point {
                    count: p.count,
                    sum: p.sum.unwrap_or_default(),
                    buckets: Some((p.scale, positive.offset, positive.bucket_counts)),
                };
                (spelled(&p.attributes), point)
            })
            .collect(),
        Some(Data::Histogram(histogram)) => histogram
            .data_points
            .into_iter()
            .map(|p| {
                let point = Point {
                    count: p.count,
                    sum: p.sum.unwrap_or_default(),
                    buckets: None,
                };
                (spelled(&p.attributes), point)
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Attributes as one sorted line.
pub(crate) fn spelled(attributes: &[KeyValue]) -> String {
    let mut pairs: Vec<String> = attributes
        .iter()
        .map(|pair| {
            let value = pair.value.as_ref().and_then(|v| v.value.as_ref());
            let value = match value {
                Some(any_value::Value::StringValue(text)) => text.clone(),
                Some(any_value::Value::IntValue(number)) => number.to_string(),
                Some(any_value::Value::BoolValue(truth)) => truth.to_string(),
                other => format!("{other:?}"),
            };
            format!("{}={value}", pair.key)
        })
        .collect();
    pairs.sort();
    pairs.join(",")
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.add_metrics(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.add_spans(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
