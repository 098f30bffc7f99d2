//! Sums that storage nodes add up themselves: the same answers as from the series, the same digits whoever is away,
//! and few bytes.

use daemon::{Context, Running, Values};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::*;

const TARGETS: [&str; 9] = [
    "sumSeries(servers.*.cpu)",
    "averageSeries(servers.*.cpu)",
    "minSeries(servers.*.cpu)",
    "max(servers.*.cpu)",
    "count(servers.*.cpu)",
    "countSeries(servers.*.cpu)",
    "groupByNode(servers.*.cpu,1,'sum')",
    "groupByNodes(servers.*.*,'average',-1,0)",
    "alias(scale(aggregate(servers.*.cpu,'sum',0.9),2),'most')",
];

/// One kind of series has a step of its own.
const SCHEMAS: &str = "[coarse]\npattern = coarse$\nretentions = 5m:1d\n\
    [rest]\npattern = .*\nretentions = 60s:1d\n";

/// A pipeline, and an api beside its own that wants the series themselves.
pub(super) struct Beside {
    pub(super) pipeline: Pipeline,
    plain: Running,
}

impl Beside {
    pub(super) async fn start(data: &Path, nodes: usize) -> Self {
        let schemas = data.join("schemas.conf");
        std::fs::write(&schemas, SCHEMAS).unwrap();
        let values = values(data).with("schemas", schemas.to_str().unwrap());
        let values = values.with("nodes", &nodes.to_string());
        let values = values.with("replication", &nodes.min(2).to_string());
        let pipeline = Pipeline::start_with(&values).await;
        let zipper = pipeline.cluster.zipper().address("listen").unwrap();
        let settings = Values::defaults(api::SETTINGS)
            .with("listen", ANY_PORT)
            .with("admin", ANY_PORT)
            .with("push_down", "false")
            .with("backend", &format!("http://{zipper}"));
        let context = Context::new("api", api::METRICS).with_clock(pipeline.clock.clone());
        let plain = api::start(settings, context).await.unwrap();
        Self { pipeline, plain }
    }

    /// The answers with folds, and without.
    async fn ask(&self, target: &str) -> [String; 2] {
        let window = format!("from={}&until={NOW}&noCache=1", NOW - 600);
        self.ask_form(&format!("format=json&{window}&target={target}")).await
    }

    /// The same, of a whole form.
    pub(super) async fn ask_form(&self, form: &str) -> [String; 2] {
        let mut texts = [String::new(), String::new()];
        for (text, api) in texts.iter_mut().zip(self.apis()) {
            let answer = testkit::ask(api, "POST", "/render", FORM, form.as_bytes()).await;
            assert_eq!(answer.status, 200, "{form}: {}", answer.text());
            assert_eq!(answer.header("x-plumbago-partial"), None, "{form}");
            answer.text().clone_into(text);
        }
        texts
    }

    async fn metric(&self, part: &Running, metric: &str) -> f64 {
        let admin = part.address("admin").unwrap();
        let answer = testkit::ask(admin, "GET", "/metrics", "", b"").await;
        let value = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            name.starts_with(metric).then(|| value.parse::<f64>().unwrap())
        };
        answer.text().lines().filter_map(value).sum()
    }

    pub(super) fn apis(&self) -> [std::net::SocketAddr; 2] {
        [self.pipeline.cluster.api(), self.plain.address("listen").unwrap()]
    }

    /// Sends lines and waits until each is on both of its nodes.
    pub(super) async fn load(&self, lines: &[String]) {
        send_lines(self.pipeline.cluster.line(), lines).await;
        self.wait_for_points(2 * lines.len()).await;
    }

    async fn wait_for_points(&self, points: usize) {
        wait_until_async("the points to be on the nodes", PATIENCE, async || {
            let mut journalled = 0.0;
            for node in self.pipeline.cluster.nodes() {
                // Those that are only received are not shown yet.
                let metric = "plumbago_carbon_points_journalled_total";
                journalled += self.metric(node.running().unwrap(), metric).await;
            }
            (journalled >= points as f64).then_some(())
        })
        .await;
    }

    pub(super) async fn folded(&self) -> f64 {
        let metric = "plumbago_zipper_folds_total{outcome=\"folded\"}";
        self.metric(self.pipeline.cluster.zipper(), metric).await
    }

    /// What all nodes have sent so far.
    pub(super) async fn received(&self) -> f64 {
        let metric = "plumbago_zipper_node_received_bytes_total";
        self.metric(self.pipeline.cluster.zipper(), metric).await
    }

    pub(super) async fn stop(self) {
        self.plain.stop(STOP).await.unwrap();
        self.pipeline.stop().await;
    }
}

