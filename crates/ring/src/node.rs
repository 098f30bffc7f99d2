//! A node as the hash sees it: host, instance and, for some dialects, port.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// One storage node of a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Host name or address, exactly as it is hashed; an IPv6 address without brackets.
    pub host: String,
    /// Line port; 0 where none is known and the dialect does not hash it.
    pub port: u16,
    /// Tells nodes of one host apart.
    pub instance: Option<String>,
}

/// Why a node cannot be read or hashed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// No colon.
    #[error("node `{node}` has no port, expected HOST:PORT[=INSTANCE]")]
    NoPort {
        /// The text that was given.
        node: String,
    },
    /// The text after the last colon is no port.
    #[error("node `{node}` has port `{port}`, expected a number from 1 to 65535")]
    BadPort {
        /// The text that was given.
        node: String,
        /// The part that should be a port.
        port: String,
    },
    /// An empty host or instance.
    #[error("node `{node}` has an empty {part}")]
    Empty {
        /// The node.
        node: String,
        /// `host` or `instance`.
        part: &'static str,
    },
    /// A character that the programs of the field hash differently, or that cannot be printed in a list.
    #[error("node `{node}` has {character:?} in its {part}, which cannot be hashed reliably")]
    BadCharacter {
        /// The node.
        node: String,
        /// `host` or `instance`.
        part: &'static str,
        /// The first such character.
        character: char,
    },
}

impl Node {
    /// Reads `HOST:PORT[=INSTANCE]`. The last colon splits off the port, so IPv6 addresses may be
    /// bare; brackets around a host are taken off.
    pub fn parse(text: &str) -> Result<Self, NodeError> {
        let (address, instance) = match text.split_once('=') {
            Some((address, instance)) => (address, Some(instance.to_owned())),
            None => (text, None),
        };
        let (host, port) =
            split_address(address).ok_or_else(|| NodeError::NoPort { node: text.to_owned() })?;
        let port = read_port(port)
            .ok_or_else(|| NodeError::BadPort { node: text.to_owned(), port: port.to_owned() })?;
        let node = Self { host: host.to_owned(), port, instance };
        node.check()?;
        Ok(node)
    }

    /// Refuses hosts and instances that are empty, that cannot be listed, or whose quoting differs
    /// between Python's `repr` and the C and Go programs.
    pub fn check(&self) -> Result<(), NodeError> {
        let parts = [("host", Some(&self.host)), ("instance", self.instance.as_ref())];
        for (part, text) in parts.into_iter().filter_map(|(part, text)| Some((part, text?))) {
            if text.is_empty() {
                return Err(NodeError::Empty { node: self.to_string(), part });
            }
            let reserved = |c: char| c.is_whitespace() || c.is_control() || "'\"\\=,".contains(c);
            if let Some(character) = text.chars().find(|&c| reserved(c)) {
                return Err(NodeError::BadCharacter { node: self.to_string(), part, character });
            }
        }
        Ok(())
    }

    /// What the hash knows of the node; two nodes with the same identity are one to it.
    pub(crate) fn identity(&self) -> (&str, Option<&str>) {
        (&self.host, self.instance.as_deref())
    }
}

/// Splits `HOST:PORT` at the last colon and takes brackets off the host.
pub(crate) fn split_address(address: &str) -> Option<(&str, &str)> {
    let (host, port) = address.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    Some((bare.unwrap_or(host), port))
}

/// A port in plain digits; 0 is none.
pub(crate) fn read_port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|&port| plain && port != 0)
}

impl FromStr for Node {
    type Err = NodeError;

    fn from_str(text: &str) -> Result<Self, NodeError> {
        Self::parse(text)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.host)?;
        if self.port != 0 {
            write!(out, ":{}", self.port)?;
        }
        match &self.instance {
            Some(instance) => write!(out, "={instance}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str, port: u16, instance: Option<&str>) -> Node {
        Node { host: host.to_owned(), port, instance: instance.map(str::to_owned) }
    }

    #[test]
    fn hosts_ports_instances_and_ipv6_read_and_print_alike() {
        let cases = [
            ("10.0.0.1:2003", node("10.0.0.1", 2003, None)),
            ("store00:2003=a", node("store00", 2003, Some("a"))),
            ("2001:db8::1:2003", node("2001:db8::1", 2003, None)),
            ("::1:2103=b", node("::1", 2103, Some("b"))),
        ];
        for (text, expected) in cases {
            assert_eq!(Node::parse(text), Ok(expected.clone()), "{text}");
            assert_eq!(expected.to_string(), text);
        }
        assert_eq!(Node::parse("[2001:db8::1]:2003"), Ok(node("2001:db8::1", 2003, None)));
    }

    #[test]
    fn what_cannot_be_hashed_is_refused_by_name() {
        let cases = [
            ("store00", "node `store00` has no port, expected HOST:PORT[=INSTANCE]"),
            ("store00:", "node `store00:` has port ``, expected a number from 1 to 65535"),
            ("store00:+1", "node `store00:+1` has port `+1`, expected a number from 1 to 65535"),
            (
                "store00:65536",
                "node `store00:65536` has port `65536`, expected a number from 1 to 65535",
            ),
            (":2003", "node `:2003` has an empty host"),
            ("a:2003=", "node `a:2003=` has an empty instance"),
            ("a'b:2003", "node `a'b:2003` has '\\'' in its host, which cannot be hashed reliably"),
        ];
        for (text, message) in cases {
            assert_eq!(Node::parse(text).unwrap_err().to_string(), message);
        }
    }
}
