//! TLS for listeners: the files of one listener become what its handshakes need, again at every reload.

pub mod client;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
pub use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

use crate::settings::{Fault, Values};

/// Files for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Who signs the clients' certificates, if they need one.
    pub client_ca: Option<PathBuf>,
}

impl TlsFiles {
    /// From the settings `PREFIX_cert`, `PREFIX_key` and `PREFIX_client_ca`; none where they are all empty.
    ///
    /// # Errors
    /// Some of them without the others that they need.
    pub fn from_values(values: &Values, prefix: &str) -> Result<Option<Self>, Fault> {
        let [cert, key, client_ca] =
            ["cert", "key", "client_ca"].map(|what| format!("{prefix}_{what}"));
        let needs = |one: &str, others: String| values.fault(one, format!("needs {others} too"));
        let authority = values.opt_path(&client_ca);
        match (values.opt_path(&cert), values.opt_path(&key)) {
            (Some(cert), Some(key)) => Ok(Some(Self { cert, key, client_ca: authority })),
            (Some(_), None) => Err(needs(&cert, format!("`{key}`"))),
            (None, Some(_)) => Err(needs(&key, format!("`{cert}`"))),
            (None, None) if authority.is_some() => {
                Err(needs(&client_ca, format!("`{cert}` and `{key}`")))
            }
            (None, None) => Ok(None),
        }
    }
}

/// Why a connection cannot speak TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file that is missing or no PEM.
    #[error("{path}: {problem}")]
    File {
        /// Which file.
        path: String,
        /// What is wrong with it.
        problem: pem::Error,
    },
    /// A file without a certificate.
    #[error("{path}: no certificate in it")]
    Empty {
        /// Which file.
        path: String,
    },
    /// Certificate and key do not belong together, or are of an unknown kind.
    #[error("{path}: {source}")]
    Unfit {
        /// Which file.
        path: String,
        /// What rustls says of it.
        source: rustls::Error,
    },
    /// The certificates for clients cannot verify anybody.
    #[error("{path}: {source}")]
    Verifier {
        /// Which file.
        path: String,
        /// What rustls says of it.
        source: VerifierBuilderError,
    },
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

/// The files of one listener, and what they said when they were last read.
pub struct Seal {
    files: TlsFiles,
    acceptor: RwLock<TlsAcceptor>,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Seal {
    /// Reads the files.
    ///
    /// # Errors
    /// Files that are missing or do not fit together.
    pub fn new(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self { files: files.clone(), acceptor: RwLock::new(acceptor(files)?) })
    }

    /// What a handshake of this moment needs.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.read().clone()
    }

    /// The same for a protocol that clients want to be told by name, such as `h2`.
    #[must_use]
    pub fn acceptor_for(&self, protocol: &[u8]) -> TlsAcceptor {
        let mut config = ServerConfig::clone(self.acceptor().config());
        config.alpn_protocols = vec![protocol.to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// Reads the files again; those that cannot be used change nothing.
    ///
    /// # Errors
    /// As [`Seal::new`].
    pub fn renew(&self) -> Result<(), TlsError> {
        *self.acceptor.write() = acceptor(&self.files)?;
        Ok(())
    }
}

/// Reads the files and puts them together.
fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let path = |path: &Path| path.display().to_string();
    let provider = Arc::new(default_provider());
    let certificates = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|problem| TlsError::File { path: path(&files.key), problem })?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|source| TlsError::Unfit { path: path(&files.cert), source })?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(self::certificates(ca)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|source| TlsError::Verifier { path: path(ca), source })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder
        .with_single_cert(certificates, key)
        .map_err(|source| TlsError::Unfit { path: path(&files.key), source })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let shown = || path.display().to_string();
    let file = |problem| TlsError::File { path: shown(), problem };
    let read = CertificateDer::pem_file_iter(path).map_err(file)?;
    let certificates: Vec<_> = read.collect::<Result<_, _>>().map_err(file)?;
    if certificates.is_empty() {
        return Err(TlsError::Empty { path: shown() });
    }
    Ok(certificates)
}
