//! The OpenAPI description: it has every route, and every answer is as it says, with no field more.

#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

use aimux_otel::{
    AlertMetric, AlertRule, Comparison, MonitorBuilder, PerformanceEvent, PerformanceEventType,
    PerformanceMonitor, Severity,
};
use jsonschema::Validator;
use reqwest::{Client, Method, Response, header};
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, time::Duration};

fn builder() -> MonitorBuilder {
    PerformanceMonitor::builder()
        .provider("cerebras", ["llama3.1-70b", "llama3.1-8b"])
        .endpoint("/v1/chat/completions")
        .collection_interval(Duration::from_secs(3_600))
        .retention(Duration::from_secs(7_200))
}

fn serving(builder: MonitorBuilder) -> (PerformanceMonitor, String) {
    let listen = "127.0.0.1:0".parse().unwrap();
    let monitor = builder.serve(listen).build().unwrap();
    let base = format!("http://{}", monitor.local_addr().unwrap());
    (monitor, base)
}

/// Some of everything that an answer can have.
fn measure(monitor: &PerformanceMonitor) {
    for (ms, error_type) in [(800, ""), (1_200, "timeout"), (3, "429")] {
        let took = Duration::from_millis(ms);
        monitor.record_provider_request(
            "cerebras",
            "llama3.1-70b",
            took,
            error_type.is_empty(),
            error_type,
            0.25,
        );
    }
    for (method, status) in [("POST", 200), ("GET", 405)] {
        let path = "/v1/chat/completions";
        let id = monitor.record_request_start("request", path, method, "", "");
        monitor.record_request_end(id, status == 200, status, 2_048, "", 0.0);
    }
    let work = PerformanceEvent::new("1", PerformanceEventType::RequestEnd, "cache", "look_up");
    monitor.record_event(work.with_duration(Duration::from_millis(2)));
    for event_type in [
        PerformanceEventType::CacheHit,
        PerformanceEventType::FailoverInitiated,
    ] {
        let event = PerformanceEvent::new("2", event_type, "gateway", "route")
            .with_metadata("from", "cerebras")
            .with_metadata("to", "zai");
        monitor.record_event(event);
    }
    monitor.collect();
}

