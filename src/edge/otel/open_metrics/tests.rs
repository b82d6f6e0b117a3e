use super::*;
use crate::{
    clock::Timestamp,
    config::Conventions,
    core::{
        measurement::{Kind, Measurement},
        recorder::LabelTables,
        slowest::SlowestKeeper,
        trace_link::TraceLink,
    },
    edge::otel::prometheus::DURATION_BOUNDARIES,
    event_type::PerformanceEventType,
};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, Quantile, Summary};
use std::sync::Arc;

fn labelled(labels: &[(&str, &str)]) -> Metric {
    let pair = |&(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    Metric::from_label(labels.iter().map(pair).collect())
}

fn counter(labels: &[(&str, &str)], value: f64) -> Metric {
    let mut metric = labelled(labels);
    let mut counter = Counter::default();
    counter.set_value(value);
    metric.set_counter(counter);
    metric
}

fn gauge(value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    Metric::from_gauge(gauge)
}

/// Buckets with as many values each.
fn histogram(labels: &[(&str, &str)], buckets: &[(f64, u64)], sum: f64) -> Metric {
    let mut metric = labelled(labels);
    let mut histogram = Histogram::default();
    let mut cumulative = 0;
    let buckets = buckets.iter().map(|(upper, count)| {
        cumulative += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*upper);
        bucket.set_cumulative_count(cumulative);
        bucket
    });
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(cumulative);
    histogram.set_sample_sum(sum);
    metric.set_histogram(histogram);
    metric
}

