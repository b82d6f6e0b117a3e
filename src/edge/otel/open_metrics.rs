//! The registry in the OpenMetrics text format 1.0: what `/metrics` says to a scraper that asks for
//! it, such as Prometheus. It has the values of the other format, and exemplars.
//!
//! The format: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use super::{
    exemplars::{Exemplar, Exemplars},
    exposition::scrubbed,
};
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};
use std::{
    collections::BTreeSet,
    fmt::{self, Write},
};

/// The media type of the text.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the samples of a counter end in.
const TOTAL: &str = "_total";

/// The text of `families`, with `exemplars`.
pub(crate) fn render(
    families: Vec<MetricFamily>,
    exemplars: &Exemplars,
) -> Result<String, fmt::Error> {
    let families = scrubbed(families);
    let names: BTreeSet<&str> = families.iter().map(MetricFamily::name).collect();
    let mut text = String::new();
    for family in &families {
        let name = family.name();
        let (announced, kind) = announced(family, &names);
        if !family.help().is_empty() {
            writeln!(text, "# HELP {announced} {}", escaped(family.help()))?;
        }
        writeln!(text, "# TYPE {announced} {kind}")?;
        for metric in family.get_metric() {
            let mut lines = Lines {
                text: &mut text,
                name,
                metric,
            };
            match family.get_field_type() {
                MetricType::COUNTER => lines.plain(metric.get_counter().get_value())?,
                MetricType::GAUGE => lines.plain(metric.get_gauge().get_value())?,
                MetricType::HISTOGRAM => lines.histogram(exemplars.of_series(name, metric))?,
                MetricType::SUMMARY => lines.summary()?,
                // There is none among what is scrubbed.
                MetricType::UNTYPED => {}
            }
        }
    }
    text.push_str("# EOF\n");
    Ok(text)
}

/// The name and the type by which a family is announced. A counter has the name of its samples
/// without their ending; one that has no such ending, whose name would then be another's, or whose
/// value no counter can have, is of an unknown type, so that its samples keep their name.
fn announced<'f>(family: &'f MetricFamily, names: &BTreeSet<&str>) -> (&'f str, &'static str) {
    let name = family.name();
    match family.get_field_type() {
        MetricType::COUNTER => {
            let stem = name.strip_suffix(TOTAL);
            let stem = stem.filter(|stem| !stem.is_empty() && !names.contains(stem));
            let counts = |metric: &Metric| metric.get_counter().get_value() >= 0.0;
            match stem.filter(|_| family.get_metric().iter().all(counts)) {
                Some(stem) => (stem, "counter"),
                None => (name, "unknown"),
            }
        }
        MetricType::GAUGE => (name, "gauge"),
        MetricType::HISTOGRAM => (name, "histogram"),
        MetricType::SUMMARY => (name, "summary"),
        MetricType::UNTYPED => (name, "unknown"),
    }
}

/// Writes the lines of one series.
struct Lines<'a> {
    text: &'a mut String,
    name: &'a str,
    metric: &'a Metric,
}

impl Lines<'_> {
    fn plain(&mut self, value: f64) -> fmt::Result {
        self.line("", None, Value::Float(value), None)
    }

    fn histogram(&mut self, exemplars: &[Exemplar]) -> fmt::Result {
        let histogram = self.metric.get_histogram();
        let buckets = histogram.get_bucket().iter();
        let finite = buckets.filter(|bucket| bucket.upper_bound().is_finite());
        let last = (f64::INFINITY, histogram.get_sample_count());
        let (mut lower, mut below) = (f64::NEG_INFINITY, 0);
        let bounds = finite.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
        let mut is_positive = true;
        for (upper, count) in bounds.chain([last]) {
            is_positive &= upper >= 0.0;
            let inside =
                |exemplar: &&Exemplar| lower < exemplar.seconds && exemplar.seconds <= upper;
            let newest = exemplars.iter().filter(inside).max_by_key(|e| e.at);
            // By the precision of the histogram, one at a boundary may be counted in the next.
            let newest = newest.filter(|_| count > below);
            let bound = Some(("le", upper));
            self.line("_bucket", bound, Value::Count(count), newest)?;
            (lower, below) = (upper, count);
        }
        // With values below zero, or what is no number, there is no sum that only grows.
        let sum = histogram.get_sample_sum();
        if !is_positive || sum.is_nan() || sum < 0.0 {
            return Ok(());
        }
        self.line("_sum", None, Value::Float(sum), None)?;
        let count = Value::Count(histogram.get_sample_count());
        self.line("_count", None, count, None)
    }

    fn summary(&mut self) -> fmt::Result {
        let summary = self.metric.get_summary();
        for quantile in summary.get_quantile() {
            let which = Some(("quantile", quantile.quantile()));
            self.line("", which, Value::Float(quantile.value()), None)?;
        }
        let sum = summary.sample_sum();
        if sum >= 0.0 {
            self.line("_sum", None, Value::Float(sum), None)?;
        }
        self.line("_count", None, Value::Count(summary.sample_count()), None)
    }

    fn line(
        &mut self,
        suffix: &str,
        extra: Option<(&str, f64)>,
        value: Value,
        exemplar: Option<&Exemplar>,
    ) -> fmt::Result {
        write!(self.text, "{}{suffix}", self.name)?;
        self.labels(extra)?;
        write!(self.text, " {value}")?;
        let millis = self.metric.timestamp_ms();
        if millis != 0 {
            write!(self.text, " {}", millis as f64 / 1e3)?;
        }
        if let Some(exemplar) = exemplar {
            self.text.push_str(" # {");
            if let Some(span_id) = &exemplar.span_id {
                write!(self.text, "span_id=\"{span_id}\",")?;
            }
            let Exemplar {
                trace_id,
                seconds,
                at,
                ..
            } = exemplar;
            let at = at.as_unix_seconds();
            write!(self.text, "trace_id=\"{trace_id}\"}} {seconds} {at}")?;
        }
        self.text.push('\n');
        Ok(())
    }

    fn labels(&mut self, extra: Option<(&str, f64)>) -> fmt::Result {
        let labels = self.metric.get_label();
        if labels.is_empty() && extra.is_none() {
            return Ok(());
        }
        let mut separator = '{';
        for label in labels {
            let (name, value) = (LabelPair::name(label), escaped(label.value()));
            write!(self.text, "{separator}{name}=\"{value}\"")?;
            separator = ',';
        }
        if let Some((name, number)) = extra {
            write!(self.text, "{separator}{name}=\"{}\"", canonical(number))?;
        }
        self.text.push('}');
        Ok(())
    }
}

/// A value as the other format writes it, but for infinity.
enum Value {
    Float(f64),
    Count(u64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(value) if value.is_infinite() && *value > 0.0 => f.write_str("+Inf"),
            Self::Float(value) if value.is_infinite() => f.write_str("-Inf"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

/// A number as a label: always with a point or an exponent, and that from a million on and below
/// a ten-thousandth, as the format advises, so that all exposers spell it the same.
fn canonical(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent @ (..-4 | 6..)) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => format!("{number:?}"),
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' => escaped.push_str("\\\""),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
