use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value as JsonValue;

use super::csv::{ATTRIBUTES, Csv, harmless};
use super::extent::Told;
use super::json::Json;
use super::otlp::{AttributeValue, Otlp};
use super::points::Points;
use super::*;
use crate::core::classic::ClassicHistogram;
use crate::core::events::NewestEvents;
use crate::core::measurement::{Custom, Kind, Measurement};
use crate::core::recorder::LabelTables;
use crate::core::series::Value;
use crate::core::snapshot::Snapshot;
use crate::core::testing::{Bench, START, key, key_of};
use crate::core::window::WindowConfig;
use crate::event_type::PerformanceEventType;
use crate::names;
use std::sync::Arc;

const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);

fn export(format: ExportFormat, snapshot: &Arc<Snapshot>, since: Option<Timestamp>) -> Export {
    let extent = Arc::new(Extent::of(snapshot, since));
    let points = || Points::new(Arc::clone(snapshot), Arc::clone(&extent));
    let started = snapshot.started;
    match format {
        ExportFormat::Csv => Export::new(format, &extent, started, Csv::new(points())),
        ExportFormat::Otlp => {
            let name = AttributeValue::Text("gateway".to_owned());
            let resource = [("service.name".to_owned(), name)];
            let otlp = Otlp::new(points(), resource.into(), since.is_some());
            Export::new(format, &extent, started, otlp)
        }
        _ => {
            let events = snapshot.recent_events.newest(usize::MAX);
            let json = Json::new(Arc::clone(snapshot), Arc::clone(&extent), events);
            Export::new(format, &extent, started, json)
        }
    }
}

/// A point as every format tells it.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    start: String,
    end: String,
    count: Option<u64>,
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
}

/// Which series, and when: scope, metric and attributes.
type Name = (String, String, BTreeMap<String, String>, String);

type Rows = BTreeMap<Name, Row>;

/// What an export of `snapshot` has to tell.
fn expected(snapshot: &Arc<Snapshot>, since: Option<Timestamp>) -> Rows {
    let extent = Arc::new(Extent::of(snapshot, since));
    let mut rows = Rows::new();
    let mut points = Points::new(Arc::clone(snapshot), extent);
    points.each(|point| {
        let labels = point.key.labels.iter();
        let labels = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let (start, end) = (Rfc3339(point.start).to_string(), Rfc3339(point.end));
        let name = (
            point.key.scope.to_string(),
            point.key.metric.to_string(),
            labels,
            start.clone(),
        );
        let told = Row {
            start,
            end: end.to_string(),
            count: point.count(),
            sum: point.aggregate.sum(),
            min: point.aggregate.min(),
            max: point.aggregate.max(),
        };
        assert!(rows.insert(name, told).is_none(), "a point is told once");
        std::ops::ControlFlow::Continue(())
    });
    rows
}

fn csv_rows(text: &str) -> Rows {
    let mut rows = Rows::new();
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let columns = reader.headers().unwrap().clone();
    for record in reader.records() {
        let record = record.unwrap();
        let cell = |column: &str| {
            let at = columns.iter().position(|name| name == column).unwrap();
            &record[at]
        };
        let number = |column: &str| Some(cell(column)).filter(|c| !c.is_empty());
        let number = |column: &str| number(column).map(|c| c.parse::<f64>().unwrap());
        let mut labels: BTreeMap<String, String> = match cell("other_attributes") {
            "" => BTreeMap::new(),
            object => serde_json::from_str(object).unwrap(),
        };
        for (column, attribute) in ATTRIBUTES {
            if !cell(column).is_empty() {
                labels.insert(attribute.to_owned(), cell(column).to_owned());
            }
        }
        let start = cell("window_start").to_owned();
        let name = (
            cell("scope").to_owned(),
            cell("metric").to_owned(),
            labels,
            start.clone(),
        );
        let told = Row {
            start,
            end: cell("window_end").to_owned(),
            count: number("count").map(|count| count as u64),
            sum: number("sum").unwrap(),
            min: number("min"),
            max: number("max"),
        };
        assert!(rows.insert(name, told).is_none());
    }
    rows
}

