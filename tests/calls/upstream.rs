//! A provider that says exactly what a test wants it to.

use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What it does on a connection, after the head of a request; at the end it closes.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Write(String),
    /// Until the other side hangs up.
    Hang,
}

/// Serves each connection so.
pub(crate) async fn upstream(steps: impl Into<Vec<Step>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let steps = steps.into();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, steps.clone()));
        }
    });
    address
}

async fn serve(mut stream: TcpStream, steps: Vec<Step>) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    for step in steps {
        match step {
            Step::Write(text) => {
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
            Step::Hang => while stream.read_buf(&mut request).await.unwrap_or(0) > 0 {},
        }
    }
}

pub(crate) fn write(text: impl Into<String>) -> Step {
    Step::Write(text.into())
}

/// The head of a streamed answer.
pub(crate) fn events() -> Step {
    write(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\
         transfer-encoding: chunked\r\n\r\n",
    )
}

/// One chunk of it.
pub(crate) fn chunk(text: &str) -> Step {
    write(format!("{:x}\r\n{text}\r\n", text.len()))
}

/// Its last chunk.
pub(crate) fn last() -> Step {
    write("0\r\n\r\n")
}

/// A whole answer in JSON.
pub(crate) fn json(status: &str, headers: &str, body: &str) -> Step {
    write(format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: application/json\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

pub(crate) const HELLO: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
pub(crate) const WORLD: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" world\"}}]}\n\n";
pub(crate) const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":34}}\n\n";
pub(crate) const DONE: &str = "data: [DONE]\n\n";

/// The events of an answer in the other dialect.
pub(crate) const MESSAGE: [&str; 5] = [
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" world\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":15}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
];
