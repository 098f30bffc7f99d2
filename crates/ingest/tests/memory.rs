//! A sender without newlines costs no memory. Alone in its process, so that its own memory is
//! what is measured.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![expect(dead_code, reason = "this test needs a part of the fixture")]

#[path = "listener/fixture.rs"]
mod fixture;

use fixture::Fixture;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Pages of this process in memory, in bytes.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[tokio::test]
async fn three_hundred_megabytes_without_a_newline_are_skipped_and_counted_once() {
    let fixture = Fixture::start();
    let chunk = vec![b'x'; 1 << 20];
    let mut stream = TcpStream::connect(fixture.lines).await.unwrap();
    stream.write_all(&chunk).await.unwrap();
    fixture.wait_for_received(1.0).await;
    let before = resident_bytes();
    for _ in 0..300 {
        stream.write_all(&chunk).await.unwrap();
    }
    stream.write_all(b"\nafter 1 1699999990\n").await.unwrap();
    fixture.wait_for_received(2.0).await;
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 4 << 20, "grew by {grown} bytes");
    assert_eq!(fixture.refused("line_too_long"), 1.0);
    assert_eq!(fixture.taken().len(), 1);
}
