//! Pickles over TCP: good points of a frame survive bad ones, and no frame runs code.

use crate::fixture::Fixture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// Sends frames and waits for the server to close, which it does when the client half-closes.
async fn exchange(fixture: &Fixture, frames: &[&[u8]]) {
    let mut stream = TcpStream::connect(fixture.pickles).await.unwrap();
    for frame in frames {
        stream.write_all(&framed(frame)).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty());
}

#[tokio::test]
async fn one_bad_entry_does_not_void_the_others() {
    let fixture = Fixture::start();
    // [('ok1', (1699999990, 1.5)), ('bad', (1699999990, 'x')), ('ok2', ('1699999990', '2'))]
    let text = b"(lp0\n(S'ok1'\n(I1699999990\nF1.5\nttp1\na(S'bad'\n(I1699999990\nS'x'\nttp2\na\
                 (S'ok2'\n(S'1699999990'\nS'2'\nttp3\na.";
    exchange(&fixture, &[text]).await;
    let names: Vec<String> = fixture.taken().into_iter().map(|taken| taken.0).collect();
    assert_eq!(names, ["ok1", "ok2"]);
    assert_eq!(fixture.refused("bad_value"), 1.0);
    assert_eq!(fixture.received(), 3.0);
}

#[tokio::test]
async fn a_frame_that_names_code_is_refused_whole_and_the_next_one_read() {
    let fixture = Fixture::start();
    let hostile = b"cos\nsystem\n(S'true'\ntR.";
    let good = b"(lp0\n(S'ok'\n(I1699999990\nI1\nttp1\na.";
    exchange(&fixture, &[hostile, good]).await;
    assert_eq!(fixture.refused("bad_frame"), 1.0);
    assert_eq!(fixture.taken().len(), 1);
}

#[tokio::test]
async fn a_frame_over_the_limit_closes_the_connection_before_its_body_is_read() {
    let fixture = Fixture::start();
    let mut stream = TcpStream::connect(fixture.pickles).await.unwrap();
    stream.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(fixture.refused("frame_too_long"), 1.0);
}
