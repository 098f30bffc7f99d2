//! Who may read through an HTTP door, and which names.
//!
//! A door is a listener of the api, the zipper or a storage node. It may speak TLS, want a certificate of its clients, and know
//! readers by a token or a password; each reader may see all names or those that begin with some prefixes. What came in through it carries a [`Caller`].
//!
//! What it is not: it finds nothing and hides nothing. The index of a storage node keeps to [`Caller::within`], whoever asks it.
#![forbid(unsafe_code)]

mod door;
mod proxies;
mod readers;
pub mod settings;

pub use door::{Caller, Door};
pub use settings::AccessSettings;

/// Header by which a request asks for some names only; see [`metric::Within::to_text`]. It narrows and never widens, so anyone may send it.
pub const WITHIN_HEADER: &str = "x-plumbago-within";

/// Header by which a trusted proxy says whose request it passes on.
pub const READER_HEADER: &str = "x-plumbago-reader";