fn family(name: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn text(families: Vec<MetricFamily>) -> String {
    render(families, &Exemplars::default()).unwrap()
}

#[test]
fn a_counter_is_announced_without_its_ending() {
    let mut helped = family(
        "a_total",
        MetricType::COUNTER,
        vec![counter(&[("x", "1")], 2.5)],
    );
    helped.set_help("all \"a\"\nthere are".to_owned());
    assert_eq!(
        text(vec![helped]),
        "# HELP a all \\\"a\\\"\\nthere are\n# TYPE a counter\na_total{x=\"1\"} 2.5\n# EOF\n"
    );
}

#[test]
fn a_counter_that_cannot_be_one_keeps_its_name() {
    let counters = |name, value| family(name, MetricType::COUNTER, vec![counter(&[], value)]);
    assert_eq!(
        text(vec![counters("a", 1.0)]),
        "# TYPE a unknown\na 1\n# EOF\n"
    );
    assert_eq!(
        text(vec![counters("a_total", -1.0)]),
        "# TYPE a_total unknown\na_total -1\n# EOF\n"
    );
    assert_eq!(
        text(vec![counters("a_total", f64::NAN)]),
        "# TYPE a_total unknown\na_total NaN\n# EOF\n"
    );
    let clashing = vec![
        counters("a_total", 1.0),
        family("a", MetricType::GAUGE, vec![gauge(f64::INFINITY)]),
    ];
    assert_eq!(
        text(clashing),
        "# TYPE a gauge\na +Inf\n# TYPE a_total unknown\na_total 1\n# EOF\n"
    );
}

#[test]
fn bounds_are_spelled_canonically() {
    let metric = histogram(&[], &[(0.005, 1), (1.0, 2), (1_048_576.0, 0)], 1.5);
    assert_eq!(
        text(vec![family("h", MetricType::HISTOGRAM, vec![metric])]),
        "# TYPE h histogram\nh_bucket{le=\"0.005\"} 1\nh_bucket{le=\"1.0\"} 3\n\
         h_bucket{le=\"1.048576e+06\"} 3\nh_bucket{le=\"+Inf\"} 3\nh_sum 1.5\nh_count 3\n# EOF\n"
    );
    for (number, spelled) in [
        (0.00001, "1e-05"),
        (0.0001, "0.0001"),
        (65_536.0, "65536.0"),
        (999_999.0, "999999.0"),
        (1e6, "1e+06"),
        (655.36, "655.36"),
    ] {
        assert_eq!(canonical(number), spelled);
    }
}

#[test]
fn values_below_zero_have_no_sum() {
    let metric = histogram(&[], &[(-1.0, 1), (1.0, 1)], -2.0);
    assert_eq!(
        text(vec![family("h", MetricType::HISTOGRAM, vec![metric])]),
        "# TYPE h histogram\nh_bucket{le=\"-1.0\"} 1\nh_bucket{le=\"1.0\"} 2\n\
         h_bucket{le=\"+Inf\"} 2\n# EOF\n"
    );
}

#[test]
fn a_summary_is_written_and_a_time_is_in_seconds() {
    let mut summary = Summary::default();
    let mut median = Quantile::default();
    median.set_quantile(0.5);
    median.set_value(2.0);
    summary.set_quantile(vec![median]);
    summary.set_sample_sum(6.0);
    summary.set_sample_count(3);
    let mut metric = labelled(&[("x", "a\\b")]);
    metric.set_summary(summary);
    metric.set_timestamp_ms(1_500);
    assert_eq!(
        text(vec![family("s", MetricType::SUMMARY, vec![metric])]),
        "# TYPE s summary\ns{x=\"a\\\\b\",quantile=\"0.5\"} 2 1.5\ns_sum{x=\"a\\\\b\"} 6 1.5\n\
         s_count{x=\"a\\\\b\"} 3 1.5\n# EOF\n"
    );
}

/// Attempts that are kept, each of so many seconds, at that second, and with that span.
fn exemplars(attempts: &[(f64, u64, u8)], error: Option<&'static str>) -> Exemplars {
    let labels = Arc::new(LabelTables::for_tests());
    let mut keeper = SlowestKeeper::new(DURATION_BOUNDARIES, Arc::clone(&labels));
    for (seconds, at, span) in attempts {
        let mut attempt = Measurement::new(Kind::Attempt, PerformanceEventType::ProviderEnd);
        attempt.provider = labels.providers.label("p");
        attempt.model = labels.models.label("m");
        attempt.duration = (seconds * 1e9) as u64;
        attempt.ended = Timestamp::from_unix_nanos(at * 1_000_000_000);
        attempt.error = error;
        attempt.set_trace((*span > 0).then_some(TraceLink {
            trace_id: [1; 16],
            span_id: [*span; 8],
        }));
        keeper.note(0, &attempt);
    }
    Exemplars::of(&keeper.fold(Timestamp::EPOCH), Conventions::Current)
}

const SERIES: [(&str, &str); 4] = [
    ("gen_ai_operation_name", "chat"),
    ("gen_ai_provider_name", "p"),
    ("gen_ai_request_model", "m"),
    ("otel_scope_name", "aimux-otel"),
];

fn durations(labels: &[(&str, &str)], exemplars: &Exemplars) -> Vec<String> {
    let metric = histogram(labels, &[(0.01, 1), (0.02, 0), (0.04, 2), (0.08, 1)], 0.1);
    let name = "gen_ai_client_operation_duration_seconds";
    let durations = family(name, MetricType::HISTOGRAM, vec![metric]);
    let text = render(vec![durations], exemplars).unwrap();
    let exemplar = |line: &str| line.split_once(" # ").map(|(_, e)| e.to_owned());
    text.lines().filter_map(exemplar).collect()
}

#[test]
fn a_bucket_has_the_newest_traced_request() {
    let traced = [(0.03, 1, 1), (0.035, 3, 2), (0.025, 2, 3), (0.001, 4, 4)];
    let trace = "01010101010101010101010101010101";
    assert_eq!(
        durations(&SERIES, &exemplars(&traced, None)),
        [
            format!("{{span_id=\"0404040404040404\",trace_id=\"{trace}\"}} 0.001 4"),
            format!("{{span_id=\"0202020202020202\",trace_id=\"{trace}\"}} 0.035 3"),
        ]
    );
}

#[test]
fn no_other_request_is_shown() {
    let none: [String; 0] = [];
    let untraced = exemplars(&[(0.03, 1, 0)], None);
    assert_eq!(durations(&SERIES, &untraced), none);
    let in_an_empty_bucket = exemplars(&[(0.015, 1, 1)], None);
    assert_eq!(durations(&SERIES, &in_an_empty_bucket), none);
    let of_another_series = exemplars(&[(0.03, 1, 1)], Some("timeout"));
    assert_eq!(durations(&SERIES, &of_another_series), none);
    let failed = [&SERIES[..], &[("error_type", "timeout")]].concat();
    assert_eq!(durations(&failed, &of_another_series).len(), 1);
}
