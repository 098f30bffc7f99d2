//! Replicas of 2,000 series compared by `plumbago check replicas`: what it asks for while they are equal, and what it finds
//! when they are not.

use std::net::SocketAddr;

use daemon::clock::{Clock, System};
use ring::cluster::Cluster;
use serde_json::Value;
use testkit::send_lines_and_wait_for_close;

use crate::pipeline::{Pipeline, plumbago};

const SERIES: usize = 2_000;

const SCHEMAS: &str = "[all]\npattern = .*\nretentions = 1m:2d,10m:30d\n";

/// Ages of the points of each series, in seconds: the first ones are settled, the last one is not.
const AGES: [i64; 4] = [36_000, 35_940, 14_400, 600];

/// A request for the health of a node and one for its ranges.
const EXCHANGES_WHILE_EQUAL: u64 = 2;

struct Replicas {
    pipeline: Pipeline,
    cluster: Cluster,
    now: i64,
}

impl Replicas {
    async fn start(nodes: &str) -> Self {
        let folder = testkit::folder();
        let schemas = folder.path().join("schemas.conf");
        std::fs::write(&schemas, SCHEMAS).unwrap();
        let settings = ["--nodes", nodes, "--schemas", schemas.to_str().unwrap()];
        let pipeline = Pipeline::on(folder, &settings);
        let cluster = cluster::read(pipeline.cluster().as_ref()).unwrap();
        let replicas = Self { pipeline, cluster, now: System::new().now_unix_seconds() };
        for node in 0..replicas.cluster.nodes().len() as u16 {
            let names = (0..SERIES).map(|number| format!("host.{number}.load"));
            let names: Vec<String> =
                names.filter(|name| replicas.owners(name).contains(&node)).collect();
            let line = |name: &String, age: &i64| format!("{name} {age} {}", replicas.now - age);
            let lines = names.iter().flat_map(|name| AGES.iter().map(move |age| line(name, age)));
            replicas.send(node, &lines.collect::<Vec<_>>()).await;
        }
        replicas
    }

    fn owners(&self, name: &str) -> Vec<u16> {
        self.cluster.ring().owners(name.as_bytes()).to_vec()
    }

    /// Sends lines to one node, past the relay.
    async fn send(&self, node: u16, lines: &[String]) {
        let line = self.cluster.nodes()[usize::from(node)].line.as_deref().unwrap();
        send_lines_and_wait_for_close(line.parse::<SocketAddr>().unwrap(), lines).await;
    }

    /// Compares them; returns how that ended and what it printed.
    fn check(&self, flags: &[&str]) -> (Option<i32>, Value) {
        let cluster = self.pipeline.cluster();
        let words = ["check", "replicas", "--json", "--cluster", &cluster];
        let output = plumbago(&[&words, flags].concat(), b"");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.stdout.is_empty(), "{said}");
        let first = output.stdout.split(|byte| *byte == b'\n').next().unwrap();
        (output.status.code(), serde_json::from_slice(first).unwrap())
    }

    /// They are found to be equal, by so few requests.
    #[track_caller]
    fn are_equal(&self, series: usize) {
        let (code, found) = self.check(&[]);
        assert_eq!((code, &found["series"]), (Some(0), &series.into()), "{found}");
        let exchanges = EXCHANGES_WHILE_EQUAL * self.cluster.nodes().len() as u64;
        assert_eq!((&found["exchanges"], &found["compared"]), (&exchanges.into(), &0.into()));
        assert!(found["bytes"].as_u64().unwrap() < 8_000, "{found}");
    }
}

fn counts(found: &Value) -> [u64; 3] {
    ["lacking", "stray", "differing"].map(|what| found[what].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_point_of_two_thousand_series_is_found_by_descending_and_filled() {
    let replicas = Replicas::start("2").await;
    replicas.are_equal(SERIES);
    // Each of them changes what the nodes keep, or is read beside it.
    for age in [7_200, 36_060, 300] {
        replicas.send(1, &[format!("host.77.load 5 {}", replicas.now - age)]).await;
        let (code, found) = replicas.check(&[]);
        assert_eq!((code, counts(&found)), (Some(2), [0, 0, 1]), "{age}: {found}");
        assert!(found["exchanges"].as_u64().unwrap() <= 12, "{found}");
        assert!(found["compared"].as_u64().unwrap() <= 2, "{found}");
        assert!(found["bytes"].as_u64().unwrap() < 60_000, "{found}");
        assert_eq!(replicas.check(&["--repair"]).0, Some(0), "{age}");
        replicas.are_equal(SERIES);
    }
    let (code, found) = replicas.check(&["--each"]);
    assert_eq!((code, &found["compared"]), (Some(0), &SERIES.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn series_that_an_owner_lacks_and_those_of_others_are_found_by_descending() {
    let replicas = Replicas::start("3").await;
    replicas.are_equal(SERIES);
    let point = |name: &str| vec![format!("{name} 1 {}", replicas.now - 9_000)];
    let owners = replicas.owners("only.one");
    replicas.send(owners[1], &point("only.one")).await;
    let others = |name: &str| (0..3).find(|node| !replicas.owners(name).contains(node)).unwrap();
    replicas.send(others("host.5.load"), &point("host.5.load")).await;
    let (code, found) = replicas.check(&[]);
    assert_eq!((code, counts(&found)), (Some(2), [1, 1, 0]), "{found}");
    assert_eq!(found["series"], SERIES + 1);
    assert_eq!(counts(&replicas.check(&["--each"]).1), [1, 1, 0]);
    // What is in the wrong place is for a plan to move.
    assert_eq!(replicas.check(&["--repair"]).0, Some(2));
    assert_eq!(counts(&replicas.check(&[]).1), [0, 1, 0]);
}
