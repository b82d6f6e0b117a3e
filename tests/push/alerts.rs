//! Alerts, to a webhook and to an Alertmanager.

use crate::{
    assert_balanced, push, quiet,
    server::{Asked, PATIENCE, Reply, Server},
    wait_for,
};
use aimux_otel::{
    AlertMetric, AlertRule, AlertScope, Alertmanager, Comparison, PerformanceMonitor, Severity,
    Webhook,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::{collections::BTreeSet, time::Duration};

const SECOND: Duration = Duration::from_secs(1);

/// A rule about the memory of this process, which is always the case.
pub(crate) fn rule(id: &str) -> AlertRule {
    AlertRule::new(
        AlertMetric::MemoryUsageMb,
        Comparison::Above,
        1.0,
        Severity::Critical,
    )
    .with_id(id)
    .with_scope(AlertScope::Process)
}

fn begin(monitor: &PerformanceMonitor, id: &str) {
    monitor.set_alert(rule(id)).unwrap();
    monitor.collect();
}

fn end(monitor: &PerformanceMonitor, id: &str) {
    assert!(monitor.remove_alert(id));
    monitor.collect();
}

#[test]
fn a_webhook_is_told_of_each_change_once_and_signed() {
    let server = Server::start(|_, before| match before {
        0 => Reply::Status(500),
        1 => Reply::Never,
        _ => Reply::Status(204),
    });
    let webhook = Webhook::new(format!("{}/hook?a=b", server.url))
        .secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        .header("X-Team", "inference");
    let monitor = quiet()
        .service_name("gateway")
        .alert_webhook(webhook)
        .build()
        .unwrap();
    begin(&monitor, "memory");
    // The attempt that is never answered is given up after ten seconds.
    wait_for(&monitor, "webhook", |health| health.sent == 1);
    end(&monitor, "memory");
    let asked = server.wait_for(4);

    let ids: Vec<&str> = asked
        .iter()
        .map(|asked| asked.header("webhook-id"))
        .collect();
    assert_eq!(ids[..3], [ids[0]; 3], "a message keeps its id");
    assert_ne!(ids[3], ids[0]);
    assert!(asked[..3].iter().all(|one| one.body == asked[0].body));
    for one in &asked {
        assert_eq!((&*one.method, &*one.path), ("POST", "/hook?a=b"));
        assert_eq!(one.header("content-type"), "application/json");
        assert_eq!(one.header("x-team"), "inference");
        assert!(one.header("user-agent").starts_with("aimux-otel/"));
        assert_eq!(one.header("webhook-signature"), signature(one));
    }
    let attempts: BTreeSet<&str> = asked[..3]
        .iter()
        .map(|a| a.header("webhook-timestamp"))
        .collect();
    assert!(
        attempts.len() > 1,
        "each attempt has its time: {attempts:?}"
    );

    let told = asked[0].json();
    assert_eq!(told["type"], "alerts.changed");
    assert!(told["timestamp"].as_str().unwrap().ends_with('Z'));
    let data = &told["data"];
    assert_eq!(
        (&data["version"], &data["service"]),
        (&1.into(), &"gateway".into())
    );
    assert_eq!(data["firing_count"], 1);
    let (change, firing) = (&data["changes"][0], &data["firing"][0]);
    for one in [change, firing] {
        assert_eq!(one["rule"], "memory");
        assert_eq!(one["state"], "firing");
        assert_eq!(one["severity"], "critical");
        assert_eq!(one["metric"], "memory_usage_mb");
        assert!(one["value"].as_f64().unwrap() > 1.0);
    }
    let data = &asked[3].json()["data"];
    assert_eq!(data["changes"][0]["state"], "resolved");
    assert_eq!(data["changes"][0]["resolved_because"], "removed");
    assert_eq!(
        (&data["firing_count"], &data["firing"]),
        (&0.into(), &Value::Array(vec![]))
    );
    monitor.shutdown(PATIENCE).unwrap();
    let health = push(&monitor, "webhook");
    assert_eq!((health.sent, health.failed_attempts), (2, 2));
    assert_balanced(&health);
}

/// What the specification makes of a request.
fn signature(asked: &Asked) -> String {
    let key = BASE64_STANDARD
        .decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        .unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let (id, timestamp) = (
        asked.header("webhook-id"),
        asked.header("webhook-timestamp"),
    );
    mac.update(format!("{id}.{timestamp}.{}", asked.body).as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

#[test]
fn a_webhook_that_does_not_want_it_is_not_asked_again() {
    let server = Server::start(|_, before| match before {
        0 => Reply::Status(410),
        1 => Reply::With(302, "location", "/elsewhere".to_owned()),
        _ => Reply::Status(200),
    });
    let monitor = quiet()
        .alert_webhook(Webhook::new(&server.url))
        .build()
        .unwrap();
    begin(&monitor, "a");
    begin(&monitor, "b");
    begin(&monitor, "c");
    let health = wait_for(&monitor, "webhook", |health| health.sent == 1);
    assert_eq!((health.offered, health.dropped["refused"]), (3, 2));
    let asked = server.asked();
    assert_eq!(asked.len(), 3);
    assert!(
        asked
            .iter()
            .all(|one| one.path == "/" && one.header("webhook-signature").is_empty())
    );
}

#[test]
fn what_a_webhook_does_not_take_in_time_is_lost_at_the_end_and_counted() {
    let server = Server::start(|_, _| Reply::Never);
    let monitor = quiet()
        .alert_webhook(Webhook::new(&server.url))
        .build()
        .unwrap();
    for number in 0..5 {
        begin(&monitor, &number.to_string());
    }
    server.wait_for(1);
    assert!(monitor.shutdown(SECOND).is_err());
    let health = push(&monitor, "webhook");
    assert_eq!((health.offered, health.dropped["shutdown"]), (5, 5));
}

#[test]
fn an_alertmanager_is_told_what_fires_again_and_again_and_what_has_ended() {
    let server = Server::start(|_, before| Reply::Status(if before == 1 { 500 } else { 200 }));
    let alertmanager = Alertmanager::new(&server.url)
        .label("cluster", "eu-1")
        .generator_url("http://monitor/")
        .resend(SECOND);
    let monitor = quiet()
        .service_name("gateway")
        .alertmanager(alertmanager)
        .build()
        .unwrap();
    begin(&monitor, "memory");
    let asked = server.wait_for(1);
    assert_eq!(
        (&*asked[0].method, &*asked[0].path),
        ("POST", "/api/v2/alerts")
    );
    let alert = &asked[0].json()[0];
    let labels = &alert["labels"];
    assert_eq!(labels["alertname"], "memory_usage_mb");
    for (name, value) in [
        ("rule", "memory"),
        ("metric", "memory_usage_mb"),
        ("severity", "critical"),
        ("service", "gateway"),
        ("cluster", "eu-1"),
    ] {
        assert_eq!(labels[name], value, "{labels}");
    }
    let instance = labels["instance"].as_str().unwrap();
    assert!(
        instance.ends_with(&format!(":{}", std::process::id())),
        "{instance}"
    );
    assert_eq!(alert["generatorURL"], "http://monitor/");
    assert!(alert["annotations"]["summary"].as_str().unwrap().len() > 5);
    assert!(
        alert["annotations"]["value"]
            .as_str()
            .unwrap()
            .parse::<f64>()
            .unwrap()
            > 1.0
    );
    assert_eq!(alert["annotations"]["threshold"], "1");
    let text = |field: &str| alert[field].as_str().unwrap().to_owned();
    assert!(text("startsAt") < text("endsAt"), "{alert}");

    // It does not end by itself, though the second post was refused for the moment.
    let asked = server.wait_for(4);
    let same = |asked: &&Asked| asked.json()[0]["labels"] == *labels;
    assert_eq!(asked.iter().filter(same).count(), asked.len());
    assert!(asked[3].json()[0]["endsAt"].as_str() > alert["endsAt"].as_str());

    end(&monitor, "memory");
    let ends_at = |asked: &Asked| asked.json()[0]["endsAt"].as_str().unwrap().to_owned();
    let ended = |pair: &[Asked]| ends_at(&pair[1]) < ends_at(&pair[0]);
    let told = server.wait_until(|asked| asked.windows(2).any(ended));
    wait_for(&monitor, "alertmanager", |health| {
        health.sent == health.offered
    });
    monitor.shutdown(PATIENCE).unwrap();
    let asked = server.asked();
    let last = asked.last().unwrap().json();
    assert_eq!(last[0]["labels"], *labels);
    assert_eq!(asked.len(), told.len(), "once taken, it is not told again");
    let health = push(&monitor, "alertmanager");
    assert_eq!(health.failed_attempts, 1);
    assert_balanced(&health);
}
