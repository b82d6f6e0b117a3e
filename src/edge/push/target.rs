//! Where to push: a URL and headers, checked before anything is started, and never shown whole,
//! since a path or a query may be as secret as a password.

use crate::error::BuildError;
use reqwest::{
    Client, Method, RequestBuilder, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};

/// A URL and headers as they were set.
#[derive(Clone, Default)]
pub(super) struct Address {
    url: String,
    headers: Vec<(String, String)>,
}

impl Address {
    pub(super) fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            headers: Vec::new(),
        }
    }

    pub(super) fn header(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.headers.push((name.into(), value.into()));
    }

    /// Checks all of it. `setting` says which destination an error is about; what is secret is in
    /// no error.
    pub(super) fn check(&self, setting: &'static str) -> Result<Target, BuildError> {
        let wrong = |found: &str, allowed: &str| BuildError::Setting {
            setting,
            found: found.to_owned(),
            allowed: allowed.to_owned(),
        };
        let allowed = "an absolute URL, http:// or https://";
        let url = Url::parse(&self.url).map_err(|_| wrong("no URL", allowed))?;
        match url.scheme() {
            "http" => {}
            "https" if cfg!(feature = "tls") => {}
            "https" => {
                let allowed = "an http:// URL, or enable the feature `tls` of aimux-otel";
                return Err(wrong("an https:// URL", allowed));
            }
            _ => return Err(wrong("a URL with another scheme", allowed)),
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(wrong("a URL without a host", allowed));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let found = format!("with a header `{}`", name.escape_debug());
            let parsed = HeaderName::from_bytes(name.as_bytes());
            let parsed = parsed.map_err(|_| wrong(&found, "with headers of allowed names"))?;
            let mut value = HeaderValue::from_str(value)
                .map_err(|_| wrong(&found, "with header values of printable characters"))?;
            value.set_sensitive(true);
            headers.append(parsed, value);
        }
        Ok(Target { url, headers })
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let origin = Url::parse(&self.url).map(|url| origin(&url));
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("Address")
            .field("origin", &origin.unwrap_or_default())
            .field("headers", &names)
            .finish()
    }
}

/// A URL and headers that were checked.
#[derive(Clone)]
pub(super) struct Target {
    url: Url,
    headers: HeaderMap,
}

impl Target {
    /// The URL itself.
    pub(super) fn url(&self) -> Url {
        self.url.clone()
    }

    /// The URL with more segments behind its path.
    pub(super) fn below<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.url.clone();
        // Every http URL has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// A request to `url`, with the headers that were set. Credentials in the URL become a header.
    pub(super) fn request(&self, client: &Client, method: Method, url: Url) -> RequestBuilder {
        client.request(method, url).headers(self.headers.clone())
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("Target")
            .field("origin", &origin(&self.url))
            .field("headers", &names)
            .finish()
    }
}

/// Scheme, host and port.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> Result<Target, String> {
        let checked = Address::new(url).check("alert_webhook");
        checked.map_err(|error| error.to_string())
    }

    #[test]
    fn only_web_addresses_will_do() {
        for url in ["http://localhost:9091", "http://[::1]/a?b=c", "HTTP://A/"] {
            assert!(check(url).is_ok(), "{url}");
        }
        for url in ["", "localhost:9091", "/path", "http://", "file:///a"] {
            let error = check(url).unwrap_err();
            assert!(error.starts_with("alert_webhook is "), "{error}");
        }
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn encryption_has_to_be_built_in() {
        let error = check("https://localhost").unwrap_err();
        assert!(error.contains("the feature `tls` of aimux-otel"), "{error}");
    }

    #[test]
    #[cfg(feature = "tls")]
    fn encryption_is_built_in() {
        assert!(check("https://localhost").is_ok());
    }

    #[test]
    fn a_path_is_added_behind_the_one_there_is() {
        let url = |base: &str| check(base).unwrap().below(["api", "a@b", "x=="]);
        let expected = "http://a/api/a@b/x==";
        assert_eq!(url("http://a").as_str(), expected);
        assert_eq!(url("http://a/").as_str(), expected);
        assert_eq!(
            url("http://a/prefix/?q=1").as_str(),
            "http://a/prefix/api/a@b/x==?q=1"
        );
    }

    #[test]
    fn nothing_secret_is_shown() {
        let mut address = Address::new("http://canary1:canary2@host:1/canary3?canary4#canary5");
        address.header("Authorization", "canary6");
        let target = address.check("alert_webhook").unwrap();
        for shown in [format!("{address:?}"), format!("{target:?}")] {
            assert!(!shown.contains("canary"), "{shown}");
            assert!(shown.contains("http://host:1"), "{shown}");
        }
        address.header("X-Token", "canary7\n");
        let error = address.check("alert_webhook").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        for url in ["ftp://canary1@host/canary", "canary"] {
            let error = Address::new(url).check("alert_webhook").unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
    }
}
