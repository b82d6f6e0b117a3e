//! What is wrong is refused, by its name and with what is allowed in its place, and leaves no trace.

#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

use aimux_otel::{
    AlertMetric, AlertRule, BuildError, Comparison, MonitorBuilder, PerformanceMonitor, Severity,
};
use futures_util::stream;
use reqwest::{Body, Client, Method, RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

const CONFIG: &str = "/performance/config";
const ADMIN: &str = "Bearer to-change";
const READ: &str = "Bearer to-look";
const GOOD: &str = r#"{"collection_interval_seconds": 60}"#;

fn builder() -> MonitorBuilder {
    let metric = AlertMetric::MemoryPressure;
    let rule = AlertRule::new(metric, Comparison::Above, 80.0, Severity::Warning);
    PerformanceMonitor::builder()
        .provider("cerebras", ["llama"])
        .endpoint("/v1/chat/completions")
        .alert(rule.with_id("pressure"))
        .collection_interval(Duration::from_secs(3_600))
        .retention(Duration::from_secs(7_200))
}

fn serving(builder: MonitorBuilder) -> (PerformanceMonitor, String) {
    let listen = "127.0.0.1:0".parse().unwrap();
    let monitor = builder.serve(listen).build().unwrap();
    let base = format!("http://{}", monitor.local_addr().unwrap());
    (monitor, base)
}

/// A monitor whose routes are merged into an app on this runtime.
async fn merged(builder: MonitorBuilder) -> (PerformanceMonitor, String) {
    let monitor = builder.build().unwrap();
    let app = axum::Router::new().merge(monitor.router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (monitor, base)
}

fn post(base: &str, body: impl Into<Body>) -> RequestBuilder {
    let request = Client::new().post(format!("{base}{CONFIG}"));
    request
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
}

/// Checks that `answer` refuses by naming `field` and what is allowed, which it returns.
async fn refusal(answer: Response, status: u16, field: &str) -> Vec<String> {
    assert_eq!(answer.status(), status, "{}", answer.text().await.unwrap());
    let headers = answer.headers();
    assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["field"], field, "{problem:#}");
    for text in ["type", "title", "detail"] {
        assert!(problem[text].is_string(), "{problem:#}");
    }
    let allowed = problem["allowed"].as_array().unwrap();
    let allowed: Vec<String> = allowed
        .iter()
        .map(|form| form.as_str().unwrap().to_owned())
        .collect();
    assert!(!allowed.is_empty(), "{problem:#}");
    allowed
}

#[tokio::test]
async fn a_query_that_cannot_be_understood_is_refused() {
    let (monitor, base) = serving(builder());
    let before = monitor.configuration();
    let lengths = ["<n>s", "<n>m", "<n>h", "<n>d"];
    for (query, field, allowed) in [
        ("windows=5m", "windows", &["window", "provider"][..]),
        ("endpoint=%2Fx", "endpoint", &["window", "provider"]),
        ("Window=5m", "Window", &["window", "provider"]),
        ("window=5m&window=5m", "window", &["once"]),
        ("provider=cerebras&provider=zai", "provider", &["once"]),
        ("window=", "window", &lengths),
        ("window=5", "window", &lengths),
        ("window=-5m", "window", &lengths),
        ("window=5m5m", "window", &lengths),
        ("window=1.5h", "window", &lengths),
        ("window=1e3s", "window", &lengths),
        ("window=NaN", "window", &lengths),
        ("window=0s", "window", &lengths),
        ("window=3h", "window", &lengths),
        ("window=99999999999999999999999d", "window", &lengths),
        ("window=%F0%9F%98%80", "window", &lengths),
    ] {
        let url = format!("{base}/performance/providers?{query}");
        let answer = Client::new().get(url).send().await.unwrap();
        assert_eq!(refusal(answer, 400, field).await, allowed, "{query}");
    }
    let url = format!("{base}/performance/providers?provider=nobody");
    let answer = Client::new().get(url).send().await.unwrap();
    assert_eq!(refusal(answer, 404, "provider").await, ["cerebras"]);
    let url = format!("{base}{CONFIG}?window=5m");
    let answer = Client::new().get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 400, "it takes no parameter");
    let answer = Client::new()
        .post(url)
        .header(header::CONTENT_TYPE, "application/json");
    let answer = answer.body(GOOD).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert_eq!(monitor.configuration(), before);
}

