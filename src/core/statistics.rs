//! Tests and intervals for comparing two samples: whether a difference is more than noise.

use std::f64::consts::{FRAC_2_SQRT_PI, SQRT_2};

/// Successes of so many trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trials {
    pub(crate) successes: u64,
    pub(crate) total: u64,
}

/// The quantile of the normal distribution that leaves 2.5 % above it.
const Z_95: f64 = 1.959_963_984_540_054;

/// How a difference of two shares was tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShareTest {
    FisherExact,
    TwoProportionZ,
}

/// What came of the Mann–Whitney test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct MannWhitney {
    /// Of all pairs of one from each sample, those in which the second's is the larger; of ties,
    /// half.
    pub(crate) u: f64,
    /// `u` of so many pairs: the probability that the second's is the larger, ties halved.
    pub(crate) superiority: f64,
    pub(crate) p: f64,
}

impl Trials {
    fn failures(self) -> u64 {
        self.total.saturating_sub(self.successes)
    }

    fn share(self) -> f64 {
        self.successes as f64 / self.total as f64
    }

    /// Wilson's interval for the share, at 95 % (E. B. Wilson, JASA 22, 1927).
    fn wilson(self) -> (f64, f64) {
        let (n, p) = (self.total as f64, self.share());
        let z2 = Z_95 * Z_95;
        let centre = p + z2 / (2.0 * n);
        let half = Z_95 * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z2 / n;
        ((centre - half) / scale, (centre + half) / scale)
    }
}

/// How likely a difference of the shares at least as unlikely as this is if there is none, two
/// sided: by Fisher's exact test where any count to be expected is below 5, else by the z-test
/// of two proportions with the pooled share. None without trials.
pub(crate) fn compare_shares(a: Trials, b: Trials) -> Option<(ShareTest, f64)> {
    if a.total == 0 || b.total == 0 {
        return None;
    }
    let all = a.total as f64 + b.total as f64;
    let smaller = a.total.min(b.total) as f64;
    let successes = a.successes as f64 + b.successes as f64;
    let rarer = successes.min(all - successes);
    if smaller * rarer / all < 5.0 {
        return Some((ShareTest::FisherExact, fisher_exact(a, b)));
    }
    let pooled = successes / all;
    let variance = pooled * (1.0 - pooled) * (1.0 / a.total as f64 + 1.0 / b.total as f64);
    let z = (b.share() - a.share()) / variance.sqrt();
    Some((ShareTest::TwoProportionZ, two_sided(z)))
}

/// The probability of all tables with these margins that are at most as likely as this one
/// (R. A. Fisher, Statistical Methods for Research Workers, 1934, §21.02).
fn fisher_exact(a: Trials, b: Trials) -> f64 {
    // The rarer outcome is counted, so that there are few tables.
    let failures = a.failures() as f64 + b.failures() as f64;
    let (of_a, rare) = if failures <= a.successes as f64 + b.successes as f64 {
        (a.failures() as f64, failures)
    } else {
        (a.successes as f64, a.successes as f64 + b.successes as f64)
    };
    let (row, other) = (a.total as f64, b.total as f64);
    let least = (rare - other).max(0.0);
    let most = rare.min(row);
    // How much more likely `k + 1` of the rare ones among the first are than `k`.
    let ratio = |k: f64| (row - k) * (rare - k) / ((k + 1.0) * (other - rare + k + 1.0));
    // Relative to the likeliest table, so that nothing overflows: first that of this one.
    let mode = ((row + 1.0) * (rare + 1.0) / (row + other + 2.0))
        .floor()
        .clamp(least, most);
    let steps = |from: f64, to: f64| {
        std::iter::successors(Some(from), |k| Some(k + 1.0)).take_while(move |k| *k < to)
    };
    let own: f64 = if of_a >= mode {
        steps(mode, of_a).map(ratio).product()
    } else {
        1.0 / steps(of_a, mode).map(ratio).product::<f64>()
    };
    // Tables as likely as this one count, whatever the last digits say.
    let limit = own * (1.0 + 1e-7);
    let (mut all, mut unlikely) = (0.0, 0.0);
    let mut add = |weight: f64| {
        all += weight;
        if weight <= limit {
            unlikely += weight;
        }
    };
    let mut weight = 1.0;
    add(weight);
    for k in steps(mode, most) {
        weight *= ratio(k);
        add(weight);
    }
    weight = 1.0;
    let mut k = mode;
    while k > least {
        k -= 1.0;
        weight /= ratio(k);
        add(weight);
    }
    let p: f64 = unlikely / all;
    p.min(1.0)
}

