//! Which of two formats of the metrics a scraper would rather have.

use axum::http::{HeaderMap, header};

/// Whether OpenMetrics is named, in a version that we write, and wanted no less than the text
/// format.
pub(crate) fn prefers_open_metrics(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let ranges: Vec<Range<'_>> = texts
        .flat_map(|text| text.split(','))
        .filter_map(Range::read)
        .collect();
    let named = |name: &str| {
        let named = ranges.iter().filter(|range| range.is(name));
        named.map(|range| range.quality).max_by(f64::total_cmp)
    };
    let open_metrics = ranges
        .iter()
        .filter(|range| range.is("application/openmetrics-text") && range.is_version_1())
        .map(|range| range.quality)
        .max_by(f64::total_cmp)
        .unwrap_or(0.0);
    let text = named("text/plain").or_else(|| named("text/*"));
    let text = text.or_else(|| named("*/*")).unwrap_or(0.0);
    open_metrics > 0.0 && open_metrics >= text
}

/// One of the media ranges of an `Accept` header.
struct Range<'a> {
    name: &'a str,
    version: Option<&'a str>,
    quality: f64,
}

impl<'a> Range<'a> {
    /// `None` if its quality is no number from 0 to 1.
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let mut range = Self {
            name: parts.next()?,
            version: None,
            quality: 1.0,
        };
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim().trim_matches('"');
            match name.trim() {
                name if name.eq_ignore_ascii_case("q") => {
                    let quality = value.parse().ok();
                    range.quality = quality.filter(|q| (0.0..=1.0).contains(q))?;
                }
                name if name.eq_ignore_ascii_case("version") => range.version = Some(value),
                _ => {}
            }
        }
        Some(range)
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn is_version_1(&self) -> bool {
        self.version.is_none_or(|version| version == "1.0.0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn prefers(accept: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        prefers_open_metrics(&headers)
    }

    #[test]
    fn who_names_it_gets_it_unless_text_is_wanted_more() {
        assert!(!prefers_open_metrics(&HeaderMap::new()));
        for accept in [
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8",
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,\
             */*;q=0.1",
            "application/openmetrics-text, */*",
            "text/plain;q=0.2, application/openmetrics-text;q=0.2",
        ] {
            assert!(prefers(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "application/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/plain, application/openmetrics-text;q=0.9",
            "*/*, application/openmetrics-text;q=0.9",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=2",
            "application/openmetrics-text;q=much",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;version=0.0.1, text/plain;q=0.1",
        ] {
            assert!(!prefers(accept), "{accept}");
        }
    }

    #[test]
    fn several_headers_are_one() {
        let mut headers = HeaderMap::new();
        let name = header::ACCEPT;
        headers.append(name.clone(), HeaderValue::from_static("text/plain;q=0.5"));
        headers.append(
            name,
            HeaderValue::from_static("application/openmetrics-text"),
        );
        assert!(prefers_open_metrics(&headers));
    }
}
