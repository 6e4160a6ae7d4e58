//! The host of a request: the field `Host`, or `:authority` of HTTP/2 (RFC 9112, 3.2). The
//! connection service calls [`check`] for every request; an error becomes the response 400.

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Version};

use crate::problem::{Problem, kind};

/// Rejects a request with no host, several hosts, or an invalid host.
pub(super) fn check(parts: &Parts) -> Result<(), Problem> {
    let refused = |detail: &str| Err(Problem::new(&kind::BAD_REQUEST, detail));
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (host, further) = (hosts.next(), hosts.next());
    if further.is_some() {
        return refused("The field Host was sent more than once.");
    }
    let host = match host.map(authority) {
        Some(None) => return refused("The field Host must be a host with an optional port."),
        Some(Some(host)) => Some(host),
        None => None,
    };
    let authority = parts.uri.authority();
    match (parts.version, host, authority) {
        (Version::HTTP_2, None, None) => refused("The pseudo-field :authority is missing."),
        (Version::HTTP_2, Some(host), Some(named)) if host != *named => {
            refused("The field Host and the pseudo-field :authority differ.")
        }
        (Version::HTTP_11, None, _) => refused("The field Host is missing."),
        _ => Ok(()),
    }
}

/// Returns the host in the field, or `None` if it is not a host with an optional port.
fn authority(value: &HeaderValue) -> Option<Authority> {
    let text = value.to_str().ok()?;
    let authority: Authority = text.parse().ok()?;
    let has_host = !authority.host().is_empty();
    let rest = text.get(authority.host().len()..)?;
    // `host()` skips user information, which the field must not have.
    let is_plain = !text.contains('@') && text.starts_with(authority.host());
    let is_port = match rest.strip_prefix(':') {
        None => rest.is_empty(),
        Some(port) => port.is_empty() || port.parse::<u16>().is_ok(),
    };
    (has_host && is_plain && is_port).then_some(authority)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn is_taken(version: Version, uri: &str, hosts: &[&str]) -> bool {
        let mut request = Request::builder().version(version).uri(uri);
        for host in hosts {
            request = request.header(HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        check(&request.body(()).unwrap().into_parts().0).is_ok()
    }

    #[test]
    fn a_request_names_one_host_that_can_be_one() {
        for host in ["gx.example", "gx.example:443", "127.0.0.1:80", "[::1]:80", "[::1]", "a:"] {
            assert!(is_taken(Version::HTTP_11, "/", &[host]), "{host}");
        }
        for host in ["", "a b", "a/b", "me@a", "a:b", "a:65536", "a:1:2", "[::1", "é.example"] {
            assert!(!is_taken(Version::HTTP_11, "/", &[host]), "{host}");
            assert!(!is_taken(Version::HTTP_10, "/", &[host]), "{host}");
        }
        assert!(!is_taken(Version::HTTP_11, "/", &[]));
        assert!(!is_taken(Version::HTTP_11, "/", &["a", "a"]));
        assert!(is_taken(Version::HTTP_10, "/", &[]));
        assert!(is_taken(Version::HTTP_11, "http://a/", &["a"]));
    }

    #[test]
    fn in_http2_the_authority_is_the_host() {
        assert!(is_taken(Version::HTTP_2, "https://a/", &[]));
        assert!(is_taken(Version::HTTP_2, "https://a/", &["A"]));
        assert!(is_taken(Version::HTTP_2, "/", &["a"]));
        assert!(!is_taken(Version::HTTP_2, "/", &[]));
        assert!(!is_taken(Version::HTTP_2, "https://a/", &["b"]));
        assert!(!is_taken(Version::HTTP_2, "https://a/", &["a", "a"]));
    }
}
