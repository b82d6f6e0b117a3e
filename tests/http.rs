//! The routes over real HTTP: on the monitor's own listener, and merged into a host's app.

#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

use aimux_otel::{
    BuildError, MonitorBuilder, PerformanceEvent, PerformanceEventType, PerformanceMonitor, Window,
};
use prometheus::{
    core::{Collector, Desc},
    proto::MetricFamily,
};
use reqwest::{Client, Response, StatusCode, header};
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

const ROUTES: &[&str] = &[
    "/performance",
    "/performance/real-time",
    "/performance/providers",
    "/performance/endpoints",
    "/performance/components",
    "/performance/alerts",
    "/performance/memory",
    "/performance/experiments",
    "/performance/history",
    "/performance/config",
    "/performance/summary",
    "/performance/cardinality",
    "/performance/slowest",
    "/performance/openapi.json",
    "/metrics",
];

fn builder() -> MonitorBuilder {
    PerformanceMonitor::builder()
        .provider("cerebras", ["llama3.1-70b", "llama3.1-8b"])
        .endpoint("/v1/chat/completions")
        .collection_interval(Duration::from_secs(3_600))
}

/// Two attempts, one of which failed, and two operations with different methods.
fn measure(monitor: &PerformanceMonitor) {
    let call = |ms, success, error_type| {
        monitor.record_provider_request(
            "cerebras",
            "llama3.1-70b",
            Duration::from_millis(ms),
            success,
            error_type,
            0.25,
        );
    };
    call(800, true, "");
    call(1_200, false, "timeout");
    let path = "/v1/chat/completions";
    for (method, status) in [("POST", 200), ("GET", 405)] {
        let id = monitor.record_request_start("request", path, method, "", "");
        monitor.record_request_end(id, status == 200, status, 2_048, "", 0.0);
    }
    monitor.collect();
}

fn serving(builder: MonitorBuilder) -> (PerformanceMonitor, String) {
    let listen = "127.0.0.1:0".parse().unwrap();
    let monitor = builder.serve(listen).build().unwrap();
    let base = format!("http://{}", monitor.local_addr().unwrap());
    (monitor, base)
}

/// A monitor whose routes are merged into an app with a route of its own, on this runtime.
async fn merged(builder: MonitorBuilder) -> (PerformanceMonitor, String) {
    let monitor = builder.build().unwrap();
    let app = axum::Router::new()
        .route("/hello", axum::routing::get(|| async { "hello" }))
        .fallback(|| async { (StatusCode::NOT_FOUND, "the host's") })
        .merge(monitor.router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (monitor, base)
}

async fn get(url: String) -> Response {
    Client::new().get(url).send().await.unwrap()
}

async fn json(url: String) -> Value {
    let answer = get(url).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
    answer.json().await.unwrap()
}

/// Checks that `answer` is a problem of this status, and returns it.
async fn problem(answer: Response, status: u16) -> Value {
    let url = answer.url().to_string();
    assert_eq!(answer.status(), status, "{url}");
    let headers = answer.headers();
    assert_eq!(
        headers[header::CONTENT_TYPE],
        "application/problem+json",
        "{url}"
    );
    assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{url}");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["status"], status, "{url}");
    for text in ["type", "title", "detail"] {
        assert!(problem[text].is_string(), "{url}: {problem}");
    }
    problem
}

/// Sends `request` as it is, and returns all that comes back until the connection is closed.
fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    String::from_utf8(answer).unwrap()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Number,
    Text,
    Flag,
    Map,
    List,
    Null,
}

fn kind(value: &Value) -> Kind {
    match value {
        Value::Null => Kind::Null,
        Value::Bool(_) => Kind::Flag,
        Value::Number(_) => Kind::Number,
        Value::String(_) => Kind::Text,
        Value::Array(_) => Kind::List,
        Value::Object(_) => Kind::Map,
    }
}

fn assert_fields(object: &Value, of: Kind, names: &[&str]) {
    for name in names {
        assert_eq!(kind(&object[name]), of, "{name} in {object:#}");
    }
}

fn assert_coverage(answer: &Value) {
    let numbers = [
        "timestamp",
        "collected_at",
        "window_start",
        "window_end",
        "window_seconds",
        "quantile_error_percent",
    ];
    assert_fields(answer, Kind::Number, &numbers);
    assert!(answer["timestamp"].is_u64());
}

