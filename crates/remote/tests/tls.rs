//! A door that speaks TLS.
#![expect(clippy::unwrap_used, reason = "a test says by its panic what it did not find")]

use axum::Router;
use axum::routing::get;
use daemon::http::{Limits, serve};
use daemon::tls::TlsFiles;
use daemon::{Context, Running};
use plumbago_remote::access::{AccessSettings, Door};
use testkit::{tls_connector, tls_file};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;

/// A request's answer, if there is one.
async fn ask(address: std::net::SocketAddr, has_certificate: bool) -> Option<String> {
    let socket = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = tls_connector(has_certificate).connect(name, socket).await.ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

#[tokio::test]
async fn a_door_with_tls_speaks_nothing_else_and_wants_the_certificates_it_is_told() {
    for client_ca in [None, Some(tls_file("ca.pem"))] {
        let is_mutual = client_ca.is_some();
        let tls = TlsFiles { cert: tls_file("server.pem"), key: tls_file("server.key"), client_ca };
        let settings = AccessSettings { tls: Some(tls), ..AccessSettings::default() };
        let mut running = Running::new(Context::new("demo", &[]));
        let door = Door::new(settings, &mut running).unwrap();
        let listener = door.listen("listen", testkit::ANY_PORT).unwrap();
        let address = listener.tcp.local_addr().unwrap();
        let router = door.guard(Router::new().route("/", get(|| async { "here" })));
        let shutdown = running.context.shutdown.clone();
        let server = tokio::spawn(serve(listener, router, shutdown, Limits::default()));
        assert!(ask(address, true).await.unwrap().ends_with("here"));
        assert_eq!(ask(address, false).await.is_some(), !is_mutual);
        let mut plain = TcpStream::connect(address).await.unwrap();
        plain.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        drop(plain.read_to_end(&mut answer).await);
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
        let silent = TcpStream::connect(address).await.unwrap();
        running.context.shutdown.fire();
        server.await.unwrap();
        drop(silent);
    }
}
