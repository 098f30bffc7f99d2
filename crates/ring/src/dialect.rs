//! The choices that make a ring, and what each collision dialect does, as data.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::node::Node;

/// A word that is none of the names a choice has.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown {what} `{name}`, expected one of {known}")]
pub struct UnknownName {
    /// What was being chosen.
    pub what: &'static str,
    /// The word that was given.
    pub name: String,
    /// The words that exist.
    pub known: String,
}

/// An enum whose variants have one name each, in files, flags and fingerprints alike.
macro_rules! choice {
    ($(#[$meta:meta])* $choice:ident, $what:literal, $($(#[$variant_meta:meta])* $variant:ident = $name:literal),+) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $choice {
            $($(#[$variant_meta])* $variant),+
        }

        impl $choice {
            /// Every choice, the default first.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name it has in files and flags.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl fmt::Display for $choice {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(self.name())
            }
        }

        impl FromStr for $choice {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                Self::ALL.iter().copied().find(|choice| choice.name() == name).ok_or_else(|| UnknownName {
                    what: $what,
                    name: name.to_owned(),
                    known: Self::ALL.iter().map(|choice| choice.name()).collect::<Vec<_>>().join(", "),
                })
            }
        }
    };
}

choice! {
    /// How a name becomes a place among the nodes.
    Hash, "hash",
    /// MD5 circle, 100 points a node: Graphite's own.
    #[default]
    CarbonCh = "carbon_ch",
    /// FNV-1a circle, 100 points a node.
    Fnv1aCh = "fnv1a_ch",
    /// Jump hash over the ordered nodes; no circle.
    JumpFnv1aCh = "jump_fnv1a_ch"
}

choice! {
    /// What happens to two points at one position, and the habits that go with it.
    Collision, "collision rule",
    /// The later point moves up to the next free position: Python carbon, carbonate.
    #[default]
    Bump = "bump",
    /// The first in sorted order takes the position, the others vanish there: carbon-c-relay.
    First = "first",
    /// All stay; the first in sorted order wins, the next is the next copy: carbon-relay-ng v1, buckytools.
    Keep = "keep"
}

choice! {
    /// Where the copies after the first one go.
    Replicas, "replica rule",
    /// The following nodes in config order, the last followed by the first.
    #[default]
    Next = "next",
    /// Onwards around the hash's own order, skipping nodes that are already owners.
    Ring = "ring",
    /// As `ring`, and no two copies on one host: Python carbon's `DIVERSE_REPLICAS`.
    Diverse = "diverse"
}

/// The rules of a ring, without its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSpec {
    /// How names and nodes are hashed.
    pub hash: Hash,
    /// Whose habits are followed where programs differ.
    pub collision: Collision,
    /// Where further copies go.
    pub replicas: Replicas,
    /// How many nodes hold each series; more than there are nodes means every node once.
    pub copies: usize,
}

impl Default for RingSpec {
    fn default() -> Self {
        Self {
            hash: Hash::default(),
            collision: Collision::default(),
            replicas: Replicas::default(),
            copies: 1,
        }
    }
}

/// What one program does where the programs differ.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) settle: Settle,
    /// Among points of one position: does a node without an instance come last (or first)?
    pub(crate) no_instance_last: bool,
    /// FNV ties are broken by (host, port) instead of (host, instance).
    pub(crate) fnv1a_ties_by_port: bool,
    /// FNV points of a node without an instance are of `host:port` (else of the word `None`).
    pub(crate) fnv1a_hashes_port: bool,
    /// Bytes from 0x80 on enter FNV as negative numbers.
    pub(crate) fnv1a_sign_extends: bool,
    pub(crate) jump_order: JumpOrder,
}

/// How points of one position are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settle {
    /// Move up to the next free position while inserting in config order.
    Bump,
    /// Sort, and leave one point a position.
    First,
    /// Sort, and leave all.
    Keep,
}

/// The order of the nodes that the jump hash counts through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JumpOrder {
    /// Instances first, as numbers where both are, else as bytes; then the nodes without one.
    Numeric,
    /// Each instance goes before the first one that is greater as bytes; nodes without one to the end so far.
    Inserted,
}

const CARBON: Dialect = Dialect {
    settle: Settle::Bump,
    no_instance_last: false,
    fnv1a_ties_by_port: false,
    fnv1a_hashes_port: false,
    fnv1a_sign_extends: false,
    jump_order: JumpOrder::Numeric,
};

const CARBON_C_RELAY: Dialect = Dialect {
    settle: Settle::First,
    no_instance_last: true,
    fnv1a_ties_by_port: true,
    fnv1a_hashes_port: true,
    fnv1a_sign_extends: true,
    jump_order: JumpOrder::Numeric,
};

const BUCKYTOOLS: Dialect = Dialect {
    settle: Settle::Keep,
    no_instance_last: false,
    fnv1a_ties_by_port: false,
    fnv1a_hashes_port: true,
    fnv1a_sign_extends: false,
    jump_order: JumpOrder::Inserted,
};

impl Dialect {
    /// The dialect of a collision rule under a hash.
    pub(crate) const fn of(hash: Hash, collision: Collision) -> &'static Self {
        match (collision, hash) {
            // Python carbon has no jump hash; `bump` then means the program that brought it in.
            (Collision::First, _) | (Collision::Bump, Hash::JumpFnv1aCh) => &CARBON_C_RELAY,
            (Collision::Bump, _) => &CARBON,
            (Collision::Keep, _) => &BUCKYTOOLS,
        }
    }

    /// Are fnv1a_ch's points of a node made of its port?
    pub(crate) const fn hashes_port_of(&self, node: &Node) -> bool {
        self.fnv1a_hashes_port && node.instance.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_the_default_comes_first() {
        for &hash in Hash::ALL {
            assert_eq!(hash.name().parse(), Ok(hash));
        }
        assert_eq!(Hash::ALL[0], Hash::default());
        assert_eq!(Collision::ALL[0], Collision::default());
        assert_eq!(Replicas::ALL[0], Replicas::default());
        let error = "bmp".parse::<Collision>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown collision rule `bmp`, expected one of bump, first, keep"
        );
    }
}
