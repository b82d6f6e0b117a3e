//! Documents for Elasticsearch, against a server that holds to the documented protocol strictly.

use crate::{
    assert_balanced, call, push, quiet,
    server::{Asked, PATIENCE, Reply, Server},
    wait_for,
};
use aimux_otel::{Elasticsearch, MonitorBuilder, PerformanceMonitor};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

const SECOND: Duration = Duration::from_secs(1);
const STREAM: &str = "metrics-aimux.otel-default";

/// A time series data stream: documents by what Elasticsearch makes their ids from.
#[derive(Default)]
struct Stream {
    documents: BTreeMap<String, Value>,
}

impl Stream {
    /// Takes one document; the status of its item.
    fn create(&mut self, action: &Value, source: &Value) -> u16 {
        let identity = match action["create"]["_id"].as_str() {
            Some(id) => id.to_owned(),
            None => ["@timestamp", "unit", "attributes", "resource"]
                .map(|field| source[field].to_string())
                .concat(),
        };
        if self.documents.contains_key(&identity) {
            return 409;
        }
        self.documents.insert(identity, source.clone());
        201
    }
}

/// The pairs of lines of a bulk request, if it is one.
fn parse(asked: &Asked, stream: &str) -> Result<Vec<(Value, Value)>, String> {
    let check = |holds: bool, what: &str| holds.then_some(()).ok_or_else(|| what.to_owned());
    check(asked.method == "POST", "method")?;
    let (path, query) = asked.path.split_once('?').unwrap();
    check(path == format!("/{stream}/_bulk"), "path")?;
    let query: BTreeSet<&str> = query.split('&').collect();
    let expected = [
        "require_data_stream=true",
        "filter_path=errors%2Citems.*.status",
    ];
    check(query == expected.into(), "query")?;
    check(
        asked.header("content-type") == "application/x-ndjson",
        "content type",
    )?;
    check(asked.body.len() <= 5_000_000, "size")?;
    check(asked.body.ends_with('\n'), "the last newline")?;
    let lines: Result<Vec<Value>, _> = asked.body.lines().map(serde_json::from_str).collect();
    let lines = lines.map_err(|_| "a line that is no JSON")?;
    let pairs = lines.chunks_exact(2);
    check(!lines.is_empty() && pairs.remainder().is_empty(), "pairs")?;
    let pairs: Vec<_> = pairs
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect();
    for (action, source) in &pairs {
        let keys: Vec<&String> = action.as_object().unwrap().keys().collect();
        check(keys == ["create"], "a data stream takes nothing but create")?;
        let allowed = ["_id", "dynamic_templates"];
        let fields = action["create"].as_object().unwrap();
        check(fields.keys().all(|key| allowed.contains(&&**key)), "action")?;
        let series = stream.contains(".otel-");
        check(
            fields.contains_key("_id") != series,
            "a time series makes its ids",
        )?;
        check(source["@timestamp"].is_u64(), "@timestamp")?;
    }
    Ok(pairs)
}

fn answer(statuses: impl IntoIterator<Item = u16>) -> Reply {
    let item = |status: u16| json!({ "create": { "status": status } });
    let items: Vec<Value> = statuses.into_iter().map(item).collect();
    let errors = items.iter().any(|item| item["create"]["status"] != 201);
    Reply::Json(json!({ "errors": errors, "items": items }).to_string())
}

/// A server that takes what holds to the protocol; `status` may have another word on an item.
fn strict(
    stream: &'static str,
    status: impl Fn(&Value, usize) -> Option<u16> + Send + Sync + 'static,
) -> (Server, Arc<Mutex<Stream>>) {
    let kept = Arc::new(Mutex::new(Stream::default()));
    let keeps = Arc::clone(&kept);
    let server = Server::start(move |asked, before| {
        let pairs = match parse(asked, stream) {
            Ok(pairs) => pairs,
            Err(wrong) => panic!("{wrong}: {asked:#?}"),
        };
        let mut kept = keeps.lock().unwrap();
        let created = pairs.iter().map(|(action, source)| {
            status(source, before).unwrap_or_else(|| kept.create(action, source))
        });
        answer(created)
    });
    (server, kept)
}

fn monitored(server: &Server, stream: &str) -> MonitorBuilder {
    let elasticsearch = Elasticsearch::new(&server.url, stream).interval(SECOND);
    quiet().service_name("gateway").elasticsearch(elasticsearch)
}

/// All that the documents add up to, of one metric, by the value of an attribute.
fn sums(stream: &Mutex<Stream>, metric: &str, attribute: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for document in stream.lock().unwrap().documents.values() {
        let value = match &document["metrics"][metric] {
            Value::Null => continue,
            Value::Object(histogram) => {
                let counts = histogram["counts"].as_array().unwrap();
                counts.iter().map(|count| count.as_f64().unwrap()).sum()
            }
            number => number.as_f64().unwrap(),
        };
        let key = document["attributes"][attribute].as_str().unwrap_or("");
        *sums.entry(key.to_owned()).or_insert(0.0) += value;
    }
    sums
}

