//! The whole pipeline over real sockets: what goes in as lines comes out of the Graphite API,
//! also while a storage node is away; what Grafana asks; what is refused.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod bands;
mod deaths;
mod empty_disk;
mod findings;
mod folds;
mod grafana;
mod leaving;
mod link_tls;
mod page;
mod refusals;
mod sealed;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use daemon::{Context, Values};
use plumbago_local::{Cluster, Config, SETTINGS};
use serde_json::Value;
use testkit::{ANY_PORT, PATIENCE, send_lines, wait_until_async};

const STOP: Duration = Duration::from_secs(20);

/// The clock of these tests: an hour that starts with a minute that starts with a ten.
const NOW: i64 = 1_700_000_400;

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// Points by the name of their series.
type Series = BTreeMap<String, Vec<(Option<f64>, i64)>>;

struct Pipeline {
    cluster: Cluster,
    clock: std::sync::Arc<daemon::clock::Manual>,
}

impl Pipeline {
    async fn start(data: &Path) -> Self {
        Self::start_with(&values(data)).await
    }

    async fn start_with(values: &Values) -> Self {
        let clock = std::sync::Arc::new(daemon::clock::Manual::at(NOW));
        let context = Context::new("up", &[]).with_clock(clock.clone());
        let config = Config::from_values(values).unwrap();
        Self { cluster: Cluster::start(config, &context).await.unwrap(), clock }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.ask("GET", path, "", b"").await;
        (answer.status, answer.text().to_owned())
    }

    /// A request with headers, each a line, and a body.
    async fn ask(&self, method: &str, path: &str, head: &str, body: &[u8]) -> testkit::Answer {
        testkit::ask(self.cluster.api(), method, path, head, body).await
    }

    async fn stop(self) {
        self.cluster.stop(STOP).await.unwrap();
    }

    /// The series of a render of the ten minutes before [`NOW`], by name.
    async fn render(&self, target: &str) -> Series {
        self.render_until(&format!("target={target}"), NOW).await
    }