const DURATION_BLOCK: [&str; 13] = [
    "total_operations",
    "successful_operations",
    "failed_operations",
    "success_rate_percent",
    "avg_duration_ms",
    "min_duration_ms",
    "max_duration_ms",
    "p50_duration_ms",
    "p95_duration_ms",
    "p99_duration_ms",
    "operations_per_second",
    "errors_per_second",
    "last_update",
];

fn assert_provider(provider: &Value) {
    let numbers = [
        "total_requests",
        "successful_requests",
        "failed_requests",
        "timeout_requests",
        "rate_limited_requests",
        "success_rate_percent",
        "provider_success_rate_percent",
        "average_response_time_ms",
        "p50_response_time_ms",
        "p95_response_time_ms",
        "p99_response_time_ms",
        "cost_per_request",
        "total_cost",
        "last_success",
        "last_failure",
    ];
    assert_fields(provider, Kind::Number, &numbers);
    assert_fields(provider, Kind::Text, &["provider_name"]);
    assert_fields(provider, Kind::Flag, &["healthy"]);
    let model = &provider["model_stats"]["llama3.1-70b"];
    assert_fields(model, Kind::Number, &DURATION_BLOCK);
    let amounts = ["input_tokens", "output_tokens", "total_cost"];
    assert_fields(model, Kind::Number, &amounts);
}

fn assert_endpoint(endpoint: &Value) {
    assert_eq!(endpoint["endpoint_path"], "/v1/chat/completions");
    assert_fields(endpoint, Kind::Text, &["method"]);
    let maps = [
        "stats",
        "status_code_counts",
        "error_type_counts",
        "methods",
    ];
    assert_fields(endpoint, Kind::Map, &maps);
    assert_fields(
        endpoint,
        Kind::Number,
        &["last_access", "requests_per_minute"],
    );
    assert_fields(&endpoint["stats"], Kind::Number, &DURATION_BLOCK);
    let averages = &endpoint["parameter_averages"];
    assert_fields(averages, Kind::Number, &["avg_response_size"]);
    assert_fields(averages, Kind::Null, &["avg_request_size"]);
    assert_eq!(endpoint["status_code_counts"]["200"], 1);
    assert_eq!(endpoint["methods"]["GET"]["status_code_counts"]["405"], 1);
}

#[tokio::test]
async fn providers_have_the_fields_of_the_guide() {
    let (monitor, base) = serving(builder());
    measure(&monitor);
    let answer = json(format!("{base}/performance/providers")).await;
    assert_coverage(&answer);
    assert_eq!(answer["providers_count"], 1);
    assert_provider(&answer["providers"]["cerebras"]);
    let idle = &answer["providers"]["cerebras"]["model_stats"]["llama3.1-8b"];
    assert_eq!(idle["total_operations"], 0);
    assert_fields(idle, Kind::Null, &DURATION_BLOCK[3..]);
    let summary = [
        "total_requests",
        "successful_requests",
        "failed_requests",
        "success_rate_percent",
        "total_estimated_cost",
        "average_cost_per_request",
    ];
    assert_fields(&answer["summary"], Kind::Number, &summary);
    assert_eq!(answer["summary"]["total_estimated_cost"], 0.5);
    let one = json(format!("{base}/performance/providers?provider=cerebras")).await;
    assert_eq!(one["providers"], answer["providers"]);
}

#[tokio::test]
async fn endpoints_have_the_fields_of_the_guide() {
    let (monitor, base) = serving(builder());
    measure(&monitor);
    let answer = json(format!("{base}/performance/endpoints")).await;
    assert_coverage(&answer);
    assert_eq!(answer["endpoints_count"], 1);
    assert_endpoint(&answer["endpoints"]["/v1/chat/completions"]);
    let aggregated = &answer["aggregated"];
    let numbers = [
        "total_operations",
        "success_rate_percent",
        "average_duration_ms",
    ];
    assert_fields(aggregated, Kind::Number, &numbers);
    assert_eq!(aggregated["status_code_distribution"]["405"], 1);
    for path in ["/v1/chat/completions", "%2Fv1%2Fchat%2Fcompletions"] {
        let one = json(format!("{base}/performance/endpoints?endpoint={path}")).await;
        assert_eq!(one["endpoints"], answer["endpoints"]);
    }
}

