//! Which pages in a browser may have something changed: ours, and those that were allowed.

use super::{access::Name, problem::Problem};
use axum::http::{HeaderMap, StatusCode, header::ORIGIN};

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Where a page comes from: `https://status.internal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Origin {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let scheme = [Scheme::Http, Scheme::Https]
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(scheme))?;
        let Name { host, port } = Name::read(authority)?;
        Some(Self {
            scheme,
            host,
            port: port.unwrap_or(scheme.port()),
        })
    }

    /// Whether a page from here that asks `host` asks its own origin. We do not see whether TLS
    /// ends in front of us, so the scheme is the page's.
    fn is_of(&self, host: &Name) -> bool {
        self.host == host.host && self.port == host.port.unwrap_or(self.scheme.port())
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.host)?;
        if self.port == self.scheme.port() {
            return Ok(());
        }
        write!(f, ":{}", self.port)
    }
}

/// Whether a page may change something by a request to `host`. What is not a page sends neither
/// of these headers.
pub(crate) fn check(
    host: Option<&Name>,
    allowed: &[Origin],
    headers: &HeaderMap,
) -> Result<(), Problem> {
    let refused = |field: &'static str, detail: &str| {
        let allowed = allowed.iter().map(Origin::to_string);
        let allowed = std::iter::once("the origin of the monitor itself".to_owned()).chain(allowed);
        Err(Problem::new(StatusCode::FORBIDDEN, detail)
            .field(field)
            .allowed(allowed))
    };
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (Some(only), None) => only.to_str().ok().and_then(Origin::read),
        _ => None,
    };
    let is_given = headers.contains_key(ORIGIN);
    if origin
        .as_ref()
        .is_some_and(|origin| allowed.contains(origin))
    {
        return Ok(());
    }
    let own = match (&origin, host) {
        (Some(origin), Some(host)) => origin.is_of(host),
        _ => false,
    };
    if is_given && !own {
        return refused("Origin", "A page from this origin changes nothing here.");
    }
    let sites = headers.get_all(SEC_FETCH_SITE).iter();
    // What a person typed or a program sent is `none`, or not there.
    let mut foreign = sites.filter(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    if foreign.next().is_some() {
        return refused(
            "Sec-Fetch-Site",
            "A page from another site changes nothing here.",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn admits(host: &str, allowed: &[&str], sent: &[(&'static str, &str)]) -> bool {
        let host = Name::read(host);
        let allowed: Vec<Origin> = allowed.iter().map(|o| Origin::read(o).unwrap()).collect();
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            let name = HeaderName::from_static(name);
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        check(host.as_ref(), &allowed, &headers).is_ok()
    }

    #[test]
    fn a_page_of_ours_may() {
        for (host, origin) in [
            ("localhost:9464", "http://localhost:9464"),
            ("[::1]:9464", "http://[::1]:9464"),
            ("Monitor.internal", "https://monitor.internal"),
            ("monitor.internal", "http://monitor.internal:80"),
            ("monitor.internal:443", "https://monitor.internal"),
        ] {
            assert!(admits(host, &[], &[("origin", origin)]), "{host} {origin}");
            let with_site = [("origin", origin), ("sec-fetch-site", "same-origin")];
            assert!(admits(host, &[], &with_site), "{host} {origin}");
        }
    }

    #[test]
    fn any_other_page_may_not() {
        for origin in [
            "null",
            "",
            "http://evil.example",
            "http://localhost",
            "http://localhost:9465",
            "https://localhost:9464.evil.example",
            "http://localhost:9464/",
            "http://x@localhost:9464",
            "file://localhost:9464",
            "localhost:9464",
            "http://localhost:9464 http://evil.example",
            "http://127.0.0.1:9464",
            "\u{e9}",
        ] {
            assert!(
                !admits("localhost:9464", &[], &[("origin", origin)]),
                "{origin}"
            );
        }
        let twice = [("origin", "http://localhost:9464"); 2];
        assert!(!admits("localhost:9464", &[], &twice));
        assert!(!admits("", &[], &[("origin", "http://localhost:9464")]));
    }

    #[test]
    fn a_page_that_was_allowed_may() {
        let allowed = ["https://status.internal"];
        let from = |origin| {
            admits(
                "gateway:9464",
                &allowed,
                &[("origin", origin), ("sec-fetch-site", "cross-site")],
            )
        };
        assert!(from("https://status.internal") && from("https://STATUS.internal:443"));
        assert!(!from("http://status.internal") && !from("https://status.internal:8443"));
    }

    #[test]
    fn without_an_origin_the_site_decides() {
        for (site, may) in [
            ("none", true),
            ("same-origin", true),
            ("same-site", false),
            ("cross-site", false),
            ("", false),
        ] {
            assert_eq!(
                admits("localhost", &[], &[("sec-fetch-site", site)]),
                may,
                "{site}"
            );
        }
        assert!(admits("localhost", &[], &[]), "no page at all");
        let own_but = [
            ("origin", "http://localhost"),
            ("sec-fetch-site", "cross-site"),
        ];
        assert!(!admits("localhost", &[], &own_but));
    }
}
