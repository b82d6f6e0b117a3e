use super::*;
use crate::core::settings::SettingsCell;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

fn settings() -> Settings {
    Settings::new(&Config::default(), &[])
}

fn shown(settings: &Settings) -> Value {
    serde_json::to_value(Configuration::new(true, settings, &Config::default())).unwrap()
}

/// What is in force after `body`, which has to be accepted.
fn after(body: &Value) -> Value {
    let mut settings = settings();
    let change = Change::parse(body.to_string().as_bytes()).unwrap();
    change.apply(&mut settings).unwrap();
    shown(&settings)
}

/// What is wrong with `body`, which has to leave no trace.
fn wrong(body: &str) -> Wrong {
    let cell = SettingsCell::new(settings());
    let changed = Change::parse(body.as_bytes())
        .and_then(|change| cell.change(|settings| change.apply(settings)));
    assert_eq!(*cell.get(), settings(), "{body}");
    changed.expect_err(body)
}

#[test]
fn the_guides_body_is_a_change() {
    let configuration = after(&json!({ "alert_thresholds": [
        { "metric": "memory_pressure", "threshold": 80.0, "comparison": ">", "severity": "warning" },
        { "metric": "response_time_ms", "threshold": 2000.0, "comparison": ">", "severity": "critical" },
    ] }));
    let rules = configuration["alert_thresholds"].as_array().unwrap();
    assert_eq!(rules.len(), 2);
    for (rule, metric, threshold, severity, scope) in [
        (&rules[0], "memory_pressure", 80.0, "warning", "process"),
        (
            &rules[1],
            "response_time_ms",
            2000.0,
            "critical",
            "each_provider",
        ),
    ] {
        assert!(rule["id"].is_string());
        let rest = json!({
            "id": rule["id"],
            "metric": metric,
            "threshold": threshold,
            "comparison": ">",
            "severity": severity,
            "scope": scope,
            "window": "5m",
            "for": "0s",
            "min_samples": 20,
            "unless_a_provider_fails": false,
        });
        assert_eq!(rule, &rest);
    }
}

#[test]
fn every_field_can_be_changed() {
    let body = json!({
        "collection_interval_seconds": 0.25,
        "retention_seconds": 7200,
        "events": { "types": ["ERROR", "TIMEOUT"], "failures_only": true },
        "alert_thresholds": [{
            "id": "slow",
            "metric": "time_to_first_token_ms",
            "threshold": -1e-3,
            "comparison": "<=",
            "severity": "info",
            "scope": { "provider": "cerebras", "model": "llama" },
            "window": "2h",
            "for": "90s",
            "min_samples": 0,
            "unless_a_provider_fails": true,
        }],
    });
    let configuration = after(&body);
    for field in CHANGEABLE {
        let of = |value: &Value| match field {
            "retention_seconds" => json!(value[field].as_f64()),
            _ => value[field].clone(),
        };
        assert_eq!(of(&configuration), of(&body), "{field}");
    }
    let nothing = after(&json!({}));
    assert_eq!(nothing, shown(&settings()));
    let half = after(&json!({ "events": { "failures_only": true } }));
    assert_eq!(half["events"]["types"].as_array().unwrap().len(), 10);
    assert_eq!(half["events"]["failures_only"], true);
}

