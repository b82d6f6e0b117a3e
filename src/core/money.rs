//! Money, summed as integers so that a million small costs add up to the cent.

/// Nano-USD in one USD.
const NANOS_PER_USD: f64 = 1e9;

/// An amount in nano-USD (10⁻⁹ USD).
///
/// 0.0042 USD added a million times in floating point is 4199.999999954845; here it is 4200.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct NanoUsd(i64);

impl NanoUsd {
    /// `usd` rounded to the nearest nano-USD, half to even; `None` if it is negative, not finite,
    /// or above some nine billion USD.
    pub(crate) fn from_usd(usd: f64) -> Option<Self> {
        let nanos = (usd * NANOS_PER_USD).round_ties_even();
        (usd >= 0.0 && nanos < i64::MAX as f64).then_some(Self(nanos as i64))
    }

    /// From an integer amount of nano-USD.
    pub(crate) const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The integer amount of nano-USD.
    pub(crate) const fn nanos(self) -> i64 {
        self.0
    }

    /// In USD.
    pub(crate) fn usd(self) -> f64 {
        self.0 as f64 / NANOS_PER_USD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_small_costs_add_up() {
        let call = NanoUsd::from_usd(0.0042).unwrap();
        let total: i64 = (0..1_000_000).map(|_| call.nanos()).sum();
        assert_eq!(NanoUsd::from_nanos(total).usd(), 4200.0);
    }

    #[test]
    fn finer_amounts_round_half_to_even() {
        let nanos = |usd| NanoUsd::from_usd(usd).map(NanoUsd::nanos);
        assert_eq!(nanos(0.5e-9), Some(0));
        assert_eq!(nanos(1.5e-9), Some(2));
        assert_eq!(nanos(2.5e-9), Some(2));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for usd in [-0.01, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e10] {
            assert_eq!(NanoUsd::from_usd(usd), None, "{usd}");
        }
    }
}
