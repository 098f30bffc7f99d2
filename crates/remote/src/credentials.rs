//! How a daemon shows whom it asks who it is, and by what it knows him: certificates and a token.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daemon::tls::client::{ClientFiles, Passport};
use daemon::{Fault, Kind, Setting, Values};
use http::HeaderValue;
use parking_lot::RwLock;

/// What the settings of TLS begin with.
const TLS_PREFIX: &str = "backend_tls";

/// Who signs the certificates of those that are asked.
pub const BACKEND_TLS_CA: Setting = Setting::new(
    "backend_tls_ca",
    Kind::Path,
    "",
    "Certificates (PEM) by which those of https backends must be signed. With it the nodes of a \
     cluster file are asked by https, too.",
)
.value_name("FILE");

/// The certificate that is shown to them.
pub const BACKEND_TLS_CERT: Setting = Setting::new(
    "backend_tls_cert",
    Kind::Path,
    "",
    "Certificate chain (PEM) that https backends are shown, where they want one (mutual TLS).",
)
.value_name("FILE");

/// Its key.
pub const BACKEND_TLS_KEY: Setting =
    Setting::new("backend_tls_key", Kind::Path, "", "The certificate's private key (PEM).")
        .value_name("FILE");

/// The token that is shown to them.
pub const BACKEND_TOKEN_FILE: Setting = Setting::new(
    "backend_token_file",
    Kind::Path,
    "",
    "A file with the token of the reader that backends know this daemon as. A request that has \
     credentials of its own to pass on (`pass_headers`) goes on with these.",
)
.value_name("FILE");

/// What is shown to those that are asked; clones share it.
#[derive(Clone, Default)]
pub struct Credentials {
    passport: Option<Arc<Passport>>,
    token: Option<PathBuf>,
    /// What the token's file said when it was last read.
    authorization: Arc<RwLock<Option<HeaderValue>>>,
}

impl Credentials {
    /// Reads the settings and the files that they name.
    ///
    /// # Errors
    /// Settings that lack one another, and files that cannot be used.
    pub fn from_values(values: &Values) -> Result<Self, Fault> {
        let files = ClientFiles::from_values(values, TLS_PREFIX)?;
        let passport = files.as_ref().map(Passport::new).transpose();
        let passport =
            passport.map_err(|error| values.fault(BACKEND_TLS_CA.key, error.to_string()))?;
        let token = values.opt_path(BACKEND_TOKEN_FILE.key);
        let authorization = Arc::new(RwLock::new(read_token(token.as_deref(), values)?));
        Ok(Self { passport: passport.map(Arc::new), token, authorization })
    }

    /// Reads the files again; those that cannot be used change nothing. Connections that stand go on.
    ///
    /// # Errors
    /// Files that cannot be used.
    pub fn renew(&self, values: &Values) -> Result<(), Fault> {
        let fresh = read_token(self.token.as_deref(), values)?;
        if let Some(passport) = &self.passport {
            let renewed = passport.renew();
            renewed.map_err(|error| values.fault(BACKEND_TLS_CA.key, error.to_string()))?;
        }
        *self.authorization.write() = fresh;
        Ok(())
    }

    /// Whether https can be asked.
    #[must_use]
    pub const fn has_tls(&self) -> bool {
        self.passport.is_some()
    }

    pub(crate) fn passport(&self) -> Option<Arc<Passport>> {
        self.passport.clone()
    }

    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        self.authorization.read().clone()
    }
}

impl fmt::Debug for Credentials {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passport, token, .. } = self;
        let mut shown = f.debug_struct("Credentials");
        shown.field("passport", passport).field("token", token).finish_non_exhaustive()
    }
}

fn read_token(path: Option<&Path>, values: &Values) -> Result<Option<HeaderValue>, Fault> {
    let authorization = path.map(authorization).transpose();
    authorization.map_err(|problem| values.fault(BACKEND_TOKEN_FILE.key, problem))
}

fn authorization(path: &Path) -> Result<HeaderValue, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    let token = text.trim();
    let value = HeaderValue::try_from(format!("Bearer {token}"));
    let value = value.ok().filter(|_| !token.is_empty());
    let mut value = value.ok_or_else(|| format!("{shown}: expected one token and nothing else"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &[Setting] =
        &[BACKEND_TLS_CA, BACKEND_TLS_CERT, BACKEND_TLS_KEY, BACKEND_TOKEN_FILE];

    fn read(pairs: &[(&str, &Path)]) -> Result<Credentials, String> {
        let with =
            |values: Values, (key, path): &(&str, &Path)| values.with(key, path.to_str().unwrap());
        let values = pairs.iter().fold(Values::defaults(SETTINGS), with);
        Credentials::from_values(&values).map_err(|fault| fault.to_string())
    }

    #[test]
    fn what_cannot_be_shown_is_refused_by_name() {
        let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(testkit::tls_file);
        let (ca, cert, key) =
            (("backend_tls_ca", &*ca), ("backend_tls_cert", &*cert), ("backend_tls_key", &*key));
        assert!(read(&[ca, cert, key]).unwrap().has_tls());
        assert!(!read(&[]).unwrap().has_tls());
        for (given, problem) in [
            (&[ca, cert][..], "needs `backend_tls_key`"),
            (&[cert, key], "needs `backend_tls_ca`"),
            (&[("backend_tls_ca", Path::new("/no/such"))], "/no/such"),
            (&[("backend_token_file", Path::new("/no/such"))], "/no/such"),
        ] {
            let fault = read(given).unwrap_err();
            assert!(fault.contains(problem), "{fault}");
        }
    }

    #[test]
    fn a_token_is_read_again_and_never_shown() {
        let folder = testkit::folder();
        let path = folder.path().join("token");
        std::fs::write(&path, "first\n").unwrap();
        let values = Values::defaults(SETTINGS).with("backend_token_file", path.to_str().unwrap());
        let credentials = Credentials::from_values(&values).unwrap();
        std::fs::write(&path, "").unwrap();
        assert!(credentials.renew(&values).is_err());
        assert_eq!(credentials.authorization().unwrap(), "Bearer first");
        std::fs::write(&path, "second").unwrap();
        credentials.renew(&values).unwrap();
        assert_eq!(credentials.authorization().unwrap(), "Bearer second");
        assert!(!format!("{credentials:?}").contains("second"));
    }
}
