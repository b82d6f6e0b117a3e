//! A provider that meets a request with the fate of a cell.

use crate::cell::{Cell, Dialect, Fate};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// One that meets every request so.
pub(crate) async fn serve(cell: Cell) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, cell));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, cell: Cell) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let (text, keeps) = text(cell);
    if stream.write_all(text.as_bytes()).await.is_err() {
        return;
    }
    if keeps {
        // Until the other side hangs up.
        while stream.read_buf(&mut request).await.unwrap_or(0) > 0 {}
    }
}

/// What it writes, and whether it keeps the connection then.
fn text(cell: Cell) -> (String, bool) {
    let error = |status: &str, headers: &str, kind: &str, code: &str| {
        let body = match cell.dialect {
            Dialect::OpenAi => {
                format!("{{\"error\":{{\"message\":\"m\",\"type\":\"{kind}\",\"code\":{code}}}}}")
            }
            Dialect::Anthropic => {
                format!(
                    "{{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":\"m\"}}}}"
                )
            }
        };
        (json(status, headers, &body), false)
    };
    let openai = cell.dialect == Dialect::OpenAi;
    match cell.fate {
        Fate::BadRequest => error("400 Bad Request", "", "invalid_request_error", "null"),
        Fate::Unauthorized if openai => error(
            "401 Unauthorized",
            "",
            "invalid_request_error",
            "\"invalid_api_key\"",
        ),
        Fate::Unauthorized => error("401 Unauthorized", "", "authentication_error", "null"),
        Fate::RateLimited if openai => error(
            "429 Too Many Requests",
            "x-ratelimit-limit-requests: 60\r\nx-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 1h\r\n",
            "requests",
            "\"rate_limit_exceeded\"",
        ),
        Fate::RateLimited => error(
            "429 Too Many Requests",
            "anthropic-ratelimit-requests-limit: 60\r\nanthropic-ratelimit-requests-remaining: 0\r\n",
            "rate_limit_error",
            "null",
        ),
        Fate::ServerError if openai => error("500 Oops", "", "server_error", "null"),
        Fate::ServerError => error("500 Oops", "", "api_error", "null"),
        Fate::Timeout => (String::new(), true),
        _ if cell.streamed => streamed(cell),
        _ => whole(cell),
    }
}

fn json(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: application/json\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn whole(cell: Cell) -> (String, bool) {
    let body = match cell.dialect {
        Dialect::OpenAi => {
            "{\"choices\":[{\"message\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}],\
             \"usage\":{\"prompt_tokens\":120,\"completion_tokens\":34}}"
        }
        Dialect::Anthropic => {
            "{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"Hi\"}],\"stop_reason\":\"end_turn\",\
             \"usage\":{\"input_tokens\":20,\"cache_read_input_tokens\":100,\"output_tokens\":34}}"
        }
    };
    let all = json("200 OK", "", body);
    let head = all.len() - body.len();
    let to = |end: usize| all.get(..end).unwrap().to_owned();
    match cell.fate {
        Fate::Stall => (to(head + 20), true),
        Fate::Cut => (to(head + 20), false),
        // Its head has not come yet.
        Fate::HangUpBefore => (String::new(), true),
        Fate::ErrorInside => {
            let body = "{\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}";
            (json("200 OK", "", body), false)
        }
        _ => (all, false),
    }
}

fn streamed(cell: Cell) -> (String, bool) {
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let events: &[&str] = match cell.dialect {
        Dialect::OpenAi => &[
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"lo\"}}]}\n\n",
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":120,\"completion_tokens\":34}}\n\ndata: [DONE]\n\n",
        ],
        Dialect::Anthropic => &[
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":20,\"cache_read_input_tokens\":100,\"output_tokens\":1}}}\n\n",
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hel\"}}\n\n",
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"lo\"}}\n\n",
            "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":34}}\n\n",
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        ],
    };
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let first = |count: usize| {
        let events = events.iter().take(count).map(|event| chunk(event));
        format!("{head}{}", events.collect::<String>())
    };
    let last = "0\r\n\r\n";
    match cell.fate {
        Fate::Stall | Fate::HangUpAfter => (first(3), true),
        Fate::Cut => (first(3), false),
        // The head, and nothing else.
        Fate::HangUpBefore => (head.to_owned(), true),
        Fate::ErrorInside => {
            let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n";
            (format!("{}{}{last}", first(3), chunk(error)), false)
        }
        _ => (format!("{}{last}", first(5)), false),
    }
}
