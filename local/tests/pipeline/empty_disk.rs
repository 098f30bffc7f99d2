//! A node that comes back with an empty disk: until it has been given what it lost, answers are those of the other owners.

use super::*;

/// How old the cluster is when the disk is lost.
const AGE: Duration = Duration::from_secs(4 * 3600);

const SERVERS: usize = 40;

/// The node that loses its disk; the next one has copies of what it had.
const LOST: usize = 1;

const TARGETS: [&str; 4] = [
    "servers.*.cpu",
    "servers.*.{cpu,load}",
    "sumSeries(servers.*.cpu)",
    "countSeries(servers.*.cpu)",
];

async fn start(data: &Path) -> Pipeline {
    let schemas = data.join("schemas.conf");
    std::fs::write(&schemas, "[all]\npattern = .*\nretentions = 60s:1d\n").unwrap();
    Pipeline::start_with(&values(data).with("schemas", schemas.to_str().unwrap())).await
}

/// All series by their names: each node is the first owner of some.
fn exact() -> String {
    let targets = (0..SERVERS).map(|server| format!("target=servers.web{server}.cpu"));
    targets.collect::<Vec<_>>().join("&")
}

impl Pipeline {
    fn now(&self) -> i64 {
        use daemon::Clock as _;
        self.clock.now_unix_seconds()
    }

    /// What is shown of the ten minutes before [`NOW`], target by target, and by exact names.
    async fn seen(&self) -> Vec<Series> {
        let mut seen = vec![self.render_until(&exact(), NOW).await];
        for target in TARGETS {
            seen.push(self.render(target).await);
        }
        seen
    }

    /// Gives each owner its lines past the relay, which would keep some and send them again.
    async fn load_owners(&self, data: &Path) {
        let text = std::fs::read_to_string(data.join("cluster.toml")).unwrap();
        let ring = ring::cluster::Cluster::parse(&text).unwrap().into_ring();
        let owns = |node: u16, line: &String| {
            let name = line.split(' ').next().unwrap();
            ring.owners(name.as_bytes()).as_slice().contains(&node)
        };
        for (number, node) in (0..).zip(self.cluster.nodes()) {
            let lines: Vec<String> =
                lines(SERVERS).into_iter().filter(|line| owns(number, line)).collect();
            send_lines(node.address("line").unwrap(), &lines).await;
        }
        self.wait_for_last(NOW).await;
    }

    /// Returns once each owner has the points of this time.
    async fn wait_for_last(&self, time: i64) {
        wait_until_async("each owner to have its points", PATIENCE, async || {
            let mut shown = 0;
            for node in self.cluster.nodes() {
                let read = node.running().unwrap().address("read").unwrap();
                let window = format!("from={}&until={time}&now={time}", time - 60);
                let path = format!("/render?target=servers.*.cpu&{window}&format=json");
                let answer = testkit::ask(read, "GET", &path, "", b"").await;
                shown += answer.text().matches("\"isAbsent\":[false]").count();
            }
            (shown == 2 * SERVERS).then_some(())
        })
        .await;
    }

    /// Stops the node, empties its folder, starts it again, and gives each series a point.
    async fn lose_disk(&mut self, data: &Path) {
        self.clock.advance(AGE);
        self.cluster.stop_node(LOST, STOP).await.unwrap();
        std::fs::remove_dir_all(data.join(format!("node-{}", LOST + 1))).unwrap();
        self.cluster.start_node(LOST).await.unwrap();
        let now = self.now();
        let lines = (0..SERVERS).map(|server| format!("servers.web{server}.cpu 5 {now}"));
        send_lines(self.cluster.line(), &lines.collect::<Vec<_>>()).await;
        self.wait_for_last(now).await;
    }

    /// The nodes that an answer is marked with as missing.
    async fn marked(&self, target: &str) -> Option<String> {
        let form = format!("from={}&until={NOW}&noCache=1&target={target}", NOW - 600);
        let answer = self.ask("POST", "/render", FORM, form.as_bytes()).await;
        answer.header("x-plumbago-partial").map(str::to_owned)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_lost_with_its_disk_is_shown_by_the_other_owners() {
    let folder = testkit::folder();
    let mut pipeline = start(folder.path()).await;
    pipeline.load_owners(folder.path()).await;
    let whole = pipeline.seen().await;
    pipeline.lose_disk(folder.path()).await;
    assert_eq!(pipeline.seen().await, whole);
    pipeline.clock.advance(AGE);
    assert_eq!(pipeline.seen().await, whole, "long after its birth too");

    pipeline.cluster.stop_node(LOST + 1, STOP).await.unwrap();
    for target in TARGETS {
        assert!(pipeline.marked(target).await.is_some(), "{target}: one copy alone is no proof");
    }
    // As the tools do when they have filled all.
    let admin = pipeline.cluster.nodes()[LOST].running().unwrap().address("admin").unwrap();
    let path = format!("/admin/birth?complete_since={NOW}");
    assert_eq!(testkit::ask(admin, "POST", &path, "", b"").await.status, 200);
    for target in TARGETS {
        assert_eq!(pipeline.marked(target).await, None, "{target}");
    }
    pipeline.stop().await;
}