const DURATION: &str = "gen_ai.client.operation.duration";

fn documents_after(monitor: &PerformanceMonitor, documents: u64) {
    monitor.collect();
    wait_for(monitor, "elasticsearch", |health| health.sent >= documents);
}

#[test]
fn a_document_is_as_opentelemetry_has_it() {
    let (server, kept) = strict(STREAM, |_, _| None);
    let monitor = monitored(&server, STREAM).build().unwrap();
    call(&monitor, 850, "");
    call(&monitor, 850, "timeout");
    monitor.shutdown(PATIENCE).unwrap();
    assert_balanced(&push(&monitor, "elasticsearch"));

    let kept = kept.lock().unwrap();
    let find = |labels: Value, metric: &str| {
        let mut documents = kept.documents.values();
        let document = documents.find(|document| {
            document["attributes"] == labels && !document["metrics"][metric].is_null()
        });
        document
            .unwrap_or_else(|| panic!("{:#?}", kept.documents))
            .clone()
    };
    let labels = json!({
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "cerebras",
        "gen_ai.request.model": "llama",
    });
    let mut document = find(labels.clone(), DURATION);
    let resource = document["resource"]["attributes"].take();
    assert_eq!(resource["service.name"], "gateway");
    assert_eq!(resource["service.instance.id"].as_str().unwrap().len(), 32);
    let (since, until) = (
        document["start_timestamp"].take(),
        document["@timestamp"].take(),
    );
    assert!(since.as_u64().unwrap() > 1_700_000_000_000 && since.as_u64() <= until.as_u64());
    let values = document["metrics"][DURATION]["values"].take();
    let value = values[0].as_f64().unwrap();
    assert!((value - 0.85).abs() <= 0.85 * 0.005_416, "{value}");
    assert_eq!(
        document,
        json!({
            "@timestamp": null,
            "start_timestamp": null,
            "data_stream": {"type": "metrics", "dataset": "aimux.otel", "namespace": "default"},
            "resource": {"attributes": null},
            "scope": {"name": "aimux-otel"},
            "unit": "s",
            "attributes": labels,
            "metrics": {DURATION: {"values": null, "counts": [1]}},
        })
    );
    let mut failed = labels.clone();
    failed["error.type"] = "timeout".into();
    assert_eq!(
        find(failed, DURATION)["metrics"][DURATION]["counts"],
        json!([1])
    );
    let both = json!({ "gen_ai.provider.name": "cerebras", "gen_ai.request.model": "llama" });
    let cost = find(both, "aimux.cost");
    assert_eq!(
        (&cost["metrics"]["aimux.cost"], &cost["unit"]),
        (&json!(0.0084), &json!("{USD}"))
    );
    let process = find(json!({}), "process.memory.usage");
    assert!(process["metrics"]["process.memory.usage"].as_u64().unwrap() > 1 << 20);

    let asked = server.asked();
    let (action, _) = parse(&asked[0], STREAM).unwrap().remove(0);
    let templates: BTreeSet<String> = asked
        .iter()
        .flat_map(|asked| parse(asked, STREAM).unwrap())
        .flat_map(|(action, _)| {
            let templates = action["create"]["dynamic_templates"]
                .as_object()
                .unwrap()
                .clone();
            templates
                .into_iter()
                .map(|(name, kind)| format!("{name} {}", kind.as_str().unwrap()))
        })
        .collect();
    for expected in [
        "metrics.gen_ai.client.operation.duration histogram",
        "metrics.aimux.cost gauge_double",
        "metrics.process.memory.usage gauge_long",
        "metrics.process.cpu.time gauge_double",
    ] {
        assert!(templates.contains(expected), "{action} {templates:?}");
    }
}

#[test]
fn documents_add_up_and_what_did_nothing_is_left_out() {
    let (server, kept) = strict(STREAM, |_, _| None);
    let monitor = monitored(&server, STREAM).build().unwrap();
    call(&monitor, 850, "");
    documents_after(&monitor, 2);
    let of_other = |asked: &Asked| asked.body.contains("other");
    assert!(!server.asked().iter().any(of_other));
    for _ in 0..3 {
        call(&monitor, 12, "");
        monitor.record_provider_request("other", "m", SECOND, true, "", 0.1);
    }
    monitor.shutdown(PATIENCE).unwrap();
    let counts = sums(&kept, DURATION, "gen_ai.provider.name");
    assert_eq!(
        counts,
        [("cerebras".to_owned(), 4.0), ("other".to_owned(), 3.0)].into()
    );
    let costs = sums(&kept, "aimux.cost", "gen_ai.provider.name");
    assert!((costs["cerebras"] - 0.0168).abs() < 1e-12, "{costs:?}");
    assert!((costs["other"] - 0.3).abs() < 1e-12, "{costs:?}");
    // After the first, nothing more is told of the first call.
    let first = |document: &&Value| document["metrics"][DURATION]["values"][0].as_f64() > Some(0.5);
    let kept = kept.lock().unwrap();
    let cerebras = |document: &&Value| document["attributes"]["gen_ai.provider.name"] == "cerebras";
    assert_eq!(
        kept.documents
            .values()
            .filter(cerebras)
            .filter(first)
            .count(),
        1
    );
}

