//! The registry in the text format, so that no scraper and no Pushgateway refuses it: what
//! `/metrics` says.
//!
//! The encoder writes what it is given. An instrument with an odd attribute, ours or somebody
//! else's in the same registry, must not cost the operator all other metrics.

use super::prometheus::sanitised;
use crate::core::labels::is_unprintable;
use prometheus::{
    TextEncoder,
    proto::{LabelPair, Metric, MetricFamily, MetricType},
};
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

/// The text of `families`.
#[cfg(any(test, feature = "server", feature = "push"))]
pub(crate) fn render(families: Vec<MetricFamily>) -> prometheus::Result<String> {
    encoded(&scrubbed(families))
}

/// The text of families that are scrubbed.
pub(super) fn encoded(families: &[MetricFamily]) -> prometheus::Result<String> {
    TextEncoder::new().encode_to_string(families)
}

/// `families` as a scraper takes them: names of the allowed characters, values without control
/// characters, each name and each series once.
pub(super) fn scrubbed(families: Vec<MetricFamily>) -> Vec<MetricFamily> {
    let mut by_name: BTreeMap<String, MetricFamily> = BTreeMap::new();
    let mut odd = Vec::new();
    for mut family in families {
        // The encoder panics on an untyped family, which only a deprecated interface can make.
        let untyped = family.get_field_type() == MetricType::UNTYPED;
        if untyped || family.get_metric().is_empty() {
            continue;
        }
        family.set_name(metric_name(family.name()));
        family.set_help(printable(family.help()));
        match by_name.entry(family.name().to_owned()) {
            Entry::Vacant(free) => {
                free.insert(family);
            }
            Entry::Occupied(taken) => {
                let first = taken.into_mut();
                if first.get_field_type() == family.get_field_type() {
                    first.mut_metric().append(&mut family.take_metric());
                } else {
                    odd.push(family);
                }
            }
        }
    }
    odd.extend(take_shadowed(&mut by_name));
    rename(odd, &mut by_name);
    for family in by_name.values_mut() {
        for metric in family.mut_metric() {
            let labels = metric.take_label();
            metric.set_label(scrubbed_labels(labels));
        }
        merge_same_series(family);
    }
    by_name.into_values().collect()
}

/// Takes out what has the name of a sample of a histogram or summary, such as a gauge `a_count`
/// beside a histogram `a`.
fn take_shadowed(by_name: &mut BTreeMap<String, MetricFamily>) -> Vec<MetricFamily> {
    let shadowed = shadows(by_name);
    let names = shadowed.iter().filter_map(|name| by_name.remove(name));
    names.collect()
}

/// The names of the samples of histograms and summaries.
fn shadows(by_name: &BTreeMap<String, MetricFamily>) -> BTreeSet<String> {
    let samples = |(name, family): (&String, &MetricFamily)| {
        let suffixes: &[&str] = match family.get_field_type() {
            MetricType::HISTOGRAM => &["_bucket", "_sum", "_count"],
            MetricType::SUMMARY => &["_sum", "_count"],
            _ => &[],
        };
        let sample = |suffix| format!("{name}{suffix}");
        suffixes.iter().map(sample).collect::<Vec<_>>()
    };
    by_name.iter().flat_map(samples).collect()
}

/// Gives `odd` families names that are free.
fn rename(odd: Vec<MetricFamily>, by_name: &mut BTreeMap<String, MetricFamily>) {
    for mut family in odd {
        let mut name = format!("{}_value", family.name());
        let shadows = shadows(by_name);
        while by_name.contains_key(&name) || shadows.contains(&name) {
            name.push('_');
        }
        family.set_name(name.clone());
        by_name.insert(name, family);
    }
}

