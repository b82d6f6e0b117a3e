//! A gateway that asks one provider after the other, as a user would write it, its client, and what
//! the monitor says of one request.

use crate::{
    cell::{Cell, Chain, Dialect, Expected, Fate},
    provider,
};
use aimux_otel::{ExportFormat, OperationHandle, PerformanceMonitor, PriceTable, Window};
use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    extract::State,
    http::{Request, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::net::TcpListener;
use tower::ServiceExt;

/// Far above what an answer takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(2);
const PRICES: &str = r#"{"m": {"litellm_provider": "first", "input_cost_per_token": 1e-06,
    "output_cost_per_token": 1e-05}}"#;

#[derive(Clone)]
struct Gateway {
    providers: Vec<(&'static str, SocketAddr)>,
    http: reqwest::Client,
    monitor: PerformanceMonitor,
}

/// The whole proxy: what a user of the crate has to write.
async fn chat(
    State(gateway): State<Gateway>,
    Extension(operation): Extension<OperationHandle>,
) -> Response {
    let mut refusal = StatusCode::SERVICE_UNAVAILABLE;
    for (n, (provider, address)) in gateway.providers.iter().enumerate() {
        if n > 0 {
            gateway
                .monitor
                .failover(gateway.providers[n - 1].0, provider, refusal.as_str());
        }
        let mut call = operation.provider_call(provider, "m");
        let request = gateway.http.post(format!("http://{address}/")).send();
        let answer = match tokio::time::timeout(TIMEOUT, request).await {
            Ok(Ok(answer)) => answer,
            failed => {
                let (error, status) = match failed {
                    Err(_) => ("timeout", StatusCode::GATEWAY_TIMEOUT),
                    Ok(_) => ("connection_reset", StatusCode::BAD_GATEWAY),
                };
                call.error(error);
                refusal = status;
                continue;
            }
        };
        call.head(answer.status(), answer.headers());
        let status = answer.status();
        if status.is_success() {
            let form = answer.headers()[CONTENT_TYPE].clone();
            let stream = call.stream(answer.bytes_stream()).stall_after(TIMEOUT);
            return ([(CONTENT_TYPE, form)], Body::from_stream(stream)).into_response();
        }
        call.answer(&answer.bytes().await.unwrap_or_default());
        call.finish();
        refusal = status;
        if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
            return status.into_response();
        }
    }
    match gateway.providers.len() {
        1 if refusal != StatusCode::INTERNAL_SERVER_ERROR => refusal,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
    .into_response()
}

/// What is not as it should be, after one request.
pub(crate) async fn differences(cell: Cell) -> Vec<String> {
    let table = PriceTable::from_json(PRICES).unwrap();
    let builder = PerformanceMonitor::builder().price_table(table);
    let monitor = builder.build().unwrap();
    let mut providers = vec![("first", provider::serve(cell).await)];
    if cell.chain != Chain::None {
        let fate = match cell.chain {
            Chain::Succeeds => Fate::Ok,
            _ => Fate::ServerError,
        };
        providers.push(("second", provider::serve(Cell { fate, ..cell }).await));
    }
    let gateway = Gateway {
        providers,
        http: reqwest::Client::new(),
        monitor: monitor.clone(),
    };
    let app = Router::new()
        .route("/chat", post(chat))
        .layer(monitor.http_layer())
        .with_state(gateway);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    ask(address, cell).await;
    // The operation is the last to end.
    let ended = || {
        monitor.collect();
        let view = monitor.endpoints(Window::SinceStart).unwrap();
        view.aggregated.total_operations == 1
    };
    let wait = async {
        while !ended() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait)
        .await
        .ok();
    server.abort();
    let expected = cell.expected();
    [
        of_operation(&monitor, &expected),
        of_attempt(&monitor, cell, &expected),
        of_scrape(&monitor, &expected).await,
        of_otlp(&monitor, &expected),
    ]
    .concat()
}

async fn ask(address: SocketAddr, cell: Cell) {
    let request = reqwest::Client::new().post(format!("http://{address}/chat"));
    let answer = tokio::time::timeout(TIMEOUT / 2, request.send());
    match cell.fate {
        // It waits for the head at most, or for the first piece.
        Fate::HangUpBefore => drop(answer.await),
        Fate::HangUpAfter => {
            let mut body = answer.await.unwrap().unwrap().bytes_stream();
            let mut seen = Vec::new();
            while !String::from_utf8_lossy(&seen).contains("lo\"") {
                seen.extend(body.next().await.unwrap().unwrap());
            }
        }
        _ => {
            let answer = tokio::time::timeout(Duration::from_secs(60), async {
                let request = reqwest::Client::new().post(format!("http://{address}/chat"));
                let answer = request.send().await.unwrap();
                answer.bytes().await.ok();
            });
            answer.await.unwrap();
        }
    }
}

struct Check(Vec<String>);

impl Check {
    fn is(&mut self, what: &str, seen: &Value, expected: Value) {
        if *seen != expected {
            self.0.push(format!("{what} is {seen}, not {expected}"));
        }
    }
}

/// What the tokens that were told cost, in USD.
fn cost(expected: &Expected) -> f64 {
    let (input, output) = expected.tokens.unwrap_or((0, 0));
    (input + 10 * output) as f64 / 1e6
}

fn of_operation(monitor: &PerformanceMonitor, expected: &Expected) -> Vec<String> {
    let mut check = Check(Vec::new());
    let view = json!(monitor.endpoints(Window::SinceStart).unwrap());
    let endpoint = &view["endpoints"]["/chat"];
    check.is(
        "operations",
        &endpoint["stats"]["total_operations"],
        json!(1),
    );
    let failed = json!(u64::from(expected.operation_failed));
    check.is(
        "failed operations",
        &endpoint["stats"]["failed_operations"],
        failed,
    );
    let statuses = match expected.status {
        Some(status) => json!({status.to_string(): 1}),
        None => json!({}),
    };
    check.is("status", &endpoint["status_code_counts"], statuses);
    let attempts = json!({expected.attempts.to_string(): 1});
    check.is("attempts", &endpoint["operations_by_attempts"], attempts);
    let exhausted = json!(u64::from(expected.exhausted));
    check.is("exhausted", &endpoint["exhausted_operations"], exhausted);
    // The second provider answers with 120 tokens in and 34 out.
    let second = expected.attempts == 2 && !expected.operation_failed;
    let answered = if second { 0.000_46 } else { 0.0 };
    let cost = json!(cost(expected) + answered);
    check.is("operation's cost", &endpoint["total_cost"], cost.clone());
    check.is("its average", &endpoint["cost_per_operation"], cost);
    check.0
}

fn of_attempt(monitor: &PerformanceMonitor, cell: Cell, expected: &Expected) -> Vec<String> {
    let mut check = Check(Vec::new());
    let view = json!(monitor.providers(Window::SinceStart).unwrap());
    let first = &view["providers"]["first"];
    let (errors, faults) = match expected.error {
        Some((error, fault)) => (json!({error: 1}), Some(fault)),
        None => (json!({}), None),
    };
    check.is("attempts of the first", &first["total_requests"], json!(1));
    check.is("error", &first["error_type_counts"], errors);
    for fault in ["caller", "policy", "provider", "gateway", "_OTHER"] {
        let count = json!(u64::from(faults == Some(fault)));
        check.is(fault, &first["failed_requests_by_fault"][fault], count);
    }
    let own_rate = match faults {
        Some("provider") => json!(0.0),
        Some(_) => Value::Null,
        None => json!(100.0),
    };
    check.is(
        "own success rate",
        &first["provider_success_rate_percent"],
        own_rate,
    );
    let model = &first["model_stats"]["m"];
    let (input, output) = expected.tokens.unwrap_or((0, 0));
    check.is("input tokens", &model["input_tokens"], json!(input));
    check.is("output tokens", &model["output_tokens"], json!(output));
    check.is("cost", &model["total_cost"], json!(cost(expected)));
    let cached = cell.dialect == Dialect::Anthropic && expected.tokens.is_some();
    check.is(
        "cached tokens",
        &model["cache_read_tokens"],
        json!(100 * u64::from(cached)),
    );
    let first_token = !first["avg_time_to_first_token_ms"].is_null();
    check.is(
        "a first token",
        &json!(first_token),
        json!(expected.first_token),
    );
    if cell.fate == Fate::RateLimited {
        check.is(
            "quota left",
            &first["rate_limits"]["requests"]["remaining"],
            json!(0),
        );
    }
    let second = u64::from(expected.attempts == 2);
    let asked = view["providers"]["second"]["total_requests"]
        .as_u64()
        .unwrap_or(0);
    check.is("attempts of the second", &json!(asked), json!(second));
    let report = json!(monitor.report(Window::SinceStart).unwrap());
    let failovers = report["failovers"].as_array().unwrap().len();
    check.is("failovers", &json!(failovers), json!(second));
    check.0
}

/// The values of the labels that a call to the first provider has.
const OF_FIRST: &str =
    "gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"first\",gen_ai_request_model=\"m\"";

fn outcome(expected: &Expected) -> &'static str {
    match expected {
        _ if expected.exhausted => "exhausted",
        _ if expected.operation_failed => "failed",
        _ => "answered",
    }
}

