//! A day of the traffic as the monitor would have collected it, for its windows to keep.

use crate::load::{Dice, ENDPOINTS, FAILURES, Failure, Law, Load, Pair, RATE};
use aimux_otel::{RehearsedCollection, RehearsedPoint, Timestamp};
use std::{collections::HashMap, sync::Arc};

/// 64 buckets to each doubling, as the monitor has it for durations.
const FINE: i8 = 6;
/// For tokens and bytes.
const COARSE: i8 = 3;

/// Collections as wide as the monitor keeps them for their age: the age from which on, and the
/// width, in seconds.
const WIDTHS: [(u64, u64); 9] = [
    (12 * 3_600, 3 * 3_600),
    (6 * 3_600, 3_600),
    (3 * 3_600, 1_800),
    (3_600, 900),
    (900, 300),
    (300, 60),
    (120, 30),
    (60, 15),
    (0, 5),
];

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 24 * 3_600 * SECOND;

/// All that the traffic is recorded into.
#[derive(Debug)]
pub(crate) struct Past {
    series: Vec<Series>,
}

/// A series, and what comes to it.
#[derive(Debug)]
struct Series {
    metric: &'static str,
    labels: Vec<(&'static str, String)>,
    scale: i8,
    per_second: f64,
    /// The share of each bucket; of a sum, what is added each time.
    law: Result<Buckets, f64>,
}

/// Which share of the values comes to which bucket; computed once for each law.
#[derive(Debug, Default)]
struct Shares(HashMap<(String, i8), Buckets>);

/// Buckets with a share each.
type Buckets = Arc<[(i32, f64)]>;

impl Past {
    /// That of `load`.
    pub(crate) fn new(load: &Load) -> Self {
        let mut shares = Shares::default();
        let mut series = Vec::new();
        let calls = RATE as f64 / load.pairs.len() as f64;
        for pair in &load.pairs {
            for (failure, calls) in outcomes(calls) {
                let mut labels = who(pair);
                labels.extend(failure.map(|f| ("error.type", f.error.to_owned())));
                let metric = "gen_ai.client.operation.duration";
                series.push(shares.series(metric, labels, FINE, calls, pair.duration(failure)));
            }
            let metric = "gen_ai.client.operation.time_to_first_chunk";
            series.push(shares.series(metric, who(pair), FINE, calls, pair.first_chunk()));
            for (kind, law) in [
                ("input", Law::input_tokens()),
                ("output", Law::output_tokens()),
            ] {
                let mut labels = who(pair);
                labels.push(("gen_ai.token.type", kind.to_owned()));
                series.push(shares.series("gen_ai.client.token.usage", labels, COARSE, calls, law));
            }
            let mut labels = who(pair);
            labels.retain(|(key, _)| *key != "gen_ai.operation.name");
            series.push(Series {
                metric: "aimux.cost",
                labels,
                scale: 0,
                per_second: calls,
                law: Err(Pair::cost(1_200.0, 250.0)),
            });
        }
        let requests = RATE as f64 / ENDPOINTS as f64;
        for (place, (path, method)) in load.endpoints.iter().enumerate() {
            let labels = || {
                vec![
                    ("http.route", (*path).to_owned()),
                    ("http.request.method", (*method).to_owned()),
                ]
            };
            for (failure, requests) in outcomes(requests) {
                let status = failure.map_or(200, |f| f.status);
                let mut labels = labels();
                labels.push(("http.response.status_code", status.to_string()));
                labels.extend((status >= 500).then(|| ("error.type", status.to_string())));
                // An endpoint is served by all pairs: this one is as good as any.
                let law = load.pairs[place % load.pairs.len()].duration(failure);
                series.push(shares.series(
                    "http.server.request.duration",
                    labels,
                    FINE,
                    requests,
                    law,
                ));
            }
            for (metric, law) in [
                ("http.server.request.body.size", Law::request_bytes()),
                ("http.server.response.body.size", Law::response_bytes()),
            ] {
                series.push(shares.series(metric, labels(), COARSE, requests, law));
            }
        }
        Self { series }
    }

