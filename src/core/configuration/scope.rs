//! Where a rule is watched, as JSON: `"process"`, `{"provider": "x"}`, and so on.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::core::alerts::rule::AlertScope;

/// What the name of a rule, a provider, a model or an endpoint may be, as a regular expression.
pub(super) const NAME_PATTERN: &str =
    "^[^\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufeff]{1,128}$";
/// The scopes that are a word.
pub(super) const WORDS: [(&str, AlertScope); 4] = [
    ("process", AlertScope::Process),
    ("gateway", AlertScope::Gateway),
    ("each_provider", AlertScope::EachProvider),
    ("each_endpoint", AlertScope::EachEndpoint),
];
pub(super) const PROVIDER: &str = "provider";
pub(super) const MODEL: &str = "model";
pub(super) const ENDPOINT: &str = "endpoint";

/// How a scope may be written, with one that is written so.
#[cfg(feature = "server")]
pub(super) fn forms() -> Vec<(String, AlertScope)> {
    let words = WORDS.map(|(word, scope)| (format!("{word:?}"), scope));
    let nothing = String::new;
    let objects = [
        (
            r#"{"provider": "…"}"#.to_owned(),
            AlertScope::Provider(nothing()),
        ),
        (
            r#"{"provider": "…", "model": "…"}"#.to_owned(),
            AlertScope::Model {
                provider: nothing(),
                model: nothing(),
            },
        ),
        (
            r#"{"endpoint": "…"}"#.to_owned(),
            AlertScope::Endpoint(nothing()),
        ),
    ];
    words.into_iter().chain(objects).collect()
}

impl Serialize for AlertScope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields: &[(&str, &String)] = match self {
            Self::Provider(provider) => &[(PROVIDER, provider)],
            Self::Model { provider, model } => &[(PROVIDER, provider), (MODEL, model)],
            Self::Endpoint(endpoint) => &[(ENDPOINT, endpoint)],
            Self::Process => return serializer.serialize_str("process"),
            Self::Gateway => return serializer.serialize_str("gateway"),
            Self::EachProvider => return serializer.serialize_str("each_provider"),
            Self::EachEndpoint => return serializer.serialize_str("each_endpoint"),
        };
        let mut map = serializer.serialize_map(Some(fields.len()))?;
        for (name, value) in fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl JsonSchema for AlertScope {
    fn schema_name() -> Cow<'static, str> {
        "AlertScope".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let name = json_schema!({ "type": "string", "pattern": NAME_PATTERN });
        let words = WORDS.map(|(word, _)| word);
        json_schema!({
            "description": "Where a rule is watched: in the process, for all operations of the \
                gateway together, for each provider or endpoint by itself, or for one of them.",
            "oneOf": [
                { "type": "string", "enum": words },
                {
                    "type": "object",
                    "properties": { PROVIDER: name, MODEL: name },
                    "required": [PROVIDER],
                    "additionalProperties": false,
                },
                {
                    "type": "object",
                    "properties": { ENDPOINT: name },
                    "required": [ENDPOINT],
                    "additionalProperties": false,
                },
            ],
        })
    }
}
