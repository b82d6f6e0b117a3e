//! The description of all routes, as OpenAPI 3.1: made from the table of routes and from the types
//! that answer.

use super::{
    Surface,
    problem::{self, Problem},
    query::{Asked, Kind, Parameter},
    route::{Action, JSON, Route},
    routes::{ROUTES, paths},
};
use crate::core::span;
use schemars::{
    Schema, SchemaGenerator, generate::SchemaSettings, transform::transform_subschemas,
};
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// The description, which does not change while the program runs.
pub(crate) fn description(_: &Surface, _: &Asked) -> Result<&'static Map<String, Value>, Problem> {
    static DESCRIPTION: OnceLock<Map<String, Value>> = OnceLock::new();
    Ok(DESCRIPTION.get_or_init(describe))
}

/// What a request may be answered with instead, and what for.
const PROBLEMS: [(&str, Of, &str); 11] = [
    (
        "400",
        Of::All,
        "What was sent or asked for cannot be understood.",
    ),
    (
        "401",
        Of::All,
        "A token is needed, and this is none, or not the right one.",
    ),
    (
        "403",
        Of::All,
        "It may not be asked by this name, or from there, or with this token.",
    ),
    ("404", Of::Named, "What was asked about is not known."),
    ("405", Of::All, "This path does not answer to this method."),
    ("408", Of::Changes, "The body did not come in time."),
    ("409", Of::Changes, "The monitor was shut down."),
    ("413", Of::Changes, "The body is too long."),
    ("415", Of::Changes, "The body is not said to be JSON."),
    (
        "422",
        Of::Changes,
        "The body is JSON, but not a change that can be made. Nothing was changed.",
    ),
    (
        "5XX",
        Of::All,
        "Too much is being asked at once, there is no runtime to answer on, or the answer could \
         not be rendered.",
    ),
];

/// Which requests are answered so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    All,
    /// Those that name something.
    Named,
    Changes,
}

impl Of {
    fn includes(self, route: &Route) -> bool {
        let named = |parameter: &Parameter| parameter.kind == Kind::Text;
        match self {
            Self::All => true,
            Self::Named => route.parameters.iter().any(named),
            Self::Changes => matches!(route.action, Action::Post(_)),
        }
    }
}

fn describe() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .with_transform(unlink);
    let mut schemas = settings.into_generator();
    let problem = schemas.subschema_for::<problem::Document<'_>>();
    let paths: Map<String, Value> = paths()
        .into_iter()
        .map(|path| (path.to_owned(), Value::Object(item(path, &mut schemas))))
        .collect();
    let problems = PROBLEMS.iter().map(|(status, _, about)| {
        let content = json!({ problem::CONTENT_TYPE: { "schema": problem } });
        let response = json!({ "description": about, "content": content });
        ((*status).to_owned(), response)
    });
    let problems: Map<String, Value> = problems.collect();
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
                    "description": "Needed to read if the monitor was given one.",
                },
                "admin_token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Needed to change anything, but on the monitor's own loopback \
                        listener if it was given no token at all. It also reads.",
                },
            },
        },
    });
    match whole {
        Value::Object(whole) => whole,
        _ => Map::new(),
    }
}

/// What the documentation says, without its links: for who reads the description, they lead nowhere.
fn unlink(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = without_links(text);
    }
    transform_subschemas(&mut unlink, schema);
}

/// `[text](target)` and `[text]` as `text`, and no `[text]: target` at the end.
fn without_links(text: &str) -> String {
    let is_target = |line: &&str| line.starts_with('[') && line.contains("]: ");
    let lines: Vec<&str> = text.lines().filter(|line| !is_target(line)).collect();
    let joined = lines.join("\n");
    let mut plain = String::new();
    let mut rest = joined.trim_end();
    while let Some((before, link)) = rest.split_once('[') {
        plain.push_str(before);
        let (label, after) = link.split_once(']').unwrap_or((link, ""));
        let target = after.strip_prefix('(').and_then(|at| at.split_once(')'));
        if target.is_none() && !label.starts_with('`') {
            plain.push('[');
            rest = link;
            continue;
        }
        plain.push_str(label);
        rest = target.map_or(after, |(_, after)| after);
    }
    plain + rest
}

/// All that can be done at `path`.
fn item(path: &str, schemas: &mut SchemaGenerator) -> Map<String, Value> {
    let here = ROUTES.iter().filter(|route| route.path == path);
    here.map(|route| {
        let method = match route.action {
            Action::Get(_) => "get",
            Action::Post(_) => "post",
        };
        (method.to_owned(), operation(method, route, schemas))
    })
    .collect()
}

fn operation(method: &str, route: &Route, schemas: &mut SchemaGenerator) -> Value {
    let (contents, asked, tokens) = match route.action {
        Action::Get(tells) => (
            tells.contents(schemas),
            None,
            &["read_token", "admin_token"][..],
        ),
        Action::Post(changes) => {
            let asked = changes.asked(schemas);
            (changes.contents(schemas), Some(asked), &["admin_token"][..])
        }
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
    for (status, _, _) in PROBLEMS.iter().filter(|(_, of, _)| of.includes(route)) {
        let shared = format!("#/components/responses/{status}");
        responses.insert((*status).to_owned(), json!({ "$ref": shared }));
    }
    let id: String = [method, route.path].concat();
    let id: Vec<&str> = id.split(['/', '-', '.']).collect();
    // Without any where none was set; or with one of these.
    let tokens = tokens.iter().map(|token| json!({ *token: [] }));
    let security: Vec<Value> = std::iter::once(json!({})).chain(tokens).collect();
    let mut operation = json!({
        "operationId": id.join("_"),
        "summary": route.summary,
        "parameters": route.parameters.iter().map(parameter).collect::<Vec<_>>(),
        "security": security,
        "responses": responses,
    });
    if let (Some(asked), Some(operation)) = (asked, operation.as_object_mut()) {
        let content = json!({ JSON: { "schema": asked } });
        let body = json!({ "required": true, "content": content });
        operation.insert("requestBody".to_owned(), body);
    }
    operation
}

fn parameter(parameter: &Parameter) -> Value {
    let schema = match parameter.kind {
        Kind::Span => json!({ "type": "string", "pattern": span::PATTERN, "examples": ["5m"] }),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_the_documentation_are_left_out() {
        for (text, plain) in [
            ("a `b` c", "a `b` c"),
            ("as in [`A`] and [b](crate::b), c", "as in `A` and b, c"),
            ("as in [`A`].\n\n[`A`]: crate::A", "as in `A`."),
            (
                "component:<name>[/<operation>]",
                "component:<name>[/<operation>]",
            ),
            ("open [ end [", "open [ end ["),
        ] {
            assert_eq!(without_links(text), plain);
        }
    }
}