#[tokio::test]
async fn real_time_has_the_fields_of_the_guide() {
    let (monitor, base) = serving(builder());
    measure(&monitor);
    let answer = json(format!("{base}/performance/real-time")).await;
    assert_coverage(&answer);
    assert_eq!(answer["monitoring_active"], true);
    assert_fields(
        &answer["memory_metrics"],
        Kind::Number,
        &["total_process_mb"],
    );
    assert_provider(&answer["provider_performance"]["cerebras"]);
    assert_endpoint(&answer["endpoint_performance"]["/v1/chat/completions"]);
    assert_fields(&answer, Kind::Number, &["active_alerts"]);
    assert_fields(&answer, Kind::List, &["alerts", "recent_events"]);
    let event = &answer["recent_events"][0];
    assert_fields(event, Kind::Text, &["type"]);
}

#[tokio::test]
async fn components_have_a_block_for_each_operation() {
    let (monitor, base) = serving(builder());
    let event = PerformanceEvent::new("1", PerformanceEventType::RequestEnd, "router", "pick");
    monitor.record_event(event.with_duration(Duration::from_millis(3)));
    monitor.collect();
    let answer = json(format!("{base}/performance/components")).await;
    assert_coverage(&answer);
    let router = &answer["components"]["router"];
    assert_fields(&router["stats"], Kind::Number, &DURATION_BLOCK);
    assert_fields(&router["operations"]["pick"], Kind::Number, &DURATION_BLOCK);
}

#[tokio::test]
async fn the_report_is_what_the_getter_returns() {
    let (monitor, base) = serving(builder());
    measure(&monitor);
    monitor.shutdown(Duration::from_secs(10)).unwrap();
    // Its own listener is closed by now; a merged router goes on with what was measured last.
    let address: SocketAddr = base.trim_start_matches("http://").parse().unwrap();
    assert!(TcpStream::connect(address).is_err());
    let app = monitor.router();
    let request = axum::http::Request::get("/performance").body(axum::body::Body::empty());
    let answer = tower::ServiceExt::oneshot(app, request.unwrap())
        .await
        .unwrap();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX)
        .await
        .unwrap();
    let report = monitor.report(Window::SinceStart).unwrap();
    assert_eq!(report.summary.total_requests, 2);
    assert_eq!(*body, *serde_json::to_vec(&report).unwrap());
}

#[tokio::test]
async fn every_answer_says_how_it_is_to_be_taken() {
    let (_monitor, base) = serving(builder());
    for route in ROUTES {
        let answer = get(format!("{base}{route}")).await;
        assert_eq!(answer.status(), StatusCode::OK, "{route}");
        let headers = answer.headers().clone();
        assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{route}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
        let policy = "default-src 'none'; frame-ancestors 'none'";
        assert_eq!(headers[header::CONTENT_SECURITY_POLICY], policy);
        assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
        let text = answer.text().await.unwrap();
        assert!(!text.is_empty());

        let head = Client::new().head(format!("{base}{route}"));
        let head = head.send().await.unwrap();
        assert_eq!(head.status(), StatusCode::OK, "HEAD {route}");
        assert_eq!(
            head.headers()[header::CONTENT_TYPE],
            headers[header::CONTENT_TYPE]
        );
        assert_eq!(head.text().await.unwrap(), "", "HEAD {route}");
    }
}

#[tokio::test]
async fn each_view_says_which_time_it_covers() {
    let (monitor, base) = serving(builder().retention(Duration::from_secs(7_200)));
    measure(&monitor);
    for route in &ROUTES[..5] {
        for query in [
            "",
            "?window=1s",
            "?window=90s",
            "?window=120m",
            "?window=2h",
        ] {
            let view = json(format!("{base}{route}{query}")).await;
            let number = |field: &str| view[field].as_f64().unwrap();
            let covered = number("window_end") - number("window_start");
            assert!(covered > 0.0, "{route}{query}");
            assert!(
                (covered - number("window_seconds")).abs() < 1e-3,
                "{view:#}"
            );
            assert_eq!(number("window_end"), number("collected_at"));
        }
    }
}

