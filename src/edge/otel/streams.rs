//! How the recognised histograms are aggregated.

use crate::names;
use opentelemetry_sdk::metrics::{Aggregation, Instrument, InstrumentKind, Stream};

/// Buckets of one histogram at the most: at scale 6 they span a factor of a million.
const MAX_BUCKETS: u32 = 1_280;
/// 64 buckets to each doubling: a quantile is off by 0.54 % at the most.
const MAX_SCALE: i8 = 6;
/// Buckets for tokens and sizes at the most, whose quantiles no view shows.
const MAX_COARSE_BUCKETS: u32 = 320;
/// 8 buckets to each doubling: a quantile of tokens or bytes is off by 4.4 % at the most, and an
/// average not at all.
const MAX_COARSE_SCALE: i8 = 3;

/// 16 buckets to each doubling: a quantile of what the gateway itself takes is off by 2.2 % at the
/// most.
const MAX_OVERHEAD_SCALE: i8 = 4;

/// Series of one metric in one reader; ours stay below it by themselves. The SDK reserves a map
/// for so many, in each: this fills one of 2,048 places.
pub(super) const SERIES_LIMIT: usize = 1_791;
/// The same for tokens, of which there are two kinds.
pub(super) const TOKEN_SERIES_LIMIT: usize = 3_583;

/// The same for what is counted by provider and model alone.
pub(super) const PAIR_SERIES_LIMIT: usize = 447;

/// The same for quotas.
pub(super) const QUOTA_SERIES_LIMIT: usize = 447;

/// The same for the health of providers and models.
pub(super) const HEALTH_SERIES_LIMIT: usize = 223;

/// The same for a recognised metric that somebody else records.
pub(super) const FOREIGN_SERIES_LIMIT: usize = 4_000;

/// The stream settings that a meter provider needs for the views: a histogram with a recognised
/// name becomes a base-2 exponential one, whoever records it. What this crate counts besides
/// gets room for as many series as it can have, and no more.
///
/// For the builder of your own meter provider: `.with_view(aimux_otel::streams)`.
pub fn streams(instrument: &Instrument) -> Option<Stream> {
    let is_ours = instrument.scope().name() == names::SCOPE;
    let is_histogram = instrument.kind() == InstrumentKind::Histogram;
    let recognised = is_histogram && names::EXPONENTIAL.contains(&instrument.name());
    if !is_ours && !recognised {
        return None;
    }
    let stream = Stream::builder().with_cardinality_limit(if is_ours {
        series_limit(instrument.name())
    } else {
        FOREIGN_SERIES_LIMIT
    });
    if !recognised {
        return stream.build().ok();
    }
    let (max_size, max_scale) = match instrument.name() {
        names::GEN_AI_TOKEN_USAGE
        | names::INFERENCE_INPUT_TOKENS
        | names::INFERENCE_OUTPUT_TOKENS
        | names::HTTP_SERVER_REQUEST_BODY_SIZE
        | names::HTTP_SERVER_RESPONSE_BODY_SIZE => (MAX_COARSE_BUCKETS, MAX_COARSE_SCALE),
        names::OPERATION_OVERHEAD => (MAX_COARSE_BUCKETS, MAX_OVERHEAD_SCALE),
        _ => (MAX_BUCKETS, MAX_SCALE),
    };
    let exponential = Aggregation::Base2ExponentialHistogram {
        max_size,
        max_scale,
        record_min_max: true,
    };
    stream.with_aggregation(exponential).build().ok()
}

/// How many series a metric of ours can have in one reader: the SDK reserves a map for as many.
pub(super) fn series_limit(metric: &str) -> usize {
    match metric {
        names::GEN_AI_TOKEN_USAGE => TOKEN_SERIES_LIMIT,
        // By provider and model.
        names::COST
        | names::CACHE_RESULTS
        | names::RATE_LIMIT_HITS
        | names::TIMEOUTS
        | names::FAILOVERS => SERIES_LIMIT,
        // By route.
        names::OPERATIONS | names::OPERATION_OVERHEAD | names::OPERATION_COST => 447,
        metric if names::EXPONENTIAL.contains(&metric) => SERIES_LIMIT,
        metric if names::USAGE.contains(&metric) => SERIES_LIMIT,
        // By provider, model and resource.
        names::RATE_LIMIT_REMAINING | names::RATE_LIMIT_LIMIT => QUOTA_SERIES_LIMIT,
        // By provider and model, of which there are fewer here.
        names::UNPRICED | names::STREAMED_TOKENS | names::STREAMED_TIME => PAIR_SERIES_LIMIT,
        names::CACHE_SAVED_COST | names::CACHE_SAVED_TIME => 895,
        names::TOKEN_DETAILS => SERIES_LIMIT,
        names::PROVIDER_HEALTH => HEALTH_SERIES_LIMIT,
        // By rule and severity.
        names::ALERTS_ACTIVE => 447,
        // By destination and reason.
        metric if metric.starts_with(names::PUSHES) => 447,
        // By reason, kind or part.
        _ => 27,
    }
}
