//! A door that speaks TLS.
#![expect(clippy::unwrap_used, reason = "a test says by its panic what it did not find")]

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Router;
use axum::routing::get;
use daemon::http::{Limits, serve};
use daemon::tls::TlsFiles;
use daemon::{Context, Running, Setting, Shutdown, Values};
use plumbago_remote::access::{AccessSettings, Door};
use plumbago_remote::{Client, ClientSettings, Credentials, Deadline, credentials};
use testkit::{tls_connector, tls_file};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::pki_types::ServerName;

/// A request's answer, if there is one.
async fn ask(address: SocketAddr, has_certificate: bool) -> Option<String> {
    let socket = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = tls_connector(has_certificate).connect(name, socket).await.ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

/// A server behind a door with TLS, which answers `[1]` at `/`.
fn guarded(client_ca: Option<PathBuf>) -> (SocketAddr, Shutdown, JoinHandle<()>) {
    let tls = TlsFiles { cert: tls_file("server.pem"), key: tls_file("server.key"), client_ca };
    let settings = AccessSettings { tls: Some(tls), ..AccessSettings::default() };
    let mut running = Running::new(Context::new("demo", &[]));
    let door = Door::new(settings, &mut running).unwrap();
    let listener = door.listen("listen", testkit::ANY_PORT).unwrap();
    let address = listener.tcp.local_addr().unwrap();
    let router = door.guard(Router::new().route("/", get(|| async { "[1]" })));
    let shutdown = running.context.shutdown.clone();
    let server = tokio::spawn(serve(listener, router, shutdown.clone(), Limits::default()));
    (address, shutdown, server)
}

#[tokio::test]
async fn a_door_with_tls_speaks_nothing_else_and_wants_the_certificates_it_is_told() {
    for client_ca in [None, Some(tls_file("ca.pem"))] {
        let is_mutual = client_ca.is_some();
        let (address, shutdown, server) = guarded(client_ca);
        assert!(ask(address, true).await.unwrap().ends_with("[1]"));
        assert_eq!(ask(address, false).await.is_some(), !is_mutual);
        let mut plain = TcpStream::connect(address).await.unwrap();
        plain.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        drop(plain.read_to_end(&mut answer).await);
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
        let silent = TcpStream::connect(address).await.unwrap();
        shutdown.fire();
        server.await.unwrap();
        drop(silent);
    }
}

const SETTINGS: &[Setting] = &[
    credentials::BACKEND_TLS_CA,
    credentials::BACKEND_TLS_CERT,
    credentials::BACKEND_TLS_KEY,
    credentials::BACKEND_TOKEN_FILE,
];

/// What a client with these files is told at `/`, or why not.
async fn told(address: SocketAddr, files: &[(&str, &str)]) -> Result<String, String> {
    let with = |values: Values, (key, name): &(&str, &str)| {
        values.with(key, tls_file(name).to_str().unwrap())
    };
    let values = files.iter().fold(Values::defaults(SETTINGS), with);
    let credentials = Credentials::from_values(&values).unwrap();
    let settings = ClientSettings { credentials, ..ClientSettings::default() };
    let clock: std::sync::Arc<dyn daemon::Clock> =
        std::sync::Arc::new(daemon::clock::System::new());
    let deadline = Deadline::after(&clock, testkit::PATIENCE);
    let client = Client::new(format!("https://{address}").parse().unwrap(), settings, clock);
    let told = client.json("/", &deadline).await.map_err(|error| error.to_string())?;
    Ok(told.to_string())
}

#[tokio::test]
async fn a_client_shows_its_certificate_and_trusts_its_authority_alone() {
    let (ca, cert, key) = (
        ("backend_tls_ca", "ca.pem"),
        ("backend_tls_cert", "client.pem"),
        ("backend_tls_key", "client.key"),
    );
    let (address, _shutdown, _server) = guarded(Some(tls_file("ca.pem")));
    assert_eq!(told(address, &[ca, cert, key]).await, Ok("[1]".to_owned()));
    assert!(told(address, &[ca]).await.is_err(), "the door wants a certificate");
    let stranger = told(address, &[("backend_tls_ca", "client.pem"), cert, key]).await.unwrap_err();
    assert!(stranger.contains("not connected"), "{stranger}");
    let nobody = told(address, &[]).await.unwrap_err();
    assert!(nobody.contains("https needs `backend_tls_ca`"), "{nobody}");
}
