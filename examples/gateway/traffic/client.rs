//! Sending one request and reading the answer to its end, as a client's library would.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{RequestBuilder, Response};

use super::shot::{Ask, Question, Shot};
use crate::chat::{Piece, Usage};
use crate::clock::{self, Pace};
use crate::dialect::{Dialect, Parser};
use crate::proxy::{CACHE, REQUEST_ID};

/// Waits for an answer no longer than this, in the played world.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    gateway: SocketAddr,
}

/// What the client saw.
pub(super) struct Outcome {
    pub(super) duration: Duration,
    /// None if there was no response.
    pub(super) status: Option<u16>,
    pub(super) failure: Option<Failure>,
    pub(super) cached: bool,
    pub(super) usage: Usage,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Failure {
    /// An error status.
    Status,
    /// An error within a stream that had begun well.
    Stream,
    /// No response, or one cut short, or not understood.
    Transport,
    /// We left it ourselves.
    HungUp,
}

impl Client {
    pub(super) fn new(gateway: SocketAddr, pace: Pace) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .pool_max_idle_per_host(64)
            .timeout(pace.real(PATIENCE).max(Duration::from_secs(10)))
            .build()?;
        Ok(Self { http, gateway })
    }

    pub(super) async fn send(&self, shot: &Shot) -> Outcome {
        let request = match &shot.ask {
            Ask::Chat(question) => self.post(question.dialect, question.body()),
            Ask::Nonsense(dialect) => self.post(*dialect, "{\"messages\": 7}".to_owned()),
            Ask::Get(path) => self.http.get(format!("http://{}{path}", self.gateway)),
        };
        let request = request
            .header(REQUEST_ID, &shot.id)
            .header(AUTHORIZATION, format!("Bearer {}", shot.client));
        let began = clock::now();
        let mut outcome = Outcome {
            duration: Duration::ZERO,
            status: None,
            failure: None,
            cached: false,
            usage: Usage::default(),
        };
        outcome.failure = receive(request, &shot.ask, &mut outcome).await.err();
        outcome.duration = clock::now() - began;
        outcome
    }

    fn post(&self, dialect: Dialect, body: String) -> RequestBuilder {
        let url = format!("http://{}{}", self.gateway, dialect.endpoint());
        self.http
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .body(body)
    }
}

async fn receive(request: RequestBuilder, ask: &Ask, outcome: &mut Outcome) -> Result<(), Failure> {
    let response = request.send().await.map_err(|_| Failure::Transport)?;
    outcome.status = Some(response.status().as_u16());
    outcome.cached = response
        .headers()
        .get(CACHE)
        .is_some_and(|cache| cache == "hit");
    let success = response.status().is_success();
    match ask {
        Ask::Chat(question) if success && question.stream => {
            outcome.usage = read_stream(response, question).await?;
            return Ok(());
        }
        _ => {}
    }
    let body = response.bytes().await.map_err(|_| Failure::Transport)?;
    if !success {
        return Err(Failure::Status);
    }
    if let Ask::Chat(question) = ask {
        outcome.usage = question
            .dialect
            .read_reply(&body)
            .ok_or(Failure::Transport)?
            .usage;
    }
    Ok(())
}

async fn read_stream(mut response: Response, question: &Question) -> Result<Usage, Failure> {
    let mut events = Parser::default();
    let mut reader = question.dialect.stream_reader();
    let mut end = None;
    while let Some(bytes) = response.chunk().await.map_err(|_| Failure::Transport)? {
        events.push(&bytes);
        while let Some(event) = events.next_event() {
            match reader.read(&event) {
                Some(Piece::End { usage, .. }) => end = Some(usage),
                Some(Piece::Fault(_)) => return Err(Failure::Stream),
                Some(Piece::Text(_)) | None => {}
            }
        }
        if question.hang_up && end.is_none() {
            return Err(Failure::HungUp);
        }
    }
    end.ok_or(Failure::Transport)
}
