//! What an alert says to people.

use crate::core::alerts::instance::Instance;
use crate::core::alerts::rule::{AlertMetric, AlertRule, Direction};

/// From here on numbers are written with exponents.
const LARGE: f64 = 1e15;

/// One sentence, such as `Response time degradation detected for provider cerebras
/// (p95 2310 ms > 2000 ms)`.
pub(super) fn message(rule: &AlertRule, instance: &Instance, value: f64) -> String {
    let place = match instance {
        Instance::Process => String::new(),
        Instance::Gateway | Instance::Attempts => " for the gateway".to_owned(),
        one => format!(" for {one}"),
    };
    let what = what(rule.metric, rule.comparison.direction());
    let (prefix, unit) = measure(rule.metric);
    let (found, threshold) = (
        written(rule.metric, value, rule.threshold),
        shortest(rule.threshold),
    );
    // As the guide has it: of the process, the figure is enough.
    let is_plain = matches!(
        rule.metric,
        AlertMetric::MemoryPressure | AlertMetric::CpuUsagePercent
    ) && rule.comparison.direction() == Direction::Up;
    if is_plain {
        return format!("{what} detected{place} ({found}{unit})");
    }
    let symbol = rule.comparison.symbol();
    format!("{what} detected{place} ({prefix}{found}{unit} {symbol} {threshold}{unit})")
}

/// What it is that was detected.
fn what(metric: AlertMetric, direction: Direction) -> String {
    use AlertMetric as M;
    let is_time = matches!(metric, M::ResponseTimeMs | M::AverageResponseTimeMs);
    let noun = match metric {
        M::ResponseTimeMs | M::AverageResponseTimeMs if direction == Direction::Up => {
            return "Response time degradation".to_owned();
        }
        M::MemoryPressure => "memory pressure",
        M::MemoryUsageMb => "memory usage",
        M::CpuUsagePercent => "CPU usage",
        M::ResponseTimeMs | M::AverageResponseTimeMs => "response time",
        M::SuccessRatePercent => "success rate",
        M::ErrorRatePercent => "error rate",
        M::RequestsPerSecond => "request rate",
        M::CostPerHour => "spending",
        M::TimeToFirstTokenMs => "time to first token",
    };
    match direction {
        Direction::Up => format!("High {noun}"),
        Direction::Down if is_time => format!("Short {noun}"),
        Direction::Down => format!("Low {noun}"),
        Direction::Exact => format!("Watched-for {noun}"),
    }
}

/// What comes before and after a figure.
const fn measure(metric: AlertMetric) -> (&'static str, &'static str) {
    use AlertMetric as M;
    match metric {
        M::MemoryPressure | M::CpuUsagePercent | M::SuccessRatePercent | M::ErrorRatePercent => {
            ("", "%")
        }
        M::MemoryUsageMb => ("", " MiB"),
        M::ResponseTimeMs | M::TimeToFirstTokenMs => ("p95 ", " ms"),
        M::AverageResponseTimeMs => ("average ", " ms"),
        M::RequestsPerSecond => ("", " requests/s"),
        M::CostPerHour => ("", " USD/h"),
    }
}

/// As many digits as say something; more where it would else look like the threshold.
fn written(metric: AlertMetric, value: f64, threshold: f64) -> String {
    use AlertMetric as M;
    let digits = match metric {
        M::ResponseTimeMs | M::AverageResponseTimeMs | M::TimeToFirstTokenMs
            if value.abs() >= 100.0 =>
        {
            0
        }
        M::CostPerHour | M::RequestsPerSecond if value.abs() < 100.0 => 2,
        _ => 1,
    };
    if value.abs() >= LARGE {
        return shortest(value);
    }
    let short = format!("{value:.digits$}");
    // The text of a number reads as that number.
    let misleads = value != threshold && short.parse() == Ok(threshold);
    if misleads { shortest(value) } else { short }
}

/// All digits that it takes to tell it from others; very large and very small ones with exponents.
fn shortest(value: f64) -> String {
    if value == 0.0 || (1e-6..LARGE).contains(&value.abs()) {
        format!("{value}")
    } else {
        format!("{value:e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::alerts::rule::{Comparison, Severity};

    fn of(metric: AlertMetric, comparison: Comparison, threshold: f64, value: f64) -> String {
        let rule = AlertRule::new(metric, comparison, threshold, Severity::Warning);
        let instance = match metric {
            AlertMetric::MemoryPressure
            | AlertMetric::MemoryUsageMb
            | AlertMetric::CpuUsagePercent => Instance::Process,
            AlertMetric::RequestsPerSecond => Instance::Endpoint("/v1/chat".into()),
            AlertMetric::CostPerHour => Instance::Attempts,
            _ => Instance::Provider("cerebras".into()),
        };
        message(&rule, &instance, value)
    }

    #[test]
    fn they_read_as_in_the_guide() {
        use AlertMetric as M;
        use Comparison as C;
        for (metric, comparison, threshold, value, text) in [
            (
                M::MemoryPressure,
                C::Above,
                80.0,
                85.46,
                "High memory pressure detected (85.5%)",
            ),
            (
                M::CpuUsagePercent,
                C::AtLeast,
                85.0,
                92.0,
                "High CPU usage detected (92.0%)",
            ),
            (
                M::MemoryUsageMb,
                C::Above,
                400.0,
                512.25,
                "High memory usage detected (512.2 MiB > 400 MiB)",
            ),
            (
                M::ResponseTimeMs,
                C::Above,
                2000.0,
                2310.4,
                "Response time degradation detected for provider cerebras (p95 2310 ms > 2000 ms)",
            ),
            (
                M::AverageResponseTimeMs,
                C::Above,
                2000.0,
                2310.4,
                "Response time degradation detected for provider cerebras (average 2310 ms > 2000 ms)",
            ),
            (
                M::ResponseTimeMs,
                C::Below,
                5.0,
                1.25,
                "Short response time detected for provider cerebras (p95 1.2 ms < 5 ms)",
            ),
            (
                M::SuccessRatePercent,
                C::Below,
                90.0,
                85.0,
                "Low success rate detected for provider cerebras (85.0% < 90%)",
            ),
            (
                M::ErrorRatePercent,
                C::Above,
                5.0,
                5.000_1,
                "High error rate detected for provider cerebras (5.0001% > 5%)",
            ),
            (
                M::RequestsPerSecond,
                C::AtMost,
                1.0,
                0.5,
                "Low request rate detected for endpoint /v1/chat (0.50 requests/s <= 1 requests/s)",
            ),
            (
                M::CostPerHour,
                C::Above,
                10.0,
                12.5,
                "High spending detected for the gateway (12.50 USD/h > 10 USD/h)",
            ),
            (
                M::TimeToFirstTokenMs,
                C::Above,
                500.0,
                812.0,
                "High time to first token detected for provider cerebras (p95 812 ms > 500 ms)",
            ),
            (
                M::MemoryPressure,
                C::Equal,
                80.0,
                80.0,
                "Watched-for memory pressure detected (80.0% = 80%)",
            ),
            (
                M::CostPerHour,
                C::Above,
                1e300,
                2e300,
                "High spending detected for the gateway (2e300 USD/h > 1e300 USD/h)",
            ),
        ] {
            let found = of(metric, comparison, threshold, value);
            assert_eq!(found, text);
        }
    }
}
