//! What is kept of a series over some time, and how two of these become one.

use crate::core::classic::ClassicHistogram;
use crate::core::histogram::ExponentialHistogram;
use crate::core::level::Level;
use crate::core::series::Value;
use crate::names;

/// What a series did over some time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Aggregate {
    /// A distribution in exponential buckets.
    Exponential(ExponentialHistogram),
    /// A distribution in buckets with explicit boundaries.
    Classic(ClassicHistogram),
    /// A distribution of which no view shows more than the average.
    Summary {
        /// How many values.
        count: u64,
        /// Their sum.
        sum: f64,
    },
    /// A sum.
    Sum(f64),
    /// A sum of money, in nano-USD: exact, however often something is added.
    Money(i128),
    /// What was read of a gauge.
    Level(Level),
}

/// How much of a metric the windows keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All of it.
    Whole,
    /// Of a histogram, the count and the sum.
    Summary,
}

impl Keep {
    /// How much of `metric` the windows keep: nothing of what no view shows.
    pub(crate) fn of(metric: &str) -> Option<Self> {
        match metric {
            names::GEN_AI_TOKEN_USAGE
            | names::HTTP_SERVER_REQUEST_BODY_SIZE
            | names::HTTP_SERVER_RESPONSE_BODY_SIZE => Some(Self::Summary),
            names::GEN_AI_OPERATION_DURATION
            | names::GEN_AI_TIME_TO_FIRST_CHUNK
            | names::GEN_AI_TIME_PER_OUTPUT_CHUNK
            | names::OPERATION_OVERHEAD
            | names::HTTP_SERVER_REQUEST_DURATION
            | names::COMPONENT_DURATION
            | names::TIMER_DURATION
            | names::EXPERIMENT_DURATION
            | names::COST
            | names::CACHE_RESULTS
            | names::RATE_LIMIT_HITS
            | names::TIMEOUTS
            | names::FAILOVERS
            | names::OPERATIONS
            | names::OPERATION_COST
            | names::TOKEN_DETAILS
            | names::STREAMED_TOKENS
            | names::STREAMED_TIME
            | names::UNPRICED
            | names::CACHE_SAVED_COST
            | names::CACHE_SAVED_TIME
            | names::RATE_LIMIT_REMAINING
            | names::RATE_LIMIT_LIMIT => Some(Self::Whole),
            metric if names::PROCESS.contains(&metric) => Some(Self::Whole),
            _ => None,
        }
    }
}

impl Aggregate {
    /// What `metric` took in one collection interval.
    pub(crate) fn from_value(metric: &str, value: Value) -> Self {
        match value {
            Value::Exponential(histogram) => Self::Exponential(histogram),
            Value::Classic(histogram) => Self::Classic(histogram),
            Value::Sum(usd) if names::MONEY.contains(&metric) => Self::Money(nano_usd(usd)),
            Value::Sum(sum) => Self::Sum(if sum.is_finite() { sum } else { 0.0 }),
            Value::Gauge(value) => Self::Level(Level::of(value)),
        }
    }

    /// One of the same kind to which nothing has been added.
    pub(crate) fn zero(&self) -> Self {
        match self {
            Self::Exponential(_) => Self::Exponential(ExponentialHistogram::default()),
            Self::Classic(histogram) => {
                Self::Classic(ClassicHistogram::new(histogram.bounds().clone()))
            }
            Self::Summary { .. } => Self::Summary { count: 0, sum: 0.0 },
            Self::Sum(_) => Self::Sum(0.0),
            Self::Money(_) => Self::Money(0),
            Self::Level(_) => Self::Level(Level::default()),
        }
    }

    /// As much of it as the windows keep.
    pub(crate) fn reduced(self, keep: Keep) -> Self {
        match (&self, keep) {
            (Self::Exponential(_) | Self::Classic(_), Keep::Summary) => Self::Summary {
                count: self.count(),
                sum: self.sum(),
            },
            _ => self,
        }
    }

    /// Adds `other`, which is later. Kinds that cannot be added, which no metric has at once,
    /// leave it as it is.
    pub(crate) fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Exponential(own), Self::Exponential(other)) => own.merge(other),
            (Self::Classic(own), Self::Classic(other)) => own.merge(other),
            (Self::Classic(own), Self::Exponential(other)) => {
                let bounds = own.bounds().clone();
                own.merge(&ClassicHistogram::from_exponential(other, bounds));
            }
            (Self::Exponential(own), Self::Classic(other)) => {
                let bounds = other.bounds().clone();
                let mut classic = ClassicHistogram::from_exponential(own, bounds);
                classic.merge(other);
                *self = Self::Classic(classic);
            }
            (Self::Summary { count, sum }, _) => {
                *count = count.saturating_add(other.count());
                *sum += other.sum();
            }
            (Self::Sum(own), Self::Sum(other)) => *own += other,
            (Self::Money(own), Self::Money(other)) => *own = own.saturating_add(*other),
            (Self::Level(own), Self::Level(other)) => own.merge(other),
            _ => {}
        }
    }

    /// How many values; zero for a sum.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::Exponential(histogram) => histogram.count(),
            Self::Classic(histogram) => histogram.count(),
            Self::Summary { count, .. } => *count,
            Self::Level(level) => level.count,
            Self::Sum(_) | Self::Money(_) => 0,
        }
    }

    /// The sum of the values, money in USD.
    pub(crate) fn sum(&self) -> f64 {
        match self {
            Self::Exponential(histogram) => histogram.sum(),
            Self::Classic(histogram) => histogram.sum(),
            Self::Summary { sum, .. } | Self::Sum(sum) => *sum,
            Self::Money(nano) => usd(*nano),
            Self::Level(level) => level.sum,
        }
    }

    /// The least value, if known.
    pub(crate) fn min(&self) -> Option<f64> {
        match self {
            Self::Exponential(histogram) => histogram.min(),
            Self::Classic(histogram) => histogram.min(),
            Self::Level(level) => (level.count > 0).then_some(level.min),
            _ => None,
        }
    }

    /// The largest value, if known.
    pub(crate) fn max(&self) -> Option<f64> {
        match self {
            Self::Exponential(histogram) => histogram.max(),
            Self::Classic(histogram) => histogram.max(),
            Self::Level(level) => (level.count > 0).then_some(level.max),
            _ => None,
        }
    }

    /// The value of nearest rank and the largest relative error that it may have, in percent.
    pub(crate) fn quantile(&self, q: f64) -> Option<(f64, f64)> {
        match self {
            Self::Exponential(histogram) => {
                Some((histogram.quantile(q)?, histogram.quantile_error_percent()))
            }
            Self::Classic(histogram) => histogram.quantile(q),
            _ => None,
        }
    }
}

/// To whole nano-USD; what is not a number is nothing.
pub(crate) fn nano_usd(usd: f64) -> i128 {
    // The delta of a sum that is whole nano-USD carries the error of a subtraction in `f64`,
    // far below half of one; rounding takes it off.
    (usd * 1e9).round() as i128
}

/// To USD.
pub(crate) fn usd(nano: i128) -> f64 {
    // The `f64` nearest to it, as long as the nanos fit one; whole and fraction apart above 9 million
    // USD, where they do not.
    const EXACT: u128 = 1 << f64::MANTISSA_DIGITS;
    if nano.unsigned_abs() <= EXACT {
        return nano as f64 / 1e9;
    }
    (nano / 1_000_000_000) as f64 + (nano % 1_000_000_000) as f64 / 1e9
}
