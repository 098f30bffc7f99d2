//! Listeners with options: TLS, packed streams, unix sockets, PROXY headers, limits.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use crate::fixture::Fixture;
use plumbago_ingest::settings::{Compression, ListenerSettings, Place, Protocol, Tls};
use testkit::{ANY_PORT, PATIENCE, tls_connector, tls_file, wait_until_async};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;

fn lines_over_tcp() -> ListenerSettings {
    ListenerSettings::plain("listener", Place::Tcp(ANY_PORT.to_owned()), Protocol::Line)
}

/// Sends, half-closes, and waits for the close that says that all of it is kept.
async fn send(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.is_empty());
}

fn names(fixture: &Fixture) -> Vec<String> {
    fixture.taken().into_iter().map(|taken| taken.0).collect()
}

fn tls(client_ca: Option<PathBuf>) -> ListenerSettings {
    let tls = Some(Tls { cert: tls_file("server.pem"), key: tls_file("server.key"), client_ca });
    ListenerSettings { tls, ..lines_over_tcp() }
}

#[tokio::test]
async fn lines_come_through_tls_and_its_end_says_that_they_are_kept() {
    let fixture = Fixture::start_and_listen(tls(None));
    let socket = TcpStream::connect(fixture.extra()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = tls_connector(false).connect(name, socket).await.unwrap();
    send(stream, b"a 1 1699999990\nb 2 1699999990\n").await;
    assert_eq!(names(&fixture), ["a", "b"]);
}

#[tokio::test]
async fn mutual_tls_takes_nobody_without_a_certificate() {
    let fixture = Fixture::start_and_listen(tls(Some(tls_file("ca.pem"))));
    let name = ServerName::try_from("localhost").unwrap();
    let socket = TcpStream::connect(fixture.extra()).await.unwrap();
    // With TLS 1.3 the client learns only from its next read that it was refused.
    if let Ok(mut stream) = tls_connector(false).connect(name.clone(), socket).await {
        drop(stream.write_all(b"stranger 1 1699999990\n").await);
        assert!(stream.read_to_end(&mut Vec::new()).await.is_err());
    }
    let socket = TcpStream::connect(fixture.extra()).await.unwrap();
    let stream = tls_connector(true).connect(name, socket).await.unwrap();
    send(stream, b"known 1 1699999990\n").await;
    assert_eq!(names(&fixture), ["known"]);
    assert_eq!(fixture.closed("tls"), 1.0);
}

#[tokio::test]
async fn plain_lines_at_a_tls_listener_are_refused_and_counted() {
    let fixture = Fixture::start_and_listen(tls(None));
    let mut stream = TcpStream::connect(fixture.extra()).await.unwrap();
    stream.write_all(b"a 1 1699999990\n").await.unwrap();
    timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.unwrap().ok();
    wait_until_async("the refusal", PATIENCE, async || {
        (fixture.closed("tls") == 1.0).then_some(())
    })
    .await;
    assert_eq!(fixture.taken().len(), 0);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_at_the_start() {
    for (cert, key, wanted) in [
        ("missing.pem", "server.key", "missing.pem: "),
        ("server.pem", "client.key", "client.key: "),
        ("README.md", "server.key", "README.md: no certificate"),
    ] {
        let tls = Some(Tls { cert: tls_file(cert), key: tls_file(key), client_ca: None });
        let listener = ListenerSettings { tls, ..lines_over_tcp() };
        let started = Fixture::try_start_with(&[], |settings| settings.listeners.push(listener));
        let error = started.err().unwrap().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

#[tokio::test]
async fn a_reload_reads_certificates_again_and_keeps_the_old_ones_if_it_cannot() {
    let folder = testkit::folder();
    let (cert, key) = (folder.path().join("own.pem"), folder.path().join("own.key"));
    let put = |name: &str| {
        std::fs::copy(tls_file(&format!("{name}.pem")), &cert).unwrap();
        std::fs::copy(tls_file(&format!("{name}.key")), &key).unwrap();
    };
    put("server");
    let tls = Some(Tls { cert: cert.clone(), key: key.clone(), client_ca: None });
    let fixture = Fixture::start_and_listen(ListenerSettings { tls, ..lines_over_tcp() });
    let is_the_server = async || {
        let socket = TcpStream::connect(fixture.extra()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        tls_connector(false).connect(name, socket).await.is_ok()
    };
    std::fs::write(&cert, "half written").unwrap();
    let faults = fixture.running.reload(&fixture.values).unwrap_err();
    assert!(faults[0].to_string().contains("own.pem: no certificate in it"), "{faults:?}");
    assert!(is_the_server().await, "the old certificate");
    put("client");
    fixture.running.reload(&fixture.values).unwrap();
    assert!(!is_the_server().await, "the certificate of somebody else");
    put("server");
    fixture.running.reload(&fixture.values).unwrap();
    assert!(is_the_server().await);
}

#[tokio::test]
async fn every_packing_gives_the_lines_that_were_packed() {
    let lines: String = (0..5000).map(|n| format!("host-{n}.cpu {n} 1699999990\n")).collect();
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(lines.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let lz4 = {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(lines.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let snappy = {
        let mut encoder = snap::write::FrameEncoder::new(Vec::new());
        encoder.write_all(lines.as_bytes()).unwrap();
        encoder.into_inner().unwrap()
    };
    let zstd = zstd::encode_all(lines.as_bytes(), 1).unwrap();
    for (compression, packed) in [
        (Compression::Gzip, gzip),
        (Compression::Zstd, zstd),
        (Compression::Lz4, lz4),
        (Compression::Snappy, snappy),
    ] {
        let listener = ListenerSettings { compression: Some(compression), ..lines_over_tcp() };
        let fixture = Fixture::start_and_listen(listener);
        send(TcpStream::connect(fixture.extra()).await.unwrap(), &packed).await;
        assert_eq!(fixture.taken().len(), 5000, "{compression:?}");

        let mut plain = TcpStream::connect(fixture.extra()).await.unwrap();
        plain.write_all(&lines.as_bytes()[..1000]).await.unwrap();
        timeout(PATIENCE, plain.read_to_end(&mut Vec::new())).await.unwrap().ok();
        wait_until_async("the refusal", PATIENCE, async || {
            (fixture.closed("unpacking") == 1.0).then_some(())
        })
        .await;
        assert_eq!(fixture.taken().len(), 5000, "{compression:?}");
    }
}

#[tokio::test]
async fn a_unix_socket_takes_lines_and_its_file_goes_with_the_listener() {
    let folder = testkit::folder();
    let path = folder.path().join("line.sock");
    let place = Place::Unix(path.clone());
    let listener = ListenerSettings::plain("listener", place, Protocol::Line);
    let fixture = Fixture::start_and_listen(listener);
    send(UnixStream::connect(&path).await.unwrap(), b"a 1 1699999990\nbad\n").await;
    assert_eq!(names(&fixture), ["a"]);
    assert_eq!(fixture.refusals.last()[0].peer, "unix");
    fixture.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn protobuf_frames_are_taken_point_by_point() {
    let place = Place::Tcp(ANY_PORT.to_owned());
    let listener = ListenerSettings::plain("listener", place, Protocol::Protobuf);
    let fixture = Fixture::start_and_listen(listener);
    // Payload { metrics { "a", { 1699999990, 1.0 } } }
    let mut point = vec![0x08, 0xf6, 0xe1, 0xcf, 0xaa, 0x06, 0x11];
    point.extend_from_slice(&1.0_f64.to_le_bytes());
    let mut metric = vec![0x0a, 1, b'a', 0x12, u8::try_from(point.len()).unwrap()];
    metric.extend(point);
    let mut frame = vec![0x0a, u8::try_from(metric.len()).unwrap()];
    frame.extend(metric);
    let mut bytes = u32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(frame);
    send(TcpStream::connect(fixture.extra()).await.unwrap(), &bytes).await;
    assert_eq!(fixture.taken(), [("a".to_owned(), 1.0, 1_699_999_990)]);
}

/// A PROXY header of version 2 that names 10.1.2.3:4567.
fn proxy_header() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend_from_slice(&[10, 1, 2, 3, 127, 0, 0, 1]);
    header.extend_from_slice(&4567_u16.to_be_bytes());
    header.extend_from_slice(&2003_u16.to_be_bytes());
    header
}

#[tokio::test]
async fn the_sender_is_the_one_that_the_balancer_names() {
    let listener = ListenerSettings { proxy_protocol: true, ..lines_over_tcp() };
    let fixture = Fixture::start_and_listen(listener);
    let bytes = [proxy_header(), b"a 1 1699999990\nbad\n".to_vec()].concat();
    send(TcpStream::connect(fixture.extra()).await.unwrap(), &bytes).await;
    assert_eq!(names(&fixture), ["a"]);
    assert_eq!(fixture.refusals.last()[0].peer, "10.1.2.3:4567");

    let mut direct = TcpStream::connect(fixture.extra()).await.unwrap();
    direct.write_all(b"direct.without.any.header 1 1699999990\n").await.unwrap();
    timeout(PATIENCE, direct.read_to_end(&mut Vec::new())).await.unwrap().ok();
    wait_until_async("the refusal", PATIENCE, async || {
        (fixture.closed("proxy_header") == 1.0).then_some(())
    })
    .await;
    assert_eq!(names(&fixture), ["a"]);
}

#[tokio::test]
async fn a_listener_full_of_connections_refuses_further_ones_and_others_do_not() {
    let listener = ListenerSettings { connections_max: Some(1), ..lines_over_tcp() };
    let fixture = Fixture::start_and_listen(listener);
    let mut first = TcpStream::connect(fixture.extra()).await.unwrap();
    first.write_all(b"first 1 1699999990\n").await.unwrap();
    fixture.wait_for_received(1.0).await;
    let mut second = TcpStream::connect(fixture.extra()).await.unwrap();
    timeout(PATIENCE, second.read_to_end(&mut Vec::new())).await.unwrap().ok();
    assert_eq!(fixture.closed("too_many"), 1.0);
    send(TcpStream::connect(fixture.lines).await.unwrap(), b"other 1 1699999990\n").await;
    first.write_all(b"again 1 1699999990\n").await.unwrap();
    fixture.wait_for_received(3.0).await;
}

#[tokio::test]
async fn a_limit_on_bytes_or_lines_makes_senders_wait_and_loses_nothing() {
    // The clock of the tests stands still, so a bucket never fills again: each read waits for what
    // it took beyond the first second's worth.
    for listener in [
        ListenerSettings { bytes_per_second_max: Some(20_000), ..lines_over_tcp() },
        ListenerSettings { lines_per_second_max: Some(1000), ..lines_over_tcp() },
    ] {
        let fixture = Fixture::start_and_listen(listener);
        let lines = "paced 1 1699999990\n".repeat(1100);
        send(TcpStream::connect(fixture.extra()).await.unwrap(), lines.as_bytes()).await;
        assert_eq!(fixture.taken().len(), 1100);
        let pauses = fixture.context.metrics.prometheus();
        let listener = format!("listener=\"{}\"", fixture.extra());
        let row = pauses
            .lines()
            .find(|row| row.starts_with("plumbago_ingest_pauses_total") && row.contains(&listener));
        assert!(!row.unwrap().ends_with(" 0"), "{row:?}");
    }
}

#[tokio::test]
async fn who_says_nothing_for_too_long_is_closed_where_that_is_set() {
    let idle_timeout = Some(Duration::from_millis(10));
    let listener = ListenerSettings { idle_timeout, ..lines_over_tcp() };
    let fixture = Fixture::start_and_listen(listener);
    let mut silent = TcpStream::connect(fixture.extra()).await.unwrap();
    let closed = timeout(PATIENCE, silent.read_to_end(&mut Vec::new())).await;
    assert!(closed.is_ok(), "still open");
    assert_eq!(fixture.closed("idle"), 1.0);
}

#[tokio::test]
async fn two_listeners_share_a_port_where_both_say_so() {
    let listener = ListenerSettings { reuse_port: true, ..lines_over_tcp() };
    let fixture = Fixture::start_and_listen(listener.clone());
    let place = Place::Tcp(fixture.extra().to_string());
    let second = Fixture::start_and_listen(ListenerSettings { place, ..listener });
    assert_eq!(second.extra(), fixture.extra());
    for number in 0..20 {
        let line = format!("shared.{number} 1 1699999990\n");
        send(TcpStream::connect(fixture.extra()).await.unwrap(), line.as_bytes()).await;
    }
    assert_eq!(fixture.taken().len() + second.taken().len(), 20);
}
