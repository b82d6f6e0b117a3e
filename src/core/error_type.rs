//! The closed set of `error.type`, and whose fault each is.

use crate::names::OTHER;

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ErrorDomain {
    /// Who asked: a malformed or forbidden request, or one that was cancelled.
    Caller,
    /// A rule that refused the request for what it was or for who asked: a rate limit or budget of
    /// the gateway's own, a content filter, a quota, a payment that is due.
    Policy,
    /// The provider, or the way to it.
    Provider,
    /// The gateway itself.
    Gateway,
    /// Not known.
    Other,
}

impl ErrorDomain {
    /// Whether an error of this kind is left out of a provider's own success rate.
    pub(crate) fn is_callers(self) -> bool {
        matches!(self, Self::Caller | Self::Policy)
    }
}

pub(crate) const CANCELLED: &str = "cancelled";
pub(crate) const STREAM_BROKEN: &str = "stream_broken";
pub(crate) const INTERNAL: &str = "internal";
pub(crate) const CONNECTION_REFUSED: &str = "connection_refused";
pub(crate) const CONNECTION_RESET: &str = "connection_reset";
pub(crate) const DNS: &str = "dns";
pub(crate) const TLS: &str = "tls";
const RATE_LIMITED: &str = "rate_limited";
const INVALID_REQUEST: &str = "invalid_request";
pub(crate) const TIMEOUT: &str = "timeout";

/// Every value that is not a status code.
const NAMED: [(&str, ErrorDomain); 19] = [
    (TIMEOUT, ErrorDomain::Provider),
    (RATE_LIMITED, ErrorDomain::Provider),
    (CANCELLED, ErrorDomain::Caller),
    (CONNECTION_REFUSED, ErrorDomain::Provider),
    (CONNECTION_RESET, ErrorDomain::Provider),
    (STREAM_BROKEN, ErrorDomain::Provider),
    (INVALID_REQUEST, ErrorDomain::Caller),
    ("authentication", ErrorDomain::Caller),
    ("permission_denied", ErrorDomain::Caller),
    ("not_found", ErrorDomain::Caller),
    ("context_length_exceeded", ErrorDomain::Caller),
    ("content_filtered", ErrorDomain::Policy),
    ("overloaded", ErrorDomain::Provider),
    ("quota_exceeded", ErrorDomain::Policy),
    ("gateway_rate_limited", ErrorDomain::Policy),
    ("budget_exceeded", ErrorDomain::Policy),
    (INTERNAL, ErrorDomain::Gateway),
    (DNS, ErrorDomain::Provider),
    (TLS, ErrorDomain::Provider),
];

const FIRST_STATUS: u16 = 400;
const LAST_STATUS: u16 = 599;

/// The texts of all status codes from 400 to 599, one after the other.
const STATUS_TEXTS: [u8; 600] = status_texts();

#[allow(clippy::indexing_slicing, reason = "runs in the compiler only")]
const fn status_texts() -> [u8; 600] {
    let mut texts = [b'0'; 600];
    let mut position = 0;
    while position < 200 {
        let code = FIRST_STATUS + position as u16;
        texts[position * 3] = b'0' + (code / 100) as u8;
        texts[position * 3 + 1] = b'0' + (code / 10 % 10) as u8;
        texts[position * 3 + 2] = b'0' + (code % 10) as u8;
        position += 1;
    }
    texts
}

/// The value of `error.type` for a status code, if it is one of an error.
pub(crate) fn of_status(status: u16) -> Option<&'static str> {
    if !(FIRST_STATUS..=LAST_STATUS).contains(&status) {
        return None;
    }
    let start = usize::from(status.checked_sub(FIRST_STATUS)?).checked_mul(3)?;
    let text = STATUS_TEXTS.get(start..start.checked_add(3)?)?;
    std::str::from_utf8(text).ok()
}

/// The value of the closed set that `text` is, or `_OTHER`. The set: the status codes from 400 to
/// 599 as text, and `timeout`, `rate_limited`, `cancelled`, `connection_refused`,
/// `connection_reset`, `stream_broken`, `invalid_request`, `authentication`, `permission_denied`,
/// `not_found`, `context_length_exceeded`, `content_filtered`, `overloaded`, `quota_exceeded`,
/// `gateway_rate_limited`, `budget_exceeded`, `internal`, `dns`, `tls`.
pub(crate) fn canonical(text: &str) -> &'static str {
    if let Some(code) = status_of(text).and_then(of_status) {
        return code;
    }
    named(text).map_or(OTHER, |(name, _)| name)
}

/// What an answer with `status` means, whose body told of an error by a `type` and a `code`, if it
/// did, which [`word`] knows: the code says more than the type, and the status says the rest.
pub(crate) fn of_answer(
    status: u16,
    by_type: Option<&'static str>,
    by_code: Option<&'static str>,
) -> Option<&'static str> {
    let by_type = by_type.filter(|word| match *word {
        // Of any other status, this says less than the status itself.
        INVALID_REQUEST => matches!(status, 400 | 422 | 500),
        _ => true,
    });
    by_code.or(by_type).or_else(|| of_status(status))
}

