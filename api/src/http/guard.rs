//! What a browser must not be able to do to us.
//!
//! Listening on loopback does not keep web pages out: a page can point a name of its own at 127.0.0.1 (DNS
//! rebinding), and can open a WebSocket to any address without asking. So every request must name a host that is
//! ours, and one that carries an `Origin` must come from the same origin or from one that was configured. There is
//! no CORS: no `Access-Control-*` header is ever sent and a preflight is refused as a method.
//!
//! It is a layer and not part of a handler, so that whatever else listens on the same port stands behind it as well.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};

use super::{answer::Refusal, code};

/// Names that always mean this computer.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// On every answer that does not say otherwise itself: it is no page, and not to be embedded, sniffed or cached.
const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (header::CACHE_CONTROL, "no-store"),
];

/// Which hosts we are and which foreign origins may talk to us.
///
/// Loopback names are always ours, on any port. A configured host without a port stands for every port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPolicy {
    /// Besides loopback, as in the `Host` header: `shop.example` or `shop.example:8443`.
    pub hosts: Vec<String>,
    /// Besides the same origin, as in the `Origin` header: `https://admin.example`.
    pub origins: Vec<String>,
}

impl HostPolicy {
    fn is_ours(&self, authority: &str) -> bool {
        let Some((name, port)) = host_and_port(authority) else {
            return false;
        };
        let is =
            |allowed: &str| allowed.eq_ignore_ascii_case(name) || allowed.eq_ignore_ascii_case(authority);
        let port_is_number = port.is_none_or(|port| port.parse::<u16>().is_ok());
        port_is_number && (LOOPBACK.into_iter().any(is) || self.hosts.iter().any(|host| is(host)))
    }

    /// The host that the request names, where it is ours.
    fn host<'a>(&self, request: &'a Request) -> Option<&'a str> {
        let mut named = request.headers().get_all(header::HOST).iter();
        let (host, second) = (named.next()?.to_str().ok()?, named.next());
        // A request line with an absolute address names a host of its own; both must be ours.
        let absolute = request
            .uri()
            .authority()
            .is_none_or(|authority| self.is_ours(authority.as_str()));
        (second.is_none() && absolute && self.is_ours(host)).then_some(host)
    }

    fn origin_is_fine(&self, headers: &HeaderMap, host: &str) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let (first, second) = (origins.next(), origins.next());
        let Some(origin) = first else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        let configured = self
            .origins
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(origin));
        second.is_none() && (configured || same_origin(origin, host))
    }
}

/// Whether a page of `origin` was served from `host`. The scheme is not compared: behind a proxy that ends TLS the
/// page is https and we are not.
fn same_origin(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let bare = |authority: &str| {
        authority
            .strip_suffix(default_port)
            .unwrap_or(authority)
            .to_ascii_lowercase()
    };
    bare(authority) == bare(host)
}

/// The network that an address stands for where callers are counted: an IPv4 address itself, the first 64 bits of an IPv6
/// address, since a single subscriber has the rest of them.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

fn host_and_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let name_ends = match authority.strip_prefix('[') {
        Some(literal) => literal.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (name, rest) = authority.split_at(name_ends);
    match rest.strip_prefix(':') {
        Some(port) => Some((name, Some(port))),
        None => rest.is_empty().then_some((name, None)),
    }
}

/// Puts `router` behind the host and origin checks and gives its answers the security headers.
pub fn guarded(router: Router, policy: HostPolicy) -> Router {
    router.layer(middleware::from_fn_with_state(Arc::new(policy), check))
}

async fn check(State(policy): State<Arc<HostPolicy>>, request: Request, next: Next) -> Response {
    let mut response = match policy.host(&request) {
        None => Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            code::FORBIDDEN,
            "This host is not served here; add it to the allowed hosts.",
        )
        .into_response(),
        Some(host) if !policy.origin_is_fine(request.headers(), host) => Refusal::new(
            StatusCode::FORBIDDEN,
            code::FORBIDDEN,
            "Requests from this origin are not allowed; add it to the allowed origins.",
        )
        .into_response(),
        Some(_) => next.run(request).await,
    };
    for (name, value) in SECURITY_HEADERS {
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_hosts_are_ours() {
        let policy = HostPolicy {
            hosts: vec!["shop.example".into(), "x.example:81".into()],
            ..Default::default()
        };
        for ours in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:8080",
            "shop.example:9",
            "x.example:81",
        ] {
            assert!(policy.is_ours(ours), "{ours}");
        }
        for foreign in [
            "",
            "evil.example",
            "localhost.evil.example",
            "localhost:80.evil.example",
            "localhost:",
            "localhost:99999",
            "user@localhost",
            "x.example",
            "x.example:82",
            "[::1",
            "[::1]evil",
            "[::2]",
        ] {
            assert!(!policy.is_ours(foreign), "{foreign}");
        }
    }

    #[test]
    fn an_origin_is_the_same_only_with_the_same_port() {
        assert!(same_origin("http://localhost:8080", "localhost:8080"));
        assert!(same_origin("https://Shop.example", "shop.example:443"));
        assert!(same_origin("http://[::1]:80", "[::1]"));
        assert!(!same_origin("http://localhost:3000", "localhost:8080"));
        assert!(!same_origin("http://127.0.0.1:8080", "localhost:8080"));
        assert!(!same_origin("null", "localhost:8080"));
        assert!(!same_origin("file://localhost:8080", "localhost:8080"));
    }
}