#[test]
fn what_is_told_can_be_sent_back() {
    for scope in [
        json!("process"),
        json!("gateway"),
        json!("each_provider"),
        json!("each_endpoint"),
        json!({ "provider": "a \"b\"" }),
        json!({ "provider": "a", "model": "b/c" }),
        json!({ "endpoint": "/v1/{id}" }),
    ] {
        for metric in AlertMetric::ALL {
            for comparison in Comparison::ALL {
                let mut settings = settings();
                let rule = json!({
                    "metric": metric.name(),
                    "threshold": 1,
                    "comparison": comparison.symbol(),
                    "severity": "info",
                    "scope": scope,
                });
                let change = |value: &Value| {
                    let body = json!({ "alert_thresholds": value }).to_string();
                    Change::parse(body.as_bytes()).unwrap()
                };
                if change(&json!([rule])).apply(&mut settings).is_err() {
                    // A metric that is not to be had there.
                    continue;
                }
                let told = shown(&settings);
                assert_eq!(told["alert_thresholds"][0]["scope"], scope);
                assert_eq!(told["alert_thresholds"][0]["metric"], metric.name());
                assert_eq!(
                    told["alert_thresholds"][0]["comparison"],
                    comparison.symbol()
                );
                change(&told["alert_thresholds"])
                    .apply(&mut settings)
                    .unwrap();
                assert_eq!(shown(&settings), told, "it replaces itself");
                let id = &told["alert_thresholds"][0]["id"];
                change(&json!([{ "id": id, "remove": true }]))
                    .apply(&mut settings)
                    .unwrap();
                assert_eq!(settings.rules, []);
            }
        }
    }
}

const RULE: &str = r#""threshold": 1, "comparison": ">", "severity": "info""#;

#[test]
fn what_is_not_json_is_malformed() {
    for (body, field) in [
        ("", "body"),
        (" ", "body"),
        ("{", "body"),
        ("{}{}", "body"),
        ("{} x", "body"),
        ("{\"events\":", "events"),
        ("{'events': 1}", "body"),
        ("{\"retention_seconds\": 01}", "retention_seconds"),
        ("{\"retention_seconds\": NaN}", "retention_seconds"),
        ("{\"retention_seconds\": Infinity}", "retention_seconds"),
        ("{\"retention_seconds\": 1e999}", "retention_seconds"),
        (
            "{\"alert_thresholds\": [{}, {\"threshold\": -1e999}]}",
            "alert_thresholds[1].threshold",
        ),
        (
            "{\"events\": {\"types\": [], \"types\": []}}",
            "events.types",
        ),
        ("{\"events\": {}, \"events\": {}}", "events"),
        ("{\"x\": {\"y\": [1, {\"z\": 1, \"z\": 1}]}}", "x.y[1].z"),
        ("{\"events\": \"\\ud800\"}", "events"),
        ("{\"a\u{0}b\": 1}", "body"),
    ] {
        let wrong = wrong(body);
        assert_eq!(wrong.kind, WrongKind::Malformed, "{body}: {wrong:?}");
        assert_eq!(wrong.field, field, "{body}: {wrong:?}");
        assert!(!wrong.allowed.is_empty(), "{body}");
    }
    let deep = "[".repeat(60_000);
    assert_eq!(wrong(&deep).kind, WrongKind::Malformed);
    assert!(wrong(&deep).field.len() < 100);
    assert!(Change::parse(b"{\"events\": \"\xff\"}").is_err());
    let wide = wrong("{\"retention_seconds\": 1e999}");
    assert_eq!(wide.allowed, ["a finite number"]);
}

