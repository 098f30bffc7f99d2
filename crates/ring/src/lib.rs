//! Which nodes own a series: the hash rings of the field, and nothing else.
//!
//! Metric names are bytes here. There are no sockets and no clocks: the same nodes in the same
//! order always give the same owners, in the relay, on the storage nodes and in the tools.
#![forbid(unsafe_code)]

mod circle;
pub mod cluster;
mod dialect;
mod fingerprint;
mod hashes;
mod jump;
mod md5_lanes;
mod node;
mod owners;
mod placement;
mod zones;

#[cfg(test)]
mod recorded;

pub use dialect::{Collision, Hash, Replicas, RingSpec, UnknownName};
pub use fingerprint::{BadFingerprint, Fingerprint};
pub use hashes::{fnv1a_32, fnv1a_64};
pub use node::{Node, NodeError};
pub use owners::{COPIES_MAX, Owners};
pub use placement::{NODES_MAX, Ring, RingError};
pub use zones::{ZoneError, check_zones};
