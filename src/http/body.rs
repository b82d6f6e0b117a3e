//! The body of a request: JSON, and not much of it.

use super::{problem::Problem, route::JSON};
use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use bytes::Buf;
use http_body::Body as _;
use std::{future::poll_fn, pin::Pin, time::Duration};

/// Bytes of a body at the most.
pub(crate) const MOST: usize = 64 * 1_024;
/// What is read and thrown away beyond that, so that the client has sent all of it, and reads why
/// it was refused.
const SPARE: usize = 1_024 * 1_024;

/// Whether the headers say that the body is JSON as it is.
pub(crate) fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |field: header::HeaderName, allowed: &str| {
        let detail = "A change is written in JSON, and is said to be.";
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
            .field(if field == header::CONTENT_TYPE {
                "Content-Type"
            } else {
                "Content-Encoding"
            })
            .allowed([allowed]))
    };
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let fits = match (types.next(), types.next()) {
        (Some(only), None) => only.to_str().is_ok_and(is_json),
        _ => false,
    };
    if !fits {
        return refused(header::CONTENT_TYPE, JSON);
    }
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    if encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return refused(header::CONTENT_ENCODING, "identity");
    }
    Ok(())
}

/// Whether a media type is JSON, in the only character set that it has.
fn is_json(media_type: &str) -> bool {
    let mut parts = media_type.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|essence| essence.eq_ignore_ascii_case(JSON));
    let mut charsets = parts.filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim_matches('"');
        name.eq_ignore_ascii_case("charset")
            .then(|| value.to_owned())
    });
    is_json && charsets.all(|charset| charset.eq_ignore_ascii_case("utf-8"))
}

/// All of `body`, if it is not too much; with a `patience`, if it comes within that time, for
/// which the runtime must have a timer.
pub(crate) async fn read(body: Body, patience: Option<Duration>) -> Result<Vec<u8>, Problem> {
    let Some(patience) = patience else {
        return read_all(body).await;
    };
    let read = tokio::time::timeout(patience, read_all(body)).await;
    read.unwrap_or_else(|_| {
        let detail = format!("The body did not come within {patience:?}.");
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail).field("body"))
    })
}

async fn read_all(mut body: Body) -> Result<Vec<u8>, Problem> {
    let too_much = || {
        let detail = format!("The body is longer than {MOST} bytes.");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
            .field("body")
            .allowed([format!("at most {MOST} bytes")])
    };
    let spare = u64::try_from(MOST + SPARE).unwrap_or(u64::MAX);
    if body.size_hint().lower() > spare {
        return Err(too_much());
    }
    let mut bytes = Vec::new();
    let mut length = 0_usize;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "The body could not be read to its end.",
            )
            .field("body")
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length = length.saturating_add(data.remaining());
        if length > MOST + SPARE {
            break;
        }
        if length <= MOST {
            bytes.extend_from_slice(&data);
        } else {
            bytes = Vec::new();
        }
    }
    if length > MOST {
        Err(too_much())
    } else {
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;

    #[test]
    fn json_is_told_by_its_media_type() {
        for good in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
        ] {
            assert!(is_json(good), "{good}");
        }
        for wrong in [
            "",
            "text/plain",
            "application/jsonp",
            "application/problem+json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=application/json",
            "text/plain; application/json",
            "application/json; charset=utf-16",
            "application/json, text/plain",
        ] {
            assert!(!is_json(wrong), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let pending = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let soon = Some(Duration::from_millis(10));
        let late = read(Body::from_stream(pending), soon).await.unwrap_err();
        assert_eq!(late.into_response().status(), StatusCode::REQUEST_TIMEOUT);
        let prompt = read(Body::from("{}"), Some(Duration::from_secs(3_600))).await;
        assert_eq!(prompt.unwrap(), b"{}");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_refused() {
        let broken = [
            Ok(b"{}".to_vec()),
            Err(std::io::ErrorKind::ConnectionReset.into()),
        ];
        let broken: [Result<Vec<u8>, std::io::Error>; 2] = broken;
        let broken = Body::from_stream(futures_util::stream::iter(broken));
        let refused = read(broken, None).await.unwrap_err();
        assert_eq!(refused.into_response().status(), StatusCode::BAD_REQUEST);
    }
}
