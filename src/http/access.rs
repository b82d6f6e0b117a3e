//! Who may read, and who may change: the tokens, and the names under which the monitor may be
//! addressed.

use super::{
    Place,
    origin::{self, Origin},
    problem::Problem,
};
use crate::error::BuildError;
use axum::http::{
    HeaderMap, StatusCode, Uri,
    header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE},
    uri::Authority,
};
use std::{hint::black_box, net::SocketAddr, sync::Arc};

/// Who may read and change, as it was set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    pub(crate) read: Option<Token>,
    pub(crate) admin: Option<Token>,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) allowed_origins: Vec<String>,
}

impl Access {
    /// Whether the settings can be used.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let refused = |setting, found: String, allowed: &str| {
            Err(BuildError::Setting {
                setting,
                found,
                allowed: allowed.to_owned(),
            })
        };
        let hidden = || "not shown here".to_owned();
        for (setting, token) in [("read_token", &self.read), ("admin_token", &self.admin)] {
            if token.as_ref().is_some_and(|token| !token.is_fit()) {
                return refused(setting, hidden(), "visible ASCII characters, at least one");
            }
        }
        if let (Some(read), Some(admin)) = (&self.read, &self.admin)
            && admin.is(read.0.as_bytes())
        {
            return refused("admin_token", hidden(), "another than the read token");
        }
        if let Some(host) = self.allowed_hosts.iter().find(|h| Name::read(h).is_none()) {
            return refused(
                "allowed_hosts",
                format!("{host:?}"),
                "a name or an address, with or without a port, such as monitor.internal:9464",
            );
        }
        let origins = self.allowed_origins.iter();
        if let Some(origin) = origins.clone().find(|o| Origin::read(o).is_none()) {
            return refused(
                "allowed_origins",
                format!("{origin:?}"),
                "a scheme, a name and perhaps a port, such as https://status.internal",
            );
        }
        Ok(())
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
pub(super) struct Name {
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl Name {
    pub(super) fn read(text: &str) -> Option<Self> {
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

    /// The names at `place`.
    pub(crate) fn at(place: Place, access: &Access) -> Self {
        match place {
            Place::Own(address) => Self::own(access, address),
            Place::Merged => Self::merged(access),
        }
    }

    /// On the host's listener, whose address is not known here: the configured names, if any.
    fn merged(access: &Access) -> Self {
        let names = access.allowed_hosts.iter();
        let names: Vec<Name> = names.filter_map(|name| Name::read(name)).collect();
        Self((!names.is_empty()).then_some(names))
    }

    /// On our own listener at `address`: if that is loopback, its names too, with any port. A page
    /// that was rebound to us carries its own name, whatever the port; and a tunnel may have another.
    fn own(access: &Access, address: SocketAddr) -> Self {
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
        let given: Vec<&str> = given(uri, headers).collect();
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

/// The names by which a request addresses us.
fn given<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> impl Iterator<Item = &'r str> {
    let in_uri = uri.authority().map(|authority| authority.as_str());
    let in_headers = headers.get_all(HOST).iter();
    let in_headers = in_headers.map(|value| value.to_str().unwrap_or_default());
    in_uri.into_iter().chain(in_headers)
}

/// Admits requests.
#[derive(Debug)]
pub(crate) struct Guard {
    read: Option<Token>,
    admin: Option<Token>,
    hosts: Hosts,
    origins: Vec<Origin>,
    /// Whoever reaches us may change something: on our own loopback listener, without any token.
    open: bool,
}

impl Guard {
    pub(crate) fn new(access: &Access, hosts: Hosts, place: Place) -> Self {
        let own = matches!(place, Place::Own(address) if address.ip().is_loopback());
        let origins = access.allowed_origins.iter();
        Self {
            read: access.read.clone(),
            admin: access.admin.clone(),
            hosts,
            origins: origins.filter_map(|origin| Origin::read(origin)).collect(),
            open: own && access.read.is_none() && access.admin.is_none(),
        }
    }

    /// Whether a request is admitted at all.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        self.hosts.check(uri, headers)?;
        if self.read.is_none() {
            return Ok(());
        }
        let given = bearer(headers).map_err(|wrong| wrong.problem("A read token is needed."))?;
        // Both are compared, so that the time does not tell which of them it was not.
        let (reads, changes) = (is(&self.read, given), is(&self.admin, given));
        if reads | changes {
            Ok(())
        } else {
            Err(NoToken::Wrong.problem(""))
        }
    }

    /// Whether a request that is admitted may change something.
    pub(crate) fn check_change(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let host = given(uri, headers).next().and_then(Name::read);
        origin::check(host.as_ref(), &self.origins, headers)?;
        if self.open {
            return Ok(());
        }
        let forbidden = |detail: &str| {
            Problem::new(StatusCode::FORBIDDEN, detail)
                .field("Authorization")
                .allowed([ADMIN])
        };
        if self.admin.is_none() {
            return Err(forbidden(
                "To change anything here takes an admin token, and the monitor was given none: \
                 give it one with `admin_token` when it is built.",
            ));
        }
        let given = bearer(headers).map_err(|wrong| wrong.problem("An admin token is needed."))?;
        let (reads, changes) = (is(&self.read, given), is(&self.admin, given));
        match (changes, reads) {
            (true, _) => Ok(()),
            (false, true) => Err(forbidden(
                "The read token changes nothing: the admin token is needed.",
            )
            .header(
                WWW_AUTHENTICATE,
                r#"Bearer realm="aimux-otel", error="insufficient_scope""#,
            )),
            (false, false) => Err(NoToken::Wrong.problem("")),
        }
    }
}

const ADMIN: &str = "Bearer <admin token>";

/// Whether `token` is the one `given`.
fn is(token: &Option<Token>, given: &[u8]) -> bool {
    token.as_ref().is_some_and(|token| token.is(given))
}

/// Why no token is as good as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoToken {
    Missing,
    Wrong,
}

impl NoToken {
    fn problem(self, needed: &str) -> Problem {
        let (detail, challenge) = match self {
            Self::Missing => (needed, r#"Bearer realm="aimux-otel""#),
            Self::Wrong => (
                "This is not the token.",
                r#"Bearer realm="aimux-otel", error="invalid_token""#,
            ),
        };
        Problem::new(StatusCode::UNAUTHORIZED, detail)
            .field("Authorization")
            .allowed(["Bearer <token>"])
            .header(WWW_AUTHENTICATE, challenge)
    }
}

/// The token of a request.
fn bearer(headers: &HeaderMap) -> Result<&[u8], NoToken> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        (None, _) => Err(NoToken::Missing),
        (Some(only), None) => after_scheme(only.as_bytes()).ok_or(NoToken::Wrong),
        (Some(_), Some(_)) => Err(NoToken::Wrong),
    }
}

/// What follows the scheme, if it is the right one.
fn after_scheme(header: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = header.split_at_checked(6)?;
    let given = rest.trim_ascii_start();
    let separated = given.len() < rest.len();
    (separated && scheme.eq_ignore_ascii_case(b"bearer")).then_some(given.trim_ascii_end())
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
        let access = Access {
            read: Some(Token::new("s3cret")),
            ..Access::default()
        };
        let guard = Guard::new(&access, Hosts::any(), Place::Merged);
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
            read: Some(Token::new("s3cret token")),
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