/// Labels with allowed names, each once and in order, and printable values. What had one name
/// after that is joined, as the OpenTelemetry specification wants it.
fn scrubbed_labels(labels: Vec<LabelPair>) -> Vec<LabelPair> {
    let mut by_name: BTreeMap<String, String> = BTreeMap::new();
    for label in labels {
        let name = label_name(label.name());
        let value = printable(label.value());
        match by_name.entry(name) {
            Entry::Vacant(free) => {
                free.insert(value);
            }
            Entry::Occupied(mut taken) => {
                let joined = taken.get_mut();
                joined.push(';');
                joined.push_str(&value);
            }
        }
    }
    let pair = |(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name(name);
        pair.set_value(value);
        pair
    };
    by_name.into_iter().map(pair).collect()
}

/// Adds up counters of the same labels; of other metrics the first stays.
fn merge_same_series(family: &mut MetricFamily) {
    let kind = family.get_field_type();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept: Vec<Metric> = Vec::with_capacity(family.get_metric().len());
    for metric in family.take_metric() {
        match places.entry(identity(&metric)) {
            Entry::Vacant(free) => {
                free.insert(kept.len());
                kept.push(metric);
            }
            Entry::Occupied(taken) => {
                let first = kept.get_mut(*taken.get());
                if let (Some(first), MetricType::COUNTER) = (first, kind) {
                    let mut sum = first.get_counter().clone();
                    sum.set_value(sum.get_value() + metric.get_counter().get_value());
                    first.set_counter(sum);
                }
            }
        }
    }
    family.set_metric(kept);
}

/// What tells a series from the others of its family. An empty label is none.
fn identity(metric: &Metric) -> String {
    let labels = metric.get_label().iter();
    let labels = labels.filter(|label| !label.value().is_empty());
    // No name and no value has a NUL any more.
    labels
        .flat_map(|label| [label.name(), "\0", label.value(), "\0"])
        .collect()
}

fn metric_name(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let begins = name.starts_with(|c: char| fits(c) && !c.is_ascii_digit());
    if begins && name.chars().all(fits) {
        name.to_owned()
    } else {
        sanitised(name)
    }
}

/// Names that begin with two underscores are Prometheus' own, and the two labels that tell buckets
/// and quantiles apart are the format's.
fn label_name(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = name.starts_with(|c: char| fits(c) && !c.is_ascii_digit());
    let name = if begins && name.chars().all(fits) {
        name.to_owned()
    } else {
        sanitised(name)
    };
    match name.strip_prefix("__") {
        None if matches!(&*name, "le" | "quantile") => format!("{name}_"),
        None => name,
        Some(rest) => format!("_{}", rest.trim_start_matches('_')),
    }
}

