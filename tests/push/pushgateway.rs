//! What a Pushgateway is sent, when, and what becomes of it.

use crate::{
    assert_balanced, call, push, quiet,
    server::{Reply, Server},
    wait_for,
};
use aimux_otel::{PushError, Pushgateway};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn it_gets_the_text_of_the_metrics_and_at_the_end_the_last_one() {
    let server = Server::start(|_, _| Reply::Status(200));
    let pushgateway = Pushgateway::new(&server.url, "nightly")
        .grouping("instance", "a/b")
        .header("X-Scope", "tenant")
        .interval(SECOND)
        .delete_at_shutdown(true);
    let monitor = quiet().pushgateway(pushgateway).build().unwrap();
    call(&monitor, 850, "");
    monitor.collect();
    let first = server.wait_for(1)[0].clone();
    assert_eq!(first.method, "PUT");
    assert_eq!(first.path, "/metrics/job/nightly/instance@base64/YS9i");
    assert_eq!(first.header("x-scope"), "tenant");
    assert_eq!(
        first.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let count = |body: &str, count: u64| {
        let line =
            format!("gen_ai_request_model=\"llama\",otel_scope_name=\"aimux-otel\"}} {count}\n");
        let is_it = |sample: &str| {
            sample.starts_with("gen_ai_client_operation_duration_seconds_count")
                && format!("{sample}\n").ends_with(&line)
        };
        body.lines().any(is_it)
    };
    assert!(count(&first.body, 1), "{}", first.body);

    // What was never collected before the end is in the last push.
    call(&monitor, 850, "");
    monitor.shutdown(Duration::from_secs(10)).unwrap();
    let asked = server.asked();
    let [.., last, deleted] = &asked[..] else {
        panic!("{asked:#?}");
    };
    assert!(count(&last.body, 2), "{}", last.body);
    assert_eq!((&*deleted.method, &deleted.path), ("DELETE", &first.path));
    let health = push(&monitor, "pushgateway");
    assert_eq!(health.sent, asked.len() as u64);
    assert_balanced(&health);
}

#[test]
fn what_it_refuses_is_counted_and_not_tried_again() {
    let server = Server::start(|_, before| Reply::Status(if before == 0 { 400 } else { 200 }));
    let pushgateway = Pushgateway::new(&server.url, "a").interval(SECOND);
    let monitor = quiet().pushgateway(pushgateway).build().unwrap();
    let health = wait_for(&monitor, "pushgateway", |health| health.sent > 0);
    assert_eq!(health.dropped["refused"], 1);
    assert_eq!(health.failed_attempts, 1);
    assert!(health.last_sent.is_some());
}

#[test]
fn what_it_is_too_busy_for_is_tried_again() {
    let server = Server::start(|_, before| match before {
        0 => Reply::Status(503),
        1 => Reply::With(429, "retry-after", "1".to_owned()),
        _ => Reply::Status(202),
    });
    let pushgateway = Pushgateway::new(&server.url, "a").interval(Duration::from_secs(30));
    let monitor = quiet().pushgateway(pushgateway.clone()).build().unwrap();
    monitor
        .push_to(&pushgateway, Duration::from_secs(20))
        .unwrap();
    assert_eq!(server.asked().len(), 3);
    assert_eq!(push(&monitor, "pushgateway").offered, 0, "that was another");
}

#[test]
fn a_single_push_says_what_went_wrong() {
    let server = Server::start(|asked, _| match &*asked.path {
        "/metrics/job/gone" => Reply::Status(404),
        "/metrics/job/moved" => Reply::With(307, "location", "/metrics/job/fine".to_owned()),
        "/metrics/job/silent" => Reply::Never,
        _ => Reply::Status(200),
    });
    let monitor = quiet().build().unwrap();
    call(&monitor, 5, "");
    let to = |job: &str| {
        let pushgateway = Pushgateway::new(&server.url, job);
        monitor.push_to(&pushgateway, Duration::from_millis(700))
    };
    to("fine").unwrap();
    let asked = server.asked();
    assert!(asked[0].body.contains("gen_ai_client_operation_duration"));
    assert!(matches!(to("gone"), Err(PushError::Refused)));
    assert!(matches!(to("moved"), Err(PushError::Refused)));
    assert_eq!(server.asked().len(), 3, "a redirect is not followed");
    assert!(matches!(to("silent"), Err(PushError::Deadline { .. })));
    assert!(matches!(to(""), Err(PushError::Setting(_))));
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = Pushgateway::new(format!("http://{}", free.local_addr().unwrap()), "a");
    drop(free);
    let error = monitor
        .push_to(&nobody, Duration::from_millis(700))
        .unwrap_err();
    assert!(matches!(error, PushError::Unreachable), "{error:?}");
    monitor.shutdown(Duration::from_secs(10)).unwrap();
    assert!(matches!(to("fine"), Err(PushError::Stopped)));
}
