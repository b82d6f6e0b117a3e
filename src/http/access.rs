//! Who may read: the read token, and the names under which the monitor may be addressed.

use super::problem::Problem;
use crate::error::BuildError;
use axum::http::{
    HeaderMap, StatusCode, Uri,
    header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE},
    uri::Authority,
};
use std::{hint::black_box, net::SocketAddr, sync::Arc};

/// Who may read, as it was set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    pub(crate) token: Option<Token>,
    pub(crate) allowed_hosts: Vec<String>,
}

impl Access {
    /// Whether the settings can be used.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        if self.token.as_ref().is_some_and(|token| !token.is_fit()) {
            return Err(BuildError::Setting {
                setting: "read_token",
                found: "not shown here".to_owned(),
                allowed: "visible ASCII characters, at least one".to_owned(),
            });
        }
        match self.allowed_hosts.iter().find(|h| Name::read(h).is_none()) {
            None => Ok(()),
            Some(host) => Err(BuildError::Setting {
                setting: "allowed_hosts",
                found: format!("{host:?}"),
                allowed:
                    "a name or an address, with or without a port, such as monitor.internal:9464"
                        .to_owned(),
            }),
        }
    }
}

/// A secret that is compared, and never shown.
#[derive(Clone)]
pub(crate) struct Token(Arc<str>);

impl Token {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(Arc::from(text.into()))
    }

    /// Whether an `Authorization` header can carry it.
    fn is_fit(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|b| b.is_ascii_graphic())
    }

    /// Whether `given` is the same, in a time that does not tell where they differ.
    fn is(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let pairs = own.iter().zip(given);
        let differences = pairs.fold(0, |found, (a, b)| black_box(found | (a ^ b)));
        own.len() == given.len() && differences == 0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(not shown)")
    }
}

/// A name to be addressed by. Without a port it stands for all ports.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    host: String,
    port: Option<u16>,
}

impl Name {
    fn read(text: &str) -> Option<Self> {
        // An authority may begin with a user, which no Host header has.
        let authority: Authority = text.parse().ok().filter(|_| !text.contains('@'))?;
        let host = authority.host().to_ascii_lowercase();
        let port = match authority.port() {
            Some(port) => Some(port.as_str().parse().ok()?),
            // `Authority` takes an empty port, and one out of range, for none.
            None if authority.as_str().len() == host.len() => None,
            None => return None,
        };
        (!host.is_empty()).then_some(Self { host, port })
    }

    fn covers(&self, given: &Self) -> bool {
        let port = match (self.port, given.port) {
            (None, _) => true,
            // A client leaves out the port that its scheme implies.
            (Some(own), None) => matches!(own, 80 | 443),
            (Some(own), Some(given)) => own == given,
        };
        port && self.host == given.host
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            None => f.write_str(&self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
        }
    }
}

/// The names under which requests are answered. A page in a browser can have its own name lead to
/// an address here, but cannot send another name than its own.
#[derive(Debug, Clone)]
pub(crate) struct Hosts(Option<Vec<Name>>);

impl Hosts {
    /// Under every name.
    pub(crate) const fn any() -> Self {
        Self(None)
    }

    /// On the host's listener, whose address is not known here: the configured names, if any.
    pub(crate) fn merged(access: &Access) -> Self {
        let names = access.allowed_hosts.iter();
        let names: Vec<Name> = names.filter_map(|name| Name::read(name)).collect();
        Self((!names.is_empty()).then_some(names))
    }

    /// On our own listener at `address`: if that is loopback, its names too, with any port. A page
    /// that was rebound to us carries its own name, whatever the port; and a tunnel may have another.
    pub(crate) fn own(access: &Access, address: SocketAddr) -> Self {
        let configured = Self::merged(access);
        if !address.ip().is_loopback() {
            return configured;
        }
        let own = match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        let loopback = [own.as_str(), "127.0.0.1", "[::1]", "localhost"];
        let mut names: Vec<Name> = loopback
            .iter()
            .filter_map(|name| Name::read(name))
            .collect();
        names.dedup();
        names.extend(configured.0.into_iter().flatten());
        Self(Some(names))
    }

    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(names) = &self.0 else {
            return Ok(());
        };
        let refused = |status, detail| {
            let names = names.iter().map(Name::to_string);
            Err(Problem::new(status, detail).field("Host").allowed(names))
        };
        let in_uri = uri.authority().map(|authority| authority.as_str());
        let in_headers = headers.get_all(HOST).iter();
        let in_headers = in_headers.map(|value| value.to_str().unwrap_or_default());
        let given: Vec<&str> = in_uri.into_iter().chain(in_headers).collect();
        if given.is_empty() || headers.get_all(HOST).iter().count() > 1 {
            return refused(
                StatusCode::BAD_REQUEST,
                "A request has to name the host that it is for, once.",
            );
        }
        let is_ours = |text: &&str| {
            let name = Name::read(text);
            name.is_some_and(|given| names.iter().any(|name| name.covers(&given)))
        };
        if given.iter().all(is_ours) {
            Ok(())
        } else {
            refused(
                StatusCode::FORBIDDEN,
                "The monitor is not to be addressed by this name; more can be given to `allowed_hosts`.",
            )
        }
    }
}

/// Admits requests.
#[derive(Debug)]
pub(crate) struct Guard {
    token: Option<Token>,
    hosts: Hosts,
}

impl Guard {
    pub(crate) const fn new(token: Option<Token>, hosts: Hosts) -> Self {
        Self { token, hosts }
    }

