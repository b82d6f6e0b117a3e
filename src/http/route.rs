//! What a route is: where it is, what may be asked, and what answers.

use super::{
    Surface, answer,
    kept::Question,
    problem::Problem,
    query::{Asked, Parameter},
};
use crate::core::snapshot::Snapshot;
use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use std::{any::type_name, marker::PhantomData, sync::atomic::Ordering};

pub(crate) const JSON: &str = "application/json";

/// One method at one path. The router, the checks of what is asked and the OpenAPI description
/// are all made from these.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    /// One sentence.
    pub(crate) summary: &'static str,
    /// What may be in the query.
    pub(crate) parameters: &'static [Parameter],
    pub(crate) action: Action,
}

/// What a route does.
pub(crate) enum Action {
    /// `GET`, and with it `HEAD`.
    Get(&'static dyn Tells),
    /// `POST` of a JSON text, by whom may change something.
    Post(&'static dyn Changes),
}

impl Route {
    /// The methods by which it is asked.
    pub(crate) const fn methods(&self) -> &'static [&'static str] {
        match self.action {
            Action::Get(_) => &["GET", "HEAD"],
            Action::Post(_) => &["POST"],
        }
    }
}

/// Answers what is asked, without changing anything.
pub(crate) trait Tells: Sync {
    /// The answer. May block for up to 50 ms, and compute for longer than an async worker should.
    fn tell(
        &self,
        surface: &Surface,
        asked: &Asked,
        headers: &HeaderMap,
    ) -> Result<Response, Problem>;

    /// The media types that an answer may have, each with what is in it.
    fn contents(&self, schemas: &mut SchemaGenerator) -> Vec<(&'static str, Schema)>;
}

/// Changes something as a JSON text asks, or refuses and changes nothing.
pub(crate) trait Changes: Sync {
    /// Makes the change that `body` asks for.
    fn change(&self, surface: &Surface, body: &[u8]) -> Result<Response, Problem>;

    /// What may be asked for.
    fn asked(&self, schemas: &mut SchemaGenerator) -> Schema;

    /// The media types that an answer may have, each with what is in it.
    fn contents(&self, schemas: &mut SchemaGenerator) -> Vec<(&'static str, Schema)>;
}

/// A view of a fresh snapshot, as JSON. Who asks the same of the same snapshot gets the same answer.
pub(crate) struct View<T>(pub(crate) fn(&Snapshot, &Asked) -> Result<T, Problem>);

impl<T: Serialize + JsonSchema> Tells for View<T> {
    fn tell(&self, surface: &Surface, asked: &Asked, _: &HeaderMap) -> Result<Response, Problem> {
        let snapshot = surface.shared.fresh();
        let question = Question {
            view: (type_name::<T>(), self.0 as usize),
            asked: asked.clone(),
        };
        let answer = surface.kept.answer(&snapshot, question, || {
            let view = self.0(&snapshot, asked)?;
            let text = serde_json::to_vec(&view).map_err(|_| answer::not_rendered())?;
            Ok(Bytes::from(text))
        })?;
        let bytes = u64::try_from(surface.kept.heap_bytes()).unwrap_or(u64::MAX);
        surface.shared.answer_bytes.store(bytes, Ordering::Relaxed);
        Ok(of_type(JSON, answer))
    }

    fn contents(&self, schemas: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
        vec![(JSON, schemas.subschema_for::<T>())]
    }
}

/// What needs more than a snapshot, as JSON.
pub(crate) struct Json<T>(pub(crate) fn(&Surface, &Asked) -> Result<T, Problem>);

impl<T: Serialize + JsonSchema> Tells for Json<T> {
    fn tell(&self, surface: &Surface, asked: &Asked, _: &HeaderMap) -> Result<Response, Problem> {
        json(&self.0(surface, asked)?)
    }

    fn contents(&self, schemas: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
        vec![(JSON, schemas.subschema_for::<T>())]
    }
}

/// A change of the form `B`, which is answered in JSON.
pub(crate) struct Change<B, T> {
    pub(crate) change: fn(&Surface, &[u8]) -> Result<T, Problem>,
    pub(crate) asked: PhantomData<fn(B)>,
}

impl<B: JsonSchema, T: Serialize + JsonSchema> Changes for Change<B, T> {
    fn change(&self, surface: &Surface, body: &[u8]) -> Result<Response, Problem> {
        json(&(self.change)(surface, body)?)
    }

    fn asked(&self, schemas: &mut SchemaGenerator) -> Schema {
        schemas.subschema_for::<B>()
    }

    fn contents(&self, schemas: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
        vec![(JSON, schemas.subschema_for::<T>())]
    }
}

/// `value` as an answer.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<Response, Problem> {
    let text = serde_json::to_string(value).map_err(|_| answer::not_rendered())?;
    Ok(of_type(JSON, text))
}

fn of_type(content_type: &'static str, text: impl IntoResponse) -> Response {
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}
