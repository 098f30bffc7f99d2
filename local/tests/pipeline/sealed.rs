//! api, zipper and storage node that speak TLS among themselves, show certificates, and know each
//! other by tokens.

use std::path::{Path, PathBuf};

use daemon::{Context, Metric, Running, Setting, Values};
use testkit::{ANY_PORT, PATIENCE, ask, send_lines_and_wait_for_close, tls_file, wait_until_async};

use crate::{NOW, STOP};

fn text(path: PathBuf) -> String {
    path.to_str().unwrap().to_owned()
}

fn file(folder: &Path, name: &str, content: &str) -> String {
    std::fs::write(folder.join(name), content).unwrap();
    text(folder.join(name))
}

fn values(settings: &'static [Setting], pairs: &[(&str, &str)]) -> Values {
    pairs.iter().fold(Values::defaults(settings), |values, (key, text)| values.with(key, text))
}

fn context(name: &'static str, metrics: &'static [Metric]) -> Context {
    let clock = std::sync::Arc::new(daemon::clock::Manual::at(NOW));
    Context::new(name, metrics).with_clock(clock)
}

/// The door of a daemon: its certificate, the authority of its readers, and their token.
fn door(values: Values, folder: &Path, token: &str) -> Values {
    let readers = format!("[[reader]]\nname = 'r'\ntoken = '{token}'\n");
    values
        .with("read_tls_cert", &text(tls_file("server.pem")))
        .with("read_tls_key", &text(tls_file("server.key")))
        .with("read_tls_client_ca", &text(tls_file("ca.pem")))
        .with("readers", &file(folder, &format!("{token}.toml"), &readers))
}

/// What the daemon shows to whom it asks.
fn shows(values: Values, folder: &Path, token: &str) -> Values {
    values
        .with("backend_tls_ca", &text(tls_file("ca.pem")))
        .with("backend_tls_cert", &text(tls_file("client.pem")))
        .with("backend_tls_key", &text(tls_file("client.key")))
        .with("backend_token_file", &file(folder, &format!("{token}.token"), token))
}

async fn node(folder: &Path) -> Running {
    let data = text(folder.join("node"));
    let listeners =
        ["line", "pickle", "read", "admin", "link", "carbonlink"].map(|key| (key, ANY_PORT));
    let more = [("data", &*data), ("self_metrics_interval", "0s"), ("free_space_min", "0B")];
    let values = values(carbon::SETTINGS, &[&listeners[..], &more].concat());
    carbon::start(door(values, folder, "of-node"), context("carbon", carbon::METRICS))
        .await
        .unwrap()
}

async fn render(api: &Running) -> (u16, String) {
    let window = format!("from={}&until={NOW}&format=json&noCache=1", NOW - 120);
    let path = format!("/render?target=a.b&{window}&partial=deny");
    let answer = ask(api.address("listen").unwrap(), "GET", &path, "", b"").await;
    (answer.status, answer.text().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_zipper_and_node_ask_each_other_by_tls_with_certificates_and_tokens() {
    let folder = testkit::folder();
    let root = folder.path();
    let node = node(root).await;
    let read = node.address("read").unwrap();
    let cluster = format!("[ring]\n[[node]]\nname = \"one\"\nhost = \"h\"\nread = \"{read}\"\n");
    let addresses = [("listen", ANY_PORT), ("admin", ANY_PORT)];

    let with = [("cluster", &*file(root, "cluster.toml", &cluster))];
    let settings = values(zipper::SETTINGS, &[&addresses[..], &with].concat());
    let settings = shows(door(settings, root, "of-zipper"), root, "of-node");
    let zipper = zipper::start(settings.clone(), context("zipper", zipper::METRICS)).await.unwrap();

    let backend = format!("https://{}", zipper.address("listen").unwrap());
    let plain = values(api::SETTINGS, &[&addresses[..], &[("backend", &*backend)]].concat());
    let api = shows(plain.clone(), root, "of-zipper");
    let api = api::start(api, context("api", api::METRICS)).await.unwrap();

    let lines = [format!("a.b 7 {}", NOW - 60)];
    send_lines_and_wait_for_close(node.address("line").unwrap(), &lines).await;
    wait_until_async("the point through all of them", PATIENCE, async || {
        let (status, body) = render(&api).await;
        (status == 200 && body.contains("[7.0, ")).then_some(())
    })
    .await;

    std::fs::write(root.join("of-node.token"), "wrong").unwrap();
    zipper.reload(&settings).unwrap();
    let (status, body) = render(&api).await;
    assert!(status == 401 || body.contains("token"), "{status} {body}");
    std::fs::write(root.join("of-node.token"), "of-node").unwrap();
    zipper.reload(&settings).unwrap();
    assert_eq!(render(&api).await.0, 200);

    // Without a certificate of its own an api is not let in, and without an authority none starts.
    let nameless = plain.clone().with("backend_tls_ca", &text(tls_file("ca.pem")));
    let nameless = api::start(nameless, context("api", api::METRICS)).await.unwrap();
    assert!(render(&nameless).await.0 >= 500);
    let fault = api::start(plain, context("api", api::METRICS)).await.unwrap_err().to_string();
    assert!(fault.contains("https needs `backend_tls_ca`"), "{fault}");
    for running in [nameless, api, zipper, node] {
        running.stop(STOP).await.unwrap();
    }
}
