//! How the recognised histograms are aggregated.

use crate::names;
use opentelemetry_sdk::metrics::{Aggregation, Instrument, InstrumentKind, Stream};

/// Buckets of one histogram at the most: at scale 6 they span a factor of a million.
const MAX_BUCKETS: u32 = 1_280;
/// 64 buckets to each doubling: a quantile is off by 0.54 % at the most.
const MAX_SCALE: i8 = 6;
/// Series of one instrument in one reader. Ours stay below it by themselves.
pub(crate) const CARDINALITY_LIMIT: usize = 4_000;

/// The stream settings that a meter provider needs for the views: a histogram with a recognised
/// name becomes a base-2 exponential one, whoever records it.
///
/// For the builder of your own meter provider: `.with_view(aimux_otel::streams)`.
pub fn streams(instrument: &Instrument) -> Option<Stream> {
    let recognised = instrument.kind() == InstrumentKind::Histogram
        && names::EXPONENTIAL.contains(&instrument.name());
    if !recognised {
        return None;
    }
    Stream::builder()
        .with_aggregation(Aggregation::Base2ExponentialHistogram {
            max_size: MAX_BUCKETS,
            max_scale: MAX_SCALE,
            record_min_max: true,
        })
        .with_cardinality_limit(CARDINALITY_LIMIT)
        .build()
        .ok()
}
