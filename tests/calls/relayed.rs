//! What becomes of an answer that a gateway passes on.

use crate::{
    app::{read_until, within},
    gateway::{Gateway, WAYS, Way},
    upstream::{
        DONE, HELLO, MESSAGE, Step, USAGE, WORLD, chunk, events, json, last, upstream, write,
    },
};
use aimux_otel::Window;

#[tokio::test]
async fn a_whole_answer_in_json_is_a_success_with_its_tokens() {
    let body = r#"{"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":12,"completion_tokens":34}}"#;
    for way in WAYS {
        let gateway = Gateway::before([json("200 OK", "", body)], way).await;
        assert_eq!(gateway.ask().await, (200, Some(body.to_owned())), "{way:?}");
        let call = gateway.call().await;
        assert_eq!(call.error(), None, "{way:?}");
        assert_eq!(call.get("status_code"), Some("200"));
        assert_eq!(call.get("input_tokens"), Some("12"));
        assert_eq!(call.get("output_tokens"), Some("34"));
        assert_eq!(call.get("output_chunks"), None, "it was not streamed");
        assert_eq!(call.get("ttft_ms"), None);
    }
}

#[tokio::test]
async fn a_streamed_answer_is_measured_to_its_end() {
    let openai = [HELLO, WORLD, USAGE, DONE];
    for (dialect, tokens) in [(&openai[..], ("12", "34")), (&MESSAGE, ("25", "15"))] {
        for way in WAYS {
            let mut steps = vec![events()];
            steps.extend(dialect.iter().map(|event| chunk(event)));
            steps.push(last());
            let gateway = Gateway::before(steps, way).await;
            let (_, body) = gateway.ask().await;
            assert_eq!(body, Some(dialect.concat()), "{way:?}");
            let monitor = gateway.monitor.clone();
            let call = gateway.call().await;
            assert_eq!(call.error(), None, "{way:?}");
            let told = (call.get("input_tokens"), call.get("output_tokens"));
            assert_eq!(told, (Some(tokens.0), Some(tokens.1)));
            assert_eq!(call.get("output_chunks"), Some("2"));
            let first: f64 = call.get("ttft_ms").unwrap().parse().unwrap();
            let all = call.event().duration.unwrap().as_secs_f64() * 1e3;
            assert!(0.0 < first && first <= all, "{first} of {all}");

            // Of the two chunks, one came after the first.
            let view = monitor.providers(Window::SinceStart).unwrap();
            let openai = &view.providers["openai"];
            let rest = openai.output_chunk.avg_time_per_output_chunk_ms.unwrap();
            assert!((rest - (all - first)).abs() < 1e-3, "{rest} of {all}");
            let model = &openai.model_stats["gpt-4o-mini"];
            assert_eq!(model.output_chunk, openai.output_chunk);
        }
    }
}

