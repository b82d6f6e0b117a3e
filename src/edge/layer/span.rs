//! What is known of an open span, and what it comes to when it closes.

use super::{
    callsite::{Callsite, CallsiteKind, CallsiteNumber},
    field::{Field, Meaning},
};
use crate::{
    clock::{Timestamp, saturating_nanos},
    core::{
        chain::ChainSoFar,
        error_type,
        labels::Label,
        measurement::{Count, Kind, Measurement, Method},
        money::NanoUsd,
        record::id_of,
        recorder::Recorder,
    },
    event_type::PerformanceEventType,
    names,
};
use std::{num::NonZeroU64, time::Duration};
use tracing_core::field::{Field as TracingField, Visit};

/// An open span of ours.
#[derive(Debug)]
pub(super) struct SpanState {
    pub(super) callsite: CallsiteNumber,
    /// What is known so far. Until the span closes, `ended` is when it began: there are many of
    /// these at once.
    pub(super) measurement: Measurement,
    /// The nearest span around it that may be an operation, by its id.
    pub(super) operation: Option<NonZeroU64>,
    /// The operation around it that the HTTP layer keeps, by its number.
    pub(super) kept: Option<NonZeroU64>,
    pub(super) kind: CallsiteKind,
    /// The attempts that spans below it have recorded.
    pub(super) chain: ChainSoFar,
    /// An `ERROR` event with an `error` field was seen directly inside.
    pub(super) error_event: bool,
    /// An `aimux.event` inside that would be the reason, if it failed.
    pub(super) suspect: Option<Suspect>,
    pub(super) otel_status: OtelStatus,
    /// `otel.kind` is `client`.
    pub(super) client: bool,
    /// What has been told by a name of the conventions, as bits of [`Meaning::bit`].
    conventional: u32,
}

/// What may have made a span fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suspect {
    Timeout,
    RateLimit,
}

impl Suspect {
    const fn reason(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::RateLimit => "rate_limited",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OtelStatus {
    Unset,
    Ok,
    Error,
}

impl SpanState {
    #[inline]
    pub(super) fn new(started: Timestamp, number: CallsiteNumber, kind: CallsiteKind) -> Self {
        let mut measurement = Measurement::new(Kind::Attempt, PerformanceEventType::ProviderEnd);
        measurement.ended = started;
        Self {
            callsite: number,
            kind,
            measurement,
            operation: None,
            kept: None,
            chain: ChainSoFar::EMPTY,
            error_event: false,
            suspect: None,
            otel_status: OtelStatus::Unset,
            client: false,
            conventional: 0,
        }
    }

    /// It names a provider or a model.
    pub(super) const fn is_attempt(&self) -> bool {
        !self.measurement.provider.is_none() || !self.measurement.model.is_none()
    }

    /// It names an endpoint, and is not a call that the gateway itself makes.
    pub(super) const fn is_operation(&self) -> bool {
        !self.measurement.endpoint.is_none() && !self.client
    }

    /// The reason of its failure; `None` if it is a success as far as it says.
    pub(super) fn failure(&self) -> Option<&'static str> {
        let measurement = &self.measurement;
        if measurement.error.is_some() {
            return measurement.error;
        }
        let status_failed = measurement.status.map(|status| status >= 400);
        let recorded_success = self.otel_status == OtelStatus::Ok || status_failed == Some(false);
        let reason = || self.suspect.map_or(names::OTHER, Suspect::reason);
        match (status_failed, self.otel_status) {
            // The status itself will be the reason.
            (Some(true), _) => None,
            (_, OtelStatus::Error) => Some(reason()),
            _ if self.error_event && !recorded_success => Some(reason()),
            _ => None,
        }
    }
}

/// Writes the recognised fields of one callsite into a state. It never runs code of the host:
/// a value that only `Debug` or `Display` can show is not read.
pub(super) struct Reader<'a> {
    pub(super) callsite: &'a Callsite,
    pub(super) recorder: &'a Recorder,
    pub(super) state: &'a mut SpanState,
}

