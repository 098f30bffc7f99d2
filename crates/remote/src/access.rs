//! Who may read through an HTTP door, and which names.
//!
//! A door is a listener of the api, the zipper or a storage node. It may speak TLS, want a certificate of its clients, and know
//! readers by a token or a password; each reader may see all names or those that begin with some prefixes. What came in through
//! it carries a [`Caller`].
//!
//! What it is not: it finds nothing and hides nothing. The index of a storage node keeps to [`Caller::within`], whoever asks it.

mod door;
mod proxies;
mod readers;
pub mod settings;

pub use door::{Caller, Door};
pub use settings::AccessSettings;

/// Header by which a trusted proxy says whose request it passes on.
pub const READER_HEADER: &str = "x-plumbago-reader";