#[tokio::test]
async fn what_cannot_be_understood_is_named() {
    let retention = Duration::from_secs(7_200);
    let (_monitor, base) = serving(builder().retention(retention));
    let windows = [
        "",
        "5",
        "m",
        "5M",
        "-5m",
        "+5m",
        "5ms",
        "1.5h",
        "0s",
        "121m",
        "1d",
        "5m5m",
        "%00",
        "99999999999999999999999d",
    ];
    for route in &ROUTES[..5] {
        for window in windows {
            let answer = get(format!("{base}{route}?window={window}")).await;
            let problem = problem(answer, 400).await;
            assert_eq!(problem["field"], "window", "{problem:#}");
            let forms = serde_json::json!(["<n>s", "<n>m", "<n>h", "<n>d"]);
            assert_eq!(problem["allowed"], forms);
        }
        let answer = get(format!("{base}{route}?window=5m&window=5m")).await;
        assert_eq!(problem(answer, 400).await["field"], "window");
    }
    let parameters = [
        ("/performance", "provider=cerebras", "provider"),
        ("/performance/real-time", "windw=5m", "windw"),
        ("/performance/providers", "endpoint=%2Fx", "endpoint"),
        (
            "/performance/providers",
            "provider=cerebras&provider=cerebras",
            "provider",
        ),
        (
            "/performance/providers",
            "a%00b%E2%80%AE=1",
            "a\u{fffd}b\u{fffd}",
        ),
        ("/performance/endpoints", "provider=cerebras", "provider"),
        ("/performance/components", "component=router", "component"),
        ("/metrics", "window=5m", "window"),
        ("/metrics", "=", ""),
    ];
    for (route, query, field) in parameters {
        let answer = get(format!("{base}{route}?{query}")).await;
        let problem = problem(answer, 400).await;
        assert_eq!(problem["field"], field, "{problem:#}");
    }
    let answer = get(format!("{base}/performance/providers?windows=5m")).await;
    let allowed = serde_json::json!(["window", "provider"]);
    assert_eq!(problem(answer, 400).await["allowed"], allowed);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let (monitor, base) = serving(builder());
    measure(&monitor);
    let unknown = [
        ("provider", "providers", "cerebras"),
        ("endpoint", "endpoints", "/v1/chat/completions"),
    ];
    for (field, route, known) in unknown {
        for name in ["nobody", "", "CEREBRAS", "%FF"] {
            let url = format!("{base}/performance/{route}?{field}={name}&window=5m");
            let problem = problem(get(url).await, 404).await;
            assert_eq!(problem["field"], field);
            assert_eq!(problem["allowed"], serde_json::json!([known]));
        }
    }
    let description = json(format!("{base}/performance/openapi.json")).await;
    let described: Vec<&String> = description["paths"].as_object().unwrap().keys().collect();
    assert!(
        ROUTES
            .iter()
            .all(|route| described.iter().any(|path| path == route))
    );
    for path in [
        "/",
        "/performance/",
        "/performance/nothing",
        "/performance/a/b",
        "/metrics/x",
    ] {
        let problem = problem(get(format!("{base}{path}")).await, 404).await;
        let mut allowed: Vec<&str> = problem["allowed"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        allowed.sort_unstable();
        assert_eq!(allowed, described, "{path}");
    }
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let (_monitor, base) = serving(builder());
    for route in ROUTES {
        let allowed = match *route {
            "/performance/config" => vec!["GET", "HEAD", "POST"],
            _ => vec!["GET", "HEAD"],
        };
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"] {
            if allowed.contains(&method) {
                continue;
            }
            let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
            let request = Client::new().request(method, format!("{base}{route}"));
            let answer = request.body("{}").send().await.unwrap();
            assert_eq!(answer.headers()[header::ALLOW], allowed.join(","));
            let problem = problem(answer, 405).await;
            assert_eq!(problem["allowed"], serde_json::json!(allowed));
        }
    }
}

