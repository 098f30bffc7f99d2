//! One short word for a ring: programs that disagree about placement notice before they act.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use thiserror::Error;

use crate::dialect::{Dialect, Hash, RingSpec};
use crate::hashes::md5_64;
use crate::node::Node;

/// Stable 64-bit name of a ring: its rules, copies, and nodes in order; addresses aside.
///
/// docs/formats/ring.md gives the text that is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

/// A text that is no fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no ring fingerprint, expected 16 hex digits")]
pub struct BadFingerprint(pub String);

impl Fingerprint {
    pub(crate) fn of(spec: RingSpec, nodes: &[Node]) -> Self {
        Self(md5_64(text(spec, nodes).as_bytes()))
    }

    /// From the number that travels in binary formats.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number for binary formats.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// Everything that decides a placement, a line each.
fn text(spec: RingSpec, nodes: &[Node]) -> String {
    let RingSpec { hash, collision, replicas, copies } = spec;
    let dialect = Dialect::of(hash, collision);
    let mut text = format!("plumbago-ring 1\n{hash} {collision} {replicas} {copies}\n");
    for node in nodes {
        text.push_str(&node.host);
        if hash == Hash::Fnv1aCh && (dialect.fnv1a_ties_by_port || dialect.hashes_port_of(node)) {
            write!(text, ":{}", node.port).expect("a string takes all");
        }
        if let Some(instance) = &node.instance {
            text.extend(["=", instance]);
        }
        text.push('\n');
    }
    text
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = BadFingerprint;

    fn from_str(text: &str) -> Result<Self, BadFingerprint> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(Self).ok_or_else(|| BadFingerprint(text.to_owned()))
    }
}
