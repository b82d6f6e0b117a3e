//! Answers of each form, whole and in pieces.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

/// What a reader found of one answer.
#[derive(Debug, Clone, PartialEq)]
struct Read {
    usage: Usage,
    error: Option<&'static str>,
    complete: bool,
    chunks: u32,
}

fn read_in(form: AnswerForm, pieces: &[&[u8]]) -> Read {
    let mut reader = AnswerReader::new(form);
    let chunks = pieces.iter().map(|piece| reader.read(piece)).sum();
    Read {
        usage: reader.usage(),
        error: reader.error(),
        complete: reader.is_complete(),
        chunks,
    }
}

fn stream(text: &str) -> Read {
    read_in(AnswerForm::EventStream, &[text.as_bytes()])
}

fn whole(text: &str) -> Read {
    read_in(AnswerForm::Json, &[text.as_bytes()])
}

fn tokens(usage: Usage) -> [Option<u64>; 5] {
    let Usage {
        input,
        output,
        cache_read,
        cache_write,
        reasoning,
    } = usage;
    [input, output, cache_read, cache_write, reasoning].map(Count::get)
}

const CHAT: &str = concat!(
    ": keep-alive\n\n",
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\\\"lo\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"usage\\\":{\\\"prompt_tokens\\\":9}}\"}}]}}]}\n\n",
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":120,\"completion_tokens\":34,\"total_tokens\":154,\"prompt_tokens_details\":{\"cached_tokens\":100},\"completion_tokens_details\":{\"reasoning_tokens\":20}}}\n\n",
    "data: [DONE]\n\n",
);

const MESSAGES: &str = concat!(
    "event: message_start\r\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":25,\"cache_creation_input_tokens\":8,\"cache_read_input_tokens\":1000,\"output_tokens\":1}}}\r\n\r\n",
    "event: ping\r\ndata: {\"type\": \"ping\"}\r\n\r\n",
    "event: content_block_start\r\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\r\n\r\n",
    "event: content_block_delta\r\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\r\n\r\n",
    "event: content_block_delta\r\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}}\r\n\r\n",
    "event: content_block_delta\r\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\"\"}}\r\n\r\n",
    "event: message_delta\r\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":15}}\r\n\r\n",
    "event: message_stop\r\ndata: {\"type\":\"message_stop\"}\r\n\r\n",
);

const RESPONSES: &str = concat!(
    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"error\":null,\"usage\":null}}\n\n",
    "event: response.output_text.delta\ndata: {\"delta\":\"Hi\",\"type\":\"response.output_text.delta\"}\n\n",
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"!\"}\n\n",
    "event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\",\"text\":\"Hi!\"}\n\n",
    "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"content\":[{\"text\":\"Hi!\"}]}],\"usage\":{\"input_tokens\":37,\"input_tokens_details\":{\"cached_tokens\":32},\"output_tokens\":11,\"output_tokens_details\":{\"reasoning_tokens\":4},\"total_tokens\":48}}}\n\n",
);

#[test]
fn a_stream_of_chat_completions_is_read() {
    let read = stream(CHAT);
    assert_eq!(
        tokens(read.usage),
        [Some(120), Some(34), Some(100), None, Some(20)]
    );
    assert_eq!(read.chunks, 2, "a role and a usage are no output");
    assert!(read.complete);
    assert_eq!(read.error, None);
}

#[test]
fn a_stream_of_messages_is_read() {
    let read = stream(MESSAGES);
    assert_eq!(
        tokens(read.usage),
        [Some(1_033), Some(15), Some(1_000), Some(8), None],
        "the tokens of the cache are part of the input"
    );
    assert_eq!((read.chunks, read.complete, read.error), (2, true, None));
}

#[test]
fn a_stream_of_responses_is_read() {
    let read = stream(RESPONSES);
    assert_eq!(
        tokens(read.usage),
        [Some(37), Some(11), Some(32), None, Some(4)]
    );
    assert_eq!((read.chunks, read.complete, read.error), (2, true, None));
}

