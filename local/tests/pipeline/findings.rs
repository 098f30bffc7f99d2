//! What read sides of the field were seen to do wrong: series lost when a request is split, another
//! query's answer, graphs that flap between two copies, and answers that do not say what they lack.
//! Those that need nodes that hang or have other retentions are tests of the zipper.

use testkit::{PATIENCE, send_lines, wait_until_async};

use crate::{NOW, Pipeline, STOP, Series, lines};

/// Targets of a form, one for each server.
fn exact(servers: usize) -> String {
    let targets: Vec<String> = (0..servers).map(|n| format!("target=servers.web{n}.cpu")).collect();
    targets.join("&")
}

impl Pipeline {
    /// Series that the storage nodes have read since they started.
    fn series_read(&self) -> f64 {
        let read = |node: &plumbago_local::StorageNode| {
            let metrics = &node.running()?.context.metrics;
            metrics.value("plumbago_carbon_series_read_total", &[])
        };
        self.cluster.nodes().iter().filter_map(read).sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_names_of_one_request_all_come_back_and_each_is_read_once() {
    let folder = testkit::folder();
    let pipeline = Pipeline::start(folder.path()).await;
    pipeline.load(&lines(250), "servers.*.cpu", 250).await;
    let before = pipeline.series_read();
    let names = pipeline.render_until(&exact(250), NOW).await;
    assert_eq!(pipeline.series_read() - before, 250.0, "two copies, but one read");
    assert_eq!(names.len(), 250);
    assert_eq!(names, pipeline.render("servers.*.cpu").await);
    let total = pipeline.render("sumSeries(servers.*.cpu)").await;
    let last = total.values().next().unwrap().last().unwrap().0;
    assert_eq!(last, Some((0..250).map(|n| f64::from(n * 100 + 10)).sum()));
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_never_gets_the_answer_of_another_one() {
    let folder = testkit::folder();
    let pipeline = Pipeline::start(folder.path()).await;
    pipeline.load(&lines(2), "servers.*.cpu", 2).await;
    for _ in 0..3 {
        for name in ["servers.web0.cpu", "servers.web1.cpu"] {
            // Asked without `noCache`, so that answers may come from a cache.
            let path = format!("/render?format=json&target={name}&from={}&until={NOW}", NOW - 600);
            let (_, body) = pipeline.get(&path).await;
            let other = if name.contains("web0") { "web1" } else { "web0" };
            assert!(body.contains(name) && !body.contains(other), "{body}");
        }
    }
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_copies_that_differ_give_one_answer_and_are_told_of() {
    let folder = testkit::folder();
    let pipeline = Pipeline::start(folder.path()).await;
    // Each node is told a value of its own, past the relay.
    for (value, node) in pipeline.cluster.nodes().iter().enumerate() {
        let lines = [format!("a.b {value} {NOW}")];
        send_lines(node.address("line").unwrap(), &lines).await;
    }
    let divergent = || {
        let text = pipeline.cluster.zipper().context.metrics.prometheus();
        let lines =
            text.lines().filter(|l| l.starts_with("plumbago_zipper_divergent_points_total{"));
        lines.count()
    };
    wait_until_async("the four values to be seen", PATIENCE, async || {
        pipeline.render("a.*").await;
        (divergent() == 6).then_some(())
    })
    .await;
    let first = pipeline.render("a.*").await;
    for _ in 0..12 {
        assert_eq!(pipeline.render("a.*").await, first);
        assert_eq!(pipeline.render("a.b").await, first, "the pattern and the name agree");
    }
    let admin = pipeline.cluster.zipper().address("admin").unwrap();
    let report = testkit::ask(admin, "GET", "/admin/divergence", "", b"").await;
    let report: serde_json::Value = serde_json::from_str(report.text()).unwrap();
    assert_eq!(report["pairs"][0]["samples"][0]["series"], "a.b", "{report}");
    assert_eq!(report["pairs"][0]["samples"][0]["slot_s"], NOW);
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_says_what_it_lacks_and_nothing_is_nothing_when_that_is_known() {
    let folder = testkit::folder();
    let mut pipeline = Pipeline::start(folder.path()).await;
    pipeline.load(&lines(40), "servers.*.cpu", 40).await;
    pipeline.cluster.stop_node(1, STOP).await.unwrap();
    let nothing = format!("/render?format=json&target=no.such&from={}&until={NOW}", NOW - 600);
    let answer = pipeline.ask("GET", &nothing, "", b"").await;
    assert_eq!((answer.status, answer.text()), (200, "[]"), "the other copy knows");
    assert_eq!(answer.header("x-plumbago-partial"), None);

    pipeline.cluster.stop_node(2, STOP).await.unwrap();
    let window = format!("from={}&until={NOW}", NOW - 600);
    for path in [
        format!("/render?format=json&target=servers.*.cpu&{window}"),
        "/metrics/find?query=servers.*".to_owned(),
    ] {
        let answer = pipeline.ask("GET", &path, "", b"").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let marked = answer.header("x-plumbago-partial").unwrap_or_default();
        assert!(!marked.is_empty(), "{path} lacks a part of the ring");
        let path = format!("{path}&partial=deny");
        let answer = pipeline.ask("GET", &path, "", b"").await;
        answer.refused(&[503], "partial");
    }
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_for_ten_minutes_makes_no_hole_while_it_is_refilled() {
    let folder = testkit::folder();
    let mut pipeline = Pipeline::start(folder.path()).await;
    pipeline.load(&lines(40), "servers.*.cpu", 40).await;
    pipeline.cluster.stop_node(1, STOP).await.unwrap();
    pipeline.clock.advance(std::time::Duration::from_secs(600));
    let until = NOW + 600;
    // New series too: the node that is away has never heard of them.
    let later: Vec<String> = lines(60)
        .iter()
        .map(|line| {
            let (head, time) = line.rsplit_once(' ').unwrap();
            format!("{head} {}", time.parse::<i64>().unwrap() + 600)
        })
        .collect();
    send_lines(pipeline.cluster.line(), &later).await;
    let all = "target=servers.*.cpu";
    let is_whole = |series: &Series| {
        series.len() == 60 && series.values().flatten().all(|(value, _)| value.is_some())
    };
    let whole = wait_until_async("the points to be readable", PATIENCE, async || {
        Some(pipeline.render_until(all, until).await).filter(is_whole)
    })
    .await;
    pipeline.cluster.start_node(1).await.unwrap();
    let names = exact(60);
    wait_until_async("the backlog to reach the node", PATIENCE, async || {
        assert_eq!(pipeline.render_until(all, until).await, whole);
        assert_eq!(pipeline.render_until(&names, until).await, whole);
        let metrics = &pipeline.cluster.relay().context.metrics;
        (metrics.value("plumbago_relay_backlog_lines", &["node-2"]) == Some(0.0)).then_some(())
    })
    .await;
    assert_eq!(pipeline.render_until(&names, until).await, whole);
    pipeline.stop().await;
}
