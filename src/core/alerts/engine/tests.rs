//! Alerts on time that the tests control.

use super::*;
use crate::config::Config;
use crate::core::alerts::rule::{AlertScope, Comparison};
use crate::core::alerts::view::SystemHealth;
use crate::core::memory::MemoryMetrics;
use crate::core::process::{CpuTime, ProcessSample, ProcessState};
use crate::core::series::SeriesKey;
use crate::core::testing::{Bench, key};
use crate::names::*;
use AlertMetric as M;
use proptest::prelude::*;

const STEP: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A monitor without threads: what is recorded, the rules, and what came of them.
struct Stage {
    bench: Bench,
    engine: Engine,
    settings: Settings,
    memory: MemoryMetrics,
    process: ProcessSample,
    alerts: Arc<Alerts>,
}

impl Stage {
    fn new(rules: impl IntoIterator<Item = AlertRule>) -> Self {
        Self::with(rules, Vec::new())
    }

    fn with(rules: impl IntoIterator<Item = AlertRule>, customs: Vec<CustomRule>) -> Self {
        let mut settings = Settings::new(&Config::default(), &[]);
        settings.collection_interval = STEP;
        for rule in rules {
            rule.check().unwrap();
            settings.set_rule(rule);
        }
        Self {
            bench: Bench::new(DAY),
            engine: Engine::new(customs, Arc::default()),
            settings,
            memory: MemoryMetrics::default(),
            process: ProcessSample::default(),
            alerts: Arc::default(),
        }
    }

    /// `count` calls to a provider, of which `failed` failed.
    fn attempts(&mut self, provider: &str, count: u64, failed: u64, seconds: f64) {
        for call in 0..count {
            self.bench.record(attempt(provider, call < failed), seconds);
        }
    }

    fn operations(&mut self, path: &str, count: u64, failed: u64, seconds: f64) {
        for call in 0..count {
            self.bench.record(operation(path, call < failed), seconds);
        }
    }

    /// Collects after ten seconds, looks, and returns what is told.
    fn look(&mut self) -> Vec<String> {
        self.look_after(STEP)
    }

    fn look_after(&mut self, time: Duration) -> Vec<String> {
        let changes = self.changes_after(time);
        let text = |change: &AlertChange| {
            let state = match change.state {
                AlertState::Pending => "pending".to_owned(),
                AlertState::Firing => "firing".to_owned(),
                AlertState::Resolved => {
                    format!("resolved {:?}", change.resolved_because.unwrap())
                }
            };
            format!("{} {}: {state}", change.scope, change.severity.name())
        };
        changes.iter().map(text).collect()
    }

    fn changes_after(&mut self, time: Duration) -> Vec<AlertChange> {
        self.bench.collect_after(time);
        let mut snapshot = self.bench.snapshot();
        snapshot.memory = self.memory;
        snapshot.process = Arc::new(ProcessState::default().next(self.process));
        let evaluation = self.engine.evaluate(&snapshot, &self.settings);
        self.alerts = evaluation.alerts;
        evaluation.changes
    }

    fn firing(&self) -> Vec<String> {
        let firing = self.alerts.firing();
        firing
            .map(|d| format!("{} {}", d.scope, d.severity.name()))
            .collect()
    }
}

fn attempt(provider: &str, failed: bool) -> SeriesKey {
    let (provider, model) = (
        (GEN_AI_PROVIDER_NAME, provider),
        (GEN_AI_REQUEST_MODEL, "m"),
    );
    match failed {
        true => key(
            GEN_AI_OPERATION_DURATION,
            [provider, model, (ERROR_TYPE, "timeout")],
        ),
        false => key(GEN_AI_OPERATION_DURATION, [provider, model]),
    }
}

fn operation(path: &str, failed: bool) -> SeriesKey {
    let status = if failed { "503" } else { "200" };
    let labels = [(HTTP_ROUTE, path), (HTTP_RESPONSE_STATUS_CODE, status)];
    key(HTTP_SERVER_REQUEST_DURATION, labels)
}

/// A rule over the last ten seconds: of what was recorded before one look.
fn rule(metric: M, comparison: Comparison, threshold: f64) -> AlertRule {
    AlertRule::new(metric, comparison, threshold, Severity::Warning).with_window(STEP)
}

fn above(metric: M, threshold: f64) -> AlertRule {
    rule(metric, Comparison::Above, threshold)
}

/// Where a value may be, seen from a threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Level {
    Below,
    At,
    Above,
}

/// The threshold for which [`record`] makes these levels.
const fn threshold(metric: M) -> f64 {
    match metric {
        M::MemoryPressure | M::CpuUsagePercent | M::SuccessRatePercent | M::ErrorRatePercent => {
            50.0
        }
        M::MemoryUsageMb => 512.0,
        M::RequestsPerSecond => 6.0,
        M::CostPerHour => 288.0,
        _ => 250.0,
    }
}