    /// Whether a request is admitted.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        self.hosts.check(uri, headers)?;
        let Some(token) = &self.token else {
            return Ok(());
        };
        let mut given = headers.get_all(AUTHORIZATION).iter();
        match (given.next(), given.next()) {
            (None, _) => Err(unauthorised(
                "A read token is needed.",
                r#"Bearer realm="aimux-otel""#,
            )),
            (Some(only), None) if bearer(only.as_bytes()).is_some_and(|g| token.is(g)) => Ok(()),
            _ => Err(unauthorised(
                "This is not the read token.",
                r#"Bearer realm="aimux-otel", error="invalid_token""#,
            )),
        }
    }
}

/// What follows the scheme, if it is the right one.
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = header.split_at_checked(6)?;
    let given = rest.trim_ascii_start();
    let separated = given.len() < rest.len();
    (separated && scheme.eq_ignore_ascii_case(b"bearer")).then_some(given.trim_ascii_end())
}

fn unauthorised(detail: &str, challenge: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
        .field("Authorization")
        .allowed(["Bearer <token>"])
        .header(WWW_AUTHENTICATE, challenge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(port: u16, allowed: &[&str]) -> Hosts {
        let access = Access {
            allowed_hosts: allowed.iter().map(|&host| host.to_owned()).collect(),
            ..Access::default()
        };
        Hosts::own(&access, SocketAddr::from(([127, 0, 0, 1], port)))
    }

    fn admits(hosts: &Hosts, uri: &str, host: &str) -> bool {
        let headers = HeaderMap::from_iter([(HOST, host.parse().unwrap())]);
        hosts.check(&uri.parse().unwrap(), &headers).is_ok()
    }

    #[test]
    fn loopback_is_addressed_by_its_own_names() {
        let hosts = loopback(9464, &[]);
        for host in [
            "127.0.0.1:9464",
            "[::1]:9464",
            "localhost:9464",
            "LocalHost:9464",
            "localhost:1",
            "localhost",
        ] {
            assert!(admits(&hosts, "/", host), "{host}");
        }
        let others = [
            "evil.example:9464",
            "evil.example",
            "localhost.evil.example:9464",
            "x@localhost:9464",
            "localhost:9464@evil.example",
            "localhost:",
            "localhost:99999",
            "localhost:9464, evil.example",
            "",
            "/",
        ];
        for host in others {
            assert!(!admits(&hosts, "/", host), "{host}");
        }
    }

    #[test]
    fn a_host_in_the_request_line_counts_too() {
        let hosts = loopback(9464, &[]);
        assert!(admits(
            &hosts,
            "http://localhost:9464/performance",
            "localhost:9464"
        ));
        assert!(!admits(
            &hosts,
            "http://evil.example/performance",
            "localhost:9464"
        ));
        assert!(!admits(&hosts, "http://localhost:9464/", "evil.example"));
        assert!(
            hosts
                .check(&"/".parse().unwrap(), &HeaderMap::new())
                .is_err()
        );
        let twice = [(HOST, "localhost:9464"), (HOST, "localhost:9464")];
        let twice = twice.map(|(name, value)| (name, value.parse().unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in twice {
            headers.append(name, value);
        }
        assert!(hosts.check(&"/".parse().unwrap(), &headers).is_err());
    }

    #[test]
    fn a_configured_name_without_a_port_stands_for_all() {
        let hosts = loopback(9464, &["Monitor.internal", "localhost", "tls.example:443"]);
        for host in [
            "monitor.internal",
            "monitor.internal:1",
            "localhost:8000",
            "tls.example",
        ] {
            assert!(admits(&hosts, "/", host), "{host}");
        }
        assert!(!admits(&hosts, "/", "tls.example:8443"));
    }

    #[test]
    fn no_check_where_no_names_are_known() {
        let access = Access::default();
        assert!(admits(&Hosts::merged(&access), "/", "gateway.example"));
        let outside = SocketAddr::from(([10, 0, 0, 7], 9464));
        assert!(admits(&Hosts::own(&access, outside), "/", "10.0.0.7:9464"));
    }

    #[test]
    fn the_token_is_compared_whole() {
        let guard = Guard::new(Some(Token::new("s3cret")), Hosts::any());
        let admits = |value: &str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            guard.check(&Uri::default(), &headers).is_ok()
        };
        for good in ["Bearer s3cret", "bearer s3cret", "BEARER   s3cret"] {
            assert!(admits(good), "{good}");
        }
        let wrong = [
            "Bearer s3cre",
            "Bearer s3crets",
            "Bearer ",
            "Bearer",
            "Bearers3cret",
            "s3cret",
            "Basic s3cret",
            "Bearer S3CRET",
            "",
        ];
        for wrong in wrong {
            assert!(!admits(wrong), "{wrong}");
        }
        assert!(guard.check(&Uri::default(), &HeaderMap::new()).is_err());
    }

    #[test]
    fn the_token_is_never_shown() {
        let access = Access {
            token: Some(Token::new("s3cret token")),
            ..Access::default()
        };
        let error = access.check().unwrap_err();
        for shown in [
            format!("{access:?}"),
            format!("{error:?}"),
            error.to_string(),
        ] {
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_one_is_refused() {
        let check = |host: &str| {
            let access = Access {
                allowed_hosts: vec![host.to_owned()],
                ..Access::default()
            };
            access.check().is_ok()
        };
        assert!(check("monitor.internal:9464") && check("[::1]") && check("10.0.0.7"));
        assert!(!check("") && !check("http://monitor.internal") && !check("a b") && !check("a:b"));
    }
}
