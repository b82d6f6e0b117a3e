//! Whether something rises or falls: a slope and a test that outliers do not fool.
//!
//! The slope is the median of the slopes between all pairs of points, after Theil (1950) and Sen
//! (1968, "Estimates of the regression coefficient based on Kendall's tau", Journal of the American
//! Statistical Association 63): up to 29 % of the points may be anything without moving it far.
//! Whether it is more than noise is the test of Mann (1945) and Kendall (1975), two-sided at 5 %,
//! by its normal approximation with the corrections for ties and for continuity.
//!
//! Both take the points as independent of each other. The memory of a process is not: what is high
//! stays high for a while, and so the test finds a trend more often than once in twenty where there
//! is none. Hence the second condition, that the change amounts to something.

use schemars::JsonSchema;
use serde::Serialize;

/// With fewer points there is no telling: the normal approximation is not to be trusted.
pub(crate) const FEWEST: usize = 8;

/// Points are taken together until there are no more than these: all pairs of them are looked at.
pub(crate) const MOST: usize = 96;

/// The two-sided 5 % quantile of the normal distribution.
const SIGNIFICANT: f64 = 1.959_964;

/// Where something is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PressureTrend {
    /// Up.
    Increasing,
    /// Neither up nor down by more than noise, or not known yet.
    #[default]
    Stable,
    /// Down.
    Decreasing,
}

/// One value at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    /// In seconds, from wherever.
    pub(crate) at: f64,
    pub(crate) value: f64,
}

/// What can be said of points.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Trend {
    /// The median of the slopes, in values a second; none of fewer than [`FEWEST`] points.
    pub(crate) slope: Option<f64>,
    pub(crate) direction: PressureTrend,
}

/// The trend of `points`, oldest first, of which the slope over all their time has to be at least
/// `threshold`. Of more than [`MOST`] the newest count.
pub(crate) fn trend(points: &[Point], threshold: f64) -> Trend {
    let finite = |point: &&Point| point.at.is_finite() && point.value.is_finite();
    let mut points: Vec<Point> = points.iter().filter(finite).copied().collect();
    let older = points.len().saturating_sub(MOST);
    points.drain(..older);
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Trend::default();
    };
    let span = last.at - first.at;
    if points.len() < FEWEST || span <= 0.0 {
        return Trend::default();
    }
    let Some(slope) = median(slopes(&points)) else {
        return Trend::default();
    };
    let matters = (slope * span).abs() >= threshold && is_significant(&points);
    let direction = match slope {
        slope if matters && slope > 0.0 => PressureTrend::Increasing,
        slope if matters && slope < 0.0 => PressureTrend::Decreasing,
        _ => PressureTrend::Stable,
    };
    Trend {
        slope: Some(slope),
        direction,
    }
}

/// Each pair of points, the earlier first.
fn pairs(points: &[Point]) -> impl Iterator<Item = (&Point, &Point)> {
    points.iter().enumerate().flat_map(|(position, earlier)| {
        let later = points.iter().skip(position.saturating_add(1));
        later.map(move |later| (earlier, later))
    })
}

fn slopes(points: &[Point]) -> Vec<f64> {
    pairs(points)
        .map(|(a, b)| (b.value - a.value) / (b.at - a.at))
        .filter(|slope| slope.is_finite())
        .collect()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *values.get(middle.checked_sub(1)?)?;
    Some(lower / 2.0 + upper / 2.0)
}

/// Whether more pairs rise than fall, or the other way round, than chance would make.
fn is_significant(points: &[Point]) -> bool {
    let score: f64 = pairs(points)
        .map(|(a, b)| match b.value.total_cmp(&a.value) {
            _ if a.value == b.value => 0.0,
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Less => -1.0,
            std::cmp::Ordering::Equal => 0.0,
        })
        .sum();
    let mut values: Vec<f64> = points.iter().map(|point| point.value).collect();
    values.sort_unstable_by(f64::total_cmp);
    let variance = |n: usize| {
        let n = n as f64;
        n * (n - 1.0) * (2.0 * n + 5.0)
    };
    let ties: f64 = values
        .chunk_by(|a, b| a == b)
        .map(|group| variance(group.len()))
        .sum();
    let deviation = ((variance(values.len()) - ties) / 18.0).max(0.0).sqrt();
    deviation > 0.0 && (score.abs() - 1.0) / deviation >= SIGNIFICANT
}

#[cfg(test)]
mod tests;