#[tokio::test]
async fn a_page_with_a_name_of_its_own_reads_nothing() {
    let (monitor, base) = serving(builder());
    let address = monitor.local_addr().unwrap();
    let asked_as = |host: String, route: &str| {
        let request = Client::new().get(format!("{base}{route}"));
        request.header(header::HOST, host).send()
    };
    let port = address.port();
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let answer = asked_as(format!("{host}:{port}"), "/performance")
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{host}");
    }
    for host in [format!("evil.example:{port}"), "evil.example".to_owned()] {
        for route in &ROUTES[..5] {
            let answer = asked_as(host.clone(), route).await.unwrap();
            assert_eq!(problem(answer, 403).await["field"], "Host");
        }
        let answer = asked_as(host.clone(), "/performance/unknown")
            .await
            .unwrap();
        problem(answer, 403).await;
        let scrape = asked_as(host, "/metrics").await.unwrap();
        assert_eq!(scrape.status(), StatusCode::OK);
    }
    let own = format!("host: {address}\r\n");
    for (line, hosts, status) in [
        ("GET /performance HTTP/1.0".to_owned(), String::new(), "400"),
        (
            "GET /performance HTTP/1.1".to_owned(),
            format!("{own}{own}"),
            "400",
        ),
        (
            format!("GET http://evil.example:{port}/performance HTTP/1.1"),
            own.clone(),
            "403",
        ),
        (
            format!("GET http://{address}/performance HTTP/1.1"),
            own.clone(),
            "200",
        ),
    ] {
        let answer = raw(
            address,
            &format!("{line}\r\n{hosts}connection: close\r\n\r\n"),
        );
        assert_eq!(answer.split(' ').nth(1), Some(status), "{line}: {answer}");
    }
}

#[tokio::test]
async fn a_merged_router_checks_the_configured_names() {
    let asked_as = |base: &str, host: &'static str| {
        let request = Client::new().get(format!("{base}/performance"));
        request.header(header::HOST, host).send()
    };
    let (_monitor, base) = merged(builder()).await;
    let answer = asked_as(&base, "gateway.example").await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "no names are configured");
    let (_monitor, base) = merged(builder().allowed_hosts(["monitor.internal"])).await;
    let answer = asked_as(&base, "monitor.internal:8443").await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let answer = asked_as(&base, "gateway.example").await.unwrap();
    let problem = problem(answer, 403).await;
    assert_eq!(problem["allowed"], serde_json::json!(["monitor.internal"]));
    let hello = get(format!("{base}/hello")).await;
    assert_eq!(
        hello.text().await.unwrap(),
        "hello",
        "the host's routes are its own"
    );
}