    /// The series of a render of ten minutes, by name, which nothing may be missing from.
    async fn render_until(&self, targets: &str, until: i64) -> Series {
        // The clock stands, so a kept answer would never expire.
        let window = format!("from={}&until={until}&noCache=true", until - 600);
        let form = format!("format=json&{window}&{targets}");
        let answer = self.ask("POST", "/render", FORM, form.as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-plumbago-partial"), None);
        let answer: Value = serde_json::from_str(answer.text()).unwrap();
        let point = |point: &Value| (point[0].as_f64(), point[1].as_i64().unwrap());
        let points =
            |one: &Value| one["datapoints"].as_array().unwrap().iter().map(point).collect();
        let series = answer.as_array().unwrap().iter();
        series.map(|one| (one["target"].as_str().unwrap().to_owned(), points(one))).collect()
    }

    /// Sends lines and waits until the last of them can be read.
    async fn load(&self, lines: &[String], target: &str, series: usize) {
        send_lines(self.cluster.line(), lines).await;
        wait_until_async("the points to be readable", PATIENCE, async || {
            let seen = self.render(target).await;
            let whole = seen.values().filter(|points| points.last().unwrap().0.is_some()).count();
            (whole == series).then_some(())
        })
        .await;
    }
}

/// The settings of a pipeline below this folder.
fn values(data: &Path) -> Values {
    let values = Values::defaults(SETTINGS).with("data", data.to_str().unwrap());
    ["line", "pickle", "listen"].iter().fold(values, |values, key| values.with(key, ANY_PORT))
}

/// Ten minutes of points for some servers.
fn lines(servers: usize) -> Vec<String> {
    (0..servers)
        .flat_map(|server| {
            (1..=10).map(move |minute| {
                let time = NOW - 600 + minute * 60;
                format!("servers.web{server}.cpu {} {time}", server * 100 + minute as usize)
            })
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_comes_back_from_the_graphite_api() {
    let folder = testkit::folder();
    let pipeline = Pipeline::start(folder.path()).await;
    let line = format!("hello.world 42 {NOW}");
    pipeline.load(&[line], "hello.world", 1).await;
    let seen = pipeline.render("hello.world").await;
    assert_eq!(seen["hello.world"].last(), Some(&(Some(42.0), NOW)));
    let (_, find) = pipeline.get("/metrics/find?query=hello.*").await;
    assert!(find.contains("\"id\": \"hello.world\"") || find.contains("\"id\":\"hello.world\""));
    pipeline.cluster.stop(STOP).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_series_is_on_its_owner_and_the_next_node_and_survives_a_restart() {
    let folder = testkit::folder();
    let pipeline = Pipeline::start(folder.path()).await;
    pipeline.load(&lines(40), "servers.*.cpu", 40).await;
    let before = pipeline.render("servers.*.cpu").await;
    let text = std::fs::read_to_string(folder.path().join("cluster.toml")).unwrap();
    let cluster = ring::cluster::Cluster::parse(&text).unwrap();
    pipeline.cluster.stop(STOP).await.unwrap();

    for server in 0..40 {
        let name = format!("servers.web{server}.cpu");
        let owners = cluster.ring().owners(name.as_bytes());
        let holders: Vec<u16> = (0..4_u16)
            .filter(|node| {
                let whisper = folder.path().join(format!("node-{}/whisper", node + 1));
                whisper.join(format!("servers/web{server}/cpu.wsp")).exists()
            })
            .collect();
        let mut wanted = owners.as_slice().to_vec();
        wanted.sort_unstable();
        assert_eq!(holders, wanted, "{name}");
    }

    let again = Pipeline::start(folder.path()).await;
    assert_eq!(again.render("servers.*.cpu").await, before);
    again.cluster.stop(STOP).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_goes_away_and_comes_back_changes_no_answer() {
    let folder = testkit::folder();
    let mut pipeline = Pipeline::start(folder.path()).await;
    pipeline.load(&lines(40), "servers.*.cpu", 40).await;
    let whole = pipeline.render("servers.*.cpu").await;
    for node in 0..4 {
        pipeline.cluster.stop_node(node, STOP).await.unwrap();
        assert_eq!(pipeline.render("servers.*.cpu").await, whole, "without node {node}");
        let one = pipeline.render("servers.web7.cpu").await;
        assert_eq!(one["servers.web7.cpu"], whole["servers.web7.cpu"], "without node {node}");
        pipeline.cluster.start_node(node).await.unwrap();
    }
    assert_eq!(pipeline.render("servers.*.cpu").await, whole);
    pipeline.cluster.stop(STOP).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_for_a_node_that_is_away_reach_it_when_it_is_back() {
    let folder = testkit::folder();
    let mut pipeline = Pipeline::start(folder.path()).await;
    pipeline.cluster.stop_node(1, STOP).await.unwrap();
    pipeline.load(&lines(40), "servers.*.cpu", 40).await;
    let whole = pipeline.render("servers.*.cpu").await;
    pipeline.cluster.start_node(1).await.unwrap();
    wait_until_async("the backlog to reach the node", PATIENCE, async || {
        let metrics = &pipeline.cluster.relay().context.metrics;
        let backlog = metrics.value("plumbago_relay_backlog_lines", &["node-2"]);
        (backlog == Some(0.0)).then_some(())
    })
    .await;
    pipeline.cluster.stop_node(0, STOP).await.unwrap();
    pipeline.cluster.stop_node(2, STOP).await.unwrap();
    // Only node 2 is left of the owners of what it has as a copy or as an owner.
    let text = std::fs::read_to_string(folder.path().join("cluster.toml")).unwrap();
    let ring = ring::cluster::Cluster::parse(&text).unwrap().into_ring();
    for (name, points) in &whole {
        if ring.owners(name.as_bytes()).as_slice().contains(&1) {
            assert_eq!(pipeline.render(name).await.get(name), Some(points), "{name}");
        }
    }
    pipeline.cluster.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_setting() {
    let folder = testkit::folder();
    let taken = std::net::TcpListener::bind(ANY_PORT).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let values = Values::defaults(SETTINGS)
        .with("data", folder.path().to_str().unwrap())
        .with("line", &address)
        .with("pickle", ANY_PORT)
        .with("listen", ANY_PORT);
    let config = Config::from_values(&values).unwrap();
    let error = Cluster::start(config, &Context::new("up", &[])).await.unwrap_err().to_string();
    assert!(error.contains(&address) && error.contains("line"), "{error}");
}

#[tokio::test]
async fn data_of_four_nodes_is_not_opened_as_three() {
    let folder = testkit::folder();
    let pipeline = Pipeline::start(folder.path()).await;
    pipeline.cluster.stop(STOP).await.unwrap();
    let values =
        Values::defaults(SETTINGS).with("data", folder.path().to_str().unwrap()).with("nodes", "3");
    let config = Config::from_values(&values).unwrap();
    let error = Cluster::start(config, &Context::new("up", &[])).await.unwrap_err().to_string();
    assert!(error.contains("has 4 nodes and `nodes` asks for 3"), "{error}");
}