#[test]
fn of_a_partial_failure_only_what_may_pass_is_sent_again() {
    let (server, kept) = strict(STREAM, |source, before| {
        let provider = source["attributes"]["gen_ai.provider.name"].as_str();
        match (provider, before) {
            (Some("busy"), 0) => Some(429),
            (Some("broken"), 0) => Some(503),
            (Some("malformed"), _) => Some(400),
            _ => None,
        }
    });
    let monitor = monitored(&server, STREAM).build().unwrap();
    for provider in ["busy", "broken", "malformed", "fine"] {
        monitor.record_provider_request(provider, "m", SECOND, true, "", 0.0);
    }
    monitor.collect();
    let asked = server.wait_for(2);
    let providers = |asked: &Asked| {
        let pairs = parse(asked, STREAM).unwrap();
        let providers = pairs.iter().filter_map(|(_, source)| {
            let is_one = !source["metrics"][DURATION].is_null();
            let provider = source["attributes"]["gen_ai.provider.name"].as_str();
            provider.filter(|_| is_one).map(str::to_owned)
        });
        providers.collect::<BTreeSet<String>>()
    };
    assert_eq!(providers(&asked[0]).len(), 4);
    let again = ["broken".to_owned(), "busy".to_owned()];
    assert_eq!(providers(&asked[1]), again.into());
    monitor.shutdown(PATIENCE).ok();
    let health = push(&monitor, "elasticsearch");
    assert!(health.dropped["refused"] >= 1, "{health:?}");
    assert_balanced(&health);
    let counts = sums(&kept, DURATION, "gen_ai.provider.name");
    let one = |provider: &str| (provider.to_owned(), 1.0);
    assert_eq!(counts, ["broken", "busy", "fine"].map(one).into());
}

#[test]
fn what_was_taken_before_an_answer_was_lost_is_not_there_twice() {
    for stream in [STREAM, "metrics-aimux-default"] {
        let kept = Arc::new(Mutex::new(Stream::default()));
        let keeps = Arc::clone(&kept);
        let server = Server::start(move |asked, before| {
            let mut kept = keeps.lock().unwrap();
            let pairs = parse(asked, stream).unwrap();
            let statuses = pairs
                .iter()
                .map(|(action, source)| kept.create(action, source));
            let statuses: Vec<u16> = statuses.collect();
            match before {
                // It is taken, and the answer is lost on the way, in one way or another.
                0 => Reply::Endless,
                1 => Reply::Json("<html>a proxy's apology".to_owned()),
                2 => Reply::Status(502),
                _ => answer(statuses),
            }
        });
        let monitor = monitored(&server, stream).build().unwrap();
        call(&monitor, 850, "");
        monitor.collect();
        let health = wait_for(&monitor, "elasticsearch", |health| health.sent > 0);
        assert!(health.failed_attempts >= 3, "{health:?}");
        let bodies = server.asked();
        assert!(bodies[..4].iter().all(|asked| asked.body == bodies[0].body));
        monitor.shutdown(PATIENCE).unwrap();
        let counts = sums(&kept, DURATION, "gen_ai.provider.name");
        assert_eq!(counts, [("cerebras".to_owned(), 1.0)].into());
        assert_balanced(&push(&monitor, "elasticsearch"));
    }
}

#[test]
fn a_request_that_is_too_large_is_sent_in_pieces() {
    let (most, kept) = (2, Arc::new(Mutex::new(Stream::default())));
    let keeps = Arc::clone(&kept);
    let server = Server::start(move |asked, _| {
        let pairs = parse(asked, STREAM).unwrap();
        if pairs.len() > most {
            return Reply::Status(413);
        }
        let mut kept = keeps.lock().unwrap();
        answer(
            pairs
                .iter()
                .map(|(action, source)| kept.create(action, source)),
        )
    });
    let monitor = monitored(&server, STREAM).build().unwrap();
    for number in 0..9 {
        let model = format!("m{number}");
        monitor.record_provider_request("cerebras", &model, SECOND, true, "", 0.0);
    }
    monitor.shutdown(PATIENCE).unwrap();
    let counts = sums(&kept, DURATION, "gen_ai.request.model");
    assert_eq!(counts.values().copied().collect::<Vec<f64>>(), [1.0; 9]);
    assert_balanced(&push(&monitor, "elasticsearch"));
}

#[test]
fn what_is_refused_as_a_whole_is_counted_by_document() {
    let server = Server::start(|_, before| match before {
        0 => Reply::Status(403),
        _ => Reply::Never,
    });
    let monitor = monitored(&server, STREAM).build().unwrap();
    call(&monitor, 850, "");
    monitor.collect();
    let health = wait_for(&monitor, "elasticsearch", |h| h.dropped["refused"] > 0);
    assert!(health.dropped["refused"] >= 2, "{health:?}");
    assert_eq!(health.sent, 0);
}
