//! Alert rules as Prometheus evaluates them: over all processes of a service, by its own clock.

use std::fmt::Write;
use std::time::Duration;

use crate::core::alerts::rule::{AlertMetric, AlertRule, AlertScope, Comparison, Severity};
use crate::core::error_type;

/// The histograms that a Prometheus has of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistogramForm {
    /// Those of a scrape of `/metrics`: buckets with boundaries.
    Classic,
    /// Those of a push by OTLP: exponential ones.
    Native,
}

const ATTEMPTS: &str = "gen_ai_client_operation_duration_seconds";
const FIRST_CHUNKS: &str = "gen_ai_client_operation_time_to_first_chunk_seconds";
const OPERATIONS: &str = "http_server_request_duration_seconds";
/// What makes an attempt a failed one.
const FAILED: &str = r#"error_type!="""#;
/// What makes an operation a failed one that is not told by an error type.
const BAD_STATUS: &str = r#"error_type="",http_response_status_code=~"[45]..""#;

impl HistogramForm {
    /// The rate per second of how many there were of `metric`, over `window`, each series for
    /// itself.
    fn rates(self, metric: &str, conditions: &str, window: &str) -> String {
        match self {
            Self::Classic => format!("rate({metric}_count{{{conditions}}}[{window}])"),
            Self::Native => format!("histogram_count(rate({metric}{{{conditions}}}[{window}]))"),
        }
    }

    fn sums(self, metric: &str, conditions: &str, window: &str) -> String {
        match self {
            Self::Classic => format!("rate({metric}_sum{{{conditions}}}[{window}])"),
            Self::Native => format!("histogram_sum(rate({metric}{{{conditions}}}[{window}]))"),
        }
    }

    fn quantile(self, q: f64, metric: &str, place: &Place, window: &str) -> String {
        let (by, conditions) = (place.by, &place.conditions);
        match self {
            Self::Classic => format!(
                "histogram_quantile({q}, sum by ({by}, le) (rate({metric}_bucket{{{conditions}}}[{window}])))"
            ),
            Self::Native => format!(
                "histogram_quantile({q}, sum by ({by}) (rate({metric}{{{conditions}}}[{window}])))"
            ),
        }
    }

    /// The failed ones of `metric`, per second.
    fn failures(self, metric: &str, place: &Place, window: &str) -> String {
        let failed = self.rates(metric, &place.and(FAILED), window);
        let by = place.by;
        if metric == OPERATIONS {
            let refused = self.rates(metric, &place.and(BAD_STATUS), window);
            return format!("sum by ({by}) ({failed} or {refused})");
        }
        format!("sum by ({by}) ({failed})")
    }
}

/// Where something is watched: which series, and what tells one alert from another.
struct Place {
    by: &'static str,
    conditions: String,
    /// What an alert says of it.
    shown: &'static str,
    metric: &'static str,
}

impl Place {
    fn of(rule: &AlertRule) -> Self {
        let (by, conditions, shown, metric) = match rule.scope() {
            AlertScope::Process => (
                "job, instance",
                String::new(),
                " of {{ $labels.instance }}",
                "",
            ),
            AlertScope::Gateway if rule.metric().is_of_attempts() => {
                ("job", String::new(), "", ATTEMPTS)
            }
            AlertScope::Gateway => ("job", String::new(), "", OPERATIONS),
            AlertScope::EachProvider => (PROVIDER, String::new(), OF_PROVIDER, ATTEMPTS),
            AlertScope::Provider(name) => {
                let condition = format!("gen_ai_provider_name={}", quoted(name));
                (PROVIDER, condition, OF_PROVIDER, ATTEMPTS)
            }
            AlertScope::Model { provider, model } => {
                let (provider, model) = (quoted(provider), quoted(model));
                let condition =
                    format!("gen_ai_provider_name={provider},gen_ai_request_model={model}");
                let by = "job, gen_ai_provider_name, gen_ai_request_model";
                (
                    by,
                    condition,
                    " of {{ $labels.gen_ai_request_model }}",
                    ATTEMPTS,
                )
            }
            AlertScope::EachEndpoint => (ROUTE, String::new(), OF_ROUTE, OPERATIONS),
            AlertScope::Endpoint(path) => (
                ROUTE,
                format!("http_route={}", quoted(path)),
                OF_ROUTE,
                OPERATIONS,
            ),
        };
        Self {
            by,
            conditions,
            shown,
            metric,
        }
    }

