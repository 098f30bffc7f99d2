//! Clients with certificates, for the tests of TLS.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring::default_provider};

/// A certificate or key of the tests: `ca.pem`, and `server` and `client` with `.pem` and `.key`.
#[must_use]
pub fn tls_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tls").join(name)
}

/// A client that trusts the tests' authority, with a certificate of its own or without.
///
/// # Panics
/// When a file of the tests cannot be read.
#[must_use]
pub fn tls_connector(has_certificate: bool) -> TlsConnector {
    let authority = CertificateDer::from_pem_file(tls_file("ca.pem")).expect("the authority");
    let mut roots = RootCertStore::empty();
    roots.add(authority).expect("an authority's certificate");
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions that the provider knows")
        .with_root_certificates(roots);
    let config = if has_certificate {
        let chain = CertificateDer::from_pem_file(tls_file("client.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(tls_file("client.key")).expect("its key");
        builder.with_client_auth_cert(vec![chain], key).expect("a key that fits")
    } else {
        builder.with_no_client_auth()
    };
    TlsConnector::from(Arc::new(config))
}