/// What a provider calls an error, in the `type` or the `code` of an error of OpenAI's or
/// Anthropic's form; `None` for what says no more than the status does.
///
/// Sources: <https://platform.openai.com/docs/guides/error-codes> and
/// <https://docs.claude.com/en/api/errors>.
pub(crate) fn word(text: &str) -> Option<&'static str> {
    Some(match text {
        "invalid_request_error" => INVALID_REQUEST,
        "authentication_error" | "invalid_api_key" | "account_deactivated" => "authentication",
        "permission_error" | "permission_denied" | "unsupported_country_region_territory" => {
            "permission_denied"
        }
        "not_found_error" | "model_not_found" | "not_found" => "not_found",
        "context_length_exceeded" => "context_length_exceeded",
        "content_filter" | "content_policy_violation" => "content_filtered",
        "insufficient_quota" | "billing_error" | "billing_hard_limit_reached" => "quota_exceeded",
        "rate_limit_error" | "rate_limit_exceeded" => RATE_LIMITED,
        "overloaded_error" | "engine_overloaded" | "server_overloaded" => "overloaded",
        "timeout_error" => TIMEOUT,
        "request_too_large" => "413",
        _ => return None,
    })
}

/// A value of the closed set in one byte, where many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ErrorCode(u8);

/// One more than the last number of a status.
const STATUSES: u8 = (LAST_STATUS - FIRST_STATUS + 1) as u8;
/// No status and no name has this number.
const OTHER_CODE: u8 = u8::MAX;
const _: () = assert!(STATUSES as usize + NAMED.len() <= OTHER_CODE as usize);

impl ErrorCode {
    /// What is not of the set counts as `_OTHER`.
    pub(crate) fn of(error_type: &str) -> Self {
        let status = || u8::try_from(status_of(error_type)?.checked_sub(FIRST_STATUS)?).ok();
        let name = || {
            let place = NAMED.iter().position(|(name, _)| *name == error_type)?;
            u8::try_from(place).ok()?.checked_add(STATUSES)
        };
        let code = status().filter(|code| *code < STATUSES).or_else(name);
        Self(code.unwrap_or(OTHER_CODE))
    }

    pub(crate) fn text(self) -> &'static str {
        let text = match self.0.checked_sub(STATUSES) {
            None => of_status(FIRST_STATUS + u16::from(self.0)),
            Some(place) => NAMED.get(usize::from(place)).map(|(name, _)| *name),
        };
        text.unwrap_or(OTHER)
    }
}

/// Whose fault the error is.
pub(crate) fn domain(error_type: &str) -> ErrorDomain {
    match status_of(error_type) {
        // The deadline was the gateway's or the provider's, the load as well.
        Some(408 | 429) => ErrorDomain::Provider,
        Some(402 | 451) => ErrorDomain::Policy,
        Some(400..=499) => ErrorDomain::Caller,
        Some(500..=599) => ErrorDomain::Provider,
        _ => named(error_type).map_or(ErrorDomain::Other, |(_, domain)| domain),
    }
}

/// Whether it says that something took too long.
pub(crate) fn is_timeout(error_type: &str) -> bool {
    matches!(error_type, TIMEOUT | "408" | "504")
}

/// Whether it only says how something ended, and not why.
pub(crate) fn is_ending(error_type: &str) -> bool {
    matches!(error_type, CANCELLED | STREAM_BROKEN)
}

/// Whether it says that there were too many requests.
pub(crate) fn is_rate_limited(error_type: &str) -> bool {
    matches!(error_type, RATE_LIMITED | "429")
}

/// A regular expression of all that is not the caller's fault, nor a rule's that refused it.
pub(crate) fn not_the_callers() -> String {
    let named = NAMED.iter().filter(|(_, domain)| !domain.is_callers());
    let named = named.map(|(text, _)| *text);
    let all: Vec<&str> = named.chain(["408", "429", "5..", OTHER]).collect();
    all.join("|")
}

fn named(text: &str) -> Option<(&'static str, ErrorDomain)> {
    NAMED.iter().find(|(name, _)| *name == text).copied()
}

/// The status code that a text of three digits is.
fn status_of(text: &str) -> Option<u16> {
    let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_the_set_stays_and_anything_else_is_other() {
        for status in FIRST_STATUS..=LAST_STATUS {
            let text = status.to_string();
            assert_eq!(canonical(&text), text);
            assert_eq!(ErrorCode::of(&text).text(), text);
            assert_ne!(domain(&text), ErrorDomain::Other);
        }
        for (name, expected) in NAMED {
            assert_eq!(canonical(name), name);
            assert_eq!(ErrorCode::of(name).text(), name);
            assert_eq!(domain(name), expected);
        }
        for text in [
            "",
            "399",
            "600",
            "0429",
            "+42",
            "Timeout",
            "key sk-123 refused",
            "é1",
        ] {
            assert_eq!(canonical(text), OTHER, "{text}");
            assert_eq!(ErrorCode::of(text).text(), OTHER, "{text}");
            assert_eq!(domain(text), ErrorDomain::Other, "{text}");
        }
    }

    #[test]
    fn the_callers_faults_are_not_the_providers() {
        for text in [
            "400",
            "401",
            "403",
            "404",
            "413",
            "422",
            "cancelled",
            "authentication",
        ] {
            assert!(domain(text).is_callers(), "{text}");
        }
        for text in [
            "429",
            "500",
            "503",
            "504",
            "timeout",
            "rate_limited",
            "_OTHER",
        ] {
            assert!(!domain(text).is_callers(), "{text}");
        }
    }
}
