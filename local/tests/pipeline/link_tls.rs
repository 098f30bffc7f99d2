//! The acknowledged link through TLS: between those who believe one another lines pass, between others they wait.

use std::path::Path;

use daemon::{Context, Running, Values};
use testkit::{ANY_PORT, PATIENCE, send_lines_and_wait_for_close, tls_file, wait_until_async};

use crate::STOP;

const LINES: usize = 1_000;

/// Settings with files of the tests' authority.
fn with_files(values: Values, files: &[(&str, &str)]) -> Values {
    files.iter().fold(values, |values, (setting, file)| {
        values.with(setting, tls_file(file).to_str().unwrap())
    })
}

async fn node(folder: &Path, files: &[(&str, &str)]) -> Running {
    let doors = ["line", "link", "read", "admin"];
    let values = Values::defaults(carbon::SETTINGS)
        .with("data", folder.join("data").to_str().unwrap())
        .with("carbonlink", "")
        .with("self_metrics_interval", "0s");
    let values = doors.iter().fold(values, |values, door| values.with(door, ANY_PORT));
    carbon::start(with_files(values, files), Context::new("carbon", carbon::METRICS)).await.unwrap()
}

/// A relay before the node, on whose log lines wait.
async fn relay(folder: &Path, node: &Running, files: &[(&str, &str)]) -> Running {
    let cluster = folder.join("cluster.toml");
    let link = node.address("link").unwrap();
    let text = format!("[ring]\n[[node]]\nname = \"a\"\nhost = \"a\"\nlink = \"{link}\"\n");
    std::fs::write(&cluster, text).unwrap();
    let values = Values::defaults(relay::SETTINGS)
        .with("cluster", cluster.to_str().unwrap())
        .with("log", folder.join("log").to_str().unwrap())
        .with("pickle", "")
        .with("self_metrics_interval", "0s");
    let values = ["line", "admin"].iter().fold(values, |values, door| values.with(door, ANY_PORT));
    relay::start(with_files(values, files), Context::new("relay", relay::METRICS)).await.unwrap()
}

async fn wait_for_metric(running: &Running, name: &str, labels: &[&str], wanted: f64) {
    wait_until_async(name, PATIENCE, async || {
        let value = running.context.metrics.value(name, labels).unwrap_or(0.0);
        (value >= wanted).then_some(())
    })
    .await;
}

async fn send(relay: &Running) {
    let lines: Vec<String> =
        (0..LINES).map(|number| format!("web{number}.cpu {number} 1700000000")).collect();
    send_lines_and_wait_for_close(relay.address("line").unwrap(), &lines).await;
}

const NODE: [(&str, &str); 2] = [("link_tls_cert", "server.pem"), ("link_tls_key", "server.key")];
const RELAY: (&str, &str) = ("link_tls_ca", "ca.pem");

#[tokio::test]
async fn those_who_believe_one_another_speak_tls() {
    let mutual: &[_] = &[NODE[0], NODE[1], ("link_tls_client_ca", "ca.pem")];
    let known: &[_] = &[RELAY, ("link_tls_cert", "client.pem"), ("link_tls_key", "client.key")];
    for (at_node, at_relay) in [(&NODE[..], &[RELAY][..]), (mutual, known)] {
        let folder = testkit::folder();
        let node = node(folder.path(), at_node).await;
        let relay = relay(folder.path(), &node, at_relay).await;
        send(&relay).await;
        let synced = "plumbago_relay_link_lines_synced_total";
        wait_for_metric(&relay, synced, &["a"], LINES as f64).await;
        relay.stop(STOP).await.unwrap();
        let received = node.context.metrics.value("plumbago_carbon_points_received_total", &[]);
        assert_eq!(received, Some(LINES as f64));
        node.stop(STOP).await.unwrap();
    }
}

#[tokio::test]
async fn whoever_shows_no_certificate_or_speaks_plainly_gets_no_line_and_loses_none() {
    let mutual: &[_] = &[NODE[0], NODE[1], ("link_tls_client_ca", "ca.pem")];
    for (at_node, at_relay, refused) in [
        (mutual, &[RELAY][..], "tls"),
        (&NODE[..], &[], "tls"),
        (&[], &[RELAY], "hello"),
        // The relay trusts another authority than the node's.
        (&NODE, &[("link_tls_ca", "client.pem")], "tls"),
    ] {
        let folder = testkit::folder();
        let node = node(folder.path(), at_node).await;
        let relay = relay(folder.path(), &node, at_relay).await;
        send(&relay).await;
        wait_for_metric(&node, "plumbago_carbon_link_refused_total", &[refused], 2.0).await;
        let waiting = relay.context.metrics.value("plumbago_relay_backlog_lines", &["a"]);
        assert_eq!(waiting, Some(LINES as f64));
        let received = node.context.metrics.value("plumbago_carbon_points_received_total", &[]);
        assert_eq!(received.unwrap_or(0.0), 0.0);
        relay.stop(STOP).await.unwrap();
        node.stop(STOP).await.unwrap();
    }
}