#[tokio::test]
async fn a_body_that_is_no_change_is_refused() {
    let (monitor, base) = serving(builder());
    let before = monitor.configuration();
    let rule = |fields: &str| {
        format!(
            r#"{{"collection_interval_seconds": 60, "alert_thresholds": [{{"metric": "cost_per_hour", "threshold": 5, "comparison": ">", "severity": "info"}}, {{{fields}}}]}}"#
        )
    };
    let second = |field: &str| format!("alert_thresholds[1].{field}");
    let fields = [
        "alert_thresholds",
        "collection_interval_seconds",
        "events",
        "retention_seconds",
    ];
    let cases: &[(u16, String, String, &str)] = &[
        (400, String::new(), "body".into(), "one JSON object"),
        (400, "interval=5".into(), "body".into(), "one JSON object"),
        (
            400,
            "{\"collection_interval_seconds\": 60".into(),
            "body".into(),
            "one JSON object",
        ),
        (
            400,
            format!("{GOOD}{GOOD}"),
            "body".into(),
            "one JSON object",
        ),
        (400, "\u{feff}{}".into(), "body".into(), "one JSON object"),
        (
            400,
            r#"{"retention_seconds": 3600, "retention_seconds": 3600}"#.into(),
            "retention_seconds".into(),
            "each name once",
        ),
        (
            400,
            rule(r#""metric": "cost_per_hour", "metric": "cost_per_hour""#),
            second("metric"),
            "each name once",
        ),
        (
            400,
            rule(r#""metric": "cost_per_hour", "threshold": 1e999"#),
            second("threshold"),
            "a finite number",
        ),
        (
            400,
            rule(r#""metric": "cost_per_hour", "threshold": -1e999"#),
            second("threshold"),
            "a finite number",
        ),
        (
            400,
            rule(r#""metric": "cost_per_hour", "threshold": NaN"#),
            second("threshold"),
            "one JSON object",
        ),
        (422, "[]".into(), "body".into(), "events"),
        (422, "\"x\"".into(), "body".into(), "events"),
        (
            422,
            r#"{"collection_interval_seconds": 60, "retention": 5}"#.into(),
            "retention".into(),
            "retention_seconds",
        ),
        (
            422,
            rule(
                r#""metric": "cost_per_minute", "threshold": 1, "comparison": ">", "severity": "info""#,
            ),
            second("metric"),
            "cost_per_hour",
        ),
        (
            422,
            rule(
                r#""metric": "cost_per_hour", "threshold": 1, "comparison": "~", "severity": "info""#,
            ),
            second("comparison"),
            ">=",
        ),
        (
            422,
            rule(
                r#""metric": "cost_per_hour", "threshold": 1, "comparison": ">", "severity": "fatal""#,
            ),
            second("severity"),
            "critical",
        ),
        (
            422,
            rule(
                r#""metric": "cost_per_hour", "threshold": "many", "comparison": ">", "severity": "info""#,
            ),
            second("threshold"),
            "a finite number",
        ),
        (
            422,
            rule(
                r#""metric": "cost_per_hour", "threshold": null, "comparison": ">", "severity": "info""#,
            ),
            second("threshold"),
            "a finite number",
        ),
        (
            422,
            rule(r#""metric": "cost_per_hour", "threshold": 1, "comparison": ">""#),
            second("severity"),
            "warning",
        ),
        (
            422,
            rule(r#""metric": "cost_per_hour", "treshold": 1"#),
            second("treshold"),
            "threshold",
        ),
        (
            422,
            rule(
                r#""metric": "cost_per_hour", "threshold": 1, "comparison": ">", "severity": "info", "window": "soon""#,
            ),
            second("window"),
            "<n>m",
        ),
        (
            422,
            rule(
                r#""metric": "cost_per_hour", "threshold": 1, "comparison": ">", "severity": "info", "window": "3h""#,
            ),
            second("window"),
            "at most 2h",
        ),
        (
            422,
            rule(
                r#""metric": "cost_per_hour", "threshold": 1, "comparison": ">", "severity": "info", "scope": "planet""#,
            ),
            second("scope"),
            "\"gateway\"",
        ),
        (
            422,
            rule(r#""id": "nobody", "remove": true"#),
            second("id"),
            "pressure",
        ),
        (
            422,
            rule(r#""id": "pressure", "remove": "yes""#),
            second("remove"),
            "true",
        ),
        (
            422,
            r#"{"events": {"types": ["EVERYTHING"]}}"#.into(),
            "events.types[0]".into(),
            "REQUEST_END",
        ),
        (
            422,
            r#"{"collection_interval_seconds": 0}"#.into(),
            "collection_interval_seconds".into(),
            "a number from 0.01 to 3600",
        ),
        (
            422,
            r#"{"retention_seconds": 1e308}"#.into(),
            "retention_seconds".into(),
            "a number from 0.01 to 172800",
        ),
        (
            422,
            r#"{"events": {"failures_only": true}, "retention_seconds": 3599}"#.into(),
            "retention_seconds".into(),
            "at least 3600",
        ),
    ];
    for (status, body, field, allowed) in cases {
        let answer = post(&base, body.clone()).send().await.unwrap();
        let all = refusal(answer, *status, field).await;
        assert!(all.iter().any(|form| form == allowed), "{body}: {all:?}");
        assert_eq!(monitor.configuration(), before, "{body}");
    }
    let answer = post(&base, "{\"x\": 1}").send().await.unwrap();
    assert_eq!(refusal(answer, 422, "x").await, fields);
    let not_text = post(&base, vec![b'"', 0xff, b'"']).send().await.unwrap();
    refusal(not_text, 400, "body").await;
    assert_eq!(monitor.configuration(), before);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let (own, own_base) = serving(builder());
    let (host, host_base) = merged(builder().admin_token("to-change")).await;
    for (monitor, base) in [(&own, &own_base), (&host, &host_base)] {
        let before = monitor.configuration();
        let padded = |length: usize| format!("{GOOD}{}", " ".repeat(length - GOOD.len()));
        let chunks = |count: usize| {
            let chunk = Ok::<_, std::io::Error>(vec![b' '; 8_192]);
            Body::wrap_stream(stream::iter(
                (0..count).map(move |_| Ok::<_, std::io::Error>(chunk.as_ref().unwrap().clone())),
            ))
        };
        let endless = Body::wrap_stream(stream::repeat_with(|| {
            Ok::<_, std::io::Error>(vec![b' '; 8_192])
        }));
        for (what, body) in [
            ("one byte more", Body::from(padded(64 * 1_024 + 1))),
            ("much more", Body::from(padded(900_000))),
            ("in pieces, of no declared length", chunks(9)),
            ("in many pieces", chunks(100)),
        ] {
            let request = post(base, body).header(header::AUTHORIZATION, ADMIN);
            let answer = request.send().await.unwrap();
            let allowed = refusal(answer, 413, "body").await;
            assert_eq!(allowed, ["at most 65536 bytes"], "{what}");
        }
        // Whoever never ends may find the connection closed before the answer is read.
        let request = post(base, endless).header(header::AUTHORIZATION, ADMIN);
        if let Ok(answer) = request.send().await {
            assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
        }
        assert_eq!(monitor.configuration(), before);
        let request = post(base, padded(64 * 1_024)).header(header::AUTHORIZATION, ADMIN);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
        assert_eq!(monitor.collection_interval(), Duration::from_secs(60));
    }
}

/// Sends `request` as it is, and returns what comes back until the connection is closed.
fn raw(base: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    String::from_utf8(answer).unwrap()
}

#[test]
fn a_declared_length_that_is_far_too_much_is_not_waited_for() {
    let (monitor, base) = serving(builder());
    let before = monitor.configuration();
    let host = base.strip_prefix("http://").unwrap();
    let request = format!(
        "POST {CONFIG} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
         content-length: 99999999999\r\n\r\n"
    );
    // Nothing of the body comes, and the answer does all the same.
    assert!(raw(&base, request.as_bytes()).starts_with("HTTP/1.1 413 "));
    assert_eq!(monitor.configuration(), before);
}

#[tokio::test]
async fn a_body_that_does_not_say_it_is_json_is_refused() {
    let (monitor, base) = serving(builder());
    let before = monitor.configuration();
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=x"),
        Some("application/jsonp"),
        Some("application/json; charset=utf-16"),
    ] {
        let request = Client::new().post(format!("{base}{CONFIG}")).body(GOOD);
        let request = match content_type {
            Some(content_type) => request.header(header::CONTENT_TYPE, content_type),
            None => request,
        };
        let allowed = refusal(request.send().await.unwrap(), 415, "Content-Type").await;
        assert_eq!(allowed, ["application/json"]);
    }
    let packed = post(&base, GOOD).header(header::CONTENT_ENCODING, "gzip");
    refusal(packed.send().await.unwrap(), 415, "Content-Encoding").await;
    assert_eq!(monitor.configuration(), before);
}

#[tokio::test]
async fn another_method_is_refused() {
    let (monitor, base) = serving(builder());
    let before = monitor.configuration();
    for method in ["PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = Client::new().request(method, format!("{base}{CONFIG}"));
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let answer = request.body(GOOD).send().await.unwrap();
        assert_eq!(answer.headers()[header::ALLOW], "GET,HEAD,POST");
        let allowed = refusal(answer, 405, "method").await;
        assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    }
    assert_eq!(monitor.configuration(), before);
}

#[tokio::test]
async fn another_page_changes_nothing() {
    let allowed = ["https://status.internal"];
    let (monitor, base) = serving(builder().allowed_origins(allowed));
    let before = monitor.configuration();
    let host = base.strip_prefix("http://").unwrap();
    let own = format!("http://{host}");
    for (name, value) in [
        ("Origin", "null"),
        ("Origin", "http://evil.example"),
        ("Origin", "http://127.0.0.1"),
        ("Origin", "http://localhost.evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        let answer = post(&base, GOOD).header(name, value).send().await.unwrap();
        let allowed = refusal(answer, 403, name).await;
        assert_eq!(allowed[1..], ["https://status.internal"]);
        assert_eq!(monitor.configuration(), before, "{name}: {value}");
    }
    for name in ["evil.example", "evil.example:80"] {
        let answer = post(&base, GOOD).header(header::HOST, name);
        let answer = answer.header("Origin", format!("http://{name}")).send();
        refusal(answer.await.unwrap(), 403, "Host").await;
        assert_eq!(monitor.configuration(), before);
    }
    // To read takes no origin, and scrapers may use any name.
    let read = Client::new().get(format!("{base}{CONFIG}"));
    let read = read
        .header("Origin", "http://evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(read.status(), StatusCode::OK);
    assert!(
        !read
            .headers()
            .contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
    );
    for origin in [own.as_str(), "https://status.internal"] {
        let answer = post(&base, GOOD)
            .header("Origin", origin)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{origin}");
    }
}

/// What may be done with `authorization`: read, and change.
async fn may(base: &str, authorization: Option<&str>) -> (u16, u16) {
    let with = |request: RequestBuilder| match authorization {
        Some(value) => request.header(header::AUTHORIZATION, value),
        None => request,
    };
    let read = with(Client::new().get(format!("{base}{CONFIG}")));
    let read = read.send().await.unwrap();
    let change = with(post(base, GOOD)).send().await.unwrap();
    let (read_status, change_status) = (read.status().as_u16(), change.status().as_u16());
    for answer in [read, change] {
        let status = answer.status();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = answer.headers()[header::WWW_AUTHENTICATE].to_str().unwrap();
            assert!(challenge.starts_with("Bearer realm="), "{challenge}");
        }
        if !status.is_success() {
            let text = answer.text().await.unwrap();
            assert!(text.contains("\"field\":\"Authorization\""), "{text}");
            assert!(
                !text.contains("to-look") && !text.contains("to-change"),
                "{text}"
            );
        }
    }
    (read_status, change_status)
}

#[tokio::test]
async fn only_who_may_change_changes() {
    let read = || builder().read_token("to-look");
    let admin = || builder().admin_token("to-change");
    let both = || builder().read_token("to-look").admin_token("to-change");
    let tokens = [
        None,
        Some(READ),
        Some(ADMIN),
        Some("Bearer to-chang"),
        Some("Bearer to-changes"),
        Some("Basic to-change"),
    ];
    let open = [(200, 200); 6];
    let nobody = [(200, 403); 6];
    let one = [
        (200, 401),
        (200, 401),
        (200, 200),
        (200, 401),
        (200, 401),
        (200, 401),
    ];
    let two = [
        (401, 401),
        (200, 403),
        (200, 200),
        (401, 401),
        (401, 401),
        (401, 401),
    ];
    let reading = [
        (401, 401),
        (200, 403),
        (401, 401),
        (401, 401),
        (401, 401),
        (401, 401),
    ];
    for (builder, own, expected) in [
        (builder as fn() -> MonitorBuilder, true, open),
        (builder, false, nobody),
        (admin, true, one),
        (admin, false, one),
        (both, true, two),
        (both, false, two),
        (read, true, reading),
        (read, false, reading),
    ] {
        let (monitor, base) = if own {
            serving(builder())
        } else {
            merged(builder()).await
        };
        for (token, expected) in tokens.into_iter().zip(expected) {
            let before = monitor.configuration();
            assert_eq!(may(&base, token).await, expected, "own: {own}, {token:?}");
            let changed = monitor.configuration();
            assert!(changed == before || expected.1 == 200, "{token:?}");
        }
        let interval = monitor.collection_interval().as_secs();
        let changed = expected.iter().any(|(_, change)| *change == 200);
        assert_eq!(interval, if changed { 60 } else { 3_600 });
        for told in [
            format!("{monitor:?}"),
            format!("{:?}", monitor.configuration()),
        ] {
            assert!(
                !told.contains("to-look") && !told.contains("to-change"),
                "{told}"
            );
        }
    }
}

#[tokio::test]
async fn a_listener_beyond_loopback_changes_nothing_without_a_token() {
    let listen = "0.0.0.0:0".parse().unwrap();
    let monitor = builder().serve(listen).build().unwrap();
    let base = format!("http://127.0.0.1:{}", monitor.local_addr().unwrap().port());
    assert_eq!(may(&base, None).await, (200, 403));
    assert_eq!(monitor.collection_interval().as_secs(), 3_600);
}

#[tokio::test]
async fn a_token_that_comes_twice_is_none() {
    let (monitor, base) = serving(builder().admin_token("to-change"));
    let before = monitor.configuration();
    let twice = post(&base, GOOD).header(header::AUTHORIZATION, ADMIN);
    let twice = twice
        .header(header::AUTHORIZATION, ADMIN)
        .send()
        .await
        .unwrap();
    refusal(twice, 401, "Authorization").await;
    assert_eq!(monitor.configuration(), before);
}

#[tokio::test]
async fn who_may_not_is_refused_before_the_body_is_read() {
    let (monitor, base) = serving(builder().admin_token("to-change"));
    let before = monitor.configuration();
    let pending = stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let answer = post(&base, Body::wrap_stream(pending))
        .send()
        .await
        .unwrap();
    refusal(answer, 401, "Authorization").await;
    assert_eq!(monitor.configuration(), before);
}

#[test]
fn settings_of_access_that_cannot_work_are_refused() {
    let refused = |builder: MonitorBuilder| match builder.build() {
        Err(BuildError::Setting { setting, found, .. }) => (setting, found),
        other => panic!("{other:?}"),
    };
    let hidden = "not shown here".to_owned();
    for token in ["", "two words", "\u{e4}"] {
        let builder = builder().admin_token(token);
        assert_eq!(refused(builder), ("admin_token", hidden.clone()));
    }
    let same = builder().read_token("same").admin_token("same");
    assert_eq!(refused(same), ("admin_token", hidden));
    for origin in ["", "null", "*", "status.internal", "ftp://x", "https://x/y"] {
        let builder = builder().allowed_origins([origin]);
        assert_eq!(refused(builder).0, "allowed_origins", "{origin}");
    }
}

#[tokio::test]
async fn a_change_is_in_force_when_it_is_answered() {
    let (monitor, base) = serving(builder());
    let body = json!({
        "collection_interval_seconds": 0.01,
        "retention_seconds": 600,
        "events": { "types": ["REQUEST_END", "ERROR"], "failures_only": true },
        "alert_thresholds": [
            { "metric": "memory_pressure", "threshold": 80.0, "comparison": ">", "severity": "warning" },
            { "metric": "response_time_ms", "threshold": 2000.0, "comparison": ">", "severity": "critical" },
            { "id": "pressure", "remove": true },
        ],
    });
    let took = Duration::from_millis(1);
    monitor.record_provider_request("cerebras", "llama", took, true, "", 0.0);
    let answer = post(&base, body.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    // The tick slept for an hour; this does not wake it, so the change has.
    while monitor.health().counted == 0 {
        tokio::task::yield_now().await;
    }
    let told: Value = answer.json().await.unwrap();
    assert_eq!(told, serde_json::to_value(monitor.configuration()).unwrap());
    assert_eq!(told["alert_thresholds"].as_array().unwrap().len(), 2);
    assert_eq!(monitor.retention(), Duration::from_secs(600));
    let url = format!("{base}/performance/providers?window=11m");
    let answer = Client::new().get(url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let url = format!("{base}{CONFIG}");
    let first: Value = Client::new()
        .get(&url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(first, told);
}

#[tokio::test]
async fn a_monitor_that_was_shut_down_changes_no_more() {
    let (monitor, base) = merged(builder().admin_token("to-change")).await;
    let before = monitor.collection_interval();
    monitor.shutdown(Duration::from_secs(10)).unwrap();
    let request = post(&base, GOOD).header(header::AUTHORIZATION, ADMIN);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    assert_eq!(monitor.collection_interval(), before);
}
