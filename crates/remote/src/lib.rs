//! Client of the read API of a storage node or zipper: ours, go-carbon's, graphite-web's; and of a daemon's admin
//! address ([`AdminClient`]).
//!
//! One [`Client`] speaks to one [`Endpoint`] over a pool of kept connections. It asks once which
//! protocol the other side has, prefers carbonapi_v3_pb, and gives back plain series and matches
//! whatever the wire held. A deadline goes along with every request; dropping a call's future
//! closes its connection, so that the other side can stop its work.
//!
//! [`access`] is the other end: who may ask, and what of all names he may see.
//!
//! What it is not: it merges nothing and asks nobody twice; that is the business of who fans out.
#![forbid(unsafe_code)]

pub mod access;
mod admin;
mod allowance;
mod client;
mod connections;
mod connector;
pub mod credentials;
mod deadline;
mod endpoint;
mod error;
mod protocol;
mod query_string;
mod request;
mod stream;

pub use admin::{AdminClient, Traffic};
pub use allowance::Allowance;
pub use client::Client;
pub use connections::ClientSettings;
pub use credentials::Credentials;
pub use deadline::{DEADLINE_HEADER, Deadline, OnBehalf, WITHIN_HEADER};
pub use endpoint::{BadEndpoint, Endpoint};
pub use error::{RemoteError, RemoteErrorKind};
pub use query_string::encode_pairs;
pub use request::{Budget, FetchPlan, FetchRequest, FindRequest, Target};
pub use stream::{FetchReply, FetchStream, Received};