async fn of_scrape(monitor: &PerformanceMonitor, expected: &Expected) -> Vec<String> {
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let answer = monitor.router().oneshot(request).await.unwrap();
    let scraped = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let scraped = String::from_utf8(scraped.to_vec()).unwrap();
    let (outcome, attempts) = (outcome(expected), expected.attempts);
    let scope = "otel_scope_name=\"aimux-otel\"";
    let mut lines = vec![format!(
        "aimux_operations_total{{aimux_operation_attempts=\"{attempts}\",aimux_operation_outcome=\"{outcome}\",http_route=\"/chat\",{scope}}} 1"
    )];
    let error = expected.error.map_or(String::new(), |(error, _)| {
        format!("error_type=\"{error}\",")
    });
    lines.push(format!(
        "gen_ai_client_operation_duration_seconds_count{{{error}{OF_FIRST},{scope}}} 1"
    ));
    if let Some((input, output)) = expected.tokens {
        for (kind, tokens) in [("input", input), ("output", output)] {
            lines.push(format!(
                "gen_ai_client_token_usage_sum{{{OF_FIRST},gen_ai_token_type=\"{kind}\",{scope}}} {tokens}"
            ));
        }
        let cost = cost(expected);
        for of in [
            "cost_total{gen_ai_provider_name=\"first\",gen_ai_request_model=\"m\"",
            "operation_cost_total{http_route=\"/chat\"",
        ] {
            lines.push(format!("aimux_{of},{scope}}} {cost}"));
        }
    }
    let mut check = Check(Vec::new());
    for line in lines {
        if !scraped.lines().any(|scraped| scraped == line) {
            check.0.push(format!("not scraped: {line}"));
        }
    }
    let first_token = format!(
        "gen_ai_client_operation_time_to_first_chunk_seconds_count{{{OF_FIRST},{scope}}} 1"
    );
    check.is(
        "a first token that is scraped",
        &json!(scraped.lines().any(|line| line == first_token)),
        json!(expected.first_token),
    );
    check.0
}

