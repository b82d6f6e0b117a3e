//! What a span's field means, by its name.

/// What a recognised field tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Provider,
    Model,
    Operation,
    Endpoint,
    Method,
    StatusCode,
    RequestSize,
    ResponseSize,
    ErrorType,
    OtelStatus,
    OtelKind,
    InputTokens,
    OutputTokens,
    CacheReadTokens,
    CacheWriteTokens,
    ReasoningTokens,
    Cost,
    /// How long what a cache had would have taken, in milliseconds.
    SavedMs,
    /// In seconds.
    TimeToFirstChunk,
    /// The same in milliseconds.
    TimeToFirstChunkMs,
    Component,
    ComponentOperation,
    /// The number of the HTTP layer's open operation.
    HttpOperation,
    /// What an `aimux.event` tells of.
    Event,
    From,
    To,
    Reason,
    RequestId,
}

/// A recognised field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) meaning: Meaning,
    /// A short name of ours or an older one: gives way to the conventions' name.
    pub(super) alias: bool,
    /// The callsite has both.
    pub(super) contested: bool,
}

impl Meaning {
    /// One bit for what is told, whatever the name and the unit.
    pub(super) const fn bit(self) -> u32 {
        match self {
            Self::TimeToFirstChunkMs => 1 << Self::TimeToFirstChunk as u32,
            other => 1 << other as u32,
        }
    }
}

/// What the field called `name` tells, if anything.
pub(super) fn recognise(name: &str) -> Option<Field> {
    use Meaning::{
        CacheReadTokens, CacheWriteTokens, Component, ComponentOperation, Cost, Endpoint,
        ErrorType, InputTokens, Method, Model, Operation, OtelKind, OtelStatus, OutputTokens,
        Provider, ReasoningTokens, RequestId, RequestSize, ResponseSize, StatusCode,
        TimeToFirstChunk, TimeToFirstChunkMs,
    };
    let (meaning, alias) = match name {
        "gen_ai.provider.name" => (Provider, false),
        "gen_ai.system" | "provider" => (Provider, true),
        "gen_ai.request.model" => (Model, false),
        "model" => (Model, true),
        "gen_ai.operation.name" => (Operation, false),
        "operation" => (Operation, true),
        "http.route" => (Endpoint, false),
        "endpoint" => (Endpoint, true),
        "http.request.method" => (Method, false),
        "method" => (Method, true),
        "http.response.status_code" => (StatusCode, false),
        "status_code" => (StatusCode, true),
        "http.request.body.size" => (RequestSize, false),
        "request_size" => (RequestSize, true),
        "request_id" => (RequestId, true),
        "http.response.body.size" => (ResponseSize, false),
        "response_size" => (ResponseSize, true),
        "error.type" => (ErrorType, false),
        "error_type" => (ErrorType, true),
        "otel.status_code" => (OtelStatus, false),
        "otel.kind" => (OtelKind, false),
        "gen_ai.usage.input_tokens" => (InputTokens, false),
        "input_tokens" => (InputTokens, true),
        "gen_ai.usage.output_tokens" => (OutputTokens, false),
        "output_tokens" => (OutputTokens, true),
        "gen_ai.usage.cache_read.input_tokens" => (CacheReadTokens, false),
        "cache_read_tokens" => (CacheReadTokens, true),
        "gen_ai.usage.cache_creation.input_tokens" => (CacheWriteTokens, false),
        "cache_write_tokens" => (CacheWriteTokens, true),
        "gen_ai.usage.reasoning.output_tokens" => (ReasoningTokens, false),
        "reasoning_tokens" => (ReasoningTokens, true),
        "aimux.cost" => (Cost, false),
        "cost" => (Cost, true),
        "gen_ai.response.time_to_first_chunk" => (TimeToFirstChunk, false),
        "ttft_ms" => (TimeToFirstChunkMs, true),
        "aimux.component" => (Component, false),
        "component" => (Component, true),
        "aimux.operation" => (ComponentOperation, false),
        _ => return None,
    };
    Some(Field {
        meaning,
        alias,
        contested: false,
    })
}

/// What the field called `name` of an event tells, if anything.
pub(super) fn recognise_in_event(name: &str) -> Option<Field> {
    let meaning = match name {
        "aimux.event" => Meaning::Event,
        "from" => Meaning::From,
        "to" => Meaning::To,
        "reason" => Meaning::Reason,
        "saved_ms" => Meaning::SavedMs,
        _ => return recognise(name),
    };
    Some(Field {
        meaning,
        alias: false,
        contested: false,
    })
}

#[cfg(all(test, feature = "otlp"))]
mod tests {
    use super::*;
    use crate::names::SPAN_ALIASES;

    #[test]
    fn what_a_span_is_exported_with_means_what_it_was_recorded_as() {
        for (alias, name) in SPAN_ALIASES {
            let of = |name| recognise(name).unwrap_or_else(|| panic!("{name}"));
            let (alias, name) = (of(alias), of(name));
            assert!(alias.alias && !name.alias);
            assert_eq!(alias.meaning.bit(), name.meaning.bit(), "{name:?}");
        }
    }
}