/// The description, in which no object of a known form may have a field that it does not name.
async fn closed(base: &str) -> Value {
    let url = format!("{base}/performance/openapi.json");
    let mut description: Value = Client::new()
        .get(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    close(&mut description["components"]["schemas"]);
    description
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            if fields.get("properties").is_some_and(Value::is_object) {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(close),
        _ => {}
    }
}

fn validator(description: &Value, schema: &Value) -> Validator {
    let mut whole = Map::new();
    whole.insert("components".to_owned(), description["components"].clone());
    whole.insert("allOf".to_owned(), json!([schema]));
    jsonschema::draft202012::new(&Value::Object(whole)).unwrap()
}

/// The description of an answer of this status.
fn described<'d>(description: &'d Value, operation: &'d Value, status: u16) -> &'d Value {
    let responses = &operation["responses"];
    let class = format!("{}XX", status / 100);
    let known = responses.get(status.to_string()).or(responses.get(&class));
    let known = known.unwrap_or_else(|| panic!("{status} is not among {responses:#}"));
    match known.get("$ref").and_then(Value::as_str) {
        Some(shared) => description.pointer(&shared[1..]).unwrap(),
        None => known,
    }
}

/// Checks that `answer` is as `operation` says.
async fn check(description: &Value, operation: &Value, answer: Response) {
    let (url, status) = (answer.url().clone(), answer.status().as_u16());
    let content_type = answer.headers()[header::CONTENT_TYPE].to_str().unwrap();
    let is_json = matches!(
        content_type,
        "application/json" | "application/problem+json"
    );
    let contents = &described(description, operation, status)["content"];
    let schema = contents
        .get(content_type)
        .unwrap_or_else(|| panic!("{content_type} is not among {contents:#}"));
    let body = answer.bytes().await.unwrap().to_vec();
    let text = String::from_utf8(body).unwrap();
    let value = match is_json {
        true => serde_json::from_str(&text).unwrap(),
        false => Value::String(text),
    };
    let validator = validator(description, &schema["schema"]);
    let errors: Vec<String> = validator
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(
        errors.is_empty(),
        "{url} {status}:\n{}\n{value:#}",
        errors.join("\n")
    );
}

/// Each method at each path.
fn operations(description: &Value) -> Vec<(String, Method, Value)> {
    let paths = description["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let of_method = |(method, operation): (&String, &Value)| {
            let method = method.to_uppercase().parse().unwrap();
            (path.clone(), method, operation.clone())
        };
        let item = item.as_object().unwrap();
        item.iter().map(of_method).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

/// Every route answers as it is described: to a plain request, to an unknown parameter, and to each
/// value of each choice.
async fn check_all(base: &str) {
    let description = closed(base).await;
    let client = Client::new();
    for (path, method, operation) in operations(&description) {
        let mut queries = vec![String::new(), "?no_such_parameter=1".to_owned()];
        for parameter in operation["parameters"].as_array().unwrap() {
            let name = parameter["name"].as_str().unwrap();
            queries.push(format!("?{name}=%00"));
            let choices = parameter["schema"]["enum"].as_array().into_iter().flatten();
            queries.extend(choices.map(|c| format!("?{name}={}", c.as_str().unwrap())));
            if parameter["schema"]["pattern"].is_string() {
                queries.push(format!("?{name}=1h"));
            }
        }
        for query in queries {
            let request = client.request(method.clone(), format!("{base}{path}{query}"));
            let request = match method {
                Method::POST => request.json(&json!({})),
                _ => request,
            };
            let answer = request.send().await.unwrap();
            if query.is_empty() {
                assert_eq!(answer.status(), 200, "{method} {path}");
            }
            check(&description, &operation, answer).await;
        }
    }
}

#[tokio::test]
async fn answers_before_the_first_request_are_as_described() {
    let (_monitor, base) = serving(builder());
    check_all(&base).await;
}

#[tokio::test]
async fn answers_with_some_of_everything_are_as_described() {
    let rule = |metric| AlertRule::new(metric, Comparison::AtLeast, 0.0, Severity::Critical);
    let rules = AlertMetric::ALL.map(|metric| rule(metric).with_min_samples(0));
    let builder = rules.into_iter().fold(builder(), MonitorBuilder::alert);
    let (monitor, base) = serving(builder);
    measure(&monitor);
    check_all(&base).await;
}

#[tokio::test]
async fn refused_changes_are_as_described() {
    let (_monitor, base) = serving(builder());
    let description = closed(&base).await;
    let operation = &description["paths"]["/performance/config"]["post"];
    let url = format!("{base}/performance/config");
    let long = " ".repeat(65 * 1_024);
    for (body, status) in [
        ("{", 400),
        (r#"{"retention_seconds": 0}"#, 422),
        (long.as_str(), 413),
        (
            r#"{"alert_thresholds": [{"id": "nobody", "remove": true}]}"#,
            422,
        ),
    ] {
        let request = Client::new().post(&url).body(body.to_owned());
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{body:.80}");
        check(&description, operation, answer).await;
    }
    let untyped = Client::new().post(&url).body("{}").send().await.unwrap();
    assert_eq!(untyped.status(), 415);
    check(&description, operation, untyped).await;
}

/// What `change` may be, as the description says.
async fn is_described(base: &str, change: &Value) -> bool {
    let description = closed(base).await;
    let body = &description["paths"]["/performance/config"]["post"]["requestBody"];
    let schema = &body["content"]["application/json"]["schema"];
    validator(&description, schema).is_valid(change)
}

#[tokio::test]
async fn a_change_is_described_as_it_is_understood() {
    let (_monitor, base) = serving(builder());
    let rule = |more: Value| {
        let mut rule = json!({ "metric": "cost_per_hour", "threshold": 1, "comparison": ">", "severity": "info" });
        let more = more.as_object().unwrap().clone();
        rule.as_object_mut().unwrap().extend(more);
        json!({ "alert_thresholds": [rule] })
    };
    let cases = [
        (json!({}), true),
        (json!([]), false),
        (
            json!({ "retention_seconds": 7200, "collection_interval_seconds": 0.01 }),
            true,
        ),
        (json!({ "collection_interval_seconds": 0.009 }), false),
        (json!({ "collection_interval_seconds": null }), false),
        (json!({ "retention_seconds": 172_801 }), false),
        (json!({ "monitoring_active": false }), false),
        (
            json!({ "events": { "types": ["ERROR"], "failures_only": false } }),
            true,
        ),
        (json!({ "events": { "types": ["error"] } }), false),
        (json!({ "events": { "kinds": [] } }), false),
        (rule(json!({})), true),
        (
            rule(json!({ "id": "a", "window": "5m", "for": "0s", "min_samples": 0 })),
            true,
        ),
        (rule(json!({ "id": "" })), false),
        (rule(json!({ "id": "a\u{202e}" })), false),
        (rule(json!({ "id": "ä".repeat(128) })), true),
        (rule(json!({ "id": "ä".repeat(129) })), false),
        (rule(json!({ "window": "5" })), false),
        (rule(json!({ "min_samples": 0.5 })), false),
        (rule(json!({ "scope": "gateway" })), true),
        (
            rule(json!({ "scope": { "provider": "a", "model": "b" } })),
            true,
        ),
        (rule(json!({ "scope": { "model": "b" } })), false),
        (
            rule(json!({ "scope": { "provider": "a", "endpoint": "b" } })),
            false,
        ),
        (rule(json!({ "severity": "fatal" })), false),
        (rule(json!({ "remove": true })), false),
        (
            json!({ "alert_thresholds": [{ "id": "nobody", "remove": false }] }),
            false,
        ),
    ];
    let url = format!("{base}/performance/config");
    for (change, may_be) in cases {
        assert_eq!(is_described(&base, &change).await, may_be, "{change}");
        let answer = Client::new().post(&url).json(&change).send().await.unwrap();
        assert_eq!(answer.status().is_success(), may_be, "{change}");
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_names_are_unique() {
    let (_monitor, base) = serving(builder());
    let description = closed(&base).await;
    let mut references = Vec::new();
    collect_references(&description, &mut references);
    assert!(references.len() > 20);
    for reference in references {
        assert!(
            description.pointer(&reference[1..]).is_some(),
            "{reference}"
        );
    }
    let operations = operations(&description);
    let ids = operations
        .iter()
        .map(|(_, _, o)| o["operationId"].as_str().unwrap());
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), operations.len());
    let text = description.to_string();
    assert!(
        !text.contains("crate::") && !text.contains("[`"),
        "links lead nowhere there"
    );
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.push(reference.clone());
            }
            fields
                .values()
                .for_each(|field| collect_references(field, found));
        }
        Value::Array(elements) => elements.iter().for_each(|e| collect_references(e, found)),
        _ => {}
    }
}