#[tokio::test]
async fn a_read_token_guards_everything() {
    let (own, on_its_own) = serving(builder().read_token("s3cret"));
    let (other, in_an_app) = merged(builder().read_token("s3cret")).await;
    for base in [on_its_own, in_an_app] {
        for route in ROUTES.iter().chain(&["/performance/unknown"]) {
            let ask = |token: Option<&'static str>| {
                let request = Client::new().get(format!("{base}{route}"));
                match token {
                    Some(token) => request.bearer_auth(token),
                    None => request,
                }
            };
            for token in [None, Some("wrong"), Some("s3cret2")] {
                let answer = ask(token).send().await.unwrap();
                let challenge = answer.headers()[header::WWW_AUTHENTICATE].to_str().unwrap();
                assert!(challenge.starts_with("Bearer "), "{challenge}");
                let problem = problem(answer, 401).await;
                assert!(!problem.to_string().contains("s3cret"));
            }
            let status = ask(Some("s3cret")).send().await.unwrap().status();
            assert_ne!(status, StatusCode::UNAUTHORIZED, "{route}");
        }
        let post = Client::new().post(format!("{base}/performance"));
        problem(post.send().await.unwrap(), 401).await;
    }
    assert!(!format!("{own:?}{other:?}{:?}", builder().read_token("s3cret")).contains("s3cret"));
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let setting = |builder: MonitorBuilder| match builder.build() {
        Err(error @ BuildError::Setting { setting, .. }) => {
            assert!(!format!("{error} {error:?}").contains("s3cret"));
            setting
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(setting(builder().read_token("")), "read_token");
    assert_eq!(
        setting(builder().read_token("s3cret with spaces")),
        "read_token"
    );
    assert_eq!(
        setting(builder().allowed_hosts(["http://x/"])),
        "allowed_hosts"
    );
}

#[tokio::test]
async fn metrics_show_one_call() {
    let (monitor, base) = serving(builder());
    monitor.record_provider_request(
        "cerebras",
        "llama3.1-70b",
        Duration::from_millis(1_500),
        true,
        "",
        0.0042,
    );
    monitor.collect();
    let answer = get(format!("{base}/metrics")).await;
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(answer.headers()[header::CONTENT_TYPE], content_type);
    let text = answer.text().await.unwrap();
    let golden = include_str!("golden/metrics.txt");
    let ours = ["gen_ai_client_operation_duration", "aimux_cost"];
    let is_ours = |line: &&str| {
        let line = line.trim_start_matches("# HELP ");
        let line = line.trim_start_matches("# TYPE ");
        ours.iter().any(|name| line.starts_with(name))
    };
    let shown: Vec<&str> = text.lines().filter(is_ours).collect();
    let expected: Vec<&str> = golden.lines().collect();
    assert_eq!(shown, expected, "{}", shown.join("\n"));
}

#[tokio::test]
async fn what_is_configured_counts_from_zero() {
    let (monitor, base) = serving(builder().provider("openai", Vec::<String>::new()));
    let scrape = || async { get(format!("{base}/metrics")).await.text().await.unwrap() };
    let attempts = "gen_ai_client_operation_duration_seconds_count";
    let model = r#"gen_ai_request_model="llama3.1-8b","#;
    let labels = |provider: &str, model: &str| {
        format!(r#"gen_ai_operation_name="chat",gen_ai_provider_name="{provider}",{model}"#)
    };
    let ours = r#"otel_scope_name="aimux-otel""#;
    let small = labels("cerebras", model);
    let zeros = [
        format!("{attempts}{{{small}{ours}}} 0"),
        format!("{attempts}{{{}{ours}}} 0", labels("openai", "")),
        format!("gen_ai_client_token_usage_count{{{small}gen_ai_token_type=\"input\",{ours}}} 0"),
        format!(r#"aimux_cost_total{{gen_ai_provider_name="cerebras",{model}{ours}}} 0"#),
        format!(
            r#"http_server_request_duration_seconds_count{{http_route="/v1/chat/completions",{ours}}} 0"#
        ),
    ];
    let text = scrape().await;
    for zero in &zeros {
        assert!(text.lines().any(|line| line == zero), "{zero} in {text}");
    }
    let second = Duration::from_secs(1);
    monitor.record_provider_request("cerebras", "llama3.1-8b", second, true, "", 0.25);
    monitor.record_provider_request("openai", "gpt", second, true, "", 0.25);
    let id = monitor.record_request_start("1", "/v1/chat/completions", "POST", "", "");
    monitor.record_request_end(id, true, 200, 1, "", 0.0);
    monitor.collect();
    let text = scrape().await;
    assert!(text.contains(&zeros[0].replace(" 0", " 1")), "{text}");
    assert!(text.contains(&zeros[3].replace(" 0", " 0.25")), "{text}");
    for gone in [0, 1, 3, 4] {
        let zero = &zeros[gone];
        assert!(!text.lines().any(|line| line == zero), "{zero} in {text}");
    }
}

#[tokio::test]
async fn an_odd_instrument_does_not_cost_the_others() {
    use opentelemetry::{KeyValue, metrics::MeterProvider};
    let (monitor, base) = serving(builder());
    let meter = monitor.meter_provider().meter("the host's");
    let odd = [
        KeyValue::new("", "empty"),
        KeyValue::new("9", "digit"),
        KeyValue::new("a:b", "colon"),
        KeyValue::new("a_b", "collision"),
        KeyValue::new("le", "reserved"),
        KeyValue::new("__name__", "reserved"),
        KeyValue::new("value", "nul \0 esc \u{1b} bidi \u{202e}"),
    ];
    meter.u64_counter("odd").build().add(1, &odd);
    meter.f64_histogram("odd.h").build().record(1.0, &odd);
    meter.u64_gauge("odd.h.count").build().record(1, &odd);
    let text = get(format!("{base}/metrics")).await.text().await.unwrap();
    assert!(
        text.contains("gen_ai_client_operation_duration_seconds_count"),
        "{text}"
    );
    let unfit = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert_eq!(text.find(unfit), None);
    for line in text.lines().filter(|line| line.starts_with("odd")) {
        let labels = line.split_once('{').unwrap().1.split("\",");
        let names: Vec<&str> = labels.filter_map(|l| Some(l.split_once('=')?.0)).collect();
        let mut once = names.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), names.len(), "{line}");
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(
            names.iter().all(|n| !n.is_empty() && n.chars().all(fits)),
            "{line}"
        );
    }
    assert!(!text.contains("TYPE odd_h_count gauge"), "{text}");
}

/// Blocks those who collect it until it is opened, and counts nothing.
#[derive(Clone)]
struct Gate(Arc<(Mutex<bool>, Condvar)>, Desc);

impl Gate {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

/// What tells one collector from another.
fn desc(name: &str) -> Desc {
    Desc::new(
        name.to_owned(),
        "help".to_owned(),
        Vec::new(),
        Default::default(),
    )
    .unwrap()
}

impl Collector for Gate {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.1]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let shut = self.0.1.wait_while(self.0.0.lock().unwrap(), |open| !*open);
        drop(shut);
        Vec::new()
    }
}

