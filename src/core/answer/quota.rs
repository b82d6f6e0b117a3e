//! Rate limits: a stand-in.

use crate::clock::Timestamp;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Quota {
    pub(crate) limit: Option<u64>,
    pub(crate) remaining: Option<u64>,
    pub(crate) resets_at: Option<Timestamp>,
}

impl Quotas {
    pub(crate) fn read<'h>(
        header: impl Fn(&str) -> Option<&'h str>,
        _now: Timestamp,
    ) -> Option<Self> {
        let number = |name: &str| header(name)?.parse().ok();
        let mut quotas = Self::default();
        quotas.requests.limit = number("x-ratelimit-limit-requests");
        quotas.requests.remaining = number("x-ratelimit-remaining-requests");
        quotas.tokens.limit = number("x-ratelimit-limit-tokens");
        quotas.tokens.remaining = number("x-ratelimit-remaining-tokens");
        Some(quotas)
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Quotas {
    pub(crate) requests: Quota,
    pub(crate) tokens: Quota,
    pub(crate) input_tokens: Quota,
    pub(crate) output_tokens: Quota,
    pub(crate) retry_after: Option<std::time::Duration>,
}