    fn and(&self, condition: &str) -> String {
        match self.conditions.is_empty() {
            true => condition.to_owned(),
            false => format!("{},{condition}", self.conditions),
        }
    }
}

const PROVIDER: &str = "job, gen_ai_provider_name";
const OF_PROVIDER: &str = " of {{ $labels.gen_ai_provider_name }}";
const ROUTE: &str = "job, http_route";
const OF_ROUTE: &str = " of {{ $labels.http_route }}";

/// As PromQL has a string.
fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// A rule as Prometheus has it.
struct Written {
    alert: &'static str,
    severity: Severity,
    expr: String,
    pending_for: Duration,
    summary: String,
    description: String,
}

/// A rule of ours, in PromQL.
fn written(rule: &AlertRule, all: &[AlertRule], form: HistogramForm) -> Written {
    use AlertMetric as M;
    let place = Place::of(rule);
    let (metric, by, window) = (place.metric, place.by, &*minutes(rule.window));
    let conditions = &place.conditions;
    let all_of = |metric| format!("sum by ({by}) ({})", form.rates(metric, conditions, window));
    let failed_share = || {
        let (failures, all) = (form.failures(metric, &place, window), all_of(metric));
        format!("100 * {failures} / {all}")
    };
    let (alert, what, unit, figure) = match rule.metric() {
        M::MemoryPressure => (
            "AimuxMemoryPressure",
            "Memory pressure",
            "%",
            "100 * max by (job, instance) (aimux_process_memory_pressure_ratio)".to_owned(),
        ),
        M::MemoryUsageMb => (
            "AimuxMemoryUsage",
            "Resident memory",
            " MiB",
            "max by (job, instance) (process_memory_usage_bytes) / 1048576".to_owned(),
        ),
        M::CpuUsagePercent => (
            "AimuxCpuUsage",
            "CPU usage",
            "%",
            format!(
                "100 * max by (job, instance) (avg_over_time(process_cpu_utilization_ratio[{window}]))"
            ),
        ),
        M::ResponseTimeMs => (
            "AimuxResponseTime",
            "The 95th percentile of response times",
            " ms",
            format!("1000 * {}", form.quantile(0.95, metric, &place, window)),
        ),
        M::TimeToFirstTokenMs => (
            "AimuxTimeToFirstToken",
            "The 95th percentile of the time to the first token",
            " ms",
            format!(
                "1000 * {}",
                form.quantile(0.95, FIRST_CHUNKS, &place, window)
            ),
        ),
        M::AverageResponseTimeMs => (
            "AimuxAverageResponseTime",
            "The average response time",
            " ms",
            format!(
                "1000 * sum by ({by}) ({}) / {}",
                form.sums(metric, conditions, window),
                all_of(metric)
            ),
        ),
        M::ErrorRatePercent => ("AimuxErrorRate", "The error rate", "%", failed_share()),
        M::SuccessRatePercent => (
            "AimuxSuccessRate",
            "The success rate",
            "%",
            format!("100 - {}", failed_share()),
        ),
        M::RequestsPerSecond => (
            "AimuxRequestRate",
            "The request rate",
            " per second",
            all_of(metric),
        ),
        M::CostPerHour => (
            "AimuxSpending",
            "Spending",
            " USD per hour",
            format!("3600 * sum by ({by}) (rate(aimux_cost_total{{{conditions}}}[{window}]))"),
        ),
    };
    let symbol = match rule.comparison() {
        Comparison::Equal => "==",
        other => other.symbol(),
    };
    let threshold = rule.threshold();
    let mut expr = format!("({figure}) {symbol} {threshold}");
    if rule.scope() != &AlertScope::Process && rule.min_samples > 0 {
        let samples = match rule.metric() {
            M::TimeToFirstTokenMs => FIRST_CHUNKS,
            _ => metric,
        };
        let seconds = rule.window.as_secs();
        write!(
            expr,
            "\nand on ({by}) {seconds} * {} >= {}",
            all_of(samples),
            rule.min_samples
        )
        .ok();
    }
    if rule.unless_a_provider_fails {
        let stands_for_it = |other: &&AlertRule| {
            other.is_of_failures()
                && other.scope() == &AlertScope::EachProvider
                && other.severity() >= rule.severity()
        };
        if let Some(other) = all.iter().find(stands_for_it) {
            let other = written(other, &[], form).expr;
            write!(expr, "\nunless on (job) (\n{other}\n)").ok();
        }
    }
    Written {
        alert,
        severity: rule.severity(),
        expr,
        pending_for: rule.pending_for,
        summary: format!("{what}{} is {symbol} {threshold}{unit}", place.shown),
        description: format!(
            "{what}{} over {window} is {{{{ $value | printf \"%.4g\" }}}}{unit}.",
            place.shown
        ),
    }
}