/// Panics when it is collected.
struct Panics(Desc);

impl Collector for Panics {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        panic!("in a collector")
    }
}

#[tokio::test]
async fn too_many_at_once_are_told_to_come_back() {
    let gate = Gate(Arc::default(), desc("gate"));
    let (monitor, base) = serving(builder());
    let registry = monitor.prometheus_registry();
    registry.register(Box::new(gate.clone())).unwrap();
    let mut answers = tokio::task::JoinSet::new();
    for _ in 0..80 {
        answers.spawn(get(format!("{base}/metrics")));
    }
    // While the gate is shut nobody is answered but those who are sent away.
    for _ in 0..16 {
        let answer = answers.join_next().await.unwrap().unwrap();
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
        problem(answer, 503).await;
    }
    gate.open();
    while let Some(answer) = answers.join_next().await {
        assert_eq!(answer.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let (monitor, base) = serving(builder());
    let registry = monitor.prometheus_registry();
    registry.register(Box::new(Panics(desc("panics")))).unwrap();
    for _ in 0..10 {
        problem(get(format!("{base}/metrics")).await, 500).await;
    }
    json(format!("{base}/performance")).await;
}

async fn fifty_at_once(base: &str) {
    let mut answers = tokio::task::JoinSet::new();
    let client = Client::new();
    for number in 0..50 {
        let route = ROUTES[number % ROUTES.len()];
        answers.spawn(client.get(format!("{base}{route}")).send());
    }
    while let Some(answer) = answers.join_next().await {
        let answer = answer.unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.url());
        assert!(!answer.text().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn fifty_clients_at_once_are_answered() {
    let (monitor, base) = serving(builder());
    measure(&monitor);
    fifty_at_once(&base).await;
}

async fn in_an_app() {
    let (monitor, base) = merged(builder()).await;
    measure(&monitor);
    fifty_at_once(&base).await;
    let hello = get(format!("{base}/hello")).await;
    assert_eq!(hello.text().await.unwrap(), "hello");
    let other = get(format!("{base}/elsewhere")).await;
    assert_eq!(other.text().await.unwrap(), "the host's");
    problem(get(format!("{base}/performance/unknown")).await, 404).await;
    problem(get(format!("{base}/performance?window=0s")).await, 400).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_on_many_threads_has_the_routes() {
    in_an_app().await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_app_on_one_thread_has_the_routes() {
    in_an_app().await;
}

#[test]
fn a_runtime_without_timers_or_sockets_is_enough() {
    let monitor = builder().build().unwrap();
    let app = monitor.router();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        for route in ROUTES {
            let request = axum::http::Request::get(*route).body(axum::body::Body::empty());
            let answer = tower::ServiceExt::oneshot(app.clone(), request.unwrap()).await;
            assert_eq!(answer.unwrap().status(), StatusCode::OK, "{route}");
        }
    });
}

#[test]
fn without_a_runtime_an_answer_says_so() {
    let monitor = builder().build().unwrap();
    let request = axum::http::Request::get("/performance").body(axum::body::Body::empty());
    let answer = tower::ServiceExt::oneshot(monitor.router(), request.unwrap());
    let answer = futures_util::FutureExt::now_or_never(answer)
        .unwrap()
        .unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn nested_routes_answer_too() {
    let monitor = builder().build().unwrap();
    let app = axum::Router::new().nest("/internal", monitor.router());
    for (path, status) in [
        ("/internal/performance/providers", StatusCode::OK),
        ("/internal/metrics", StatusCode::OK),
        ("/internal/performance/nothing", StatusCode::NOT_FOUND),
    ] {
        let request = axum::http::Request::get(path).body(axum::body::Body::empty());
        let answer = tower::ServiceExt::oneshot(app.clone(), request.unwrap()).await;
        assert_eq!(answer.unwrap().status(), status, "{path}");
    }
}

#[test]
fn a_port_in_use_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error = builder().serve(taken.local_addr().unwrap()).build();
    assert!(matches!(error, Err(BuildError::Listen { .. })), "{error:?}");
}