/// Records so much that `metric` comes to this level, everywhere; or from a tenth of the samples.
fn record(stage: &mut Stage, metric: M, level: Level, few: bool) {
    let at = |below: f64, at: f64, above: f64| match level {
        Level::Below => below,
        Level::At => at,
        Level::Above => above,
    };
    let mut count = if few { 4 } else { 40 };
    let (mut failed, mut seconds, mut first, mut usd) = (0, 0.25, 0.25, 0.0);
    match metric {
        M::MemoryPressure => stage.memory.memory_pressure_percent = Some(at(40.0, 50.0, 60.0)),
        M::MemoryUsageMb => stage.memory.total_process_mb = Some(at(400.0, 512.0, 600.0)),
        M::CpuUsagePercent => use_cpu(stage, at(8.0, 10.0, 12.0)),
        M::ResponseTimeMs | M::AverageResponseTimeMs => seconds = at(0.1, 0.25, 0.5),
        M::TimeToFirstTokenMs => first = at(0.1, 0.25, 0.5),
        M::ErrorRatePercent => failed = (f64::from(count) * at(0.25, 0.5, 0.75)) as u64,
        M::SuccessRatePercent => failed = (f64::from(count) * at(0.75, 0.5, 0.25)) as u64,
        M::RequestsPerSecond => count = at(30.0, 60.0, 90.0) as u32,
        M::CostPerHour => usd = at(0.4, 0.8, 1.2) / f64::from(count),
    }
    stage.attempts("zai", count.into(), failed, seconds);
    stage.operations("/chat", count.into(), failed, seconds);
    let labels = [(GEN_AI_PROVIDER_NAME, "zai"), (GEN_AI_REQUEST_MODEL, "m")];
    for _ in 0..count {
        stage
            .bench
            .record(key(GEN_AI_TIME_TO_FIRST_CHUNK, labels), first);
        stage.bench.add(key(COST, labels), usd);
    }
}

/// Uses so many seconds of two CPUs.
fn use_cpu(stage: &mut Stage, seconds: f64) {
    stage.process.cpu = Some(CpuTime::default());
    stage.process.cpu_limit = Some(2.0);
    let series = |mode| key(PROCESS_CPU_TIME, [(CPU_MODE, mode)]);
    stage.bench.add(series("user"), seconds / 2.0);
    stage.bench.add(series("system"), seconds / 2.0);
}

/// What a comparison holds at.
fn holds_at(comparison: Comparison) -> &'static [Level] {
    match comparison {
        Comparison::Above => &[Level::Above],
        Comparison::Below => &[Level::Below],
        Comparison::AtLeast => &[Level::Above, Level::At],
        Comparison::AtMost => &[Level::Below, Level::At],
        Comparison::Equal => &[Level::At],
    }
}

/// A level at which it does not hold, by a margin.
fn clear_of(comparison: Comparison) -> Level {
    match comparison {
        Comparison::Above | Comparison::AtLeast | Comparison::Equal => Level::Below,
        Comparison::Below | Comparison::AtMost => Level::Above,
    }
}

fn scopes(metric: M) -> Vec<AlertScope> {
    let provider = || "zai".to_owned();
    let model = "m".to_owned();
    let all = [
        AlertScope::Process,
        AlertScope::Gateway,
        AlertScope::EachProvider,
        AlertScope::Provider(provider()),
        AlertScope::Model {
            provider: provider(),
            model,
        },
        AlertScope::EachEndpoint,
        AlertScope::Endpoint("/chat".into()),
    ];
    all.into_iter()
        .filter(|scope| metric.is_of(scope))
        .collect()
}

#[test]
fn each_metric_fires_once_by_each_comparison_and_clears() {
    for metric in M::ALL {
        for scope in scopes(metric) {
            for comparison in Comparison::ALL {
                for level in holds_at(comparison) {
                    let case = format!("{metric:?} {comparison:?} at {scope} {level:?}");
                    let rule = rule(metric, comparison, threshold(metric));
                    let mut stage = Stage::new([rule.with_scope(scope.clone())]);
                    record(&mut stage, metric, clear_of(comparison), false);
                    assert_eq!(stage.look(), [""; 0], "{case}: not yet");
                    record(&mut stage, metric, *level, false);
                    let changes = stage.changes_after(STEP);
                    assert_eq!(changes.len(), 1, "{case}: {changes:?}");
                    assert_eq!(changes[0].state, AlertState::Firing, "{case}");
                    assert_eq!(changes[0].metric, metric.name(), "{case}");
                    let off = changes[0].value.unwrap() / threshold(metric) - 1.0;
                    assert_eq!(off.abs() < 1e-9, *level == Level::At, "{case}: {off}");
                    for _ in 0..3 {
                        record(&mut stage, metric, *level, false);
                        assert_eq!(stage.look(), [""; 0], "{case}: once");
                        assert_eq!(stage.firing().len(), 1, "{case}");
                    }
                    record(&mut stage, metric, clear_of(comparison), false);
                    let changes = stage.changes_after(STEP);
                    assert_eq!(changes.len(), 1, "{case}: {changes:?}");
                    assert_eq!(changes[0].state, AlertState::Resolved, "{case}");
                    let because = changes[0].resolved_because;
                    assert_eq!(because, Some(ResolvedBecause::Cleared), "{case}");
                    assert_eq!(stage.firing(), [""; 0], "{case}");
                }
            }
        }
    }
}

