//! One variant against another: how much they differ, and whether it is more than noise.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::core::aggregate::Aggregate;
use crate::core::classic::ClassicHistogram;
use crate::core::histogram::ExponentialHistogram;
use crate::core::statistics::{
    ShareTest, Trials, compare_shares, difference_interval, holm, mann_whitney,
};
use crate::core::views::percent;
use crate::core::views::stats::{Durations, ErrorBound};

/// The level of significance.
pub(super) const ALPHA: f64 = 0.05;

/// With fewer samples of either variant nothing is called significant or not.
pub(super) const MIN_SAMPLES: u64 = 20;

/// A variant of an experiment against its control.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct VariantComparison {
    /// The variant.
    pub variant: String,
    /// What it is compared with.
    pub control: String,
    /// Whether it succeeds more or less often.
    pub success_rate: ShareComparison,
    /// Whether it is faster or slower where it succeeds.
    pub duration: DurationComparison,
}

/// How a difference was tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SignificanceTest {
    /// Fisher's exact test, for two shares where a count to be expected is below 5.
    FisherExact,
    /// The z-test of two proportions with the pooled share.
    TwoProportionZ,
    /// The U test of Mann and Whitney, with corrections for ties and continuity.
    MannWhitneyU,
}

/// The success rate of a variant, less that of the control.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct ShareComparison {
    /// The difference, in percentage points: above zero, the variant succeeds more often.
    pub difference_percentage_points: Option<f64>,
    /// The lower end of the 95 % interval of the difference (Newcombe 1998, method 10).
    pub difference_low: Option<f64>,
    /// The upper end.
    pub difference_high: Option<f64>,
    /// Whether it is more than noise.
    #[serde(flatten)]
    pub significance: Significance,
}

/// The durations of a variant's successes beside those of the control's: a variant that fails fast
/// is not a faster one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct DurationComparison {
    /// Half of the variant's successes took at most so long, in milliseconds.
    pub variant_p50_ms: Option<f64>,
    /// Half of the control's took at most so long, in milliseconds.
    pub control_p50_ms: Option<f64>,
    /// The difference of these, in milliseconds: above zero, the variant is slower.
    pub difference_p50_ms: Option<f64>,
    /// The probability that a success of the variant took longer than one of the control; where
    /// both are in the same bucket, half. 0.5 is no difference.
    pub probability_slower: Option<f64>,
    /// Whether it is more than noise. The test is exact in the buckets of the histograms, whose
    /// order is that of the durations; what is in one bucket is a tie.
    #[serde(flatten)]
    pub significance: Significance,
}

/// Whether a difference is more than noise. All is `null` below the minimum of samples.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Significance {
    /// How it was tested, two-sided.
    pub test: Option<SignificanceTest>,
    /// How often chance alone makes a difference as large as this one.
    pub p_value: Option<f64>,
    /// The same with Holm's correction for as many variants as were compared with the control.
    pub adjusted_p_value: Option<f64>,
    /// Whether `adjusted_p_value` is below `alpha`.
    pub significant: Option<bool>,
}

/// What there is of one variant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample<'s> {
    pub(super) name: &'s str,
    pub(super) total: u64,
    pub(super) successes: &'s Durations,
}

impl Sample<'_> {
    fn trials(&self) -> Trials {
        Trials {
            successes: self.successes.count(),
            total: self.total,
        }
    }

    fn success_rate(&self) -> Option<f64> {
        percent(self.successes.count(), self.total)
    }
}