/// `rows` as a reader of CSV finds them.
fn defused(rows: Rows) -> Rows {
    let column = |key: &str| ATTRIBUTES.iter().any(|(_, attribute)| *attribute == key);
    let name = |(scope, metric, labels, start): Name| {
        let labels: BTreeMap<String, String> = labels
            .into_iter()
            .filter(|(key, value)| !(column(key) && value.is_empty()))
            .map(|(key, value)| {
                let shown = harmless(&value).into_owned();
                if column(&key) {
                    (key, shown)
                } else {
                    (key, value)
                }
            })
            .collect();
        let text = |text: String| harmless(&text).into_owned();
        (text(scope), text(metric), labels, start)
    };
    rows.into_iter()
        .map(|(key, told)| (name(key), told))
        .collect()
}

/// An integer of 64 bits, which is text in this encoding.
fn long(value: &JsonValue) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

fn attributes(pairs: &JsonValue) -> BTreeMap<String, String> {
    let text = |value: &JsonValue| {
        let value = value.as_object().unwrap();
        assert_eq!(value.len(), 1, "{value:?}");
        match value.iter().next().unwrap() {
            (kind, JsonValue::String(text)) if kind == "stringValue" => text.clone(),
            (kind, JsonValue::String(number)) if kind == "intValue" => number.clone(),
            (kind, JsonValue::Bool(flag)) if kind == "boolValue" => flag.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let pairs = pairs.as_array().unwrap().iter();
    pairs
        .map(|pair| {
            (
                pair["key"].as_str().unwrap().to_owned(),
                text(&pair["value"]),
            )
        })
        .collect()
}

fn time(nanos: u64) -> String {
    Rfc3339(Timestamp::from_unix_nanos(nanos)).to_string()
}

/// What the lines say, and the temporality of all metrics that have one.
fn otlp_rows(text: &str) -> (Rows, Vec<u64>) {
    let mut rows = Rows::new();
    let mut temporalities = Vec::new();
    for line in text.lines() {
        let request: JsonValue = serde_json::from_str(line).unwrap();
        let resource = &request["resourceMetrics"][0];
        let service = attributes(&resource["resource"]["attributes"]);
        assert_eq!(service["service.name"], "gateway");
        for scope in resource["scopeMetrics"].as_array().unwrap() {
            let scope_name = scope["scope"]["name"].as_str().unwrap();
            for metric in scope["metrics"].as_array().unwrap() {
                let name = metric["name"].as_str().unwrap();
                let metric = metric.as_object().unwrap();
                let data = ["exponentialHistogram", "histogram", "sum"];
                let data = data.into_iter().find(|data| metric.contains_key(*data));
                let data = data.unwrap();
                let points = &metric[data];
                temporalities.push(points["aggregationTemporality"].as_u64().unwrap());
                for point in points["dataPoints"].as_array().unwrap() {
                    let start = time(long(&point["startTimeUnixNano"]));
                    let attributes = attributes(&point["attributes"]);
                    let key = (
                        scope_name.to_owned(),
                        name.to_owned(),
                        attributes,
                        start.clone(),
                    );
                    let (count, sum) = otlp_number(data, point);
                    let told = Row {
                        start,
                        end: time(long(&point["timeUnixNano"])),
                        count,
                        sum,
                        min: point["min"].as_f64(),
                        max: point["max"].as_f64(),
                    };
                    assert!(rows.insert(key, told).is_none());
                }
            }
        }
    }
    (rows, temporalities)
}

/// Count and sum of a point, whose buckets have to agree.
fn otlp_number(data: &str, point: &JsonValue) -> (Option<u64>, f64) {
    let counted = |counts: &JsonValue| -> u64 { counts.as_array().unwrap().iter().map(long).sum() };
    if data == "sum" {
        let sum = match &point["asInt"] {
            JsonValue::Null => point["asDouble"].as_f64().unwrap(),
            int => long(int) as f64,
        };
        return (None, sum);
    }
    let count = long(&point["count"]);
    if data == "histogram" {
        let bounds = point["explicitBounds"].as_array().unwrap().len();
        let counts = point["bucketCounts"].as_array().unwrap().len();
        assert!(counts == 0 && bounds == 0 || counts == bounds + 1);
        assert!(counts == 0 || counted(&point["bucketCounts"]) == count);
    } else {
        let buckets = counted(&point["positive"]["bucketCounts"]);
        assert_eq!(buckets + long(&point["zeroCount"]), count);
    }
    (Some(count), point["sum"].as_f64().unwrap())
}

fn json_rows(text: &str) -> Rows {
    let export: JsonValue = serde_json::from_str(text).unwrap();
    let mut rows = Rows::new();
    for point in export["points"].as_array().unwrap() {
        let text = |field: &str| point[field].as_str().unwrap().to_owned();
        let labels = serde_json::from_value(point["attributes"].clone()).unwrap();
        let start = point["window_start"].to_string();
        let told = Row {
            start: start.clone(),
            end: point["window_end"].to_string(),
            count: point["count"].as_u64(),
            sum: point["sum"].as_f64().unwrap(),
            min: point["min"].as_f64(),
            max: point["max"].as_f64(),
        };
        let name = (text("scope"), text("metric"), labels, start);
        assert!(rows.insert(name, told).is_none());
    }
    rows
}

/// With times as JSON has them.
fn in_seconds(snapshot: &Snapshot, since: Option<Timestamp>, rows: Rows) -> Rows {
    let extent = Extent::of(snapshot, since);
    let mut texts = BTreeMap::new();
    let slots = extent
        .slots
        .iter()
        .flat_map(|slot| [slot.since(), slot.until()]);
    for time in slots.chain([extent.start, extent.end]) {
        let seconds = JsonValue::from(time.as_unix_seconds());
        texts.insert(Rfc3339(time).to_string(), seconds.to_string());
    }
    let told = |told: Row| Row {
        start: texts[&told.start].clone(),
        end: texts[&told.end].clone(),
        ..told
    };
    let name =
        |(scope, metric, labels, start): Name| (scope, metric, labels, texts[&start].clone());
    rows.into_iter()
        .map(|(key, t)| (name(key), told(t)))
        .collect()
}

/// What a row does to a series, in one collection.
#[derive(Debug, Clone)]
enum Done {
    Took(f64),
    Tokens(f64),
    Cost(u32),
    Hits(u32),
    Classic(Vec<u64>),
}

fn done() -> impl Strategy<Value = Done> {
    prop_oneof![
        (0.0..1e4_f64).prop_map(Done::Took),
        (0_u32..1_000_000).prop_map(|tokens| Done::Tokens(f64::from(tokens))),
        any::<u32>().prop_map(Done::Cost),
        (1_u32..1_000).prop_map(Done::Hits),
        prop::collection::vec(0_u64..9, 3).prop_map(Done::Classic),
    ]
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        any::<String>().prop_map(|text| text.chars().take(12).collect()),
        prop::sample::select(vec![
            "=1+1",
            "+1",
            "-1",
            "-1+1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\n=1",
            "＝1",
            "a,b",
            "a;=1+1",
            "a\"b",
            "\"",
            "\"\"",
            "a\r\nb,c",
            "\u{202e}evil",
            "\u{feff}=1",
            "'=1",
            "-",
            "+",
            " =1",
            "a\0b",
            "}",
            "]}]}\n{",
            "\\",
            "\\n",
            "</script>",
            "NaN",
            "-1.5",
            "-1e5",
        ])
        .prop_map(str::to_owned),
    ]
}

fn record(bench: &mut Bench, done: &Done, label: &str) {
    let provider = [
        (names::GEN_AI_PROVIDER_NAME, label),
        ("server.address", label),
    ];
    match done {
        Done::Took(took) => bench.record(key(names::GEN_AI_OPERATION_DURATION, provider), *took),
        Done::Tokens(n) => bench.record(key(names::GEN_AI_TOKEN_USAGE, provider), *n),
        Done::Cost(nano) => {
            let usd = f64::from(*nano) / 1e9;
            bench.add(key(names::COST, provider), usd);
        }
        Done::Hits(hits) => bench.add(key(names::CACHE_RESULTS, provider), f64::from(*hits)),
        Done::Classic(counts) => {
            let bounds = [0.1, 1.0].into();
            let counts = counts.iter().copied();
            let histogram = ClassicHistogram::from_parts(bounds, counts, 1.5, Some(0.05), None);
            let of = key_of("other", names::HTTP_SERVER_REQUEST_DURATION, provider);
            bench.set(of, Value::Classic(histogram));
        }
    }
}

type Course = Vec<(u32, Vec<(Done, String)>)>;

/// Collections: milliseconds before each, and what was done.
fn course() -> impl Strategy<Value = Course> {
    let step = (
        1_u32..200_000,
        prop::collection::vec((done(), hostile()), 0..6),
    );
    prop::collection::vec(step, 1..12)
}

fn run(bench: &mut Bench, course: &Course) {
    for (millis, all) in course {
        for (done, label) in all {
            record(bench, done, label);
        }
        // Not at whole microseconds, which is all that some clients know.
        bench.collect_after(Duration::from_nanos(u64::from(*millis) * 1_000_137));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_format_says_what_the_snapshot_has(course in course(), back in 0_u64..400_000) {
        let mut bench = Bench::new(DAY);
        bench.unit(names::SCOPE, names::GEN_AI_OPERATION_DURATION, "s");
        run(&mut bench, &course);
        let snapshot = Arc::new(bench.snapshot());
        let back = snapshot.collected_at.before(Duration::from_millis(back));
        for since in [None, Some(back)] {
            let text = |format| export(format, &snapshot, since).into_string().unwrap();
            let rows = expected(&snapshot, since);
            prop_assert_eq!(csv_rows(&text(ExportFormat::Csv)), defused(rows.clone()));
            let (otlp, temporalities) = otlp_rows(&text(ExportFormat::Otlp));
            prop_assert_eq!(&otlp, &rows);
            let temporality = if since.is_some() { 1 } else { 2 };
            prop_assert!(temporalities.iter().all(|one| *one == temporality));
            let expected = in_seconds(&snapshot, since, rows);
            prop_assert_eq!(json_rows(&text(ExportFormat::Json)), expected);
        }
    }

    #[test]
    fn exports_one_after_the_other_neither_lose_nor_double(
        steps in prop::collection::vec((course(), any::<bool>()), 1..10), first_is_whole: bool,
    ) {
        let mut bench = Bench::new(DAY);
        let mut told = Told::default();
        let mut sums: Sums = BTreeMap::new();
        let mut since = (!first_is_whole).then_some(START);
        for (course, exports) in &steps {
            for step in course {
                bench.windows.keep_apart(told.ends());
                run(&mut bench, &vec![step.clone()]);
            }
            if !exports {
                continue;
            }
            let snapshot = Arc::new(bench.snapshot());
            told.add(snapshot.collected_at);
            let export = export(ExportFormat::Otlp, &snapshot, since);
            prop_assert!(export.is_exact());
            // Some clients know no more than microseconds.
            let end = export.window_end().as_unix_nanos() / 1_000 * 1_000;
            since = Some(Timestamp::from_unix_nanos(end));
            add_up(&mut sums, &export.into_string().unwrap());
        }
        let snapshot = Arc::new(bench.snapshot());
        let last = export(ExportFormat::Otlp, &snapshot, since);
        add_up(&mut sums, &last.into_string().unwrap());
        let mut whole = BTreeMap::new();
        add_up(&mut whole, &export(ExportFormat::Otlp, &snapshot, None).into_string().unwrap());
        prop_assert_eq!(sums.len(), whole.len());
        for (series, (count, sum, nano)) in whole {
            let (added, added_sum, added_nano) = sums[&series];
            prop_assert_eq!((added, added_nano), (count, nano), "{:?}", series);
            prop_assert!((added_sum - sum).abs() <= sum.abs() * 1e-12, "{sum} {added_sum}");
        }
    }
}

/// Counts, sums and, of money, nano-USD, by metric and attributes.
type Sums = BTreeMap<(String, BTreeMap<String, String>), (u64, f64, i128)>;

/// Adds what `text` says.
fn add_up(to: &mut Sums, text: &str) {
    for ((_, metric, labels, _), told) in otlp_rows(text).0 {
        let is_money = metric == names::COST;
        let sum = to.entry((metric, labels)).or_default();
        sum.0 += told.count.unwrap_or_default();
        if is_money {
            sum.2 += (told.sum * 1e9).round() as i128;
        } else {
            sum.1 += told.sum;
        }
    }
}

#[test]
fn an_export_that_nobody_else_told_apart_begins_a_little_earlier_and_says_so() {
    let mut bench = Bench::new(DAY);
    for _ in 0..300 {
        bench.record(key(names::GEN_AI_OPERATION_DURATION, []), 1.0);
        bench.collect_after(SECOND);
    }
    let snapshot = Arc::new(bench.snapshot());
    // Within a slot of 15 s, which reaches back further.
    let since = START.after(SECOND * 190);
    let export = export(ExportFormat::Json, &snapshot, Some(since));
    assert!(!export.is_exact());
    assert!(export.window_start() < since);
    let (start, end) = (export.window_start(), export.window_end());
    let json: JsonValue = serde_json::from_str(&export.into_string().unwrap()).unwrap();
    assert_eq!(json["is_exact"], false);
    assert_eq!(json["since"], since.as_unix_seconds());
    assert_eq!(json["window_start"], start.as_unix_seconds());
    assert_eq!(json["window_end"], end.as_unix_seconds());
    let points = json["points"].as_array().unwrap();
    assert_eq!(points[0]["window_start"], start.as_unix_seconds());
    let counted: u64 = points.iter().map(|p| p["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, end.since(start).as_secs());
}

#[test]
fn what_is_not_kept_any_more_is_not_told_and_the_export_says_so() {
    let mut bench = Bench::new(SECOND * 600);
    for _ in 0..200 {
        bench.record(key(names::GEN_AI_OPERATION_DURATION, []), 1.0);
        bench.collect_after(SECOND * 10);
    }
    let snapshot = Arc::new(bench.snapshot());
    let export = |since| export(ExportFormat::Json, &snapshot, Some(since));
    let long_ago = export(START.after(SECOND));
    assert!(!long_ago.is_exact());
    assert!(long_ago.window_start() > START.after(SECOND * 1_000));
    let before_the_start = export(Timestamp::EPOCH);
    assert!(!before_the_start.is_exact());
    assert_eq!(before_the_start.window_start(), long_ago.window_start());
    before_the_start.into_string().unwrap();
}

#[test]
fn of_nothing_there_is_an_export_too() {
    let mut bench = Bench::new(DAY);
    let empty = Arc::new(bench.snapshot());
    bench.record(key(names::GEN_AI_OPERATION_DURATION, []), 1.0);
    bench.collect_after(SECOND);
    let full = Arc::new(bench.snapshot());
    let end = full.collected_at;
    for (snapshot, since) in [(&empty, None), (&empty, Some(START)), (&full, Some(end))] {
        let text = |format| export(format, snapshot, since).into_string().unwrap();
        assert_eq!(text(ExportFormat::Csv).lines().count(), 1);
        assert_eq!(text(ExportFormat::Otlp), "");
        let json: JsonValue = serde_json::from_str(&text(ExportFormat::Json)).unwrap();
        assert_eq!(json["points"].as_array().unwrap().len(), 0);
        assert_eq!(json["is_exact"], true);
        assert_eq!(json["summary"]["total_requests"], 0);
    }
}

#[test]
fn json_has_the_report_and_the_events_of_its_window() {
    let mut bench = Bench::new(DAY);
    let of = [
        (names::GEN_AI_PROVIDER_NAME, "cerebras"),
        (names::GEN_AI_REQUEST_MODEL, "m"),
    ];
    for _ in 0..3 {
        bench.record(key(names::GEN_AI_OPERATION_DURATION, of), 1.0);
        bench.collect_after(SECOND * 10);
    }
    let mut snapshot = bench.snapshot();
    let event = |id: &str, after| {
        let mut event = Measurement::new(Kind::Signal, PerformanceEventType::CacheHit);
        event.ended = START.after(SECOND * after);
        event.custom = Some(Box::new(Custom {
            id: id.to_owned(),
            ..Custom::default()
        }));
        (1, event)
    };
    let events = vec![event("a", 5), event("b", 25), event("later", 40)];
    let labels = Arc::new(LabelTables::for_tests());
    snapshot.recent_events = NewestEvents::new(events, labels);
    let snapshot = Arc::new(snapshot);
    for (since, requests, ids) in [
        (None, 3, vec!["a", "b"]),
        (Some(START.after(SECOND * 20)), 1, vec!["b"]),
        (Some(START.after(SECOND * 10)), 2, vec!["b"]),
    ] {
        let text = export(ExportFormat::Json, &snapshot, since)
            .into_string()
            .unwrap();
        let json: JsonValue = serde_json::from_str(&text).unwrap();
        assert_eq!(
            json["provider_performance"]["cerebras"]["total_requests"],
            requests
        );
        let events = json["recent_events"].as_array().unwrap().iter();
        assert_eq!(
            events
                .map(|e| e["id"].as_str().unwrap())
                .collect::<Vec<_>>(),
            ids
        );
        assert_eq!(
            json["points"][0]["attributes"][names::GEN_AI_REQUEST_MODEL],
            "m"
        );
    }
}

#[test]
fn an_otlp_line_is_written_as_the_protocol_has_it() {
    let mut bench = Bench::new(DAY);
    bench.unit(names::SCOPE, names::HTTP_SERVER_REQUEST_DURATION, "s");
    let of = [
        (names::HTTP_ROUTE, "/v1/\u{202e}chat"),
        (names::HTTP_RESPONSE_STATUS_CODE, "200"),
    ];
    bench.record(key(names::HTTP_SERVER_REQUEST_DURATION, of), 1.5);
    bench.add(
        key(names::CACHE_RESULTS, [(names::CACHE_RESULT, "hit")]),
        3.0,
    );
    bench.add(key(names::COST, []), 0.0042);
    bench.collect_after(SECOND);
    let snapshot = Arc::new(bench.snapshot());
    let text = export(ExportFormat::Otlp, &snapshot, None)
        .into_string()
        .unwrap();
    let times = r#""startTimeUnixNano":"86407123456789000","timeUnixNano":"86407124456789000""#;
    let expected = [
        r#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"gateway"}}]},"#,
        r#""scopeMetrics":[{"scope":{"name":"aimux-otel"},"metrics":["#,
        r#"{"name":"aimux.cache.results","description":"","unit":"","sum":{"aggregationTemporality":2,"isMonotonic":true,"#,
        r#""dataPoints":[{"attributes":[{"key":"aimux.cache.result","value":{"stringValue":"hit"}}],"#,
        times,
        r#","asInt":"3"}]}},"#,
        r#"{"name":"aimux.cost","description":"","unit":"","sum":{"aggregationTemporality":2,"isMonotonic":true,"#,
        r#""dataPoints":[{"attributes":[],"#,
        times,
        r#","asDouble":0.0042}]}},"#,
        r#"{"name":"http.server.request.duration","description":"","unit":"s","exponentialHistogram":{"aggregationTemporality":2,"#,
        r#""dataPoints":[{"attributes":[{"key":"http.response.status_code","value":{"intValue":"200"}},"#,
        r#"{"key":"http.route","value":{"stringValue":"/v1/\u202echat"}}],"#,
        times,
        r#","count":"1","sum":1.5,"scale":6,"zeroCount":"0","positive":{"offset":37,"bucketCounts":["1"]},"min":1.5,"max":1.5}]}}"#,
        "]}]}]}
",
    ];
    assert_eq!(text, expected.concat());
}

#[test]
fn a_csv_row_is_written_as_it_is_documented() {
    let mut bench = Bench::new(DAY);
    bench.unit(names::SCOPE, names::COST, "{USD}");
    let of = [
        (names::GEN_AI_PROVIDER_NAME, "=cmd|' /C calc'!A0"),
        ("peer", "a\"b"),
    ];
    bench.add(key(names::COST, of), 0.1);
    bench.collect_after(SECOND);
    bench.add(key(names::COST, of), 0.2);
    bench.collect_after(SECOND);
    let snapshot = Arc::new(bench.snapshot());
    let text = export(ExportFormat::Csv, &snapshot, None)
        .into_string()
        .unwrap();
    assert_eq!(
        text,
        "window_start,window_end,scope,metric,kind,unit,provider,model,operation,token_type,\
         endpoint,method,status_code,error_type,component,component_operation,cache_result,\
         failover_from,failover_to,failover_reason,overflow,other_attributes,count,sum,min,max,\
         p50,p95,p99,last\r\n\
         1972-09-27T01:58:43.456789000Z,1972-09-27T01:58:45.456789000Z,aimux-otel,aimux.cost,sum,{USD},\
         \"'=cmd|' /C calc'!A0\",,,,,,,,,,,,,,,\"{\"\"peer\"\":\"\"a\\\"\"b\"\"}\",,0.3,,,,,,\r\n"
    );
}

#[test]
fn what_a_spreadsheet_would_run_is_text() {
    for (text, shown) in [
        ("=1+1", "'=1+1"),
        ("+1+cmd", "'+1+cmd"),
        ("-1+1", "'-1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\u{FFFD}=1"),
        ("\r=1", "'\u{FFFD}=1"),
        ("＝1", "'＝1"),
        ("-", "'-"),
        ("-1e5", "'-1e5"),
        ("-1.5", "-1.5"),
        ("+1", "+1"),
        ("a=1", "a=1"),
        ("a\u{202e}b", "a\u{FFFD}b"),
    ] {
        assert_eq!(harmless(text), shown, "{text:?}");
    }
}

/// Ten thousand series, each busy in every slot.
fn large() -> Arc<Snapshot> {
    let mut bench = Bench::with(WindowConfig {
        max_bytes: 64 << 20,
        ..WindowConfig::default()
    });
    for round in 0..3 {
        for number in 0..10_000 {
            let model = format!("model-{number}");
            let of = [
                (names::GEN_AI_PROVIDER_NAME, "cerebras"),
                (names::GEN_AI_REQUEST_MODEL, &model),
            ];
            for nth in 0..4 {
                let took = f64::from(number % 97 + nth * 31 + round) / 10.0;
                bench.record(key(names::GEN_AI_OPERATION_DURATION, of), took);
            }
        }
        bench.collect_after(SECOND * 5);
    }
    Arc::new(bench.snapshot())
}

#[test]
fn a_large_export_is_never_whole_in_memory() {
    let snapshot = large();
    for (format, since) in [
        (ExportFormat::Csv, None),
        (ExportFormat::Csv, Some(START)),
        (ExportFormat::Otlp, None),
        (ExportFormat::Otlp, Some(START)),
    ] {
        let mut export = export(format, &snapshot, since);
        let (mut length, mut most, mut lines) = (0, 0, 0);
        while let Some(piece) = export.next() {
            let piece = piece.unwrap();
            assert!(piece.len() <= PIECE, "{format}: {}", piece.len());
            length += piece.len();
            lines += piece.iter().filter(|byte| **byte == b'\n').count();
            most = most.max(export.rendered.capacity() + piece.capacity());
        }
        assert!(length > 1_900_000, "{format}: {length}");
        assert!(most <= 4 * PIECE, "{format}: {most} bytes held at once");
        let points = if since.is_some() { 30_000 } else { 10_000 };
        match format {
            ExportFormat::Csv => assert_eq!(lines, points + 1),
            // A Collector's receiver for files takes lines of a megabyte.
            _ => assert!(length / lines < 64_000, "{} bytes a line", length / lines),
        }
    }
}

#[test]
fn it_is_read_in_any_steps() {
    use std::io::Read;
    let snapshot = large();
    let whole = export(ExportFormat::Csv, &snapshot, None)
        .into_string()
        .unwrap();
    let mut export = export(ExportFormat::Csv, &snapshot, None);
    let mut text = Vec::new();
    for size in (1..).map(|n| n * n) {
        let mut some = vec![0; size];
        let read = export.read(&mut some).unwrap();
        text.extend_from_slice(&some[..read]);
        if read == 0 {
            break;
        }
    }
    assert!(text == whole.as_bytes());
}

#[test]
fn formats_have_the_names_of_the_guide() {
    for format in ExportFormat::ALL {
        assert_eq!(format.name().parse(), Ok(format));
    }
    for unknown in ["", "JSON", "xml", "json ", "otlp-json"] {
        assert_eq!(
            unknown.parse::<ExportFormat>(),
            Err(ExportError::UnknownFormat)
        );
    }
}

#[test]
fn a_file_is_named_after_the_end_of_its_window() {
    let mut bench = Bench::new(DAY);
    bench.collect_after(SECOND);
    let snapshot = Arc::new(bench.snapshot());
    let export = export(ExportFormat::Otlp, &snapshot, None);
    assert_eq!(export.file_name(), "performance-19720927T015844Z.jsonl");
}
