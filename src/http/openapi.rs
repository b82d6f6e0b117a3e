//! The description of all routes, as OpenAPI 3.1: made from the table of routes and from the types
//! that answer.

use super::{
    Surface,
    problem::{self, Problem},
    query::{Asked, Kind, Parameter, SPAN_PATTERN},
    route::{Action, Route},
    routes::{ROUTES, paths},
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// The description, which does not change while the program runs.
pub(crate) fn description(_: &Surface, _: &Asked) -> Result<&'static Map<String, Value>, Problem> {
    static DESCRIPTION: OnceLock<Map<String, Value>> = OnceLock::new();
    Ok(DESCRIPTION.get_or_init(describe))
}

/// What any read may be answered with instead, beside its own.
const PROBLEMS: [(&str, &str); 6] = [
    ("400", "What was asked for cannot be understood."),
    (
        "401",
        "A token is needed, and this is none, or not the right one.",
    ),
    (
        "403",
        "It may not be asked by this name, or from there, or with this token.",
    ),
    ("405", "This path does not answer to this method."),
    ("500", "The answer could not be rendered."),
    (
        "503",
        "Too much is being asked at once, or there is no runtime to answer on.",
    ),
];
const NOT_FOUND: (&str, &str) = ("404", "What was asked about is not known.");

fn describe() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
    let mut schemas = settings.into_generator();
    let problem = schemas.subschema_for::<problem::Document<'_>>();
    let paths: Map<String, Value> = paths()
        .into_iter()
        .map(|path| (path.to_owned(), Value::Object(item(path, &mut schemas))))
        .collect();
    let problems: Map<String, Value> = PROBLEMS
        .into_iter()
        .chain([NOT_FOUND])
        .map(|(status, about)| {
            let content = json!({ problem::CONTENT_TYPE: { "schema": problem } });
            (
                status.to_owned(),
                json!({ "description": about, "content": content }),
            )
        })
        .collect();
    let whole = json!({
        "openapi": "3.1.0",
        "info": {
            "title": env!("CARGO_PKG_NAME"),
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "What a gateway's providers, endpoints and components do, live.",
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "responses": problems,
            "securitySchemes": {
                "read_token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Needed for everything if the monitor was given a read token.",
                },
            },
        },
    });
    match whole {
        Value::Object(whole) => whole,
        _ => Map::new(),
    }
}

/// All that can be done at `path`.
fn item(path: &str, schemas: &mut SchemaGenerator) -> Map<String, Value> {
    let here = ROUTES.iter().filter(|route| route.path == path);
    here.map(|route| {
        let method = match route.action {
            Action::Get(_) => "get",
        };
        (method.to_owned(), operation(method, route, schemas))
    })
    .collect()
}

fn operation(method: &str, route: &Route, schemas: &mut SchemaGenerator) -> Value {
    let contents = match route.action {
        Action::Get(tells) => tells.contents(schemas),
    };
    let contents: Map<String, Value> = contents
        .into_iter()
        .map(|(media_type, schema)| (media_type.to_owned(), json!({ "schema": schema })))
        .collect();
    let mut responses = Map::new();
    responses.insert(
        "200".to_owned(),
        json!({ "description": route.summary, "content": contents }),
    );
    let by_name = |parameter: &Parameter| parameter.kind == Kind::Text;
    let not_found = route.parameters.iter().any(by_name).then_some(NOT_FOUND);
    for (status, _) in PROBLEMS.into_iter().chain(not_found) {
        let shared = format!("#/components/responses/{status}");
        responses.insert(status.to_owned(), json!({ "$ref": shared }));
    }
    let id: String = [method, route.path].concat();
    let id: Vec<&str> = id.split(['/', '-', '.']).collect();
    json!({
        "operationId": id.join("_"),
        "summary": route.summary,
        "parameters": route.parameters.iter().map(parameter).collect::<Vec<_>>(),
        // Either none, where none was set; or this one.
        "security": [{}, { "read_token": [] }],
        "responses": responses,
    })
}

fn parameter(parameter: &Parameter) -> Value {
    let schema = match parameter.kind {
        Kind::Span => json!({ "type": "string", "pattern": SPAN_PATTERN, "examples": ["5m"] }),
        Kind::Text => json!({ "type": "string" }),
        Kind::OneOf(choices) => json!({ "type": "string", "enum": choices }),
        Kind::Moment => json!({
            "anyOf": [
                { "type": "number", "minimum": 0 },
                { "type": "string", "format": "date-time" },
            ],
        }),
    };
    json!({
        "name": parameter.name,
        "in": "query",
        "description": parameter.about,
        "schema": schema,
    })
}