/// Each of `others` against `control`; the error of a median goes to `error`.
pub(super) fn compare(
    control: &Sample<'_>,
    others: &[Sample<'_>],
    error: &mut ErrorBound,
) -> Vec<VariantComparison> {
    let mut comparisons: Vec<VariantComparison> = others
        .iter()
        .map(|variant| VariantComparison {
            variant: variant.name.to_owned(),
            control: control.name.to_owned(),
            success_rate: shares(control, variant),
            duration: durations(control, variant, error),
        })
        .collect();
    adjust(
        comparisons
            .iter_mut()
            .map(|c| &mut c.success_rate.significance),
    );
    adjust(comparisons.iter_mut().map(|c| &mut c.duration.significance));
    comparisons
}

fn shares(control: &Sample<'_>, variant: &Sample<'_>) -> ShareComparison {
    let interval = difference_interval(control.trials(), variant.trials());
    let difference = |a: f64, b: f64| b - a;
    let rates = control.success_rate().zip(variant.success_rate());
    let enough = control.total.min(variant.total) >= MIN_SAMPLES;
    let tested = compare_shares(control.trials(), variant.trials()).filter(|_| enough);
    ShareComparison {
        difference_percentage_points: rates.map(|(a, b)| difference(a, b)),
        difference_low: interval.map(|(low, _)| low * 100.0),
        difference_high: interval.map(|(_, high)| high * 100.0),
        significance: tested.map_or_else(Significance::default, |(test, p)| {
            let test = match test {
                ShareTest::FisherExact => SignificanceTest::FisherExact,
                ShareTest::TwoProportionZ => SignificanceTest::TwoProportionZ,
            };
            Significance::of(test, p)
        }),
    }
}

fn durations(
    control: &Sample<'_>,
    variant: &Sample<'_>,
    error: &mut ErrorBound,
) -> DurationComparison {
    let (own, other) = (variant.successes, control.successes);
    let variant_p50_ms = own.quantile_ms(0.5, error);
    let control_p50_ms = other.quantile_ms(0.5, error);
    let both = other.aggregate().zip(own.aggregate());
    let ranked = both.and_then(|(control, variant)| mann_whitney(&classes(control, variant)));
    let enough = own.count().min(other.count()) >= MIN_SAMPLES;
    DurationComparison {
        variant_p50_ms,
        control_p50_ms,
        difference_p50_ms: variant_p50_ms.zip(control_p50_ms).map(|(a, b)| a - b),
        probability_slower: ranked.map(|ranked| ranked.superiority),
        significance: ranked
            .filter(|_| enough)
            .map_or_else(Significance::default, |ranked| {
                Significance::of(SignificanceTest::MannWhitneyU, ranked.p)
            }),
    }
}

impl Significance {
    fn of(test: SignificanceTest, p_value: f64) -> Self {
        Self {
            test: Some(test),
            p_value: Some(p_value),
            ..Self::default()
        }
    }
}

/// Corrects for as many tests as there were.
fn adjust<'s>(all: impl Iterator<Item = &'s mut Significance>) {
    let mut tested: Vec<&mut Significance> = all.filter(|one| one.p_value.is_some()).collect();
    let p_values: Vec<f64> = tested.iter().filter_map(|one| one.p_value).collect();
    for (one, adjusted) in tested.iter_mut().zip(holm(&p_values)) {
        one.adjusted_p_value = Some(adjusted);
        one.significant = Some(adjusted < ALPHA);
    }
}

/// How many of `a` and of `b` are in each bucket that both have, in ascending order.
fn classes(a: &Aggregate, b: &Aggregate) -> Vec<(u64, u64)> {
    match (a, b) {
        (Aggregate::Exponential(a), Aggregate::Exponential(b)) => exponential_classes(a, b),
        (Aggregate::Classic(a), Aggregate::Exponential(b)) => {
            let b = ClassicHistogram::from_exponential(b, a.bounds().clone());
            classic_classes(a, &b)
        }
        (Aggregate::Exponential(a), Aggregate::Classic(b)) => {
            let a = ClassicHistogram::from_exponential(a, b.bounds().clone());
            classic_classes(&a, b)
        }
        (Aggregate::Classic(a), Aggregate::Classic(b)) => classic_classes(a, b),
        _ => Vec::new(),
    }
}

fn exponential_classes(a: &ExponentialHistogram, b: &ExponentialHistogram) -> Vec<(u64, u64)> {
    let (mut a, mut b) = (a.clone(), b.clone());
    let scale = a.scale().min(b.scale());
    a.rescale(scale);
    b.rescale(scale);
    let mut classes: BTreeMap<i32, (u64, u64)> = BTreeMap::new();
    for (index, count) in a.buckets() {
        classes.entry(index).or_default().0 = count;
    }
    for (index, count) in b.buckets() {
        classes.entry(index).or_default().1 = count;
    }
    let zeros = (a.zero_count(), b.zero_count());
    [zeros].into_iter().chain(classes.into_values()).collect()
}

fn classic_classes(a: &ClassicHistogram, b: &ClassicHistogram) -> Vec<(u64, u64)> {
    // An empty one with the other's boundaries leaves those that both have.
    let common = |own: &ClassicHistogram, other: &ClassicHistogram| {
        let mut own = own.clone();
        own.merge(&ClassicHistogram::new(other.bounds().clone()));
        own
    };
    let (a, b) = (common(a, b), common(b, a));
    let counts = a.counts().iter().zip(b.counts());
    counts.map(|(a, b)| (*a, *b)).collect()
}
