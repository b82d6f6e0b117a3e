//! Responses to the client, in its dialect.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::response::Response;

use super::{CACHE, PROVIDER, REQUEST_ID};
use crate::catalog::Target;
use crate::chat::{Chat, Piece, Refusal, Reply};
use crate::dialect::{Dialect, StreamHead};

/// Anthropic's clients look for the request's id under this name.
const ANTHROPIC_REQUEST_ID: &str = "request-id";

pub(super) struct Responder {
    pub(super) dialect: Dialect,
    pub(super) request_id: String,
}

impl Responder {
    pub(super) fn whole(&self, target: Target, reply: &Reply) -> Response {
        let mut response = self.json(
            200,
            self.dialect
                .write_reply(reply, &self.request_id)
                .to_string(),
        );
        came_from(&mut response, target);
        response
    }

    pub(super) fn stream(&self, target: Target, body: Body) -> Response {
        let mut response = self.response(200, "text/event-stream", body);
        came_from(&mut response, target);
        response
    }

    pub(super) fn cached(&self, chat: &Chat, reply: &Reply) -> Response {
        let mut response = if chat.stream {
            let mut writer = self.dialect.stream_writer(StreamHead {
                request_id: self.request_id.clone(),
                model: reply.model.clone(),
                input_tokens: reply.usage.input_tokens,
                include_usage: chat.include_usage,
            });
            let mut events = writer.write(&Piece::Text(reply.text.clone()));
            events += &writer.write(&Piece::End {
                stop: reply.stop,
                usage: reply.usage,
            });
            self.response(200, "text/event-stream", Body::from(events))
        } else {
            self.json(
                200,
                self.dialect
                    .write_reply(reply, &self.request_id)
                    .to_string(),
            )
        };
        response
            .headers_mut()
            .insert(CACHE, HeaderValue::from_static("hit"));
        response
    }

    pub(super) fn refusal(&self, refusal: &Refusal) -> Response {
        let body = self
            .dialect
            .write_error(refusal, &self.request_id)
            .to_string();
        let mut response = self.json(refusal.status, body);
        if let Some(seconds) = refusal.retry_after_seconds {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }

    fn json(&self, status: u16, body: String) -> Response {
        self.response(status, "application/json", Body::from(body))
    }

    fn response(&self, status: u16, content_type: &'static str, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            headers.insert(REQUEST_ID, id.clone());
            headers.insert(ANTHROPIC_REQUEST_ID, id);
        }
        response
    }
}

fn came_from(response: &mut Response, target: Target) {
    let headers = response.headers_mut();
    headers.insert(CACHE, HeaderValue::from_static("miss"));
    headers.insert(PROVIDER, HeaderValue::from_static(target.provider.name));
}