#[test]
fn what_cannot_be_is_refused_by_its_name() {
    let metrics = AlertMetric::ALL.map(AlertMetric::name).to_vec();
    let fields = CHANGEABLE.to_vec();
    let scopes = 7;
    let of_rule = |fields: &str| format!(r#"{{"alert_thresholds": [{{{fields}}}]}}"#);
    let with = |more: &str| of_rule(&format!(r#""metric": "cost_per_hour", {RULE}, {more}"#));
    let cases = [
        ("[]".to_owned(), "body", fields.clone()),
        ("null".to_owned(), "body", fields.clone()),
        (
            r#"{"alert_threshold": []}"#.to_owned(),
            "alert_threshold",
            fields.clone(),
        ),
        (
            r#"{"monitoring_active": true}"#.to_owned(),
            "monitoring_active",
            fields,
        ),
        (of_rule(RULE), "alert_thresholds[0].metric", metrics.clone()),
        (
            of_rule(&format!(r#""metric": "memory", {RULE}"#)),
            "alert_thresholds[0].metric",
            metrics.clone(),
        ),
        (
            of_rule(&format!(r#""metric": null, {RULE}"#)),
            "alert_thresholds[0].metric",
            metrics,
        ),
        (
            of_rule(
                r#""metric": "cost_per_hour", "threshold": 1, "comparison": "==", "severity": "info""#,
            ),
            "alert_thresholds[0].comparison",
            vec![">", "<", ">=", "<=", "="],
        ),
        (
            of_rule(
                r#""metric": "cost_per_hour", "threshold": 1, "comparison": ">", "severity": "Critical""#,
            ),
            "alert_thresholds[0].severity",
            vec!["info", "warning", "critical"],
        ),
        (
            of_rule(
                r#""metric": "cost_per_hour", "threshold": "1", "comparison": ">", "severity": "info""#,
            ),
            "alert_thresholds[0].threshold",
            vec!["a finite number"],
        ),
        (
            with(r#""windows": "5m""#),
            "alert_thresholds[0].windows",
            vec![
                "id",
                "metric",
                "threshold",
                "comparison",
                "severity",
                "scope",
                "window",
                "for",
                "min_samples",
                "unless_a_provider_fails",
            ],
        ),
        (
            with(r#""window": "5""#),
            "alert_thresholds[0].window",
            vec!["<n>s", "<n>m", "<n>h", "<n>d"],
        ),
        (
            with(r#""window": "0s""#),
            "alert_thresholds[0].window",
            vec!["<n>s", "<n>m", "<n>h", "<n>d"],
        ),
        (
            with(r#""window": "3d""#),
            "alert_thresholds[0].window",
            vec!["<n>s", "<n>m", "<n>h", "<n>d"],
        ),
        (
            with(r#""window": "25h""#),
            "alert_thresholds[0].window",
            vec!["at most 1d"],
        ),
        (
            with(r#""for": "99999999999999999999d""#),
            "alert_thresholds[0].for",
            vec!["<n>s", "<n>m", "<n>h", "<n>d"],
        ),
        (
            with(r#""min_samples": 1.5"#),
            "alert_thresholds[0].min_samples",
            vec!["a whole number from 0 to 1000000000"],
        ),
        (
            with(r#""min_samples": -1"#),
            "alert_thresholds[0].min_samples",
            vec!["a whole number from 0 to 1000000000"],
        ),
        (
            with(r#""min_samples": 1e30"#),
            "alert_thresholds[0].min_samples",
            vec!["a whole number from 0 to 1000000000"],
        ),
        (
            with(r#""id": """#),
            "alert_thresholds[0].id",
            vec!["a text of 1 to 128 printable characters"],
        ),
        (
            with(r#""id": "a\u202eb""#),
            "alert_thresholds[0].id",
            vec!["a text of 1 to 128 printable characters"],
        ),
        (
            with(r#""scope": {"endpoint": 5}"#),
            "alert_thresholds[0].scope.endpoint",
            vec!["a text of 1 to 128 printable characters"],
        ),
        (
            with(r#""scope": {"provider": "a", "modell": "b"}"#),
            "alert_thresholds[0].scope.modell",
            vec!["provider", "model"],
        ),
        (
            with(r#""scope": {"provider": "a", "endpoint": "b"}"#),
            "alert_thresholds[0].scope.provider",
            vec!["endpoint"],
        ),
        (
            r#"{"alert_thresholds": {}}"#.to_owned(),
            "alert_thresholds",
            vec!["a list"],
        ),
        (
            r#"{"alert_thresholds": [1]}"#.to_owned(),
            "alert_thresholds[0]",
            vec![
                "id",
                "metric",
                "threshold",
                "comparison",
                "severity",
                "scope",
                "window",
                "for",
                "min_samples",
                "unless_a_provider_fails",
            ],
        ),
        (
            of_rule(r#""id": "x", "remove": false"#),
            "alert_thresholds[0].remove",
            vec!["true"],
        ),
        (
            of_rule(r#""remove": true"#),
            "alert_thresholds[0].id",
            vec!["a text of 1 to 128 printable characters"],
        ),
        (
            of_rule(r#""id": "x", "remove": true, "metric": "cost_per_hour""#),
            "alert_thresholds[0].metric",
            vec!["id", "remove"],
        ),
        (
            r#"{"events": {"types": ["REQUEST_END", "request_end"]}}"#.to_owned(),
            "events.types[1]",
            PerformanceEventType::ALL
                .map(PerformanceEventType::as_str)
                .to_vec(),
        ),
        (
            r#"{"events": {"failures_only": 1}}"#.to_owned(),
            "events.failures_only",
            vec!["true", "false"],
        ),
        (
            r#"{"events": {"type": []}}"#.to_owned(),
            "events.type",
            vec!["types", "failures_only"],
        ),
        (
            r#"{"collection_interval_seconds": 0.009}"#.to_owned(),
            "collection_interval_seconds",
            vec!["a number from 0.01 to 3600"],
        ),
        (
            r#"{"collection_interval_seconds": 3601}"#.to_owned(),
            "collection_interval_seconds",
            vec!["a number from 0.01 to 3600"],
        ),
        (
            r#"{"collection_interval_seconds": -5}"#.to_owned(),
            "collection_interval_seconds",
            vec!["a number from 0.01 to 3600"],
        ),
        (
            r#"{"collection_interval_seconds": "5"}"#.to_owned(),
            "collection_interval_seconds",
            vec!["a number from 0.01 to 3600"],
        ),
        (
            r#"{"retention_seconds": 172801}"#.to_owned(),
            "retention_seconds",
            vec!["a number from 0.01 to 172800"],
        ),
        (
            r#"{"retention_seconds": 1e300}"#.to_owned(),
            "retention_seconds",
            vec!["a number from 0.01 to 172800"],
        ),
        (
            r#"{"retention_seconds": 4}"#.to_owned(),
            "retention_seconds",
            vec!["at least 5"],
        ),
        (
            r#"{"retention_seconds": 60, "collection_interval_seconds": 61}"#.to_owned(),
            "retention_seconds",
            vec!["at least 61"],
        ),
    ];
    for (body, field, allowed) in cases {
        let wrong = wrong(&body);
        assert_eq!(wrong.kind, WrongKind::Refused, "{body}: {wrong:?}");
        assert_eq!(wrong.field, field, "{body}: {wrong:?}");
        assert_eq!(wrong.allowed, allowed, "{body}");
    }
    for scope in [
        "\"provider\"",
        "{}",
        "[]",
        "{\"model\": \"b\"}",
        "\"Process\"",
        "null",
    ] {
        let wrong = wrong(&with(&format!(r#""scope": {scope}"#)));
        assert_eq!(wrong.allowed.len(), scopes, "{scope}");
        assert!(
            wrong.field.starts_with("alert_thresholds[0].scope"),
            "{wrong:?}"
        );
    }
}

#[test]
fn a_metric_is_watched_where_it_is_to_be_had() {
    let rule = |metric: &str, scope: &str| {
        wrong(&format!(
            r#"{{"alert_thresholds": [{{"metric": "{metric}", "scope": {scope}, {RULE}}}]}}"#
        ))
    };
    let of_process = rule("memory_pressure", "\"each_provider\"");
    assert_eq!(of_process.field, "alert_thresholds[0].scope");
    assert_eq!(of_process.allowed, ["\"process\""]);
    let of_attempts = rule("cost_per_hour", r#"{"endpoint": "/x"}"#);
    assert_eq!(of_attempts.field, "alert_thresholds[0].scope");
    assert_eq!(
        of_attempts.allowed,
        [
            "\"gateway\"",
            "\"each_provider\"",
            "{\"provider\": \"…\"}",
            "{\"provider\": \"…\", \"model\": \"…\"}",
        ]
    );
}

#[test]
fn one_wrong_rule_leaves_no_trace_of_the_others() {
    let body = json!({
        "collection_interval_seconds": 1,
        "retention_seconds": 60,
        "events": { "failures_only": true },
        "alert_thresholds": [
            { "metric": "cost_per_hour", "threshold": 1, "comparison": ">", "severity": "info" },
            { "id": "nobody", "remove": true },
        ],
    });
    let wrong = wrong(&body.to_string());
    assert_eq!(wrong.field, "alert_thresholds[1].id");
    assert_eq!(wrong.allowed.len(), 1, "the one that the body would set");
}

#[test]
fn rules_are_bounded() {
    let rules = |count: usize| {
        let rule = |n: usize| json!({ "id": n.to_string(), "metric": "cost_per_hour", "threshold": 1, "comparison": ">", "severity": "info" });
        let rules: Vec<Value> = (0..count).map(rule).collect();
        json!({ "alert_thresholds": rules }).to_string()
    };
    assert_eq!(wrong(&rules(MAX_RULES + 1)).field, "alert_thresholds");
    let mut settings = settings();
    let full = Change::parse(rules(MAX_RULES).as_bytes()).unwrap();
    full.apply(&mut settings).unwrap();
    full.apply(&mut settings).unwrap();
    assert_eq!(settings.rules.len(), MAX_RULES);
    let more = r#"{"alert_thresholds": [{"id": "more", "metric": "cost_per_hour", "threshold": 1, "comparison": ">", "severity": "info"}]}"#;
    let wrong = Change::parse(more.as_bytes()).unwrap().apply(&mut settings);
    assert_eq!(wrong.unwrap_err().allowed, ["at most 100"]);
}

#[test]
fn an_interval_longer_than_what_is_kept_is_named_as_such() {
    let mut settings = settings();
    settings.retention = Duration::from_secs(60);
    let change = Change::parse(br#"{"collection_interval_seconds": 61}"#).unwrap();
    let wrong = change.apply(&mut settings).unwrap_err();
    assert_eq!(wrong.field, "collection_interval_seconds");
    assert_eq!(wrong.allowed, ["at most 60"]);
}

#[test]
fn names_are_spelled_the_same_everywhere() {
    let spelled = |value: Value| value.as_str().unwrap().to_owned();
    for metric in AlertMetric::ALL {
        assert_eq!(
            spelled(serde_json::to_value(metric).unwrap()),
            metric.name()
        );
    }
    for comparison in Comparison::ALL {
        assert_eq!(
            spelled(serde_json::to_value(comparison).unwrap()),
            comparison.symbol()
        );
    }
    for severity in Severity::ALL {
        assert_eq!(
            spelled(serde_json::to_value(severity).unwrap()),
            severity.name()
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Change::parse(&bytes);
    }

    #[test]
    fn no_text_like_json_panics(text in r#"[\[\]{}",:0-9.eE+\-a-z\\ ]{0,200}"#) {
        let _ = Change::parse(text.as_bytes());
    }

    #[test]
    fn a_change_is_in_force_as_it_was_sent(
        interval in 0.01..3600.0_f64,
        more in 0.0..1000.0_f64,
        threshold in any::<f64>().prop_filter("finite", |x| x.is_finite()),
        samples in 0..=1_000_000_000_u64,
        id in "[a-zA-Zäöü0-9 \"\\\\{}]{1,128}",
    ) {
        let configuration = after(&json!({
            "collection_interval_seconds": interval,
            "retention_seconds": interval + more,
            "alert_thresholds": [{
                "id": id, "metric": "cost_per_hour", "threshold": threshold,
                "comparison": "=", "severity": "info", "min_samples": samples,
            }],
        }));
        let told = configuration["collection_interval_seconds"].as_f64().unwrap();
        prop_assert!((told - interval).abs() < 1e-9);
        let rule = &configuration["alert_thresholds"][0];
        prop_assert_eq!(&rule["id"], &json!(id));
        // The parser may be off by the last digit.
        let told = rule["threshold"].as_f64().unwrap();
        prop_assert!((told - threshold).abs() <= threshold.abs() * 1e-15);
        prop_assert_eq!(&rule["min_samples"], &json!(samples));
    }
}
