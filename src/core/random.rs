//! Numbers by chance, for what is sampled and for identifiers.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
};

/// A number that nobody outside can foresee in bulk: a xorshift of its own for each thread. It is
/// zero only on a thread that ends.
pub(crate) fn random() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(1_u64) | 1);
    }
    STATE
        .try_with(|state| {
            let mut x = state.get();
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            state.set(x);
            x
        })
        .unwrap_or(0)
}

/// 128 bits that nobody can foresee, nor meet twice.
pub(crate) fn random_hex() -> String {
    let random = || RandomState::new().hash_one(0_u8);
    format!("{:016x}{:016x}", random(), random())
}
