//! What a request goes through before its handler sees it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Extensions, HeaderMap, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use daemon::http::HttpListener;
use daemon::tls::Seal;
use daemon::{Context, Fault, Running, StartError, Values};
use metric::Within;
use parking_lot::RwLock;

use super::READER_HEADER;
use super::readers::{Credentials, Readers};
use super::settings::{self, AccessSettings};
use crate::deadline::WITHIN_HEADER;

/// What balancers ask, who have no credentials.
const OPEN_PATHS: [&str; 2] = ["/lb_check", "/robots.txt"];

/// Who asks, as the door has found it: an extension of the request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The reader's name; none where nobody has one.
    pub name: Option<Arc<str>>,
    /// The names that may be shown.
    pub within: Within,
    /// Whether series may be deleted.
    pub may_delete: bool,
    /// The headers that go with what this request makes us ask of others.
    pub passed: HeaderMap,
}

impl Default for Caller {
    /// Who came through no door, or through one that lets everybody in.
    fn default() -> Self {
        Self { name: None, within: Within::ALL, may_delete: true, passed: HeaderMap::new() }
    }
}

impl Caller {
    /// Who sent the request with these extensions.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }
}

/// The door of one listener.
#[derive(Debug)]
pub struct Door {
    settings: AccessSettings,
    seal: Option<Arc<Seal>>,
    readers: RwLock<Option<Readers>>,
    context: Context,
}

impl Door {
    /// A door. Readers and certificates are read again when the settings are.
    ///
    /// # Errors
    /// Files for TLS that cannot be used.
    pub fn new(settings: AccessSettings, running: &mut Running) -> Result<Arc<Self>, StartError> {
        let seal = settings.tls.as_ref().map(Seal::new).transpose();
        let seal = seal.map_err(|error| StartError::io("TLS for readers", error.into()))?;
        let readers = RwLock::new(settings.readers.clone());
        let (seal, context) = (seal.map(Arc::new), running.context.clone());
        let door = Arc::new(Self { settings, seal, readers, context });
        let reloaded = Arc::clone(&door);
        running.on_reload(move |values| reloaded.reload(values).map_err(|fault| vec![fault]));
        Ok(door)
    }

    fn reload(&self, values: &Values) -> Result<(), Fault> {
        let readers = settings::readers(values)?;
        if let Some(seal) = &self.seal {
            seal.renew().map_err(|error| values.fault("read_tls_cert", error.to_string()))?;
        }
        *self.readers.write() = readers;
        Ok(())
    }

    /// Listens on `address`, which came from `setting`, with TLS if it is to be.
    ///
    /// # Errors
    /// An address that cannot be listened on.
    pub fn listen(&self, setting: &str, address: &str) -> Result<HttpListener, StartError> {
        let tcp = daemon::listen::tcp(setting, address)?;
        Ok(HttpListener { seal: self.seal.clone(), ..tcp.into() })
    }

    /// Puts the door before all routes.
    pub fn guard(self: &Arc<Self>, router: Router) -> Router {
        router.layer(from_fn_with_state(Arc::clone(self), enter))
    }

    /// Who sends the request, or why it is refused.
    fn caller(&self, request: &Request) -> Result<Caller, &'static str> {
        let headers = request.headers();
        let asked = headers.get(WITHIN_HEADER).map(|value| value.to_str().unwrap_or_default());
        let asked = asked.map_or(Within::ALL, Within::from_text);
        let mut caller =
            Caller { passed: self.passed(headers), within: asked, ..Caller::default() };
        let readers = self.readers.read();
        let Some(readers) = &*readers else { return Ok(caller) };
        let mut decoded = String::new();
        let credentials = match headers.get(header::AUTHORIZATION) {
            Some(value) => {
                let read = value.to_str().ok().and_then(|value| authorization(value, &mut decoded));
                Some(read.ok_or("wrong_credentials")?)
            }
            None => self.word_of_proxy(request),
        };
        let reader =
            readers.find(credentials.ok_or("no_credentials")?).ok_or("wrong_credentials")?;
        caller.within = reader.within.and(&caller.within);
        caller.name = Some(Arc::clone(&reader.name));
        caller.may_delete = reader.may_delete;
        Ok(caller)
    }

    fn passed(&self, headers: &HeaderMap) -> HeaderMap {
        let listed = self.settings.pass_headers.iter();
        let given =
            listed.flat_map(|name| headers.get_all(name).iter().map(move |value| (name, value)));
        let mut passed = HeaderMap::new();
        for (name, value) in given {
            passed.append(name.clone(), value.clone());
        }
        passed
    }

    fn word_of_proxy<'r>(&self, request: &'r Request) -> Option<Credentials<'r>> {
        let peer: IpAddr = request.extensions().get::<ConnectInfo<SocketAddr>>()?.0.ip();
        let is_trusted = self.settings.trusted_proxies.iter().any(|network| network.holds(peer));
        let name = request.headers().get(READER_HEADER)?.to_str().ok()?;
        is_trusted.then_some(Credentials::Name(name))
    }
}

async fn enter(State(door): State<Arc<Door>>, mut request: Request, next: Next) -> Response {
    // Browsers ask with OPTIONS, and without credentials, whether a page may ask at all.
    let is_open = OPEN_PATHS.contains(&request.uri().path()) || request.method() == Method::OPTIONS;
    if is_open {
        return next.run(request).await;
    }
    match door.caller(&request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(reason) => {
            let name = format!("plumbago_{}_access_refused_total", door.context.name);
            door.context.metrics.counter_with(&name, &[reason]).inc();
            let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"plumbago\", Bearer")];
            let line = "a token or a name and password of a reader is needed\n";
            (StatusCode::UNAUTHORIZED, ask, line).into_response()
        }
    }
}

/// What an `Authorization` header says; `decoded` holds what was packed in it.
fn authorization<'a>(value: &'a str, decoded: &'a mut String) -> Option<Credentials<'a>> {
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Credentials::Token(rest));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    *decoded = String::from_utf8(base64(rest)?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some(Credentials::Password { name, password })
}

/// RFC 4648 base64, padded or not.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').bytes();
    let (mut bytes, mut held, mut bits) = (Vec::with_capacity(text.len() * 3 / 4), 0u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        (held, bits) = ((held << 6 | u32::from(value)) & 0xffff, bits + 6);
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorization_is_read_as_the_rfcs_have_it() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("YTpwOnE", b"a:p:q"),
        ] {
            assert_eq!(base64(text).as_deref(), Some(bytes), "{text}");
        }
        assert_eq!(base64("a*"), None);
        let mut decoded = String::new();
        let basic = authorization("basic YTpwOnE=", &mut decoded);
        assert_eq!(basic, Some(Credentials::Password { name: "a", password: "p:q" }));
        let mut decoded = String::new();
        assert_eq!(authorization("BEARER t", &mut decoded), Some(Credentials::Token("t")));
        for wrong in ["Digest x", "Basic", "Basic !", "Basic YQ=="] {
            assert_eq!(authorization(wrong, &mut String::new()), None, "{wrong}");
        }
    }
}