#[test]
fn whole_answers_are_read() {
    let chat = json!({
        "choices": [{"message": {"content": "x", "usage": {"prompt_tokens": 1}}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 34, "prompt_cache_hit_tokens": 5},
    });
    let read = whole(&chat.to_string());
    assert_eq!(
        tokens(read.usage),
        [Some(12), Some(34), Some(5), None, None]
    );
    assert_eq!((read.chunks, read.complete), (0, true));
    let message = json!({
        "type": "message",
        "content": [{"type": "tool_use", "input": {"usage": {"input_tokens": 7}, "error": {"type": "x"}}}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 0, "output_tokens": 20},
    });
    let read = whole(&message.to_string());
    assert_eq!(
        tokens(read.usage),
        [Some(10), Some(20), Some(0), None, None]
    );
    assert_eq!(read.error, None);
    let text = message.to_string();
    let (cut, _) = text.split_at(text.len() - 1);
    let cut = read_in(AnswerForm::Json, &[cut.as_bytes()]);
    assert_eq!(tokens(cut.usage), tokens(read.usage));
}

#[test]
fn errors_are_told_apart() {
    let openai = |kind: &str, code: Value| json!({"error": {"message": "sk-secret", "type": kind, "param": null, "code": code}});
    let anthropic =
        |kind: &str| json!({"type": "error", "error": {"type": kind, "message": "secret"}});
    for (status, body, expected) in [
        (
            400,
            openai("invalid_request_error", Value::Null),
            "invalid_request",
        ),
        (
            400,
            openai("invalid_request_error", json!("context_length_exceeded")),
            "context_length_exceeded",
        ),
        (
            401,
            openai("invalid_request_error", json!("invalid_api_key")),
            "authentication",
        ),
        (403, openai("invalid_request_error", Value::Null), "403"),
        (
            404,
            openai("invalid_request_error", json!("model_not_found")),
            "not_found",
        ),
        (
            429,
            openai("insufficient_quota", json!("insufficient_quota")),
            "quota_exceeded",
        ),
        (
            429,
            openai("tokens", json!("rate_limit_exceeded")),
            "rate_limited",
        ),
        (500, openai("server_error", Value::Null), "500"),
        (503, json!({"oops": 1}), "503"),
        (400, anthropic("invalid_request_error"), "invalid_request"),
        (401, anthropic("authentication_error"), "authentication"),
        (403, anthropic("permission_error"), "permission_denied"),
        (413, anthropic("request_too_large"), "413"),
        (429, anthropic("rate_limit_error"), "rate_limited"),
        (500, anthropic("api_error"), "500"),
        (529, anthropic("overloaded_error"), "overloaded"),
    ] {
        let mut reader = AnswerReader::new(AnswerForm::Json);
        reader.read(body.to_string().as_bytes());
        assert_eq!(reader.error_for(status), Some(expected), "{status} {body}");
    }
    let in_the_middle = format!("event: error\ndata: {}\n\n", anthropic("overloaded_error"));
    assert_eq!(stream(&in_the_middle).error, Some("overloaded"));
    let in_the_middle = format!("data: {}\n\n", openai("server_error", Value::Null));
    assert_eq!(stream(&in_the_middle).error, Some("500"));
    let failed = "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"rate_limit_exceeded\"}}}\n\n";
    assert_eq!(stream(failed).error, Some("rate_limited"));
}

#[test]
fn only_what_says_so_is_complete() {
    let events: Vec<&str> = CHAT.split_inclusive("\n\n").collect();
    let before = stream(&events[..4].concat());
    assert!(!before.complete);
    assert_eq!(before.chunks, 2);
    assert!(stream("data: [DONE]\n\n").complete);
    assert!(!stream("data: [\"DONE\"]\n\n").complete);
    assert!(!whole("{\"a\":[1,2]").complete);
    assert!(!whole("").complete);
}

#[test]
fn the_lines_of_events_may_be_written_in_any_way() {
    let event = "{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}";
    for text in [
        format!("data: {event}\n\n"),
        format!("data:{event}\r\r"),
        format!("\u{feff}data: {event}\r\n\r\n"),
        format!("id: 7\n:data: nothing\ndata: {event}\n"),
        format!(
            "data: {}\ndata: {}\n\n",
            "{\"choices\":", "[{\"delta\":{\"content\":\"a\"}}]}"
        ),
        format!(
            "data: {}\r\ndata: {}\r\n\r\n",
            "{\"choices\":", "[{\"delta\":{\"content\":\"a\"}}]}"
        ),
    ] {
        assert_eq!(stream(&text).chunks, 1, "{text:?}");
    }
    let two = format!("data: {event}\ndata: {event}\n\n");
    assert_eq!(stream(&two).chunks, 2, "without the empty line between");
    for text in [
        format!("xdata: {event}\n\n"),
        format!("data : {event}\n\n"),
        format!(" data: {event}\n\n"),
    ] {
        assert_eq!(stream(&text).chunks, 0, "{text:?}");
    }
}

#[test]
fn what_is_nested_too_deep_is_not_read_on_and_the_next_event_is() {
    let deep = format!("data: {}\n\ndata: [DONE]\n\n", "[".repeat(100_000));
    assert!(stream(&deep).complete);
    let deep = "[".repeat(128) + &"]".repeat(128);
    assert!(whole(&deep).complete);
    let deeper = "[".repeat(129) + &"]".repeat(129);
    assert!(!whole(&deeper).complete);
}

#[test]
fn it_keeps_next_to_nothing() {
    let size = size_of::<AnswerReader>();
    assert!(size <= 320, "{size}");
}

#[test]
fn forms_are_known_by_their_content_type() {
    for (text, form) in [
        ("application/json", AnswerForm::Json),
        ("Application/JSON; charset=utf-8", AnswerForm::Json),
        ("application/problem+json", AnswerForm::Json),
        ("text/event-stream;charset=utf-8", AnswerForm::EventStream),
        ("application/x-ndjson", AnswerForm::Other),
        ("text/plain", AnswerForm::Other),
        ("é+json", AnswerForm::Json),
        ("", AnswerForm::Other),
    ] {
        assert_eq!(AnswerForm::of_content_type(Some(text)), form, "{text}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        Just("usage"),
        Just("message"),
        Just("response"),
        Just("input_tokens"),
        Just("output_tokens"),
        Just("completion_tokens"),
        Just("prompt_tokens"),
        Just("prompt_tokens_details"),
        Just("cached_tokens"),
        Just("a\"b"),
        Just("error"),
    ];
    let leaf = prop_oneof![
        (0..1_000_000_u64).prop_map(Value::from),
        "[a-z\"\\\\\\{\\}\\[\\]:,é]{0,60}".prop_map(Value::from),
        Just(Value::Null),
        Just(json!(1.5)),
        Just(json!(true)),
    ];
    leaf.prop_recursive(6, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..5).prop_map(|members| {
                members
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn wherever_it_is_cut_the_same_is_read(
        cuts in prop::collection::vec(0..3_000_usize, 0..40),
        which in 0..4_usize,
    ) {
        let errors = "data: {\"error\":{\"type\":\"overloaded_error\",\"code\":null}}\n\n";
        let text = [CHAT, MESSAGES, RESPONSES, errors][which].as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
        let in_pieces = read_in(AnswerForm::EventStream, &pieces);
        prop_assert_eq!(in_pieces, read_in(AnswerForm::EventStream, &[text]));
    }

    #[test]
    fn whatever_comes_does_no_harm(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..60),
                "(data: |\\{|\\}|\\[|\\]|\"|\\\\|:|,|[0-9]|\n|usage|error|type)*".prop_map(String::into_bytes),
            ],
            0..20,
        ),
    ) {
        for form in [AnswerForm::Json, AnswerForm::EventStream, AnswerForm::Other] {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let whole = pieces.concat();
            prop_assert_eq!(read_in(form, &pieces), read_in(form, &[&whole]));
        }
    }

    #[test]
    fn a_document_says_what_another_parser_finds(
        mut document in value(),
        usage in value(),
        pretty in any::<bool>(),
    ) {
        if let Some(members) = document.as_object_mut() {
            members.insert("usage".to_owned(), usage);
        }
        let text = match pretty {
            true => serde_json::to_string_pretty(&document).unwrap(),
            false => document.to_string(),
        };
        let find = |pointers: &[&str]| {
            // The parser keeps the members sorted by their keys, as they are then written.
            let found = pointers.iter().filter_map(|pointer| document.pointer(pointer)?.as_u64());
            found.collect::<Vec<_>>()
        };
        let output = find(&[
            "/message/usage/completion_tokens", "/message/usage/output_tokens",
            "/response/usage/completion_tokens", "/response/usage/output_tokens",
            "/usage/completion_tokens", "/usage/output_tokens",
        ]);
        let input = find(&[
            "/message/usage/input_tokens", "/message/usage/prompt_tokens",
            "/response/usage/input_tokens", "/response/usage/prompt_tokens",
            "/usage/input_tokens", "/usage/prompt_tokens",
        ]);
        let read = whole(&text).usage;
        prop_assert_eq!(read.output.get(), output.last().copied());
        prop_assert_eq!(read.input.get(), input.last().copied());
    }
}
