//! Errors as `application/problem+json` (RFC 9457): what is wrong, where, and what is allowed.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Serialize;

pub(crate) const CONTENT_TYPE: &str = "application/problem+json";

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    field: Option<String>,
    allowed: Option<Vec<String>>,
    /// Boxed, since few have one and all are returned by value.
    header: Option<Box<(HeaderName, &'static str)>>,
}

/// Why a request was not answered, as in RFC 9457.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct Document<'a> {
    /// The kinds differ in nothing but the status and what is named.
    r#type: &'static str,
    /// What the status means.
    title: &'a str,
    /// The status of the answer.
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// What is wrong, and what can be done about it.
    detail: &'a str,
    /// The parameter, header or field that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "&str")]
    field: Option<&'a str>,
    /// What it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "&[String]")]
    allowed: Option<&'a [String]>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            field: None,
            allowed: None,
            header: None,
        }
    }

    /// The parameter, header or part of the request that is wrong.
    pub(crate) fn field(mut self, name: impl Into<String>) -> Self {
        self.field = Some(name.into());
        self
    }

    /// What it may be.
    pub(crate) fn allowed<T: Into<String>>(mut self, values: impl IntoIterator<Item = T>) -> Self {
        self.allowed = Some(values.into_iter().map(Into::into).collect());
        self
    }

    /// A header that this kind of error has to carry.
    pub(crate) fn header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    fn body(&self) -> String {
        let document = Document {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            field: self.field.as_deref(),
            allowed: self.allowed.as_deref(),
        };
        serde_json::to_string(&document).unwrap_or_else(|_| "{}".to_owned())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let content_type = [(header::CONTENT_TYPE, CONTENT_TYPE)];
        let mut response = (self.status, content_type, self.body()).into_response();
        if let Some(header) = self.header {
            let (name, value) = *header;
            let headers = response.headers_mut();
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_what_is_wrong_and_what_is_allowed() {
        let problem = Problem::new(StatusCode::BAD_REQUEST, "Not so.")
            .field("window")
            .allowed(["<n>s"]);
        assert_eq!(
            problem.body(),
            r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"Not so.","field":"window","allowed":["<n>s"]}"#
        );
    }
}