impl Reader<'_> {
    #[inline]
    fn field(&mut self, field: &TracingField) -> Option<Meaning> {
        let field = (*self.callsite.fields.get(field.index())?)?;
        (!field.contested || self.wins(field)).then_some(field.meaning)
    }

    /// Whether what is told by this name counts: the conventions' name has the last word.
    fn wins(&mut self, Field { meaning, alias, .. }: Field) -> bool {
        if !alias {
            self.state.conventional |= meaning.bit();
        }
        !alias || self.state.conventional & meaning.bit() == 0
    }

    #[inline]
    fn text(&mut self, meaning: Meaning, text: &str) {
        let labels = &*self.recorder.labels;
        let measurement = &mut self.state.measurement;
        let (table, label) = match meaning {
            Meaning::Provider | Meaning::From => (&labels.providers, &mut measurement.provider),
            Meaning::Model => (&labels.models, &mut measurement.model),
            Meaning::Operation => (&labels.operations, &mut measurement.operation),
            Meaning::Endpoint => (&labels.endpoints, &mut measurement.endpoint),
            Meaning::Component => (&labels.components, &mut measurement.component),
            Meaning::ComponentOperation => (
                &labels.component_operations,
                &mut measurement.component_operation,
            ),
            Meaning::To => (&labels.providers, &mut measurement.failover_to),
            Meaning::Reason => (&labels.reasons, &mut measurement.reason),
            _ => return self.unlabelled_text(meaning, text),
        };
        *label = table.label(text);
    }

    fn unlabelled_text(&mut self, meaning: Meaning, text: &str) {
        let measurement = &mut self.state.measurement;
        match meaning {
            Meaning::Method => measurement.method = Some(Method::from_text(text)),
            // That it was given up, or broke off, may follow from what was told before.
            Meaning::ErrorType if measurement.error.is_some() && error_type::is_ending(text) => {}
            Meaning::ErrorType => measurement.error = error_of(text),
            Meaning::OtelStatus => {
                self.state.otel_status = match text {
                    _ if text.eq_ignore_ascii_case("ok") => OtelStatus::Ok,
                    _ if text.eq_ignore_ascii_case("error") => OtelStatus::Error,
                    _ => OtelStatus::Unset,
                };
            }
            Meaning::OtelKind => self.state.client = text.eq_ignore_ascii_case("client"),
            Meaning::RequestId => {
                let custom = measurement.custom.get_or_insert_default();
                custom.request_id = Some(id_of(text));
            }
            Meaning::Event => {
                if let Some(event) = event_of(text) {
                    measurement.event = event;
                    measurement.kind = Kind::Signal;
                }
            }
            _ => match text.parse::<f64>() {
                Ok(number) => self.float(meaning, number),
                Err(_) => self.unreadable(),
            },
        }
    }

    fn integer(&mut self, meaning: Meaning, integer: u64) {
        let measurement = &mut self.state.measurement;
        let is_name = matches!(meaning, Meaning::ErrorType | Meaning::RequestId);
        if integer > Count::LARGEST && !is_name {
            return self.unreadable();
        }
        let count = Count::new(integer);
        match meaning {
            Meaning::StatusCode => match u16::try_from(integer) {
                Ok(status @ 100..=599) => measurement.status = Some(status),
                _ => self.unreadable(),
            },
            Meaning::RequestSize => measurement.request_size = count,
            Meaning::ResponseSize => measurement.response_size = count,
            Meaning::InputTokens => measurement.input_tokens = count,
            Meaning::OutputTokens => measurement.output_tokens = count,
            Meaning::CacheReadTokens => measurement.cache_read_tokens = count,
            Meaning::CacheWriteTokens => measurement.cache_write_tokens = count,
            Meaning::ReasoningTokens => measurement.reasoning_tokens = count,
            Meaning::HttpOperation => self.state.kept = NonZeroU64::new(integer),
            Meaning::RequestId => self.unlabelled_text(meaning, &integer.to_string()),
            Meaning::Cost
            | Meaning::SavedMs
            | Meaning::TimeToFirstChunk
            | Meaning::TimeToFirstChunkMs => {
                self.float(meaning, integer as f64);
            }
            // A status or an error code that is spelled as a number.
            Meaning::ErrorType => {
                let status = u16::try_from(integer).unwrap_or(0);
                measurement.error = error_type::of_status(status).or(Some(names::OTHER));
            }
            _ => self.unreadable(),
        }
    }

    fn float(&mut self, meaning: Meaning, number: f64) {
        let measurement = &mut self.state.measurement;
        match meaning {
            Meaning::Cost => match NanoUsd::from_usd(number) {
                Some(cost) => measurement.set_cost(cost),
                None => self.unreadable(),
            },
            Meaning::TimeToFirstChunk | Meaning::TimeToFirstChunkMs => {
                let to_nanos = match meaning {
                    Meaning::TimeToFirstChunk => 1e9,
                    _ => 1e6,
                };
                if !measurement.set_time_to_first_chunk(number * to_nanos) {
                    self.unreadable();
                }
            }
            Meaning::SavedMs => match Duration::try_from_secs_f64(number / 1e3) {
                Ok(saved) => measurement.duration = saturating_nanos(saved),
                Err(_) => self.unreadable(),
            },
            _ if number >= 0.0 && number < 2f64.powi(63) && number.fract() == 0.0 => {
                self.integer(meaning, number as u64);
            }
            _ => self.unreadable(),
        }
    }

    #[cold]
    fn unreadable(&self) {
        self.recorder.unreadable();
    }
}

