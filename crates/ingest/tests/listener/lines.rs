//! Plaintext over TCP and UDP: what is taken, what is refused and why, and that nothing else is
//! lost with a refused line.

use std::time::Duration;

use crate::fixture::{Fixture, NOW};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// What should become of a line.
enum Expected {
    /// The sink gets it under this name, with this value and time.
    Taken(&'static str, f64, i64),
    /// It is counted under this reason.
    Refused(&'static str),
    /// It is nothing.
    Ignored,
}
use Expected::{Ignored, Refused, Taken};

/// One row for every kind of input that agents are known to send.
fn rows() -> Vec<(Vec<u8>, Expected)> {
    let line = |text: &str| text.as_bytes().to_vec();
    let long_part = "x".repeat(256);
    let many_parts = vec!["p"; 65].join(".");
    let many_tags: String = (0..129).map(|i| format!(";t{i}=v")).collect();
    vec![
        (line("a.b 42 1699999990"), Taken("a.b", 42.0, 1_699_999_990)),
        (line("a.b 42 -1"), Taken("a.b", 42.0, NOW)),
        (line("a.b 1e3 1699999990"), Taken("a.b", 1000.0, 1_699_999_990)),
        (line("a.b -2.5e-3 1699999990"), Taken("a.b", -0.0025, 1_699_999_990)),
        (line("a.b 1 1699999990.7"), Taken("a.b", 1.0, 1_699_999_990)),
        (line("a.b\t1\t1699999990"), Taken("a.b", 1.0, 1_699_999_990)),
        (line("  a.b   1  1699999990  "), Taken("a.b", 1.0, 1_699_999_990)),
        (line("a.b 1 1699999990\r"), Taken("a.b", 1.0, 1_699_999_990)),
        (line(".lead 1 1699999990"), Taken("lead", 1.0, 1_699_999_990)),
        (line("a..b 1 1699999990"), Taken("a.b", 1.0, 1_699_999_990)),
        (line("trail. 1 1699999990"), Taken("trail", 1.0, 1_699_999_990)),
        (line("d.u;rack=b;dc=a 1 1699999990"), Taken("d.u;dc=a;rack=b", 1.0, 1_699_999_990)),
        (
            line("d.u{rack=\"b\",dc=\"a\"} 1 1699999990"),
            Taken("d.u;dc=a;rack=b", 1.0, 1_699_999_990),
        ),
        (
            line("gr\u{fc}n.\u{1f600} 1 1699999990"),
            Taken("gr\u{fc}n.\u{1f600}", 1.0, 1_699_999_990),
        ),
        (line(""), Ignored),
        (line("   "), Ignored),
        (line("a.b nan 1699999990"), Refused("not_finite")),
        (line("a.b inf 1699999990"), Refused("not_finite")),
        (line("a.b -inf 1699999990"), Refused("not_finite")),
        (line("a.b 1e400 1699999990"), Refused("bad_value")),
        (line("a.b 0x10 1699999990"), Refused("bad_value")),
        (line("a.b 1_000 1699999990"), Refused("bad_value")),
        (line("a.b 1 1699999990000"), Refused("looks_like_milliseconds")),
        (line("a.b 1 99999999999999999999"), Refused("bad_timestamp")),
        (line("a.b 1 -5"), Refused("bad_timestamp")),
        (line("a.b 1 N"), Refused("bad_timestamp")),
        (line("a.b 1 1700000601"), Refused("too_far_future")),
        (line("a.b 1 4400000000"), Refused("too_far_future")),
        (line("a.b 1"), Refused("wrong_field_count")),
        (line("a.b 1 1699999990 x"), Refused("wrong_field_count")),
        (b"a\0b 1 1699999990".to_vec(), Refused("invalid_char")),
        (b"a\x07b 1 1699999990".to_vec(), Refused("invalid_char")),
        (b"a\xff\xfe 1 1699999990".to_vec(), Refused("invalid_utf8")),
        (line("../../etc 1 1699999990"), Refused("invalid_char")),
        (line("/abs 1 1699999990"), Refused("invalid_char")),
        (line("a/../b 1 1699999990"), Refused("invalid_char")),
        (line("a.*.b 1 1699999990"), Refused("invalid_char")),
        (line("a.{b,c} 1 1699999990"), Refused("invalid_char")),
        (line("... 1 1699999990"), Refused("empty_name")),
        (line(&format!("a.{long_part} 1 1699999990")), Refused("name_too_long")),
        (line(&format!("{many_parts} 1 1699999990")), Refused("too_many_nodes")),
        (line("a;novalue 1 1699999990"), Refused("bad_tags")),
        (line("a;=v 1 1699999990"), Refused("bad_tags")),
        (line("a;k= 1 1699999990"), Refused("bad_tags")),
        (line("a;k=1;k=2 1 1699999990"), Refused("bad_tags")),
        (line("a;k=~v 1 1699999990"), Refused("bad_tags")),
        (line("a;name=v 1 1699999990"), Refused("bad_tags")),
        (line(&format!("a{many_tags} 1 1699999990")), Refused("bad_tags")),
        (vec![b'x'; 17 * 1024], Refused("line_too_long")),
    ]
}

#[tokio::test]
async fn every_kind_of_line_is_taken_or_refused_for_its_reason_and_costs_no_other_line() {
    for (line, expected) in rows() {
        let fixture = Fixture::start();
        let mut bytes = b"before 1 1699999990\n".to_vec();
        bytes.extend_from_slice(&line);
        bytes.extend_from_slice(b"\nafter 2 1699999990\n");
        let mut stream = TcpStream::connect(fixture.lines).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let shown = line.escape_ascii().to_string();
        let read = if matches!(expected, Ignored) { 2.0 } else { 3.0 };
        fixture.wait_for_received(read).await;
        let mut wanted = vec![("before".to_owned(), 1.0, 1_699_999_990)];
        match expected {
            Taken(name, value, time) => wanted.push((name.to_owned(), value, time as u32)),
            Refused(reason) => assert!(fixture.refused(reason) >= 1.0, "{shown}: not {reason}"),
            Ignored => {}
        }
        wanted.push(("after".to_owned(), 2.0, 1_699_999_990));
        assert_eq!(fixture.taken(), wanted, "{shown}");
        assert_eq!(fixture.received(), read, "{shown}");
    }
}

#[tokio::test]
async fn a_refused_line_is_shown_with_peer_and_reason_and_control_bytes_escaped() {
    let fixture = Fixture::start();
    let mut stream = TcpStream::connect(fixture.lines).await.unwrap();
    stream.write_all(b"a\x1b[31mb 1 1699999990\n").await.unwrap();
    fixture.wait_for_received(1.0).await;
    let last = fixture.refusals.last();
    assert_eq!(last.len(), 1);
    assert_eq!(last[0].reason, "invalid_char");
    assert_eq!(last[0].peer, stream.local_addr().unwrap().to_string());
    assert_eq!(last[0].sample, "a\\x1b[31mb 1 1699999990");
}

#[tokio::test]
async fn a_line_cut_by_the_end_of_the_stream_is_not_trusted() {
    let fixture = Fixture::start();
    let mut stream = TcpStream::connect(fixture.lines).await.unwrap();
    stream.write_all(b"a 1 1699999990\nb 1 16999").await.unwrap();
    drop(stream);
    fixture.wait_for_received(2.0).await;
    assert_eq!(fixture.refused("incomplete_line"), 1.0);
    assert_eq!(fixture.taken().len(), 1);
}

#[tokio::test]
async fn a_sender_of_another_protocol_is_hung_up_on() {
    let fixture = Fixture::start();
    let mut stream = TcpStream::connect(fixture.lines).await.unwrap();
    let long = [vec![b'x'; 17 * 1024], b"\n".to_vec()].concat();
    for _ in 0..20 {
        // The server may hang up before all of them are written.
        drop(stream.write_all(&long).await);
    }
    let mut answer = Vec::new();
    let end = tokio::time::timeout(testkit::PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(end.is_ok(), "still connected after 20 over-long lines in a row");
    assert!(fixture.refused("line_too_long") >= 10.0);
}

#[tokio::test]
async fn a_datagram_may_hold_many_lines_and_need_not_end_the_last() {
    let fixture = Fixture::start();
    let socket = UdpSocket::bind(testkit::ANY_PORT).await.unwrap();
    socket.send_to(b"a 1 1699999990\nb 2 1699999990", fixture.lines).await.unwrap();
    socket.send_to(b"c 3 1699999990\n", fixture.lines).await.unwrap();
    fixture.wait_for_received(3.0).await;
    let names: Vec<String> = fixture.taken().into_iter().map(|taken| taken.0).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[tokio::test]
async fn what_was_sent_before_the_stop_is_still_read() {
    let fixture = Fixture::start();
    let mut stream = TcpStream::connect(fixture.lines).await.unwrap();
    stream.write_all(b"first 1 1699999990\n").await.unwrap();
    fixture.wait_for_received(1.0).await;
    stream.write_all("later 1 1699999990\n".repeat(20_000).as_bytes()).await.unwrap();
    assert_eq!(fixture.stop().await.len(), 20_001);
}

#[tokio::test]
async fn who_sent_nothing_is_not_kept_waiting_for_a_commit() {
    let fixture = Fixture::start();
    fixture.cannot_commit();
    let mut stream = TcpStream::connect(fixture.lines).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(testkit::PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(closed.is_ok(), "an idle connection waits for a commit that never comes");
}

#[tokio::test]
async fn a_clock_that_stands_wrong_raises_an_alarm_until_it_is_right() {
    let fixture = Fixture::start();
    // How far each minute's points lie ahead of the clock, and whether that is an alarm.
    for (off, alarm) in [
        (0, 0.0),
        // Late points beside those of now are usual.
        (-7200, 0.0),
        (120, 1.0),
        // So far ahead that they are refused.
        (7200, 1.0),
        (0, 0.0),
    ] {
        let stamp = |point: i64| if off < 0 && point == 0 { NOW } else { NOW + off };
        let lines: String = (0..100).map(|point| format!("a 1 {}\n", stamp(point))).collect();
        testkit::send_lines_and_wait_for_close(fixture.lines, &[lines.trim_end().to_owned()]).await;
        fixture.clock.advance(Duration::from_secs(60));
        fixture.clock.set(NOW);
        testkit::send_lines_and_wait_for_close(fixture.lines, &["a 1 -1".to_owned()]).await;
        assert_eq!(
            fixture.context.metrics.value("plumbago_ingest_clock_alarm", &[]),
            Some(alarm),
            "{off}"
        );
    }
    let all_late: Vec<String> = (0..100).map(|_| format!("a 1 {}", NOW - 3600)).collect();
    testkit::send_lines_and_wait_for_close(fixture.lines, &all_late[..99]).await;
    fixture.clock.advance(Duration::from_secs(60));
    testkit::send_lines_and_wait_for_close(fixture.lines, &all_late[99..]).await;
    assert_eq!(fixture.context.metrics.value("plumbago_ingest_clock_alarm", &[]), Some(1.0));
}
