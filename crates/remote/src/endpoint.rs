//! Where a read API answers.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// The base URL `http://HOST:PORT` of a read API, or the same of https.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    scheme: Scheme,
    authority: Authority,
}

/// A text that is no base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no read API, expected http://HOST:PORT or https://HOST:PORT")]
pub struct BadEndpoint(pub String);

impl Endpoint {
    /// The URL of a path, which begins with a slash, and its query.
    pub(crate) fn uri(&self, path_and_query: &str) -> Result<Uri, http::Error> {
        let path_and_query: PathAndQuery = path_and_query.parse()?;
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path_and_query)
            .build()
    }

    /// The same over https.
    #[must_use]
    pub fn secured(self) -> Self {
        Self { scheme: Scheme::HTTPS, ..self }
    }

    /// Whether it is asked over https.
    #[must_use]
    pub fn is_secured(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The host alone, without brackets: what a ring hashes.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }
}

impl FromStr for Endpoint {
    type Err = BadEndpoint;

    /// Reads `http://HOST:PORT` or `https://HOST:PORT`, with or without a slash at the end, or `HOST:PORT`.
    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let bad = || BadEndpoint(text.to_owned());
        let (scheme, rest) = match text.strip_prefix("https://") {
            Some(rest) => (Scheme::HTTPS, rest),
            None => (Scheme::HTTP, text.strip_prefix("http://").unwrap_or(text)),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // Authority::host panics on none of these, yet accepts user names.
        if rest.contains(['@', '/', '?', '#', '=']) {
            return Err(bad());
        }
        let Ok(authority) = rest.parse::<Authority>() else { return Err(bad()) };
        match authority.port_u16() {
            Some(port) if port != 0 && !authority.host().is_empty() => {
                Ok(Self { scheme, authority })
            }
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_bare_addresses_read_alike() {
        for text in ["http://10.0.0.1:8081", "http://10.0.0.1:8081/", "10.0.0.1:8081"] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), "http://10.0.0.1:8081");
            assert_eq!(endpoint.host(), "10.0.0.1");
            let uri = endpoint.uri("/render/?a=b").unwrap();
            assert_eq!(uri.to_string(), "http://10.0.0.1:8081/render/?a=b");
        }
        assert_eq!("http://[::1]:80".parse::<Endpoint>().unwrap().host(), "::1");
    }

    #[test]
    fn https_is_asked_where_it_is_said() {
        let sealed: Endpoint = "https://h:1".parse().unwrap();
        assert_eq!((sealed.to_string(), sealed.is_secured()), ("https://h:1".to_owned(), true));
        let plain: Endpoint = "h:1".parse().unwrap();
        assert!(!plain.is_secured() && plain.secured() == sealed);
        assert_eq!(sealed.uri("/x").unwrap().to_string(), "https://h:1/x");
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for text in ["", "host", "ftp://host:1", "http://host:0", "http://host:99999"] {
            assert_eq!(text.parse::<Endpoint>(), Err(BadEndpoint(text.to_owned())), "{text}");
        }
        for text in ["http://host:80/graphite", "http://user@host:80", "http://:80"] {
            assert_eq!(text.parse::<Endpoint>(), Err(BadEndpoint(text.to_owned())), "{text}");
        }
    }
}
