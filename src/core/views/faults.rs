//! Whose fault the failures were.

use schemars::JsonSchema;
use serde::Serialize;

use crate::core::error_type::{self, ErrorDomain};

/// How many failed, by whose fault it was: each `error.type` of the closed set belongs to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct Faults {
    /// Who asked: a malformed or forbidden request, or one that was given up.
    pub caller: u64,
    /// A rule that refused the request for what it was or for who asked: a rate limit or budget of
    /// the gateway's own, a content filter, a quota, a payment that is due.
    pub policy: u64,
    /// The provider, or the way to it: too many requests for it, an error of its own, a timeout, a
    /// refused connection, a broken stream.
    pub provider: u64,
    /// The gateway itself.
    pub gateway: u64,
    /// Nobody knows.
    #[serde(rename = "_OTHER")]
    pub other: u64,
}

impl Faults {
    /// Adds so many of that `error.type`.
    pub(super) fn add(&mut self, error_type: &str, count: u64) {
        let own = match error_type::domain(error_type) {
            ErrorDomain::Caller => &mut self.caller,
            ErrorDomain::Policy => &mut self.policy,
            ErrorDomain::Provider => &mut self.provider,
            ErrorDomain::Gateway => &mut self.gateway,
            ErrorDomain::Other => &mut self.other,
        };
        *own = own.saturating_add(count);
    }

    /// How many of these were the caller's fault, or that of a rule.
    pub(super) const fn of_caller(&self) -> u64 {
        self.caller.saturating_add(self.policy)
    }
}
