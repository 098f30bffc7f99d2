//! What carbonate does on one machine: which node owns a series, which file holds it, which
//! series are stale, what another machine's files have that ours lack.

mod aggregate;
mod cluster;
mod files;
mod hosts;
mod list;
mod names;
mod paths;
mod sieve;
mod stale;
mod sync;

pub(crate) use aggregate::Aggregate;
pub(crate) use files::dotted;
pub(crate) use hosts::{Hosts, Lookup};
pub(crate) use list::{List, Walk};
pub(crate) use names::NameList;
pub(crate) use paths::Paths;
pub(crate) use sieve::Sieve;
pub(crate) use stale::Stale;
pub(crate) use sync::Sync;
