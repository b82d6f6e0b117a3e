//! Message contents, which both dialects allow as a text or as a list of parts.

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Content(Value);

impl Content {
    /// The text, parts joined. Only texts are understood.
    pub(super) fn text(&self, place: &str) -> Result<String, String> {
        match &self.0 {
            Value::Null => Ok(String::new()),
            Value::String(text) => Ok(text.clone()),
            Value::Array(parts) => parts
                .iter()
                .map(|part| match (part.get("type"), part.get("text")) {
                    (Some(kind), Some(Value::String(text))) if kind == "text" => Ok(text.as_str()),
                    _ => Err(format!(
                        "{place}: only parts of type \"text\" are supported"
                    )),
                })
                .collect(),
            _ => Err(format!("{place}: expected a string or a list of parts")),
        }
    }
}

/// Checks the fields that both dialects have alike.
pub(super) fn check(
    messages: usize,
    max_tokens: Option<u32>,
    temperature: Option<f64>,
) -> Result<(), String> {
    if messages == 0 {
        return Err("messages: at least one message is required".to_owned());
    }
    if max_tokens == Some(0) {
        return Err("max_tokens: must be at least 1".to_owned());
    }
    if temperature.is_some_and(|value| !(0.0..=2.0).contains(&value)) {
        return Err("temperature: must be between 0 and 2".to_owned());
    }
    Ok(())
}
