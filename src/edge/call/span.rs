//! The span that stands for a call in a trace. It is there only if traces are exported, and is not
//! measured: the call itself is.

use crate::{
    core::{measurement::Measurement, recorder::Recorder, trace_link::TraceLink},
    names,
};
#[cfg(feature = "server")]
use http::{HeaderMap, HeaderName, HeaderValue};
#[cfg(feature = "server")]
use opentelemetry::propagation::{Injector, TextMapPropagator};
#[cfg(feature = "server")]
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Span, field::Empty};

/// Opens it, below the current one.
pub(super) fn open(recorder: &Recorder, call: &Measurement) -> Span {
    if !recorder.traces {
        return Span::none();
    }
    let provider = recorder.labels.providers.text(call.provider);
    let model = recorder.labels.models.text(call.model);
    let name = name(names::USUAL_OPERATION, model.as_deref());
    // Its target and fields are those of `names`, which macros cannot take.
    tracing::info_span!(
        target: "aimux_otel::call",
        "gen_ai.client.call",
        otel.kind = "client",
        otel.name = name.as_str(),
        otel.status_code = Empty,
        gen_ai.operation.name = names::USUAL_OPERATION,
        gen_ai.provider.name = provider.as_deref(),
        gen_ai.request.model = model.as_deref(),
        http.response.status_code = Empty,
        error.type = Empty,
        gen_ai.response.time_to_first_chunk = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        gen_ai.usage.cache_read.input_tokens = Empty,
        gen_ai.usage.reasoning.output_tokens = Empty,
        aimux.cost = Empty,
    )
}

/// Writes where the call is found in its trace into the headers of its request, as W3C Trace
/// Context has it: the call's span, or what is current where that is not sampled.
#[cfg(feature = "server")]
pub(super) fn inject(span: &Span, headers: &mut HeaderMap) {
    struct Into<'h>(&'h mut HeaderMap);
    impl Injector for Into<'_> {
        fn set(&mut self, key: &str, value: String) {
            let name = HeaderName::from_bytes(key.as_bytes());
            if let (Ok(name), Ok(text)) = (name, HeaderValue::from_str(&value))
                && !value.is_empty()
            {
                self.0.insert(name, text);
            }
        }
    }
    span.in_scope(|| TraceContextPropagator::new().inject(&mut Into(headers)));
}

/// What is asked of the model is another thing than it was said to be.
pub(super) fn rename(span: &Span, recorder: &Recorder, call: &Measurement) {
    if span.is_none() {
        return;
    }
    let operation = recorder.labels.operations.text(call.operation);
    let operation = operation.as_deref().unwrap_or(names::USUAL_OPERATION);
    let model = recorder.labels.models.text(call.model);
    span.record(names::GEN_AI_OPERATION_NAME, operation);
    span.record("otel.name", name(operation, model.as_deref()).as_str());
}

/// Closes it, with what became of the call; where it is found in its trace.
pub(super) fn close(span: Span, recorder: &Recorder, call: &Measurement) -> Option<TraceLink> {
    if span.is_none() {
        return None;
    }
    if let Some(status) = call.status {
        span.record(names::HTTP_RESPONSE_STATUS_CODE, status);
    }
    if let Some(error) = call.error {
        span.record(names::ERROR_TYPE, error);
        span.record("otel.status_code", "ERROR");
    }
    if let Some(nanos) = call.time_to_first_chunk.get() {
        span.record("gen_ai.response.time_to_first_chunk", nanos as f64 / 1e9);
    }
    if let Some(usd) = call.cost() {
        span.record(names::COST, usd.usd());
    }
    for (name, tokens) in [
        ("gen_ai.usage.input_tokens", call.input_tokens),
        ("gen_ai.usage.output_tokens", call.output_tokens),
        (
            "gen_ai.usage.cache_read.input_tokens",
            call.cache_read_tokens,
        ),
        (
            "gen_ai.usage.reasoning.output_tokens",
            call.reasoning_tokens,
        ),
    ] {
        if let Some(tokens) = tokens.get() {
            span.record(name, tokens);
        }
    }
    // Once it was entered, it could not be renamed any more.
    span.in_scope(recorder.current_trace)
}

fn name(operation: &str, model: Option<&str>) -> String {
    match model {
        Some(model) => format!("{operation} {model}"),
        None => operation.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock, config::Config, core::measurement::Kind, event_type::PerformanceEventType,
    };

    /// The macro that makes the span takes no constants.
    #[test]
    fn the_span_bears_the_names_by_which_it_is_known() {
        let mut recorder = Recorder::new(Clock::start(), 1, &Config::default());
        recorder.traces = true;
        let call = Measurement::new(Kind::Attempt, PerformanceEventType::ProviderEnd);
        let span = tracing::subscriber::with_default(tracing_subscriber::registry(), || {
            open(&recorder, &call)
        });
        let metadata = span.metadata().unwrap();
        assert_eq!(metadata.target(), names::CALL_TARGET);
        assert_eq!(*metadata.level(), tracing::Level::INFO);
        for name in [
            names::GEN_AI_OPERATION_NAME,
            names::GEN_AI_PROVIDER_NAME,
            names::GEN_AI_REQUEST_MODEL,
            names::HTTP_RESPONSE_STATUS_CODE,
            names::ERROR_TYPE,
            "otel.kind",
            "otel.name",
            "otel.status_code",
        ] {
            assert!(metadata.fields().field(name).is_some(), "{name}");
        }
    }
}