/// Numbers within 1e-12 of one another, and all else to the character.
fn assert_same(folded: &str, plain: &str, target: &str) {
    let [folded, plain]: [Value; 2] =
        [folded, plain].map(|text| serde_json::from_str(text).unwrap());
    let values = |answer: &Value| -> Vec<f64> {
        let series = answer.as_array().unwrap().iter();
        let points = series.flat_map(|one| one["datapoints"].as_array().unwrap());
        points.filter_map(|point| point[0].as_f64()).collect()
    };
    let (ours, theirs) = (values(&folded), values(&plain));
    assert!(!theirs.is_empty(), "{target} shows something");
    for (got, wanted) in ours.iter().zip(&theirs) {
        assert!((got - wanted).abs() <= 1e-12 * wanted.abs(), "{target}: {got} for {wanted}");
    }
    let blank = |mut answer: Value| {
        let series = answer.as_array_mut().unwrap().iter_mut();
        let points = series.flat_map(|one| one["datapoints"].as_array_mut().unwrap());
        points.filter(|point| point[0].is_f64()).for_each(|point| point[0] = Value::from(0.0));
        answer
    };
    assert_eq!(blank(folded), blank(plain), "{target}");
}

/// Points with gaps for some series, as lines.
fn random_lines(runner: &mut TestRunner) -> Vec<String> {
    let column = prop::collection::vec(prop::option::weighted(0.8, -1e6..1e6_f64), 10);
    let columns = prop::collection::vec(column, 40).new_tree(runner).unwrap().current();
    let mut lines = Vec::new();
    for (server, column) in columns.iter().enumerate() {
        let what = if server % 3 == 0 { "cpu" } else { "load" };
        for (minute, value) in (1..).zip(column) {
            let time = NOW - 600 + minute * 60;
            let point =
                |what: &str, value: f64| format!("servers.web{server}.{what} {value} {time}");
            lines.extend(value.map(|value| point(what, value)));
            lines.extend(value.filter(|_| what != "cpu").map(|value| point("cpu", value * 0.7)));
        }
        lines.push(format!("servers.web{server}.cpu 0.1 {NOW}"));
    }
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sums_are_those_of_the_series_and_their_digits_the_same_whoever_is_away() {
    let mut runner = TestRunner::deterministic();
    for (nodes, away) in [(3, 0), (3, 1), (4, 3), (5, 2)] {
        let folder = testkit::folder();
        let mut beside = Beside::start(folder.path(), nodes).await;
        beside.load(&random_lines(&mut runner)).await;
        let mut whole = Vec::new();
        for target in TARGETS {
            let [folded, plain] = beside.ask(target).await;
            assert_same(&folded, &plain, target);
            whole.push([folded, plain]);
        }
        beside.pipeline.cluster.stop_node(away, STOP).await.unwrap();
        for (target, whole) in TARGETS.iter().zip(&whole) {
            assert_eq!(beside.ask(target).await, *whole, "{target} without node {away}");
        }
        assert_eq!(beside.folded().await, 2.0 * TARGETS.len() as f64, "each was folded");
        beside.pipeline.cluster.start_node(away).await.unwrap();
        // Now it is asked again, and knows that it may have missed points.
        beside.pipeline.clock.advance(Duration::from_secs(60));
        for (target, whole) in TARGETS.iter().zip(&whole) {
            assert_eq!(beside.ask(target).await, *whole, "{target} with node {away} back");
        }
        assert_eq!(beside.folded().await, 3.0 * TARGETS.len() as f64, "by the others");
        beside.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sum_of_many_series_takes_a_hundredth_of_their_bytes() {
    let folder = testkit::folder();
    let beside = Beside::start(folder.path(), 4).await;
    beside.load(&lines(1000)).await;
    let form = format!("from={}&until={NOW}&noCache=1&target=sumSeries(servers.*.cpu)", NOW - 600);
    let mut bytes = [0.0; 2];
    for (bytes, api) in bytes.iter_mut().zip(beside.apis()) {
        let before = beside.received().await;
        testkit::ask(api, "POST", "/render", FORM, form.as_bytes()).await;
        *bytes = beside.received().await - before;
    }
    let [folded, plain] = bytes;
    assert!(folded > 0.0 && folded * 100.0 <= plain, "{folded} bytes for {plain}");
    beside.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_that_only_one_owner_knows_and_files_of_other_steps_are_read_as_they_are() {
    let folder = testkit::folder();
    let beside = Beside::start(folder.path(), 3).await;
    beside.load(&lines(10)).await;
    let node = beside.pipeline.cluster.nodes()[0].address("line").unwrap();
    // Past the relay: a series on one node alone, whether it is its own or not.
    send_lines(node, &[format!("servers.stray.cpu 5 {NOW}")]).await;
    beside.wait_for_points(2 * 100 + 1).await;
    let [folded, plain] = beside.ask("sumSeries(servers.*.cpu)").await;
    assert_eq!(folded, plain);
    assert_eq!(beside.folded().await, 0.0);
    send_lines(beside.pipeline.cluster.line(), &[format!("servers.web1.coarse 7 {NOW}")]).await;
    beside.wait_for_points(2 * 101 + 1).await;
    let [folded, plain] = beside.ask("sumSeries(servers.web*.*)").await;
    assert_eq!(folded, plain);
    assert_eq!(beside.folded().await, 0.0);
    let [folded, plain] = beside.ask("groupByNode(servers.web*.*,-1,'sum')").await;
    assert_same(&folded, &plain, "groups of one step each");
    assert_eq!(beside.folded().await, 1.0);
    let [folded, plain] = beside.ask("sumSeries(servers.web*.cpu)").await;
    assert_same(&folded, &plain, "the others");
    assert_eq!(beside.folded().await, 2.0);
    beside.stop().await;
}