#[tokio::test]
async fn what_an_error_status_means_is_read_from_its_body() {
    let quota = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    let headers = "x-ratelimit-limit-requests: 500\r\nx-ratelimit-remaining-requests: 0\r\n";
    let too_many = [json("429 Too Many Requests", headers, quota)];
    let gateway = Gateway::before(too_many, Way::Stream).await;
    assert_eq!(gateway.ask().await, (429, Some(quota.to_owned())));
    let monitor = gateway.monitor.clone();
    let call = gateway.call().await;
    assert_eq!(call.error(), Some("quota_exceeded"));
    assert_eq!(call.get("status_code"), Some("429"));
    let view = monitor.providers(Window::SinceStart).unwrap();
    let requests = &view.providers["openai"].rate_limits["requests"];
    assert_eq!((requests.limit, requests.remaining), (Some(500), Some(0)));

    let unavailable = [json("503 Service Unavailable", "", "{}")];
    let gateway = Gateway::before(unavailable, Way::Body).await;
    assert_eq!(gateway.ask().await.0, 503);
    assert_eq!(gateway.call().await.error(), Some("503"));
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream_is_that_of_the_call() {
    let overloaded = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    for way in WAYS {
        let steps = [
            events(),
            chunk(MESSAGE[0]),
            chunk(MESSAGE[1]),
            chunk(overloaded),
            last(),
        ];
        let gateway = Gateway::before(steps, way).await;
        gateway.ask().await;
        let call = gateway.call().await;
        assert_eq!(call.error(), Some("overloaded"), "{way:?}");
        assert_eq!(call.get("output_chunks"), Some("1"));
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_off_is_broken() {
    let cut: [(&str, Vec<Step>); 3] = [
        ("the connection", vec![events(), chunk(HELLO)]),
        (
            "a chunk",
            vec![events(), chunk(HELLO), write("ffff\r\ndata: {\"cho")],
        ),
        (
            "the events",
            vec![events(), chunk(HELLO), chunk(USAGE), last()],
        ),
    ];
    for (what, steps) in cut {
        for way in WAYS {
            let gateway = Gateway::before(steps.clone(), way).await;
            let (_, body) = gateway.ask().await;
            assert_eq!(body.is_some(), what == "the events", "{what} {way:?}");
            let call = gateway.call().await;
            assert_eq!(call.error(), Some("stream_broken"), "{what} {way:?}");
            assert!(call.get("ttft_ms").is_some());
        }
    }
    let whole = write(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"choi",
    );
    let gateway = Gateway::before([whole], Way::Body).await;
    assert_eq!(gateway.ask().await, (200, None));
    assert_eq!(gateway.call().await.error(), Some("stream_broken"));
}

#[tokio::test]
async fn a_client_that_hangs_up_has_cancelled() {
    for way in [Way::Stream, Way::Body] {
        for tokens in [false, true] {
            let seen = if tokens { HELLO } else { MESSAGE[0] };
            let steps = [events(), chunk(seen), Step::Hang];
            let gateway = Gateway::before(steps, way).await;
            let mut client = gateway.connect().await;
            read_until(&mut client, "data:").await;
            drop(client);
            let call = gateway.call().await;
            assert_eq!(call.error(), Some("cancelled"), "{way:?}");
            assert_eq!(call.get("ttft_ms").is_some(), tokens, "{way:?}");
        }
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_after_the_last_event_has_all_of_the_answer() {
    for way in [Way::Stream, Way::Body] {
        let steps = [
            events(),
            chunk(HELLO),
            chunk(USAGE),
            chunk(DONE),
            Step::Hang,
        ];
        let gateway = Gateway::before(steps, way).await;
        let mut client = gateway.connect().await;
        read_until(&mut client, "[DONE]").await;
        drop(client);
        let call = gateway.call().await;
        assert_eq!(call.error(), None, "{way:?}");
        assert_eq!(call.get("output_tokens"), Some("34"));
    }
}

#[tokio::test]
async fn an_upstream_that_stalls_is_given_up() {
    for way in [Way::StallingStream, Way::StallingBody] {
        let steps = [events(), chunk(HELLO), Step::Hang];
        let gateway = Gateway::before(steps, way).await;
        assert_eq!(gateway.ask().await, (200, None), "{way:?}: it breaks off");
        let call = gateway.call().await;
        assert_eq!(call.error(), Some("timeout"), "{way:?}");
        assert!(call.get("ttft_ms").is_some());
    }
}

#[tokio::test]
async fn a_call_that_fails_before_there_is_an_answer_says_why() {
    let gone = upstream([]).await;
    let gateway = Gateway::at(gone, Way::Stream, false).await;
    assert_eq!(gateway.ask().await.0, 502);
    assert_eq!(gateway.call().await.error(), Some("connection_refused"));
}

#[tokio::test]
async fn an_answer_that_is_compressed_is_not_read() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: br\r\ncontent-length: 3\r\n\r\nabc";
    let gateway = Gateway::before([write(head)], Way::Stream).await;
    assert_eq!(within(gateway.ask()).await, (200, Some("abc".to_owned())));
    let call = gateway.call().await;
    assert_eq!(call.error(), None, "whether it is complete is not known");
}