/// The 95 % interval of the difference `b − a` of two shares: Newcombe's, from the Wilson
/// intervals of each (R. G. Newcombe, Statistics in Medicine 17, 1998, method 10).
pub(crate) fn difference_interval(a: Trials, b: Trials) -> Option<(f64, f64)> {
    if a.total == 0 || b.total == 0 {
        return None;
    }
    let (pa, pb) = (a.share(), b.share());
    let ((la, ua), (lb, ub)) = (a.wilson(), b.wilson());
    let difference = pb - pa;
    let below = (pb - lb).hypot(ua - pa);
    let above = (ub - pb).hypot(pa - la);
    Some((difference - below, difference + above))
}

/// Whether one of two samples tends to larger values, from how many of each there are in ordered
/// classes: the test of Mann and Whitney (Annals of Mathematical Statistics 18, 1947) with
/// corrections for ties and continuity, two sided, by the normal distribution. None if one of the
/// samples is empty.
pub(crate) fn mann_whitney(classes: &[(u64, u64)]) -> Option<MannWhitney> {
    let sum = |of: fn(&(u64, u64)) -> u64| classes.iter().map(|class| of(class) as f64).sum();
    let (n, m): (f64, f64) = (sum(|class| class.0), sum(|class| class.1));
    if n == 0.0 || m == 0.0 {
        return None;
    }
    let (mut u, mut below, mut ties) = (0.0, 0.0, 0.0);
    for &(a, b) in classes {
        let (a, b) = (a as f64, b as f64);
        u += b * (below + a / 2.0);
        below += a;
        let t = a + b;
        ties += t * (t * t - 1.0);
    }
    let all = n + m;
    let variance = n * m / 12.0 * ((all + 1.0) - ties / (all * (all - 1.0)));
    let off = ((u - n * m / 2.0).abs() - 0.5).max(0.0);
    let p = if variance > 0.0 {
        two_sided(off / variance.sqrt())
    } else {
        1.0
    };
    let superiority = u / (n * m);
    Some(MannWhitney { u, superiority, p })
}

/// The p-values, each as it has to be below the level so that of all of them together none is
/// below by chance more often than the level says (S. Holm, Scandinavian Journal of Statistics 6,
/// 1979).
pub(crate) fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    let of = |at: &usize| p_values.get(*at).copied().unwrap_or(1.0);
    order.sort_by(|a, b| of(a).total_cmp(&of(b)));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut least = 0.0_f64;
    for (rank, at) in order.iter().enumerate() {
        let left = p_values.len().saturating_sub(rank) as f64;
        least = least.max((of(at) * left).min(1.0));
        if let Some(slot) = adjusted.get_mut(*at) {
            *slot = least;
        }
    }
    adjusted
}

/// The probability that a normal value is at least as far from zero as `z`.
fn two_sided(z: f64) -> f64 {
    if z.is_nan() {
        return 1.0;
    }
    erfc(z.abs() / SQRT_2)
}

/// The complementary error function of `x`, not negative, to some fourteen digits.
fn erfc(x: f64) -> f64 {
    if x < 2.5 {
        // erf x = 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (1·3·5⋯(2n+1)): all terms have one sign.
        let (mut term, mut sum, mut n) = (x, x, 1.0);
        while term > sum * 1e-17 {
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
            n += 1.0;
        }
        return 1.0 - FRAC_2_SQRT_PI * (-x * x).exp() * sum;
    }
    // erfc x = e^(−x²)/√π · 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + …)))), from the far end.
    let fraction = (1..=80)
        .rev()
        .fold(x, |rest, n| x + f64::from(n) / 2.0 / rest);
    (-x * x).exp() * FRAC_2_SQRT_PI / 2.0 / fraction
}

#[cfg(test)]
mod tests;