impl Visit for Reader<'_> {
    #[inline]
    fn record_str(&mut self, field: &TracingField, value: &str) {
        if let Some(meaning) = self.field(field) {
            self.text(meaning, value);
        }
    }

    #[inline]
    fn record_u64(&mut self, field: &TracingField, value: u64) {
        if let Some(meaning) = self.field(field) {
            self.integer(meaning, value);
        }
    }

    fn record_i64(&mut self, field: &TracingField, value: i64) {
        if let Some(meaning) = self.field(field) {
            match u64::try_from(value) {
                Ok(value) => self.integer(meaning, value),
                Err(_) => self.unreadable(),
            }
        }
    }

    fn record_f64(&mut self, field: &TracingField, value: f64) {
        if let Some(meaning) = self.field(field) {
            self.float(meaning, value);
        }
    }

    fn record_bool(&mut self, field: &TracingField, _: bool) {
        if self.field(field).is_some() {
            self.unreadable();
        }
    }

    /// What `?value` and `%value` come to: to read it would run code of the host. That there is a
    /// provider, model, endpoint or component is still known, only not which.
    fn record_debug(&mut self, field: &TracingField, _: &dyn std::fmt::Debug) {
        let Some(meaning) = self.field(field) else {
            return;
        };
        let measurement = &mut self.state.measurement;
        match meaning {
            Meaning::Provider => measurement.provider = Label::OTHER,
            Meaning::Model => measurement.model = Label::OTHER,
            Meaning::Endpoint => measurement.endpoint = Label::OTHER,
            Meaning::Component => measurement.component = Label::OTHER,
            Meaning::ErrorType => measurement.error = Some(names::OTHER),
            // Often it is there for logs only.
            Meaning::RequestId => return,
            _ => {}
        }
        self.unreadable();
    }
}

/// The error type that `text` spells; an empty text is none.
pub(super) fn error_of(text: &str) -> Option<&'static str> {
    (!text.is_empty()).then(|| error_type::canonical(text))
}

fn event_of(text: &str) -> Option<PerformanceEventType> {
    Some(match text {
        "cache_hit" => PerformanceEventType::CacheHit,
        "cache_miss" => PerformanceEventType::CacheMiss,
        "rate_limit_hit" => PerformanceEventType::RateLimitHit,
        "timeout" => PerformanceEventType::Timeout,
        "failover_initiated" => PerformanceEventType::FailoverInitiated,
        _ => return None,
    })
}
