//! The indicators on known traffic.

use std::time::Duration;

use super::*;
use crate::core::testing::{Bench, key};
use crate::names::*;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// So many operations of a status, and of an error if there was one, of half a second each.
fn operations(bench: &mut Bench, count: u32, status: &'static str, error: Option<&'static str>) {
    let labels = [(HTTP_ROUTE, "/a"), (HTTP_RESPONSE_STATUS_CODE, status)];
    for _ in 0..count {
        let series = match error {
            Some(error) => {
                let [route, status] = labels;
                key(
                    HTTP_SERVER_REQUEST_DURATION,
                    [route, status, (ERROR_TYPE, error)],
                )
            }
            None => key(HTTP_SERVER_REQUEST_DURATION, labels),
        };
        bench.record(series, 0.5);
    }
}

#[test]
fn the_callers_faults_are_failures_but_no_lack_of_availability() {
    let mut bench = Bench::new(DAY);
    operations(&mut bench, 1_800, "200", None);
    operations(&mut bench, 150, "400", None);
    operations(&mut bench, 30, "200", Some("cancelled"));
    operations(&mut bench, 15, "503", Some("503"));
    operations(&mut bench, 5, "429", None);
    bench.collect_after(MINUTE * 4);
    let view = indicators(&bench.snapshot(), Window::Last(MINUTE * 4)).unwrap();
    assert_eq!(view.availability.success_rate_percent, Some(90.0));
    assert_eq!(
        view.availability.availability_percent,
        percent(1_800, 1_820)
    );
    assert_eq!(view.error_rate.error_rate_percent, Some(10.0));
    assert_eq!(view.error_rate.failed_requests, 200);
    assert_eq!(view.throughput.total_requests, 2_000);
    assert_eq!(view.throughput.requests_per_minute, Some(500.0));
    assert_eq!(
        view.response_time.operations.average_response_time_ms,
        Some(500.0)
    );
    assert_eq!(view.response_time.attempts, ResponseTimes::default());
    assert_eq!(view.throughput.attempts_per_minute, None);
    assert_eq!(view.error_rate.attempt_error_rate_percent, None);
    assert!(view.coverage.quantile_error_percent.is_some());
}

#[test]
fn providers_have_their_health_and_money_its_pace() {
    let mut bench = Bench::new(DAY);
    bench.configured.providers.push(("idle".into(), Vec::new()));
    let zai = (GEN_AI_PROVIDER_NAME, "zai");
    for n in 0..10 {
        let series = match n {
            0..7 => key(GEN_AI_OPERATION_DURATION, [zai]),
            7..9 => key(GEN_AI_OPERATION_DURATION, [zai, (ERROR_TYPE, "timeout")]),
            _ => key(GEN_AI_OPERATION_DURATION, [zai, (ERROR_TYPE, "400")]),
        };
        bench.record(series, 2.0);
        bench.add(key(COST, [zai]), 0.5);
    }
    bench.collect_after(MINUTE * 2);
    let view = indicators(&bench.snapshot(), Window::SinceStart).unwrap();
    let zai = &view.providers["zai"];
    assert_eq!((zai.healthy, zai.total_requests), (Some(false), 10));
    assert_eq!(zai.success_rate_percent, Some(70.0));
    assert_eq!(zai.provider_success_rate_percent, percent(7, 9));
    assert_eq!(zai.p95_response_time_ms, Some(2_000.0));
    assert_eq!(view.providers["idle"].healthy, None);
    assert_eq!(view.cost.total_cost, 5.0);
    assert_eq!(view.cost.cost_per_request, Some(0.5));
    assert_eq!(view.cost.cost_per_hour, Some(150.0));
    assert_eq!(view.availability.availability_percent, None);
    assert_eq!(view.availability.monitor_uptime_seconds, 120.0);
    assert_eq!(view.throughput.attempts_per_minute, Some(5.0));
    assert_eq!(view.throughput.attempts_per_second, Some(10.0 / 120.0));
    assert_eq!(view.error_rate.attempt_error_rate_percent, Some(30.0));
}