    /// The day before `end`, oldest first.
    pub(crate) fn day(
        &'static self,
        end: Timestamp,
    ) -> impl Iterator<Item = RehearsedCollection> + Send + 'static {
        let end = end.as_unix_nanos();
        let mut since = end - DAY;
        std::iter::from_fn(move || {
            let age = (end - since) / SECOND;
            let (_, width) = WIDTHS.iter().find(|(from, _)| age > *from)?;
            // Up to the end of its cell, as it will be merged.
            let width = *width * SECOND;
            let until = ((since / width + 1) * width).min(end);
            let seconds = (until - since) as f64 / SECOND as f64;
            let mut dice = Dice::new(since);
            let points = self.series.iter();
            let points = points.filter_map(move |series| series.point(seconds, &mut dice));
            let collection = RehearsedCollection {
                since: Timestamp::from_unix_nanos(since),
                until: Timestamp::from_unix_nanos(until),
                points: Box::new(points),
            };
            since = until;
            Some(collection)
        })
    }
}

impl Series {
    /// What came in so many seconds; none if nothing did.
    fn point(&self, seconds: f64, dice: &mut Dice) -> Option<RehearsedPoint> {
        let count = self.per_second * seconds;
        let point = RehearsedPoint {
            metric: self.metric,
            labels: self.labels.clone(),
            buckets: None,
            scale: self.scale,
            sum: 0.0,
            min: 0.0,
            max: 0.0,
        };
        let shares = match &self.law {
            Ok(shares) => shares,
            Err(each) => {
                let sum = (each * count * 1e9).round() / 1e9;
                return Some(RehearsedPoint { sum, ..point });
            }
        };
        let mut found: Vec<(i32, u64)> = Vec::new();
        let mut sum = 0.0;
        for (index, share) in shares.iter() {
            let here = dice.poisson(count * share);
            if here > 0 {
                found.push((*index, here));
                sum += here as f64 * bound(*index, self.scale) * 1.005;
            }
        }
        let (first, last) = (found.first()?.0, found.last()?.0);
        let mut counts = vec![0; (last - first + 1) as usize];
        for (index, count) in found {
            counts[(index - first) as usize] = count;
        }
        // A whole number of nanoseconds, as what is measured is.
        let within = |index| (bound(index, self.scale) * 1.003 * 1e9).round() / 1e9;
        Some(RehearsedPoint {
            buckets: Some((first, counts)),
            sum,
            min: within(first),
            max: within(last),
            ..point
        })
    }
}

impl Shares {
    /// A histogram of what comes by `law`.
    fn series(
        &mut self,
        metric: &'static str,
        labels: Vec<(&'static str, String)>,
        scale: i8,
        per_second: f64,
        law: Law,
    ) -> Series {
        Series {
            metric,
            labels,
            scale,
            per_second,
            law: Ok(self.of(law, scale)),
        }
    }

    fn of(&mut self, law: Law, scale: i8) -> Buckets {
        let known = self.0.entry((format!("{law:?}"), scale));
        let shares = known.or_insert_with(|| {
            let (first, last) = (-14 * (1 << scale), 22 * (1 << scale));
            let mut below = law.up_to(bound(first, scale));
            let all = (first..last).map(|index| {
                let up_to = law.up_to(bound(index + 1, scale));
                let share = (up_to - below).max(0.0);
                below = up_to;
                (index, share)
            });
            all.filter(|(_, share)| *share > 1e-10).collect()
        });
        Arc::clone(shares)
    }
}

/// What the values of a bucket are above.
fn bound(index: i32, scale: i8) -> f64 {
    (f64::from(index) * f64::from(-i32::from(scale)).exp2()).exp2()
}

/// How `calls` end.
fn outcomes(calls: f64) -> impl Iterator<Item = (Option<&'static Failure>, f64)> {
    let failed: u64 = FAILURES.iter().map(|f| f.per_mille).sum();
    let succeeded = (None, calls * (1_000 - failed) as f64 / 1_000.0);
    let failed = FAILURES.iter();
    let failed = failed.map(move |f| (Some(f), calls * f.per_mille as f64 / 1_000.0));
    std::iter::once(succeeded).chain(failed)
}

fn who(pair: &Pair) -> Vec<(&'static str, String)> {
    vec![
        ("gen_ai.operation.name", "chat".to_owned()),
        ("gen_ai.provider.name", pair.provider.to_owned()),
        ("gen_ai.request.model", pair.model.to_owned()),
    ]
}
