//! Streams: from the provider's dialect to the client's, piece by piece.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aimux_otel::{ProviderCall, Stalled};
use axum::body::{Body, Bytes};
use futures_util::stream::{self, Stream, StreamExt};
use reqwest::Response;
use tracing::Span;

use super::Gateway;
use super::attempt::Failure;
use super::cache::Asked;
use super::respond::Responder;
use crate::catalog::Target;
use crate::chat::{Chat, Piece, Reply, Stop, Usage};
use crate::dialect::{Parser, StreamHead, StreamReader, StreamWriter};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>;

/// The provider's side of a stream.
pub(super) struct Relay {
    /// What passes here is measured: when the first token came, what was used, how it ended.
    chunks: Chunks,
    events: Parser,
    reader: StreamReader,
    first: Option<Piece>,
    target: Target,
}

impl Relay {
    /// Waits for the first piece, so that failing before it can still be mended elsewhere.
    pub(super) async fn begin(
        response: Response,
        call: ProviderCall,
        target: Target,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let chunks = call.stream(response.bytes_stream()).stall_after(limit);
        let mut relay = Self {
            chunks: Box::pin(chunks),
            events: Parser::default(),
            reader: target.provider.dialect.stream_reader(),
            first: None,
            target,
        };
        relay.first = Some(relay.next().await?);
        Ok(relay)
    }

    async fn next(&mut self) -> Result<Piece, Failure> {
        if let Some(piece) = self.first.take() {
            return Ok(piece);
        }
        loop {
            while let Some(event) = self.events.next_event() {
                match self.reader.read(&event) {
                    Some(Piece::Fault(_)) => return Err(Failure::Broken),
                    Some(piece @ Piece::End { .. }) => {
                        // Reading on to the end of the body lets the connection be used again.
                        while let Some(Ok(_)) = self.chunks.next().await {}
                        return Ok(piece);
                    }
                    Some(piece) => return Ok(piece),
                    None => {}
                }
            }
            match self.chunks.next().await {
                Some(Ok(bytes)) => self.events.push(&bytes),
                Some(Err(error)) if error.is::<Stalled>() => return Err(Failure::Timeout),
                Some(Err(_)) | None => return Err(Failure::Broken),
            }
        }
    }
}

/// The client's side of a stream.
pub(super) struct ToClient {
    relay: Relay,
    writer: StreamWriter,
    operation: Span,
    gateway: Arc<Gateway>,
    asked: Option<Asked>,
    reply: Reply,
    over: bool,
}

impl ToClient {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        responder: &Responder,
        chat: &Chat,
        asked: Option<Asked>,
        relay: Relay,
    ) -> Self {
        let reply = Reply {
            model: relay.target.model.name.to_owned(),
            text: String::new(),
            stop: Stop::End,
            usage: Usage::default(),
        };
        let writer = responder.dialect.stream_writer(StreamHead {
            request_id: responder.request_id.clone(),
            model: reply.model.clone(),
            input_tokens: chat.prompt_tokens(),
            include_usage: chat.include_usage,
        });
        let operation = Span::current();
        Self {
            relay,
            writer,
            operation,
            gateway,
            asked,
            reply,
            over: false,
        }
    }

    pub(super) fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(self, Self::next))
    }

    async fn next(mut self) -> Option<(Result<String, Infallible>, Self)> {
        if self.over {
            return None;
        }
        let piece = self.relay.next().await.unwrap_or_else(|failure| {
            // The status has long been sent: only the stream itself, and the span, can tell.
            self.operation.record("error_type", failure.reason());
            Piece::Fault(failure.refusal().message)
        });
        match &piece {
            Piece::Text(text) => self.reply.text += text,
            Piece::End { stop, usage } => {
                self.over = true;
                self.reply.stop = *stop;
                self.reply.usage = *usage;
                self.gateway
                    .cache
                    .keep(self.asked.take(), self.reply.clone());
            }
            Piece::Fault(_) => self.over = true,
        }
        Some((Ok(self.writer.write(&piece)), self))
    }
}
