//! Clients that leave before their answer is there.

use std::time::Duration;

use daemon::{Context, Values};
use testkit::ANY_PORT;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How soon a store must know, and how often a machine that is busy with other work may be late.
const FREED_WITHIN: Duration = Duration::from_millis(100);
const TRIES: usize = 10;

/// Longer than any test.
const NEVER: &str = "600s";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a22_a_client_that_leaves_frees_the_stores_within_a_tenth_of_a_second() {
    let store = TcpListener::bind(ANY_PORT).await.unwrap();
    let address = store.local_addr().unwrap();
    let values =
        |settings| Values::defaults(settings).with("listen", ANY_PORT).with("admin", ANY_PORT);
    let settings =
        values(zipper::SETTINGS).with("node", &format!("http://{address}")).with("timeout", NEVER);
    let zipper = zipper::start(settings, Context::new("zipper", zipper::METRICS)).await.unwrap();
    let backend = zipper.address("listen").unwrap();
    let settings = values(api::SETTINGS)
        .with("backend", &format!("http://{backend}"))
        .with("request_timeout", NEVER);
    let context = Context::new("api", api::METRICS);
    let clock = context.clock.clone();
    let api = api::start(settings, context).await.unwrap();

    let mut freed_after = Vec::new();
    while freed_after.len() < TRIES {
        let mut client = TcpStream::connect(api.address("listen").unwrap()).await.unwrap();
        let request = "GET /render?target=a.b&format=json&noCache=1 HTTP/1.1\r\nHost: api\r\n\r\n";
        client.write_all(request.as_bytes()).await.unwrap();
        // The store takes the question and never answers.
        let (mut asked, _) = store.accept().await.unwrap();
        let mut question = vec![0; 1 << 16];
        assert!(asked.read(&mut question).await.unwrap() > 0);
        let left = clock.monotonic();
        drop(client);
        while asked.read(&mut question).await.unwrap_or(0) > 0 {}
        freed_after.push(clock.monotonic().saturating_sub(left));
        if freed_after.last() < Some(&FREED_WITHIN) {
            break;
        }
    }
    assert!(freed_after.last() < Some(&FREED_WITHIN), "{freed_after:?}");
}