#[test]
fn none_fires_on_too_few_samples_and_that_is_said() {
    for metric in M::ALL
        .into_iter()
        .filter(|metric| !metric.is_of(&AlertScope::Process))
    {
        for scope in scopes(metric) {
            for comparison in Comparison::ALL {
                let rule = rule(metric, comparison, threshold(metric)).with_scope(scope.clone());
                // Far more than are recorded; a rate cannot be had from few.
                let rule = rule.with_min_samples(91);
                let mut stage = Stage::new([rule]);
                for level in [Level::Below, Level::At, Level::Above] {
                    for few in [false, true] {
                        record(&mut stage, metric, level, few);
                        let case = format!("{metric:?} {comparison:?} at {scope} {level:?}");
                        assert_eq!(stage.look(), [""; 0], "{case}");
                        let [one] = &stage.alerts.insufficient[..] else {
                            panic!("{case}: {:?}", stage.alerts.insufficient);
                        };
                        assert_eq!(one.reason, InsufficientBecause::TooFewSamples);
                        assert_eq!((one.metric, one.min_samples), (metric.name(), 91));
                        assert!((1..91).contains(&one.samples), "{case}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_not_measured_is_said_and_what_is_not_finite_is_nothing() {
    let rules = [
        above(M::MemoryPressure, -1.0),
        above(M::MemoryUsageMb, -1.0),
        above(M::CpuUsagePercent, -1.0),
    ];
    let mut stage = Stage::new(rules);
    stage.memory.memory_pressure_percent = Some(f64::NAN);
    stage.memory.total_process_mb = Some(f64::INFINITY);
    assert_eq!(stage.look(), [""; 0]);
    let reasons: Vec<_> = stage
        .alerts
        .insufficient
        .iter()
        .map(|one| one.reason)
        .collect();
    assert_eq!(reasons, [InsufficientBecause::NotMeasured; 3]);
}

#[test]
fn it_waits_for_as_long_as_it_is_told_without_a_break() {
    let rule = above(M::ResponseTimeMs, 250.0).with_for(3 * STEP);
    let mut stage = Stage::new([rule]);
    let mut told = Vec::new();
    for slow in [true, true, false, true, true, true, true, true] {
        let level = if slow { Level::Above } else { Level::At };
        record(&mut stage, M::ResponseTimeMs, level, false);
        told.push(stage.look().concat());
    }
    let pending = "provider zai warning: pending";
    let firing = "provider zai warning: firing";
    assert_eq!(told, [pending, "", "", pending, "", "", firing, ""]);
}

#[test]
fn around_the_threshold_it_is_one_alert() {
    let mut stage = Stage::new([above(M::MemoryPressure, 80.0)]);
    let mut told = Vec::new();
    for percent in [81.0, 79.0, 80.5, 79.9, 82.0, 77.0, 81.0, 76.1, 80.1, 76.0] {
        stage.memory.memory_pressure_percent = Some(percent);
        told.extend(stage.look_after(STEP / 2));
    }
    assert_eq!(
        told,
        [
            "process warning: firing",
            "process warning: resolved Cleared"
        ]
    );
}

#[test]
fn just_below_the_threshold_it_is_over_after_a_window() {
    let rule = above(M::MemoryPressure, 80.0).with_window(3 * STEP);
    let mut stage = Stage::new([rule]);
    let mut told = Vec::new();
    for percent in [81.0, 79.0, 79.0, 81.0, 79.0, 79.0, 79.0, 79.0] {
        stage.memory.memory_pressure_percent = Some(percent);
        told.push(stage.look().concat());
    }
    let (firing, resolved) = (
        "process warning: firing",
        "process warning: resolved Cleared",
    );
    assert_eq!(told, [firing, "", "", "", "", "", "", resolved]);
}

#[test]
fn a_percentage_can_come_back_by_its_margin() {
    let below = rule(M::SuccessRatePercent, Comparison::Below, 99.0);
    for (percent, verdict) in [
        (98.9, Verdict::Holds),
        (99.0, Verdict::Near),
        (99.4, Verdict::Near),
        (99.5, Verdict::Clear),
        (100.0, Verdict::Clear),
    ] {
        assert_eq!(below.verdict(percent), verdict, "{percent}");
    }
    let below = rule(M::ResponseTimeMs, Comparison::Below, 99.0);
    assert_eq!(below.verdict(103.0), Verdict::Near);
    let none = above(M::ErrorRatePercent, 0.0);
    assert_eq!(none.verdict(0.0), Verdict::Clear);
    let all = rule(M::SuccessRatePercent, Comparison::Below, 100.0);
    assert_eq!(all.verdict(100.0), Verdict::Clear);
    let equal = rule(M::MemoryUsageMb, Comparison::Equal, 1e6);
    assert_eq!(equal.verdict(1e6 + 0.9e-3), Verdict::Holds);
    assert_eq!(equal.verdict(1e6 - 2e-3), Verdict::Near);
    assert_eq!(equal.verdict(1.1e6), Verdict::Clear);
    assert_eq!(equal.verdict(f64::NAN), Verdict::TooFew);
}

#[test]
fn without_samples_it_goes_on_for_one_window_more() {
    let rule = above(M::ErrorRatePercent, 50.0).with_window(2 * STEP);
    let mut stage = Stage::new([rule]);
    record(&mut stage, M::ErrorRatePercent, Level::Above, false);
    assert_eq!(stage.look(), ["provider zai warning: firing"]);
    // In the window for one look more, then missing for two.
    let told: Vec<_> = (0..5).map(|_| stage.look().concat()).collect();
    assert_eq!(
        told,
        ["", "", "", "provider zai warning: resolved NoData", ""]
    );
    assert_eq!(stage.alerts.resolved.len(), 1);
    assert_eq!(
        stage.alerts.resolved[0].value,
        Some(75.0),
        "the last there was"
    );
}

#[test]
fn the_worse_one_stands_for_the_other() {
    let critical = AlertRule {
        severity: Severity::Critical,
        ..above(M::MemoryPressure, 95.0)
    };
    let low = rule(M::MemoryPressure, Comparison::Below, 99.0);
    let mut stage = Stage::new([above(M::MemoryPressure, 80.0), critical, low.with_id("low")]);
    stage.settings.remove_rule("low");
    let mut at = |percent| {
        stage.memory.memory_pressure_percent = Some(percent);
        (stage.look(), stage.alerts.system_health)
    };
    let told = |texts: &[&str], health| (texts.iter().map(|&t| t.to_owned()).collect(), health);
    assert_eq!(at(70.0), told(&[], SystemHealth::Healthy));
    assert_eq!(
        at(85.5),
        told(&["process warning: firing"], SystemHealth::Degraded)
    );
    let both = [
        "process critical: firing",
        "process warning: resolved Superseded",
    ];
    assert_eq!(at(97.0), told(&both, SystemHealth::Critical));
    let back = [
        "process warning: firing",
        "process critical: resolved Cleared",
    ];
    assert_eq!(at(89.0), told(&back, SystemHealth::Degraded));
    assert_eq!(at(97.0), told(&both, SystemHealth::Critical));
    let over = ["process critical: resolved Cleared"];
    assert_eq!(at(20.0), told(&over, SystemHealth::Healthy));
    let mut at_once = Stage::new(stage.settings.rules.clone());
    at_once.memory.memory_pressure_percent = Some(99.0);
    assert_eq!(at_once.look(), ["process critical: firing"]);
    assert_eq!(at_once.alerts.details.len(), 1);
    let message = "[critical] High memory pressure detected (99.0%)";
    assert_eq!(at_once.alerts.texts(), [message]);
}

#[test]
fn the_other_direction_and_another_place_are_other_conditions() {
    let critical = AlertRule {
        severity: Severity::Critical,
        ..rule(M::ResponseTimeMs, Comparison::Below, 1_000.0)
    };
    let at_endpoints = above(M::ResponseTimeMs, 250.0).with_scope(AlertScope::EachEndpoint);
    let rules = [above(M::ResponseTimeMs, 250.0), critical, at_endpoints];
    let mut stage = Stage::new(rules);
    record(&mut stage, M::ResponseTimeMs, Level::Above, false);
    stage.look();
    let all = [
        "provider zai critical",
        "provider zai warning",
        "endpoint /chat warning",
    ];
    assert_eq!(stage.firing(), all);
}

#[test]
fn each_provider_is_looked_at_by_itself() {
    let mut stage = Stage::new([above(M::ErrorRatePercent, 5.0)]);
    stage.attempts("a", 40, 10, 0.1);
    stage.attempts("b", 40, 0, 0.1);
    stage.attempts("c", 19, 19, 0.1);
    assert_eq!(stage.look(), ["provider a warning: firing"]);
    let few = &stage.alerts.insufficient;
    assert_eq!(few.len(), 1);
    assert_eq!((few[0].scope.as_str(), few[0].samples), ("provider c", 19));
    stage.attempts("a", 40, 10, 0.1);
    stage.attempts("b", 40, 40, 0.1);
    stage.attempts("c", 20, 20, 0.1);
    let more = ["provider b warning: firing", "provider c warning: firing"];
    assert_eq!(stage.look(), more);
}

#[test]
fn a_rule_about_what_there_is_not_only_says_so() {
    let scope = AlertScope::Provider("nobody".into());
    let mut stage = Stage::new([above(M::ErrorRatePercent, 5.0).with_scope(scope)]);
    stage.attempts("a", 40, 40, 0.1);
    assert_eq!(stage.look(), [""; 0]);
    assert_eq!(stage.alerts.insufficient[0].scope, "provider nobody");
    assert_eq!(stage.alerts.insufficient[0].samples, 0);
}

#[test]
fn what_is_configured_is_said_to_have_no_samples_before_it_has() {
    let mut stage = Stage::new([above(M::ErrorRatePercent, 5.0)]);
    stage.bench.configured.providers = vec![("zai".into(), vec![])];
    stage.look();
    assert_eq!(stage.alerts.insufficient[0].scope, "provider zai");
}

#[test]
fn a_rate_of_nothing_counts_once_there_was_time_to_see_one() {
    let window = Duration::from_secs(300);
    let silent = rule(M::RequestsPerSecond, Comparison::Below, 0.1);
    let silent = silent.with_min_samples(0).with_window(window);
    let mut stage = Stage::new([silent.with_scope(AlertScope::Gateway)]);
    let told: Vec<_> = (0..7).map(|_| stage.look().concat()).collect();
    assert_eq!(told, ["", "", "", "", "", "gateway warning: firing", ""]);
}

#[test]
fn cpu_usage_is_that_of_the_window_once_there_is_one() {
    let metric = M::CpuUsagePercent;
    let mut stage = Stage::new([above(metric, 50.0).with_window(6 * STEP)]);
    use_cpu(&mut stage, 9.0);
    assert_eq!(stage.look_after(STEP / 2), [""; 0], "90 % while it starts");
    let early = InsufficientBecause::WindowNotCovered;
    assert_eq!(stage.alerts.insufficient[0].reason, early);
    use_cpu(&mut stage, 3.0);
    assert_eq!(stage.look_after(STEP / 2), ["process warning: firing"]);
    assert_eq!(stage.alerts.details[0].value, Some(60.0));
    let told: Vec<_> = (0..3).map(|_| stage.look().concat()).collect();
    let over = "process warning: resolved Cleared";
    assert_eq!(told, [over, "", ""], "nothing is a usage too");
}

#[test]
fn a_rule_that_is_removed_or_replaced_takes_its_alert_with_it() {
    let mut stage = Stage::new([above(M::MemoryPressure, 80.0)]);
    stage.memory.memory_pressure_percent = Some(88.0);
    assert_eq!(stage.look(), ["process warning: firing"]);
    stage.settings.set_rule(above(M::MemoryPressure, 85.0));
    assert_eq!(stage.look(), [""; 0], "the new one holds too");
    assert_eq!(stage.alerts.details[0].threshold, Some(85.0));
    // Within the margin, but this rule was never the case.
    stage.settings.set_rule(above(M::MemoryPressure, 90.0));
    assert_eq!(stage.look(), ["process warning: resolved Removed"]);
    assert_eq!(stage.look(), [""; 0]);

    stage
        .settings
        .set_rule(above(M::MemoryPressure, 80.0).with_id("memory"));
    assert_eq!(stage.look(), ["process warning: firing"]);
    let worse = AlertRule {
        severity: Severity::Critical,
        ..above(M::MemoryPressure, 80.0).with_id("memory")
    };
    stage.settings.set_rule(worse);
    let both = [
        "process critical: firing",
        "process warning: resolved Removed",
    ];
    assert_eq!(stage.look(), both, "what fired is told as what it was");
    assert!(stage.settings.remove_rule("memory"));
    assert_eq!(stage.look(), ["process critical: resolved Removed"]);
    assert_eq!(stage.firing(), [""; 0]);
    assert_eq!(stage.alerts.resolved.len(), 3);
}

#[test]
fn an_hour_without_a_look_is_no_alert() {
    let slow = above(M::ResponseTimeMs, 250.0).with_for(10 * STEP);
    let idle = rule(M::RequestsPerSecond, Comparison::Below, 3.0).with_window(6 * STEP);
    let mut stage = Stage::new([slow.with_scope(AlertScope::Gateway), idle]);
    for _ in 0..6 {
        record(&mut stage, M::RequestsPerSecond, Level::At, false);
        stage.look();
    }
    record(&mut stage, M::ResponseTimeMs, Level::Above, false);
    assert_eq!(stage.look(), ["gateway warning: pending"]);
    // Forty requests in an hour: 0.01 a second, and as slow as before.
    let hour = Duration::from_secs(3_600);
    record(&mut stage, M::ResponseTimeMs, Level::Above, false);
    assert_eq!(
        stage.look_after(hour),
        [""; 0],
        "nobody saw it held for so long"
    );
    let blind = InsufficientBecause::WindowNotCovered;
    assert_eq!(stage.alerts.insufficient[0].reason, blind);
    for _ in 0..9 {
        record(&mut stage, M::ResponseTimeMs, Level::Above, false);
        assert_eq!(stage.look(), [""; 0]);
    }
    assert_eq!(
        stage.alerts.insufficient,
        [],
        "all of the window is seen again"
    );
    record(&mut stage, M::ResponseTimeMs, Level::Above, false);
    assert_eq!(
        stage.look(),
        ["gateway warning: firing"],
        "held for as long as it takes"
    );
}

#[test]
fn a_rate_that_fires_outlasts_a_gap() {
    let mut stage = Stage::new([above(M::RequestsPerSecond, 6.0).with_window(3 * STEP)]);
    record(&mut stage, M::RequestsPerSecond, Level::Above, false);
    assert_eq!(stage.look(), ["endpoint /chat warning: firing"]);
    assert_eq!(stage.look_after(Duration::from_secs(3_600)), [""; 0]);
    for _ in 0..5 {
        record(&mut stage, M::RequestsPerSecond, Level::Above, false);
        assert_eq!(stage.look(), [""; 0]);
    }
    assert_eq!(stage.firing().len(), 1);
}

#[test]
fn the_recommended_rules_tell_one_condition_once() {
    let shortened = |rule: AlertRule| rule.with_window(STEP);
    let fresh = || Stage::new(AlertRule::recommended().into_iter().map(shortened));
    // Of a hundred calls to one provider so many fail, and the gateway's operations with them.
    for (failed, provider) in [
        (0, None),
        (5, None),
        (6, Some("provider zai warning")),
        (10, Some("provider zai warning")),
        (11, Some("provider zai critical")),
        (15, Some("provider zai critical")),
        (25, Some("provider zai critical")),
        (100, Some("provider zai critical")),
    ] {
        let mut stage = fresh();
        stage.attempts("zai", 100, failed, 0.1);
        stage.operations("/chat", 100, failed, 0.1);
        stage.look();
        assert_eq!(stage.firing(), provider.as_slice(), "{failed} of 100");
    }
    // Another one stands in: the clients see nothing of it.
    let mut stage = fresh();
    stage.attempts("zai", 100, 50, 0.1);
    stage.attempts("cerebras", 50, 0, 0.1);
    stage.operations("/chat", 100, 0, 0.1);
    stage.look();
    assert_eq!(stage.firing(), ["provider zai critical"]);
    // The gateway fails by itself.
    let mut stage = fresh();
    stage.attempts("zai", 100, 0, 0.1);
    stage.operations("/chat", 100, 15, 0.1);
    stage.look();
    assert_eq!(stage.firing(), ["gateway warning"]);
    // It does, and a small provider does not account for it.
    let mut stage = fresh();
    stage.attempts("zai", 20, 4, 0.1);
    stage.operations("/chat", 100, 25, 0.1);
    stage.look();
    assert_eq!(
        stage.firing(),
        ["provider zai critical", "gateway critical"]
    );
    // Slow, and only that.
    let mut stage = fresh();
    stage.attempts("zai", 100, 0, 6.0);
    stage.operations("/chat", 100, 0, 6.0);
    stage.look();
    assert_eq!(stage.firing(), ["provider zai critical"]);
    let text = "[critical] Response time degradation detected for provider zai \
        (p95 6000 ms > 5000 ms)";
    assert_eq!(stage.alerts.texts(), [text]);
}

#[test]
fn the_recommended_rules_are_the_guides_table() {
    let rules = AlertRule::recommended();
    let texts: Vec<String> = rules
        .iter()
        .map(|rule| {
            rule.check().unwrap();
            let (symbol, threshold) = (rule.comparison.symbol(), rule.threshold);
            let severity = rule.severity.name();
            format!("{} {symbol} {threshold} {severity}", rule.metric.name())
        })
        .collect();
    let table = [
        "response_time_ms > 2000 warning",
        "response_time_ms > 5000 critical",
        "error_rate_percent > 5 warning",
        "error_rate_percent > 10 critical",
        "success_rate_percent < 90 warning",
        "success_rate_percent < 80 critical",
        "memory_pressure > 80 warning",
        "memory_pressure > 95 critical",
        "cpu_usage_percent > 85 warning",
        "cpu_usage_percent > 95 critical",
    ];
    assert_eq!(texts, table);
}

#[test]
fn a_closure_finds_what_no_rule_can_say() {
    let find = |views: &AlertContext<'_>| {
        let view = views
            .providers(crate::core::window::Window::Last(STEP))
            .unwrap();
        let bad = view.providers.into_values();
        let bad = bad.filter(|p| p.success_rate_percent.is_some_and(|rate| rate < 90.0));
        bad.map(|p| {
            let rate = p.success_rate_percent.unwrap_or_default();
            let message = format!("low success rate\u{1b}[2J of {rate}%");
            (p.provider_name, message)
        })
        .collect::<Vec<_>>()
    };
    let rule = CustomRule::new("health".into(), Severity::Critical, find);
    let mut stage = Stage::with([], vec![rule]);
    stage.attempts("a", 40, 20, 0.1);
    stage.attempts("b", 40, 0, 0.1);
    assert_eq!(stage.look(), ["a critical: firing"]);
    assert_eq!(
        stage.alerts.texts(),
        ["[critical] low success rate[2J of 50%"]
    );
    let detail = &stage.alerts.details[0];
    assert_eq!((detail.metric.as_str(), detail.value), ("custom", None));
    assert_eq!(detail.labels["instance"], "a");
    stage.attempts("a", 40, 10, 0.1);
    assert_eq!(stage.look(), [""; 0]);
    assert_eq!(
        stage.alerts.texts(),
        ["[critical] low success rate[2J of 75%"]
    );
    stage.attempts("a", 40, 0, 0.1);
    assert_eq!(stage.look(), ["a critical: resolved Cleared"]);
}

#[test]
fn a_closure_may_panic_and_find_too_much() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let calls = AtomicUsize::new(0);
    let find = move |_: &AlertContext<'_>| match calls.fetch_add(1, Ordering::Relaxed) {
        0 => vec![
            ("x".repeat(1_000), "ä".repeat(1_000)),
            ("x".repeat(1_000), "b".into()),
        ],
        1 => panic!("a closure of the host panics, as this test wants it to"),
        2 => (0..100_000)
            .map(|n| (n.to_string(), "found".to_owned()))
            .collect(),
        _ => Vec::new(),
    };
    let rule = CustomRule::new("wild".into(), Severity::Info, find);
    let mut stage = Stage::with([above(M::MemoryPressure, 80.0)], vec![rule]);
    stage.memory.memory_pressure_percent = Some(70.0);
    assert_eq!(stage.look().len(), 1);
    let detail = &stage.alerts.details[0];
    assert_eq!(detail.scope.len(), 128);
    assert_eq!(detail.message.len(), 512 + 3, "two for one name are one");
    stage.memory.memory_pressure_percent = Some(90.0);
    assert_eq!(stage.look(), ["process warning: firing"], "others go on");
    assert_eq!((stage.alerts.custom_panics, stage.firing().len()), (1, 2));
    assert_eq!(
        stage.alerts.insufficient[0].reason,
        InsufficientBecause::Panicked
    );
    stage.look();
    assert_eq!(stage.firing().len(), 64 + 1);
    assert_eq!(stage.alerts.left_out, 1, "one more was looked at");
    stage.look();
    assert_eq!(stage.firing(), ["process warning"]);
    assert_eq!(stage.alerts.resolved.len(), MAX_RESOLVED);
}

#[test]
fn what_is_told_is_bounded() {
    let mut stage = Stage::new((0..3).map(|n| {
        let rule = above(M::ErrorRatePercent, 1.0 + f64::from(n));
        rule.with_min_samples(1).with_id(format!("rule {n}"))
    }));
    for n in 0..2_000 {
        stage.attempts(&format!("provider-{n}"), 1, 1, 0.1);
    }
    let changes = stage.look();
    assert_eq!(changes.len(), MAX_ALERTS);
    assert_eq!(stage.alerts.details.len(), MAX_ALERTS);
    assert_eq!(stage.alerts.left_out, 3 * 2_000 - MAX_ALERTS);
    let mut snapshot = stage.bench.snapshot();
    snapshot.alerts = Arc::clone(&stage.alerts);
    let view = crate::core::alerts::view::alerts(&snapshot);
    assert_eq!(
        (view.active_alerts_count, view.details.len()),
        (MAX_ALERTS, 1_000)
    );
    assert_eq!(view.alerts.len(), 1_000);
    stage.settings.rules = vec![above(M::ErrorRatePercent, 1.0).with_min_samples(100)];
    for n in 0..2_000 {
        stage.attempts(&format!("provider-{n}"), 1, 1, 0.1);
    }
    stage.look();
    assert_eq!(stage.alerts.insufficient.len(), MAX_INSUFFICIENT);
    assert_eq!(stage.alerts.insufficient_count, 2_000);
}

#[test]
fn without_rules_there_is_nothing_to_do() {
    let mut stage = Stage::new([]);
    record(&mut stage, M::ErrorRatePercent, Level::Above, false);
    assert_eq!(stage.look(), [""; 0]);
    assert_eq!(*stage.alerts, Alerts::default());
    assert!(stage.engine.board.groups().next().is_none());
}

#[test]
fn the_view_has_all_fields() {
    let slow = above(M::ResponseTimeMs, 250.0);
    let waits = above(M::ErrorRatePercent, 5.0)
        .with_for(STEP)
        .with_id("waits");
    let mut stage = Stage::new([slow, waits]);
    stage.attempts("zai", 40, 20, 0.5);
    stage.attempts("idle", 1, 0, 0.5);
    stage.look();
    let mut snapshot = stage.bench.snapshot();
    snapshot.alerts = Arc::clone(&stage.alerts);
    let view = serde_json::to_value(crate::core::alerts::view::alerts(&snapshot)).unwrap();
    let at = snapshot.collected_at.as_unix_seconds();
    let message = "Response time degradation detected for provider zai (p95 500 ms > 250 ms)";
    let labels = |rule: &str, metric: &str| {
        serde_json::json!({
            "rule": rule, "metric": metric, "severity": "warning", "provider": "zai",
        })
    };
    let id = "response_time_ms > warning over 10s";
    let expected = serde_json::json!({
        "timestamp": at as u64,
        "collected_at": at,
        "active_alerts_count": 1,
        "pending_alerts_count": 1,
        "system_health": "degraded",
        "alerts": [format!("[warning] {message}")],
        "details": [
            {
                "rule": id, "metric": "response_time_ms", "scope": "provider zai",
                "severity": "warning", "state": "firing", "value": 500.0, "comparison": ">",
                "threshold": 250.0, "since": at, "message": message,
                "labels": labels(id, "response_time_ms"),
            },
            {
                "rule": "waits", "metric": "error_rate_percent", "scope": "provider zai",
                "severity": "warning", "state": "pending", "value": 50.0, "comparison": ">",
                "threshold": 5.0, "since": at,
                "message": "High error rate detected for provider zai (50.0% > 5%)",
                "labels": labels("waits", "error_rate_percent"),
            },
        ],
        "insufficient_data_count": 2,
        "insufficient_data": [
            {
                "rule": id, "metric": "response_time_ms", "scope": "provider idle",
                "reason": "too_few_samples", "samples": 1, "min_samples": 20,
            },
            {
                "rule": "waits", "metric": "error_rate_percent", "scope": "provider idle",
                "reason": "too_few_samples", "samples": 1, "min_samples": 20,
            },
        ],
        "recently_resolved": [],
        "left_out": 0,
        "custom_rule_panics": 0,
    });
    assert_eq!(view, expected);
    stage.attempts("zai", 40, 0, 0.1);
    stage.look();
    let resolved = serde_json::to_value(&stage.alerts.resolved[0]).unwrap();
    let expected = serde_json::json!({
        "rule": id, "metric": "response_time_ms", "scope": "provider zai", "severity": "warning",
        "value": 100.0, "threshold": 250.0, "since": at, "resolved_at": at + 10.0,
        "resolved_because": "cleared",
        "message": message,
    });
    assert_eq!(resolved, expected);
}

#[test]
fn a_rule_that_cannot_be_says_which_field_is_wrong() {
    let field = |rule: AlertRule| rule.check().unwrap_err().field();
    let endpoint = || AlertScope::Endpoint("/chat".into());
    assert_eq!(field(above(M::MemoryPressure, f64::NAN)), "threshold");
    assert_eq!(field(above(M::MemoryPressure, f64::INFINITY)), "threshold");
    assert_eq!(
        field(above(M::CostPerHour, 1.0).with_scope(endpoint())),
        "scope"
    );
    assert_eq!(
        field(above(M::TimeToFirstTokenMs, 1.0).with_scope(endpoint())),
        "scope"
    );
    let provider = || AlertScope::Provider("zai".into());
    assert_eq!(
        field(above(M::MemoryPressure, 1.0).with_scope(provider())),
        "scope"
    );
    assert_eq!(
        field(above(M::CpuUsagePercent, 1.0).with_scope(AlertScope::Gateway)),
        "scope"
    );
    assert_eq!(
        field(above(M::ErrorRatePercent, 1.0).with_scope(AlertScope::Process)),
        "scope"
    );
    let unfit = |name: &str| AlertScope::Provider(name.into());
    assert_eq!(
        field(above(M::CostPerHour, 1.0).with_scope(unfit(""))),
        "scope"
    );
    assert_eq!(
        field(above(M::CostPerHour, 1.0).with_scope(unfit("\u{1b}[2J"))),
        "scope"
    );
    assert_eq!(
        field(above(M::CostPerHour, 1.0).with_window(Duration::ZERO)),
        "window"
    );
    assert_eq!(
        field(above(M::CostPerHour, 1.0).with_window(3 * DAY)),
        "window"
    );
    assert_eq!(field(above(M::CostPerHour, 1.0).with_for(3 * DAY)), "for");
    assert_eq!(field(above(M::CostPerHour, 1.0).with_id("a\nb")), "id");
    assert_eq!(
        field(above(M::CostPerHour, 1.0).with_id("x".repeat(129))),
        "id"
    );
    for metric in M::ALL {
        above(metric, -1.0).check().unwrap();
    }
}

/// What one look finds, for the property test.
fn any_look() -> impl Strategy<Value = (u64, u64, u64)> {
    // Calls, of these failures, and seconds until the look.
    (
        0..40_u64,
        0..40_u64,
        prop_oneof![9 => 5..12_u64, 1 => 60..4_000_u64],
    )
}

proptest! {
    /// Whatever is recorded and whenever somebody looks: what is told of an alert alternates, it
    /// fires only where the comparison holds on enough samples, and the view is what was told.
    #[test]
    fn what_is_told_adds_up(
        looks in prop::collection::vec(any_look(), 1..40),
        waits in 0..3_u32,
    ) {
        let warning = above(M::ErrorRatePercent, 20.0).with_for(waits * STEP);
        let critical = AlertRule { severity: Severity::Critical, ..above(M::ErrorRatePercent, 60.0) };
        let mut stage = Stage::new([warning, critical]);
        let mut fires: BTreeMap<String, bool> = BTreeMap::new();
        for (count, failed, seconds) in looks {
            let failed = failed.min(count);
            stage.attempts("zai", count, failed, 0.1);
            for change in stage.changes_after(Duration::from_secs(seconds)) {
                let fired = fires.insert(change.rule.clone(), change.state == AlertState::Firing);
                match change.state {
                    AlertState::Firing => {
                        prop_assert_ne!(fired, Some(true), "twice");
                        let is_back = change.severity == Severity::Warning;
                        // One that another stood for fires on while it is near.
                        let limit = change.threshold.unwrap() * if is_back { 0.95 } else { 1.0 };
                        prop_assert!(change.value.unwrap() > limit);
                    }
                    AlertState::Resolved => prop_assert_eq!(fired, Some(true)),
                    AlertState::Pending => prop_assert_ne!(fired, Some(true)),
                }
            }
            let told: BTreeSet<String> =
                fires.iter().filter(|(_, fires)| **fires).map(|(rule, _)| rule.clone()).collect();
            let shown: BTreeSet<String> = stage.alerts.firing().map(|d| d.rule.clone()).collect();
            prop_assert_eq!(told, shown);
            prop_assert!(stage.firing().len() <= 1, "one condition is one alert");
        }
    }
}

/// What it costs, on what the target names: run with `--release -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn cost_of_one_look() {
    let clock = crate::clock::Clock::start();
    for (rules, step, text) in [
        (0, 5, "no rules, a collection every 5 s"),
        (20, 5, "20 rules, a collection every 5 s"),
        (20, 1, "20 rules, a collection every 1 s"),
    ] {
        let step = Duration::from_secs(step);
        let metrics = [
            M::ResponseTimeMs,
            M::ErrorRatePercent,
            M::AverageResponseTimeMs,
        ];
        let all = (0..rules).map(|n: u32| {
            let metric = metrics[n as usize % 3];
            let rule = AlertRule::new(metric, Comparison::Above, 1e9, Severity::Info);
            let rule = rule.with_id(format!("rule {n}"));
            let rule = rule.with_window(Duration::from_secs(if n.is_multiple_of(2) {
                300
            } else {
                60
            }));
            match n % 4 {
                0 | 1 => rule,
                2 => rule.with_scope(AlertScope::EachEndpoint),
                _ => rule.with_scope(AlertScope::Gateway),
            }
        });
        let mut stage = Stage::new(all);
        stage.settings.collection_interval = step;
        let mut random = 1_u64;
        let mut total = Duration::ZERO;
        let mut looks = 0;
        for at in 0..120 {
            // 1,000 requests a second, and lognormal durations, so to say.
            for _ in 0..1_000 * step.as_secs() {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let seconds = 0.05 * (1.0 + (random >> 40) as f64 / 1e6).powi(4);
                let failed = random >> 33 & 63 == 0;
                let labels = [
                    (
                        GEN_AI_PROVIDER_NAME,
                        format!("provider-{}", random >> 50 & 7),
                    ),
                    (
                        GEN_AI_REQUEST_MODEL,
                        format!("model-{}", (random >> 53) % 13),
                    ),
                ];
                let [(p, provider), (m, model)] = &labels;
                let labels = [(*p, provider.as_str()), (*m, model.as_str())];
                let mut series = key(GEN_AI_OPERATION_DURATION, labels);
                if failed {
                    let labels = [labels[0], labels[1], (ERROR_TYPE, "timeout")];
                    series = key(GEN_AI_OPERATION_DURATION, labels);
                }
                stage.bench.record(series, seconds);
                let path = format!("/v1/{}", (random >> 45) % 50);
                stage.bench.record(operation(&path, failed), seconds);
            }
            stage.bench.collect_after(step);
            let snapshot = stage.bench.snapshot();
            let before = clock.now();
            stage.engine.evaluate(&snapshot, &stage.settings);
            if at >= 70 {
                total += clock.now().since(before);
                looks += 1;
            }
        }
        let slots = stage
            .bench
            .snapshot()
            .history
            .last(Duration::from_secs(300))
            .len();
        println!(
            "{text}: {:?} a look, {slots} slots in the window",
            total / looks
        );
    }
}
