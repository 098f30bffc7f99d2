//! The settings of a door, one entry each, for the tables of the daemons that have one.

use axum::http::HeaderName;
use daemon::tls::TlsFiles;
use daemon::{Fault, Kind, Setting, Values};

use super::proxies::Network;
use super::readers::Readers;

/// The certificate of the door.
pub const READ_TLS_CERT: Setting = Setting::new(
    "read_tls_cert",
    Kind::Path,
    "",
    "Certificate chain (PEM) of the listener that readers use; with it, it speaks TLS 1.2 and 1.3.",
)
.value_name("FILE");

/// Its key.
pub const READ_TLS_KEY: Setting =
    Setting::new("read_tls_key", Kind::Path, "", "The certificate's private key (PEM).")
        .value_name("FILE");

/// Who signs the clients' certificates.
pub const READ_TLS_CLIENT_CA: Setting = Setting::new(
    "read_tls_client_ca",
    Kind::Path,
    "",
    "Certificates (PEM) by which a reader's own certificate must be signed: mutual TLS.",
)
.value_name("FILE");

/// Who may read.
pub const READERS: Setting = Setting::new(
    "readers",
    Kind::Path,
    "",
    "Who may read, each with a token or password and the names that it may see. Without it \
     everybody may read everything. See docs/operate/security.md.",
)
.value_name("FILE")
.reload();

/// Whose word about a reader is taken.
pub const TRUSTED_PROXIES: Setting = Setting::new(
    "trusted_proxies",
    Kind::Text,
    "",
    "Addresses or networks (10.0.0.0/8) of proxies that say in X-Plumbago-Reader whose request \
     they pass on; from others that header counts for nothing.",
)
.value_name("NETWORK")
.list();

/// What goes on to the backend.
pub const PASS_HEADERS: Setting = Setting::new(
    "pass_headers",
    Kind::Text,
    "",
    "Headers of a client's request that go with what it makes us ask; no other header does.",
)
.value_name("NAME")
.list();

/// Headers that say something of one connection, or that we write ourselves.
const NEVER_PASSED: [&str; 11] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
    crate::deadline::DEADLINE_HEADER,
    super::READER_HEADER,
    crate::deadline::WITHIN_HEADER,
];

/// What a door is to be.
#[derive(Debug, Clone, Default)]
pub struct AccessSettings {
    /// Files for TLS, if it speaks it.
    pub tls: Option<TlsFiles>,
    /// Everybody who may read; none for no check at all.
    pub readers: Option<Readers>,
    /// Proxies whose word is taken.
    pub trusted_proxies: Vec<Network>,
    /// Headers that are passed on.
    pub pass_headers: Vec<HeaderName>,
}

impl AccessSettings {
    /// Reads the settings of this module's entries, and the file of readers.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn from_values(values: &Values) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut settings = Self::default();
        match TlsFiles::from_values(values, "read_tls") {
            Ok(tls) => settings.tls = tls,
            Err(fault) => faults.push(fault),
        }
        match readers(values) {
            Ok(readers) => settings.readers = readers,
            Err(fault) => faults.push(fault),
        }
        for text in values.list("trusted_proxies") {
            match Network::parse(text) {
                Some(network) => settings.trusted_proxies.push(network),
                None => {
                    let problem = format!("expected an address or ADDRESS/BITS, found \"{text}\"");
                    faults.push(values.fault("trusted_proxies", problem));
                }
            }
        }
        let passed =
            if values.knows("pass_headers") { values.list("pass_headers") } else { Vec::new() };
        for text in passed {
            match HeaderName::try_from(text.to_ascii_lowercase()) {
                Ok(name) if !NEVER_PASSED.contains(&name.as_str()) => {
                    settings.pass_headers.push(name)
                }
                _ => {
                    let problem = format!("\"{text}\" is no header that can be passed on");
                    faults.push(values.fault("pass_headers", problem));
                }
            }
        }
        if faults.is_empty() { Ok(settings) } else { Err(faults) }
    }
}

/// The readers that the settings name, read anew.
pub(crate) fn readers(values: &Values) -> Result<Option<Readers>, Fault> {
    let read = values.opt_path("readers").map(|path| Readers::read(&path));
    read.transpose().map_err(|problem| values.fault("readers", problem))
}
