//! The forwarder between real sockets.

use daemon::Values;
use daemon::clock::Manual;
use testkit::{ANY_PORT, LineSink, PATIENCE, closed_address, wait_until_async};

use super::*;
use crate::{METRICS, SETTINGS};

fn destination(address: &str) -> Destination {
    Destination {
        name: address.to_owned(),
        addresses: vec![address.to_owned()],
        ..Destination::default()
    }
}

fn forwarder() -> Arc<Forwarder> {
    let values = Values::defaults(SETTINGS).with("node", "h:1");
    let config = Config::from_values(&values).unwrap();
    Forwarder::open(&config, &Context::new("relay", METRICS)).unwrap()
}

/// A forwarder with a log that writes nothing while the clock stands.
fn with_log_and_clock(folder: &std::path::Path) -> (Arc<Forwarder>, Arc<Manual>) {
    let log = folder.to_str().unwrap();
    let values = Values::defaults(SETTINGS).with("node", "h:1").with("log", log);
    let clock = Arc::new(Manual::at(1_700_000_000));
    let context =
        Context::new("relay", METRICS).with_clock(Arc::clone(&clock) as Arc<dyn daemon::Clock>);
    let config = Config::from_values(&values).unwrap();
    (Forwarder::open(&config, &context).unwrap(), clock)
}

fn lines(text: &str) -> LineBatch {
    LineBatch::from_bytes(text.as_bytes().to_vec())
}

#[tokio::test]
async fn nodes_come_and_go_and_one_that_stays_keeps_its_connection() {
    let (stays, goes) = (LineSink::start(ANY_PORT), LineSink::start(ANY_PORT));
    let forwarder = forwarder();
    let stay = destination(&stays.address().to_string());
    let node = forwarder.add(&stay).unwrap();
    let gone = forwarder.add(&destination(&goes.address().to_string())).unwrap();
    let both = forwarder.set(&[node, gone]);
    forwarder.queue(vec![(both, lines("a 1 1\n"))]);
    forwarder.remove(gone);
    assert_eq!(goes.wait_for(1).await, ["a 1 1"]);

    assert_eq!(forwarder.add(&stay).unwrap(), node, "the same number for the same node");
    assert_eq!(forwarder.set(&[node, gone]), both);
    forwarder.queue(vec![(both, lines("b 1 1\n"))]);
    assert_eq!(stays.wait_for(2).await, ["a 1 1", "b 1 1"]);
    assert_eq!(goes.lines(), ["a 1 1"]);
    let name = stays.address().to_string();
    let connects = forwarder.context.metrics.value("plumbago_relay_connects_total", &[&name]);
    assert_eq!(connects, Some(1.0));
}

#[tokio::test]
async fn the_first_address_that_answers_is_taken() {
    let sink = LineSink::start(ANY_PORT);
    let addresses = vec![closed_address(), sink.address().to_string()];
    let forwarder = forwarder();
    let node = forwarder
        .add(&Destination { name: "either".to_owned(), addresses, ..Destination::default() })
        .unwrap();
    let set = forwarder.set(&[node]);
    forwarder.queue(vec![(set, lines("a 1 1\n"))]);
    assert_eq!(sink.wait_for(1).await, ["a 1 1"]);
}

#[tokio::test]
async fn lines_return_to_the_first_address_as_soon_as_it_is_back() {
    // A loopback host of its own, so that no other test is given the port meanwhile.
    let first = std::net::TcpListener::bind("127.0.8.1:0").unwrap().local_addr().unwrap();
    let stand_in = LineSink::start(ANY_PORT);
    let addresses = vec![first.to_string(), stand_in.address().to_string()];
    let forwarder = forwarder();
    let node = forwarder
        .add(&Destination { name: "either".to_owned(), addresses, ..Destination::default() })
        .unwrap();
    let set = forwarder.set(&[node]);
    forwarder.queue(vec![(set, lines("a 1 1\n"))]);
    assert_eq!(stand_in.wait_for(1).await, ["a 1 1"]);
    let first = LineSink::start(&first.to_string());
    wait_until_async("the return", PATIENCE, async || {
        let connects =
            forwarder.context.metrics.value("plumbago_relay_connects_total", &["either"]);
        (connects == Some(2.0)).then_some(())
    })
    .await;
    forwarder.queue(vec![(set, lines("b 1 1\n"))]);
    assert_eq!(first.wait_for(1).await, ["b 1 1"]);
    assert_eq!(stand_in.lines(), ["a 1 1"], "nothing comes to both");
}

#[tokio::test]
async fn a_node_that_comes_while_lines_are_on_their_way_to_the_log_gets_its_first_lines() {
    let folder = testkit::folder();
    let (forwarder, clock) = with_log_and_clock(folder.path());
    let (first, second) = (LineSink::start(ANY_PORT), LineSink::start(ANY_PORT));
    let one = forwarder.add(&destination(&first.address().to_string())).unwrap();
    let to_one = forwarder.set(&[one]);
    forwarder.queue(vec![(to_one, lines("a 1 1\n"))]);
    // Nothing is written yet: what comes next goes into the same frame.
    let two = forwarder.add(&destination(&second.address().to_string())).unwrap();
    let to_both = forwarder.set(&[one, two]);
    forwarder.queue(vec![(to_both, lines("b 1 1\n"))]);
    clock.advance(Duration::from_secs(1));
    assert_eq!(second.wait_for(1).await, ["b 1 1"]);
    assert_eq!(first.wait_for(2).await, ["a 1 1", "b 1 1"]);
}