/// A duration as PromQL has it.
fn minutes(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// What operations may fail, of all: 0.5 %.
const BUDGET: &str = "0.005";

/// What has no rule of ours, since it takes a history, several processes, or somebody outside.
fn standing() -> Vec<Written> {
    let burn = |alert, severity, rate: &str, long: &str, short: &str, pending_for: u64| Written {
        alert,
        severity,
        // The long window says that it matters, the short one that it goes on.
        expr: format!(
            "job:aimux_failed_operations:ratio_rate{long} > {rate} * {BUDGET}\n\
             and\njob:aimux_failed_operations:ratio_rate{short} > {rate} * {BUDGET}"
        ),
        pending_for: Duration::from_secs(pending_for),
        summary: format!("Operations fail {rate} times as often as they may"),
        description: format!(
            "{{{{ $value | humanizePercentage }}}} of the operations of {{{{ $labels.job }}}} failed over {long}, \
             by no fault of the caller's: the budget of 30 days is used up {rate} times as fast as it may be."
        ),
    };
    let one =
        |alert, severity, expr: &str, pending_for, summary: &str, description: &str| Written {
            alert,
            severity,
            expr: expr.to_owned(),
            pending_for: Duration::from_secs(pending_for),
            summary: summary.to_owned(),
            description: description.to_owned(),
        };
    use Severity::{Critical, Info, Warning};
    vec![
        burn("AimuxErrorBudgetBurn", Critical, "14.4", "1h", "5m", 120),
        burn("AimuxErrorBudgetBurn", Warning, "6", "6h", "30m", 900),
        one(
            "AimuxAbsent",
            Critical,
            "absent(aimux_monitor_events_offered_total)",
            300,
            "No gateway tells anything",
            "There has been no series of any gateway for five minutes: none runs, or none is scraped or pushes.",
        ),
        one(
            "AimuxGatewayGone",
            Warning,
            "count by (job) (aimux_monitor_events_offered_total offset 10m)\n\
             > count by (job) (aimux_monitor_events_offered_total)",
            300,
            "There are fewer gateways than before",
            "{{ $labels.job }} had {{ $value }} instances ten minutes ago, and has fewer now.",
        ),
        one(
            "AimuxProviderDown",
            Critical,
            "max by (job, gen_ai_provider_name) (aimux_provider_health_ratio) == 0",
            60,
            "{{ $labels.gen_ai_provider_name }} is down",
            "Every gateway of {{ $labels.job }} finds every model of {{ $labels.gen_ai_provider_name }} unhealthy.",
        ),
        one(
            "AimuxChainExhausted",
            Critical,
            "sum by (job) (rate(aimux_operations_total{aimux_operation_outcome=\"exhausted\"}[5m]))\n\
             / sum by (job) (rate(aimux_operations_total[5m])) > 0.01",
            60,
            "Nobody is left to stand in",
            "{{ $value | humanizePercentage }} of the operations of {{ $labels.job }} failed at every provider they were given to.",
        ),
        one(
            "AimuxSpendingJump",
            Warning,
            "sum by (job) (rate(aimux_cost_total[30m]))\n\
             > 3 * sum by (job) (rate(aimux_cost_total[1d]))\n\
             and sum by (job) (increase(aimux_cost_total[30m])) > 1",
            900,
            "Spending is three times that of the last day",
            "{{ $labels.job }} spends {{ $value | printf \"%.4g\" }} USD per second, more than three times its average of the last day.",
        ),
        one(
            "AimuxUnpricedModel",
            Info,
            "sum by (job, gen_ai_provider_name, gen_ai_request_model) (increase(aimux_cost_unpriced_total[1h])) > 0",
            0,
            "{{ $labels.gen_ai_request_model }} has no price",
            "{{ $value | printf \"%.0f\" }} calls to {{ $labels.gen_ai_request_model }} of {{ $labels.gen_ai_provider_name }} used tokens in the last hour, and their cost is not known.",
        ),
        one(
            "AimuxSeriesRefused",
            Warning,
            "sum by (job, instance) (increase(aimux_monitor_series_refused_total[15m]))\n\
             + sum by (job, instance) (increase(aimux_monitor_labels_refused_total[15m])) > 0",
            900,
            "Label values or series are refused",
            "{{ $labels.instance }} counted {{ $value | printf \"%.0f\" }} measurements under _OTHER or with others in 15 minutes: there are more values than limits.",
        ),
        one(
            "AimuxMeasurementsDropped",
            Warning,
            "sum by (job, instance, aimux_reason) (increase(aimux_monitor_events_dropped_total[5m])) > 0",
            60,
            "Measurements are dropped",
            "{{ $labels.instance }} dropped {{ $value | printf \"%.0f\" }} measurements in five minutes: {{ $labels.aimux_reason }}.",
        ),
        one(
            "AimuxPushFailing",
            Warning,
            "sum by (job, instance, aimux_destination) (increase(aimux_monitor_push_dropped_total[10m])) > 0",
            300,
            "What is pushed does not arrive",
            "{{ $labels.instance }} lost {{ $value | printf \"%.0f\" }} of what it was to push to {{ $labels.aimux_destination }} in ten minutes.",
        ),
    ]
}

/// What is computed once, for alerts, boards and whoever asks.
fn recorded(form: HistogramForm) -> Vec<(String, String)> {
    let place = |metric| Place {
        by: PROVIDER,
        conditions: String::new(),
        shown: "",
        metric,
    };
    let providers = place(ATTEMPTS);
    let all = format!("sum by ({PROVIDER}) ({})", form.rates(ATTEMPTS, "", "5m"));
    let failed = form.failures(ATTEMPTS, &providers, "5m");
    let mut recorded = vec![
        ("job_provider:aimux_attempts:rate5m", all.clone()),
        (
            "job_provider:aimux_failed_attempts:ratio_rate5m",
            // None failed is zero, and not nothing.
            format!("({failed} or 0 * {all}) / {all}"),
        ),
        (
            "job_provider:aimux_attempt_duration_seconds:p95_5m",
            form.quantile(0.95, ATTEMPTS, &providers, "5m"),
        ),
        (
            "job_provider:aimux_time_to_first_chunk_seconds:p95_5m",
            form.quantile(0.95, FIRST_CHUNKS, &providers, "5m"),
        ),
        (
            "job_provider:aimux_cost_usd_per_hour:rate5m",
            format!("3600 * sum by ({PROVIDER}) (rate(aimux_cost_total[5m]))"),
        ),
    ]
    .into_iter()
    .map(|(name, expr)| (name.to_owned(), expr))
    .collect::<Vec<_>>();
    for window in ["5m", "30m", "1h", "6h"] {
        let name = format!("job:aimux_failed_operations:ratio_rate{window}");
        recorded.push((name, failed_for_users(form, window)));
    }
    recorded
}

/// The share of operations that failed by no fault of the caller's.
fn failed_for_users(form: HistogramForm, window: &str) -> String {
    let types = error_type::not_the_callers();
    let told = form.rates(OPERATIONS, &format!("error_type=~\"{types}\""), window);
    let refused = r#"error_type="",http_response_status_code=~"408|429|5..""#;
    let refused = form.rates(OPERATIONS, refused, window);
    let all = form.rates(OPERATIONS, "", window);
    let all = format!("sum by (job) ({all})");
    format!("(sum by (job) ({told} or {refused}) or 0 * {all}) / {all}")
}

/// `rules` and those that watch what only a Prometheus can see, as a file of recording and alerting rules for
/// Prometheus (YAML), over histograms of that form.
///
/// They are evaluated over all processes of a service together: one alert for each `job`, and
/// provider or endpoint. [`AlertRule::recommended`] in both forms is in `deploy/prometheus`.
/// Hysteresis, `superseded` and custom rules are the monitor's own and have no place there; rules for the process are one alert
/// for each instance. Names of labels are those of the default profile.
///
/// ```
/// use aimux_otel::{AlertMetric, AlertRule, Comparison, HistogramForm, Severity, prometheus_rules};
///
/// let rule = AlertRule::new(AlertMetric::CostPerHour, Comparison::Above, 20.0, Severity::Warning);
/// let file = prometheus_rules(&[rule], HistogramForm::Classic);
/// assert!(file.contains("alert: AimuxSpending"));
/// assert!(file.contains("rate(aimux_cost_total{}[5m])"));
/// ```
#[must_use]
pub fn prometheus_rules(rules: &[AlertRule], form: HistogramForm) -> String {
    let mut file = String::from("groups:\n  - name: aimux-recorded\n    rules:\n");
    for (name, expr) in recorded(form) {
        writeln!(
            file,
            "      - record: {name}\n        expr: |\n          {expr}"
        )
        .ok();
    }
    let ours = rules
        .iter()
        .map(|rule| written(rule, rules, form))
        .collect();
    for (group, alerts) in [("aimux-rules", ours), ("aimux-standing", standing())] {
        let alerts: Vec<Written> = alerts;
        if alerts.is_empty() {
            continue;
        }
        writeln!(file, "  - name: {group}\n    rules:").ok();
        for alert in alerts {
            add(&mut file, &alert);
        }
    }
    file
}

fn add(file: &mut String, alert: &Written) {
    let name = alert.alert;
    writeln!(file, "      - alert: {name}\n        expr: |").ok();
    for line in alert.expr.lines() {
        writeln!(file, "          {line}").ok();
    }
    if !alert.pending_for.is_zero() {
        writeln!(file, "        for: {}", minutes(alert.pending_for)).ok();
    }
    let severity = alert.severity.name();
    writeln!(file, "        labels:\n          severity: {severity}").ok();
    writeln!(file, "        annotations:").ok();
    let page = format!("docs/runbook.md#{}", name.to_lowercase());
    for (key, text) in [
        ("summary", &alert.summary),
        ("description", &alert.description),
        ("runbook_url", &page),
    ] {
        // A JSON string is a YAML string.
        let text = serde_json::Value::from(text.as_str());
        writeln!(file, "          {key}: {text}").ok();
    }
}
