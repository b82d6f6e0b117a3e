//! What a span that the host made is called when it is exported: its short fields by the names of
//! the conventions, its kind by what it measures.
//!
//! It is done where spans are exported, off the threads that serve.

use crate::names;
use opentelemetry::{Key, KeyValue, SpanId, Value, trace::SpanKind};
use opentelemetry_sdk::trace::SpanData;

/// Puts the names of the conventions in the place of the short ones; where a span has both, the
/// short one goes. A kind that somebody told stays.
pub(super) fn apply(span: &mut SpanData) {
    let has = |span: &SpanData, name: &str| span.attributes.iter().any(|a| a.key.as_str() == name);
    let is_component = has(span, names::COMPONENT) || has(span, "component");
    for (alias, name) in names::SPAN_ALIASES {
        let Some(at) = span.attributes.iter().position(|a| a.key.as_str() == alias) else {
            continue;
        };
        let name = match alias {
            // What the component did.
            "operation" if is_component => names::OPERATION,
            _ => name,
        };
        if has(span, name) {
            span.attributes.swap_remove(at);
        } else if let Some(attribute) = span.attributes.get_mut(at) {
            attribute.key = Key::from_static_str(name);
            if alias == names::TTFT_MS {
                in_seconds(&mut attribute.value);
            }
        }
    }
    let is_attempt =
        has(span, names::GEN_AI_PROVIDER_NAME) || has(span, names::GEN_AI_REQUEST_MODEL);
    // One below another span of this process only tells more of what is served.
    let begins_here = span.parent_span_id == SpanId::INVALID || span.parent_span_is_remote;
    let is_operation = has(span, names::HTTP_ROUTE);
    if span.span_kind == SpanKind::Internal {
        if is_operation && begins_here {
            span.span_kind = SpanKind::Server;
        } else if is_attempt {
            span.span_kind = SpanKind::Client;
        }
    }
    if is_attempt && !is_component && !has(span, names::GEN_AI_OPERATION_NAME) {
        let usual = KeyValue::new(names::GEN_AI_OPERATION_NAME, names::USUAL_OPERATION);
        span.attributes.push(usual);
    }
}

fn in_seconds(value: &mut Value) {
    let ms = match value {
        Value::F64(ms) => *ms,
        Value::I64(ms) => *ms as f64,
        _ => return,
    };
    *value = Value::F64(ms / 1e3);
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::{
        InstrumentationScope,
        trace::{SpanContext, Status},
    };
    use std::time::SystemTime;

    fn exported(kind: SpanKind, attributes: &[(&'static str, Value)]) -> (SpanKind, Vec<String>) {
        exported_below(SpanId::INVALID, kind, attributes)
    }

    fn exported_below(
        parent_span_id: SpanId,
        kind: SpanKind,
        attributes: &[(&'static str, Value)],
    ) -> (SpanKind, Vec<String>) {
        let pair = |(name, value): &(&'static str, Value)| KeyValue::new(*name, value.clone());
        let mut span = SpanData {
            span_context: SpanContext::empty_context(),
            parent_span_id,
            parent_span_is_remote: false,
            span_kind: kind,
            name: "work".into(),
            start_time: SystemTime::UNIX_EPOCH,
            end_time: SystemTime::UNIX_EPOCH,
            attributes: attributes.iter().map(pair).collect(),
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        };
        apply(&mut span);
        let text = |a: &KeyValue| format!("{}={}", a.key, a.value);
        let mut attributes: Vec<String> = span.attributes.iter().map(text).collect();
        attributes.sort();
        (span.span_kind, attributes)
    }

    #[test]
    fn an_attempt_is_a_client_and_has_the_names_of_the_conventions() {
        let attributes = [
            ("provider", "cerebras".into()),
            ("model", "llama3.1-8b".into()),
            ("status_code", 200.into()),
            ("ttft_ms", 250.into()),
            ("input_tokens", 12.into()),
            ("mine", "x".into()),
        ];
        let (kind, attributes) = exported(SpanKind::Internal, &attributes);
        assert_eq!(kind, SpanKind::Client);
        let expected = [
            "gen_ai.operation.name=chat",
            "gen_ai.provider.name=cerebras",
            "gen_ai.request.model=llama3.1-8b",
            "gen_ai.response.time_to_first_chunk=0.25",
            "gen_ai.usage.input_tokens=12",
            "http.response.status_code=200",
            "mine=x",
        ];
        assert_eq!(attributes, expected);
    }

    #[test]
    fn the_name_of_the_conventions_wins_and_so_does_a_kind_that_was_told() {
        let attributes = [
            ("gen_ai.system", "old".into()),
            ("gen_ai.provider.name", "openai".into()),
            ("operation", "embeddings".into()),
        ];
        let (kind, attributes) = exported(SpanKind::Producer, &attributes);
        assert_eq!(kind, SpanKind::Producer);
        let expected = [
            "gen_ai.operation.name=embeddings",
            "gen_ai.provider.name=openai",
        ];
        assert_eq!(attributes, expected);
    }

    #[test]
    fn operations_serve_and_components_do_something_of_their_own() {
        let operation = [("endpoint", "/v1/chat".into()), ("method", "POST".into())];
        let (kind, attributes) = exported(SpanKind::Internal, &operation);
        assert_eq!(kind, SpanKind::Server);
        assert_eq!(
            attributes,
            ["http.request.method=POST", "http.route=/v1/chat"]
        );
        let (kind, _) = exported_below(SpanId::from(7), SpanKind::Internal, &operation);
        assert_eq!(
            kind,
            SpanKind::Internal,
            "there is one around it that serves"
        );
        let component = [("component", "router".into()), ("operation", "rank".into())];
        let (kind, attributes) = exported(SpanKind::Internal, &component);
        assert_eq!(kind, SpanKind::Internal);
        assert_eq!(
            attributes,
            ["aimux.component=router", "aimux.operation=rank"]
        );
        let other = [("table", "users".into())];
        assert_eq!(exported(SpanKind::Internal, &other).1, ["table=users"]);
    }
}
