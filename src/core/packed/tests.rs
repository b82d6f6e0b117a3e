//! What is packed comes out again.

use proptest::prelude::*;

use super::*;

fn exponential() -> impl Strategy<Value = ExponentialHistogram> {
    let count = prop_oneof![
        4 => Just(0_u64),
        4 => 0..10_u64,
        2 => 0..5_000_u64,
        1 => 0..u64::MAX / 1_000,
    ];
    let sum = prop_oneof![
        0.0..1e6_f64,
        (0..1_000_000_u32).prop_map(f64::from),
        Just(-0.0)
    ];
    let counts = prop::collection::vec(count, 0..400);
    let nanos = (0..1_000_000_000_u64, 1_000_000_000..1_u64 << 52);
    let nanos = nanos.prop_map(|(min, max)| (min as f64 / 1e9, max as f64 / 1e9));
    let extremes = prop_oneof![(0.0..1.0_f64, 1.0..1e9_f64), nanos];
    let extremes = prop::option::of(extremes);
    (
        -10..=20_i8,
        0..3_u64,
        -2_000_000..2_000_000_i32,
        counts,
        sum,
        extremes,
    )
        .prop_map(|(scale, zeros, offset, counts, sum, extremes)| {
            let (min, max) = extremes.unzip();
            ExponentialHistogram::from_parts(scale, zeros, offset, counts, sum, min, max)
        })
}

fn recorded() -> impl Strategy<Value = ExponentialHistogram> {
    let fraction = 0.01..1.5_f64;
    let nanos = (1..2_000_000_000_u64).prop_map(|nanos| nanos as f64 / 1e9);
    let value = prop_oneof![fraction, nanos];
    prop::collection::vec(value, 0..3_000).prop_map(|values| {
        let mut histogram = ExponentialHistogram::new(6);
        values.iter().for_each(|value| histogram.record(*value));
        histogram
    })
}

/// Fractions or whole numbers, one reading or many, or none.
fn level() -> impl Strategy<Value = Level> {
    let reading = prop_oneof![-1e9..1e9_f64, (0..1_u64 << 42).prop_map(|n| n as f64)];
    prop::collection::vec(reading, 0..6).prop_map(|readings| {
        let mut level = Level::default();
        readings.iter().for_each(|n| level.merge(&Level::of(*n)));
        level
    })
}

fn aggregate() -> impl Strategy<Value = Aggregate> {
    let bounds: Arc<[f64]> = [0.1, 1.0, 10.0].into();
    prop_oneof![
        4 => exponential().prop_map(Aggregate::Exponential),
        2 => recorded().prop_map(Aggregate::Exponential),
        1 => prop::collection::vec(any::<u32>(), 4).prop_map(move |counts| {
            let counts = counts.into_iter().map(u64::from);
            let bounds = Arc::clone(&bounds);
            let histogram = ClassicHistogram::from_parts(bounds, counts, 0.5, Some(0.1), None);
            Aggregate::Classic(histogram)
        }),
        1 => (any::<u64>(), 0.0..1e9_f64).prop_map(|(count, sum)| Aggregate::Summary { count, sum }),
        1 => prop_oneof![-1e16..1e16_f64, Just(7.0)].prop_map(Aggregate::Sum),
        1 => any::<i128>().prop_map(Aggregate::Money),
        2 => level().prop_map(Aggregate::Level),
    ]
}

/// A histogram whose extremes are only half known comes back without them.
fn as_packed(aggregate: &Aggregate) -> Aggregate {
    match aggregate {
        Aggregate::Classic(h) if h.min().is_none() || h.max().is_none() => {
            let counts = h.counts().iter().copied();
            let bounds = Arc::clone(h.bounds());
            Aggregate::Classic(ClassicHistogram::from_parts(
                bounds,
                counts,
                h.sum(),
                None,
                None,
            ))
        }
        _ => aggregate.clone(),
    }
}

proptest! {
    #[test]
    fn an_aggregate_comes_back(aggregate in aggregate()) {
        let (mut bounds, mut writer) = (BoundsTable::new(), Writer::default());
        pack(&aggregate, &mut bounds, &mut writer);
        let bytes = writer.finish();
        let packed = Packed::new(&bytes, &bounds);
        prop_assert_eq!(packed.unpack(), as_packed(&aggregate));
        prop_assert_eq!(packed.count(), aggregate.count());
    }

    #[test]
    fn merging_a_packed_one_is_merging_it(a in exponential(), b in exponential()) {
        let (mut bounds, mut writer) = (BoundsTable::new(), Writer::default());
        pack(&Aggregate::Exponential(b.clone()), &mut bounds, &mut writer);
        let bytes = writer.finish();
        let mut merged = Aggregate::Exponential(a.clone());
        Packed::new(&bytes, &bounds).merge_into(&mut merged);
        let mut expected = a;
        expected.merge(&b);
        prop_assert_eq!(merged, Aggregate::Exponential(expected));
    }
}

#[test]
fn one_value_takes_little_and_a_busy_series_two_thirds_of_a_byte_for_a_bucket() {
    let size = |histogram: ExponentialHistogram| {
        let mut writer = Writer::default();
        pack(
            &Aggregate::Exponential(histogram),
            &mut BoundsTable::new(),
            &mut writer,
        );
        writer.finish().len()
    };
    let mut one = ExponentialHistogram::new(6);
    one.record(0.123);
    assert!(size(one) <= 13);
    // Some 300 buckets, 10 values in each, evenly spread but for a little unrest.
    let counts = (0..300_u64).map(|n| 10 + n * n % 7);
    let busy = ExponentialHistogram::from_parts(6, 0, -100, counts, 0.1, Some(0.1), Some(9.0));
    assert!(size(busy) < 200 + 32);
}
