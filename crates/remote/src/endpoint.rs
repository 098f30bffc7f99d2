//! Where a read API answers.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// The base URL `http://HOST:PORT` of a read API.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    authority: Authority,
}

/// A text that is no base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no read API, expected http://HOST:PORT")]
pub struct BadEndpoint(pub String);

impl Endpoint {
    /// The URL of a path, which begins with a slash, and its query.
    pub(crate) fn uri(&self, path_and_query: &str) -> Result<Uri, http::Error> {
        let path_and_query: PathAndQuery = path_and_query.parse()?;
        Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(path_and_query)
            .build()
    }

    /// The host alone, without brackets: what a ring hashes.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }
}

impl FromStr for Endpoint {
    type Err = BadEndpoint;

    /// Reads `http://HOST:PORT`, with or without a slash at the end, or `HOST:PORT`.
    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let bad = || BadEndpoint(text.to_owned());
        let rest = text.strip_prefix("http://").unwrap_or(text);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // Authority::host panics on none of these, yet accepts user names.
        if rest.contains(['@', '/', '?', '#', '=']) {
            return Err(bad());
        }
        let Ok(authority) = rest.parse::<Authority>() else { return Err(bad()) };
        match authority.port_u16() {
            Some(port) if port != 0 && !authority.host().is_empty() => Ok(Self { authority }),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
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
    fn what_cannot_be_asked_is_refused() {
        for text in ["", "host", "https://host:1", "http://host:0", "http://host:99999"] {
            assert_eq!(text.parse::<Endpoint>(), Err(BadEndpoint(text.to_owned())), "{text}");
        }
        for text in ["http://host:80/graphite", "http://user@host:80", "http://:80"] {
            assert_eq!(text.parse::<Endpoint>(), Err(BadEndpoint(text.to_owned())), "{text}");
        }
    }
}
