//! TLS towards other daemons: who is believed there, and by what we are known.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
pub use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{TlsError, certificates};
use crate::settings::{Fault, Values};

/// Files of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// Who signs the servers' certificates.
    pub ca: PathBuf,
    /// The client's own certificate chain and its key, where servers want one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl ClientFiles {
    /// From the settings `PREFIX_ca`, `PREFIX_cert` and `PREFIX_key`; none where they name no authority.
    ///
    /// # Errors
    /// Some of them without the others that they need.
    pub fn from_values(values: &Values, prefix: &str) -> Result<Option<Self>, Fault> {
        let [ca, cert, key] = ["ca", "cert", "key"].map(|what| format!("{prefix}_{what}"));
        let needs = |one: &str, other: &str| values.fault(one, format!("needs `{other}` too"));
        let identity = match (values.opt_path(&cert), values.opt_path(&key)) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (Some(_), None) => return Err(needs(&cert, &key)),
            (None, Some(_)) => return Err(needs(&key, &cert)),
            (None, None) => None,
        };
        match values.opt_path(&ca) {
            Some(ca) => Ok(Some(Self { ca, identity })),
            None if identity.is_some() => Err(needs(&cert, &ca)),
            None => Ok(None),
        }
    }
}

/// The files of a client, and what they said when they were last read.
pub struct Passport {
    files: ClientFiles,
    connector: RwLock<TlsConnector>,
}

impl std::fmt::Debug for Passport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passport").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Passport {
    /// Reads the files.
    ///
    /// # Errors
    /// Files that are missing or do not fit together.
    pub fn new(files: &ClientFiles) -> Result<Self, TlsError> {
        Ok(Self { files: files.clone(), connector: RwLock::new(connector(files)?) })
    }

    /// Reads the files again; those that cannot be used change nothing.
    ///
    /// # Errors
    /// As [`Passport::new`].
    pub fn renew(&self) -> Result<(), TlsError> {
        *self.connector.write() = connector(&self.files)?;
        Ok(())
    }

    /// Speaks TLS with the server at `address` (`HOST:PORT`), whose certificate must name that host.
    ///
    /// # Errors
    /// Whatever breaks the connection, or a server that is not believed.
    pub async fn connect(
        &self,
        address: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let name = ServerName::try_from(host).map_err(invalid)?;
        let connector = self.connector.read().clone();
        connector.connect(name, stream).await
    }
}

/// Reads the files and puts them together.
fn connector(files: &ClientFiles) -> Result<TlsConnector, TlsError> {
    let unfit =
        |path: &PathBuf, source| TlsError::Unfit { path: path.display().to_string(), source };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&files.ca)?);
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|source| unfit(&files.ca, source))?
        .with_root_certificates(roots);
    let config = match &files.identity {
        None => builder.with_no_client_auth(),
        Some((cert, key_file)) => {
            let key = PrivateKeyDer::from_pem_file(key_file).map_err(|problem| TlsError::File {
                path: key_file.display().to_string(),
                problem,
            })?;
            let identity = builder.with_client_auth_cert(certificates(cert)?, key);
            identity.map_err(|source| unfit(key_file, source))?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}
