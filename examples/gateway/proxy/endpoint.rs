//! The endpoints, from the parsed request to the response.
//!
//! The monitor's HTTP layer measures each of them. The `endpoint` spans here belong to that same
//! measurement and add what HTTP can't tell: that a stream failed after its status was sent.

use std::sync::Arc;

use aimux_otel::OperationHandle;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::response::Response;
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::Gateway;
use super::attempt::Answer;
use super::cache::Key;
use super::relay::ToClient;
use super::respond::Responder;
use crate::catalog;
use crate::chat::Refusal;
use crate::clock;
use crate::dialect::Dialect;

#[tracing::instrument(skip_all, fields(endpoint = Dialect::OpenAi.endpoint(), error_type))]
pub(super) async fn chat_completions(
    State(gateway): State<Arc<Gateway>>,
    Extension(operation): Extension<OperationHandle>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    serve(gateway, &operation, Dialect::OpenAi, &headers, &body).await
}

#[tracing::instrument(skip_all, fields(endpoint = Dialect::Anthropic.endpoint(), error_type))]
pub(super) async fn messages(
    State(gateway): State<Arc<Gateway>>,
    Extension(operation): Extension<OperationHandle>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    serve(gateway, &operation, Dialect::Anthropic, &headers, &body).await
}

pub(super) async fn models() -> Json<Value> {
    let models: Vec<Value> = catalog::targets()
        .map(|target| {
            json!({
                "id": target.model.name,
                "object": "model",
                "created": 0,
                "owned_by": target.provider.name,
            })
        })
        .collect();
    Json(json!({ "object": "list", "data": models }))
}

pub(super) async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

async fn serve(
    gateway: Arc<Gateway>,
    operation: &OperationHandle,
    dialect: Dialect,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let responder = Responder {
        dialect,
        request_id: gateway.request_id(headers),
    };
    match answer(gateway, operation, &responder, headers, body).await {
        Ok(response) => response,
        Err(refusal) => responder.refusal(&refusal),
    }
}

async fn answer(
    gateway: Arc<Gateway>,
    operation: &OperationHandle,
    responder: &Responder,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Refusal> {
    gateway.limiter.admit(client(headers))?;
    let chat = responder
        .dialect
        .read_request(body)
        .map_err(|message| Refusal::new(400, message))?;
    let targets = catalog::route(&chat.model);
    if targets.is_empty() {
        let message = format!("the model \"{}\" does not exist", chat.model);
        return Err(Refusal::new(404, message));
    }

    let key = Key::of(&chat);
    if let Some(key) = &key
        && !wants_fresh(headers)
        && let Some(reply) = gateway.cache.look_up(key)
    {
        return Ok(responder.cached(&chat, &reply));
    }

    let asked = key.map(|key| (key, clock::now()));
    let ask = gateway.ask(operation, &targets, &chat, &responder.request_id);
    let (target, answer) = ask.await?;
    Ok(match answer {
        Answer::Whole(reply) => {
            let response = responder.whole(target, &reply);
            gateway.cache.keep(asked, reply);
            response
        }
        Answer::Stream(stream) => {
            let stream = ToClient::new(gateway, responder, &chat, asked, *stream);
            responder.stream(target, stream.into_body())
        }
    })
}

/// Whose request it is, as far as the rate limit is concerned: the key, of whichever dialect.
fn client(headers: &HeaderMap) -> &[u8] {
    let key = headers
        .get(AUTHORIZATION)
        .or_else(|| headers.get("x-api-key"));
    key.map_or(b"anonymous", |key| key.as_bytes())
}

fn wants_fresh(headers: &HeaderMap) -> bool {
    let control = headers
        .get(CACHE_CONTROL)
        .and_then(|value| value.to_str().ok());
    control.is_some_and(|control| control.contains("no-cache"))
}