/// `text` with a mark for each character that cannot be shown. The end of a line is escaped by
/// the encoder.
fn printable(text: &str) -> String {
    let unfit = |c: char| is_unprintable(c) && c != '\n';
    let shown = |c| if unfit(c) { '\u{FFFD}' } else { c };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::proto::{Counter, Histogram};

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

    fn histogram(labels: &[(&str, &str)]) -> Metric {
        let mut metric = labelled(labels);
        let mut histogram = Histogram::default();
        histogram.set_sample_count(2);
        histogram.set_sample_sum(3.5);
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

    fn counters(metrics: Vec<Metric>) -> String {
        render(vec![family("a", MetricType::COUNTER, metrics)]).unwrap()
    }

    #[test]
    fn what_would_end_the_text_or_drive_a_terminal_is_marked() {
        let odd = "a\0b\u{1b}[31mc\u{202e}d\u{7f}e\r";
        assert_eq!(
            counters(vec![counter(&[("x", odd)], 1.0)]),
            "# TYPE a counter\na{x=\"a\u{FFFD}b\u{FFFD}[31mc\u{FFFD}d\u{FFFD}e\u{FFFD}\"} 1\n"
        );
        let mut helped = family("a", MetricType::COUNTER, vec![counter(&[], 1.0)]);
        helped.set_help("one\0\ntwo".to_owned());
        assert_eq!(
            render(vec![helped]).unwrap(),
            "# HELP a one\u{FFFD}\\ntwo\n# TYPE a counter\na 1\n"
        );
    }

    #[test]
    fn what_the_encoder_escapes_is_left_to_it() {
        let text = counters(vec![counter(&[("x", "a\n\"\\ä")], 1.0)]);
        assert_eq!(text, "# TYPE a counter\na{x=\"a\\n\\\"\\\\ä\"} 1\n");
    }

    #[test]
    fn names_are_mended() {
        let labels = [
            ("", "1"),
            ("9x", "2"),
            ("a:b", "3"),
            ("__name__", "4"),
            ("_y", "5"),
        ];
        assert_eq!(
            counters(vec![counter(&labels, 1.0)]),
            "# TYPE a counter\na{_=\"1\",_9x=\"2\",_name__=\"4\",_y=\"5\",a_b=\"3\"} 1\n"
        );
        for (name, mended) in [("a:b", "a:b"), ("9a", "_9a"), ("", "_"), ("ä.b", "__b")] {
            let text = render(vec![family(
                name,
                MetricType::COUNTER,
                vec![counter(&[], 1.0)],
            )]);
            assert_eq!(
                text.unwrap(),
                format!("# TYPE {mended} counter\n{mended} 1\n")
            );
        }
    }

    #[test]
    fn a_label_of_the_format_itself_is_renamed() {
        let text = render(vec![family(
            "h",
            MetricType::HISTOGRAM,
            vec![histogram(&[("le", "x")])],
        )]);
        assert_eq!(
            text.unwrap(),
            "# TYPE h histogram\nh_bucket{le_=\"x\",le=\"+Inf\"} 2\nh_sum{le_=\"x\"} 3.5\nh_count{le_=\"x\"} 2\n"
        );
        let text = counters(vec![counter(&[("le", "x")], 1.0)]);
        assert_eq!(text, "# TYPE a counter\na{le_=\"x\"} 1\n");
    }

    #[test]
    fn labels_that_become_one_are_joined() {
        let labels = [("a.b", "1"), ("a_b", "2")];
        assert_eq!(
            counters(vec![counter(&labels, 1.0)]),
            "# TYPE a counter\na{a_b=\"1;2\"} 1\n"
        );
    }

    #[test]
    fn series_that_become_one_are_added_up() {
        let same = vec![
            counter(&[("a.b", "1")], 2.0),
            counter(&[("a_b", "1"), ("c", "")], 3.0),
            counter(&[("a_b", "2")], 4.0),
        ];
        assert_eq!(
            counters(same),
            "# TYPE a counter\na{a_b=\"1\"} 5\na{a_b=\"2\"} 4\n"
        );
    }

    #[test]
    fn families_that_become_one_are_one() {
        let text = render(vec![
            family(
                "a.b",
                MetricType::COUNTER,
                vec![counter(&[("x", "1")], 1.0)],
            ),
            family(
                "a_b",
                MetricType::COUNTER,
                vec![counter(&[("x", "2")], 2.0)],
            ),
            family("a_b", MetricType::GAUGE, vec![labelled(&[])]),
            family("empty", MetricType::GAUGE, Vec::new()),
        ]);
        assert_eq!(
            text.unwrap(),
            "# TYPE a_b counter\na_b{x=\"1\"} 1\na_b{x=\"2\"} 2\n# TYPE a_b_value gauge\na_b_value 0\n"
        );
    }

    #[test]
    fn nothing_has_the_name_of_a_histograms_sample() {
        let text = render(vec![
            family("h", MetricType::HISTOGRAM, vec![histogram(&[])]),
            family("h_count", MetricType::GAUGE, vec![labelled(&[])]),
            family("h_count_value", MetricType::GAUGE, vec![labelled(&[])]),
        ]);
        let text = text.unwrap();
        assert_eq!(text.matches("h_count 2\n").count(), 1, "{text}");
        assert!(!text.contains("TYPE h_count gauge"), "{text}");
        assert!(
            text.contains("# TYPE h_count_value_ gauge\nh_count_value_ 0\n"),
            "{text}"
        );
    }

    #[test]
    fn an_untyped_metric_does_not_panic() {
        let untyped = family("u", MetricType::UNTYPED, vec![labelled(&[])]);
        assert_eq!(render(vec![untyped]).unwrap(), "");
    }
}