fn of_otlp(monitor: &PerformanceMonitor, expected: &Expected) -> Vec<String> {
    let mut check = Check(Vec::new());
    let text = monitor.export(ExportFormat::Otlp, None).unwrap();
    let text = text.into_string().unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |metric, attributes: &[(&str, &str)]| points(&lines, metric, attributes);
    let mut only = |what, points: Vec<&Value>, key: &str, expected: Value| {
        let seen: Vec<&Value> = points.iter().map(|point| &point[key]).collect();
        check.is(what, &json!(seen), expected);
    };
    let first = ("gen_ai.provider.name", "first");

    let attempts = expected.attempts.to_string();
    let chain = [
        ("http.route", "/chat"),
        ("aimux.operation.attempts", &*attempts),
        ("aimux.operation.outcome", outcome(expected)),
    ];
    only(
        "the operation pushed",
        of("aimux.operations", &chain),
        "asInt",
        json!(["1"]),
    );
    let duration = "gen_ai.client.operation.duration";
    only(
        "the attempt pushed",
        of(duration, &[first]),
        "count",
        json!(["1"]),
    );
    if let Some((error, _)) = expected.error {
        let failed = of(duration, &[first, ("error.type", error)]);
        only("its error", failed, "count", json!(["1"]));
    } else {
        let any = of(duration, &[first])[0]["attributes"].to_string();
        assert!(!any.contains("error.type"), "{any}");
    }
    let first_chunk = of("gen_ai.client.operation.time_to_first_chunk", &[first]);
    let told = vec!["1"; usize::from(expected.first_token)];
    only("its first token", first_chunk, "count", json!(told));
    if let Some((input, output)) = expected.tokens {
        for (kind, tokens) in [("input", input), ("output", output)] {
            let usage = [first, ("gen_ai.token.type", kind)];
            let usage = of("gen_ai.client.token.usage", &usage);
            only("its tokens", usage, "sum", json!([tokens as f64]));
        }
        let cost = json!([cost(expected)]);
        only(
            "its cost",
            of("aimux.cost", &[first]),
            "asDouble",
            cost.clone(),
        );
        let whole = of("aimux.operation.cost", &[("http.route", "/chat")]);
        only("the operation's cost pushed", whole, "asDouble", cost);
    }
    check.0
}

/// The points of `metric` that have these attributes, and maybe others.
fn points<'a>(lines: &'a [Value], metric: &str, attributes: &[(&str, &str)]) -> Vec<&'a Value> {
    let list = |value: &'a Value, key: &str| value[key].as_array().into_iter().flatten();
    let resources = lines.iter().flat_map(|line| list(line, "resourceMetrics"));
    let scopes = resources.flat_map(|resource| list(resource, "scopeMetrics"));
    let metrics = scopes.flat_map(|scope| list(scope, "metrics"));
    let data = metrics
        .filter(|of| of["name"] == metric)
        .filter_map(|of| of.as_object()?.values().find(|data| data.is_object()));
    data.flat_map(|data| list(data, "dataPoints"))
        .filter(|point| {
            attributes.iter().all(|(key, value)| {
                let wanted = json!({"key": key, "value": {"stringValue": value}});
                list(point, "attributes").any(|attribute| *attribute == wanted)
            })
        })
        .collect()
}
