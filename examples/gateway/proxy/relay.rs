//! Streams: from the provider's dialect to the client's, piece by piece.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures_util::stream;
use reqwest::Response;
use tokio::time::timeout;
use tracing::Span;

use super::Gateway;
use super::attempt::{Attempt, Failure};
use super::cache::Key;
use super::respond::Responder;
use crate::chat::{Chat, Piece, Reply, Stop, Usage};
use crate::dialect::{Parser, StreamHead, StreamReader, StreamWriter};

/// The provider's side of a stream.
pub(super) struct Relay {
    response: Response,
    events: Parser,
    reader: StreamReader,
    first: Option<Piece>,
    limit: Duration,
    attempt: Attempt,
}

impl Relay {
    /// Waits for the first piece, so that failing before it can still be mended elsewhere.
    pub(super) async fn begin(
        response: Response,
        attempt: Attempt,
        first_limit: Duration,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let mut relay = Self {
            response,
            events: Parser::default(),
            reader: attempt.target.provider.dialect.stream_reader(),
            first: None,
            limit: first_limit,
            attempt,
        };
        relay.first = Some(relay.next().await?);
        relay.attempt.first_token();
        relay.limit = limit;
        Ok(relay)
    }

    pub(super) fn span(&self) -> Span {
        self.attempt.span()
    }

    /// The next piece; how the attempt ended is on its span by the time that the last one is out.
    async fn next(&mut self) -> Result<Piece, Failure> {
        let piece = match self.first.take() {
            Some(piece) => Ok(piece),
            None => self.receive().await,
        };
        match piece {
            Ok(Piece::End { usage, .. }) => {
                // Reading on to the end of the body lets the connection be used again.
                while let Ok(Ok(Some(_))) = timeout(self.limit, self.response.chunk()).await {}
                self.attempt.succeed(usage);
                piece
            }
            Ok(Piece::Fault(_)) => Err(self.attempt.fail(Failure::Broken)),
            Ok(piece) => Ok(piece),
            Err(failure) => Err(self.attempt.fail(failure)),
        }
    }

    async fn receive(&mut self) -> Result<Piece, Failure> {
        loop {
            while let Some(event) = self.events.next_event() {
                if let Some(piece) = self.reader.read(&event) {
                    return Ok(piece);
                }
            }
            match timeout(self.limit, self.response.chunk()).await {
                Ok(Ok(Some(bytes))) => self.events.push(&bytes),
                Ok(Ok(None) | Err(_)) => return Err(Failure::Broken),
                Err(_) => return Err(Failure::Timeout),
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
    key: Option<Key>,
    reply: Reply,
    over: bool,
}

impl ToClient {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        responder: &Responder,
        chat: &Chat,
        key: Option<Key>,
        relay: Relay,
    ) -> Self {
        let reply = Reply {
            model: relay.attempt.target.model.name.to_owned(),
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
            key,
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
                self.gateway.cache.keep(self.key.take(), self.reply.clone());
            }
            Piece::Fault(_) => self.over = true,
        }
        Some((Ok(self.writer.write(&piece)), self))
    }
}
