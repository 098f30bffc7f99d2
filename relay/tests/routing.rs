//! Rules and clusters between real sockets, and a reload that disturbs nobody who stays.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use daemon::settings::{Command, Sources, load};
use daemon::{Context, Running, Values};
use plumbago_relay::{METRICS, SETTINGS, start};
use testkit::{ANY_PORT, LineSink, PATIENCE, closed_address, send_lines, wait_until_async};

const STOP: Duration = Duration::from_secs(10);

const LISTENERS: &str = "line = ['127.0.0.1:0']\npickle = ['127.0.0.1:0']\nadmin = '127.0.0.1:0'\n";

/// Settings from a file with this text below the listeners.
fn settings(folder: &Path, text: &str) -> Values {
    let path = folder.join("relay.toml");
    std::fs::write(&path, format!("{LISTENERS}{text}")).unwrap();
    let arguments = ["--config".to_owned(), path.to_str().unwrap().to_owned()];
    let sources =
        Sources { daemon: "relay", table: SETTINGS, arguments: &arguments, environment: &[] };
    match load(sources) {
        Ok(Command::Run(values)) => values,
        other => panic!("{other:?}"),
    }
}

async fn run(values: Values) -> (Running, SocketAddr) {
    let running = start(values, Context::new("relay", METRICS)).await.unwrap();
    let line = running.address("line").unwrap();
    (running, line)
}

fn value(running: &Running, name: &str, labels: &[&str]) -> Option<f64> {
    running.context.metrics.value(name, labels)
}

fn lines(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[tokio::test]
async fn rules_rewrite_drop_and_send_and_each_hit_is_counted() {
    let folder = testkit::folder();
    let (store, spare) = (LineSink::start(ANY_PORT), LineSink::start(ANY_PORT));
    let file = folder.path().join("audit.lines");
    let text = format!(
        "[clusters.default]\ntype = 'forward'\nnode = ['{}']\n\
         [clusters.spare]\ntype = 'forward'\nnode = ['{}']\n\
         [clusters.audit]\ntype = 'file'\npath = ['{}']\n\
         [[rule]]\nname = 'noise'\nmatch = {{ contains = '.debug.' }}\ndrop = true\n\
         [[rule]]\nname = 'domain'\nmatch = {{ regex = '^(\\w+)\\.example\\.' }}\nrewrite = '\\1.'\n\
         [[rule]]\nname = 'audited'\nmatch = {{ prefix = 'pay.' }}\nsend = ['spare', 'audit']\nstop = true\n",
        store.address(),
        spare.address(),
        file.display()
    );
    let (running, line) = run(settings(folder.path(), &text)).await;
    let sent = lines(&[
        "web.example.cpu 1.50 1700000000",
        "web.debug.x 1 1700000000",
        "pay.total 2 1700000000",
        "pay.example.total 3e2 1700000000",
    ]);
    send_lines(line, &sent).await;
    assert_eq!(store.wait_for(1).await, ["web.cpu 1.50 1700000000"]);
    let audited = ["pay.total 2 1700000000", "pay.total 3e2 1700000000"];
    assert_eq!(spare.wait_for(2).await, audited);
    let counts = [("noise", 1.0), ("domain", 2.0), ("audited", 2.0)];
    for (rule, count) in counts {
        assert_eq!(
            value(&running, "plumbago_relay_rule_hits_total", &[rule]),
            Some(count),
            "{rule}"
        );
    }
    assert_eq!(value(&running, "plumbago_relay_cluster_lines_total", &["audit"]), Some(2.0));
    assert_eq!(value(&running, "plumbago_relay_lines_dropped_total", &["rule"]), Some(1.0));
    running.stop(STOP).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), audited.map(|l| format!("{l}\n")).concat());
}

#[tokio::test]
async fn a_reload_keeps_connections_of_nodes_that_stay_and_queues_of_those_that_are_away() {
    let folder = testkit::folder();
    let (stays, comes) = (LineSink::start(ANY_PORT), LineSink::start(ANY_PORT));
    let away = closed_address();
    let node = stays.address().to_string();
    let before = format!(
        "[clusters.default]\ntype = 'forward'\nnode = ['{node}', '{away}']\n\
         [[rule]]\nname = 'old'\nmatch = {{ prefix = 'x.' }}\ndrop = true\n"
    );
    let (running, line) = run(settings(folder.path(), &before)).await;
    send_lines(line, &lines(&["a 1 1700000000"])).await;
    assert_eq!(stays.wait_for(1).await, ["a 1 1700000000"]);

    let after = format!(
        "[clusters.default]\ntype = 'forward'\nnode = ['{node}', '{away}', '{}']\n",
        comes.address()
    );
    running.reload(&settings(folder.path(), &after)).unwrap();
    send_lines(line, &lines(&["x.b 2 1700000000"])).await;
    assert_eq!(comes.wait_for(1).await, ["x.b 2 1700000000"]);
    assert_eq!(stays.wait_for(2).await, ["a 1 1700000000", "x.b 2 1700000000"]);
    assert_eq!(value(&running, "plumbago_relay_connects_total", &[&node]), Some(1.0));
    assert_eq!(value(&running, "plumbago_relay_backlog_lines", &[&away]), Some(2.0));
    assert_eq!(value(&running, "plumbago_relay_rule_hits_total", &["old"]), None);

    let gone = format!("[clusters.default]\ntype = 'forward'\nnode = ['{node}', '{away}']\n");
    running.reload(&settings(folder.path(), &gone)).unwrap();
    send_lines(line, &lines(&["c 3 1700000000"])).await;
    assert_eq!(stays.wait_for(3).await.len(), 3);
    let back = LineSink::start(&away);
    assert_eq!(back.wait_for(3).await, ["a 1 1700000000", "x.b 2 1700000000", "c 3 1700000000"]);
    assert_eq!(comes.lines(), ["x.b 2 1700000000"]);
    running.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn a_reload_with_a_fault_changes_nothing_and_says_where() {
    let folder = testkit::folder();
    let sink = LineSink::start(ANY_PORT);
    let good = format!("[clusters.default]\ntype = 'forward'\nnode = ['{}']\n", sink.address());
    let (running, line) = run(settings(folder.path(), &good)).await;
    for bad in [
        "[clusters.default]\ntype = 'forward'\nnode = ['other:1']\n[[rule]]\nsend = 'nobody'\n",
        "[clusters.default]\ntype = 'file'\npath = ['/no/such/folder/x']\n",
    ] {
        let faults = running.reload(&settings(folder.path(), bad)).unwrap_err();
        assert!(faults[0].to_string().contains("relay.toml:"), "{faults:?}");
    }
    send_lines(line, &lines(&["a 1 1700000000"])).await;
    assert_eq!(sink.wait_for(1).await, ["a 1 1700000000"]);
    running.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn relays_that_stand_in_for_one_another_get_the_lines_of_one_that_dies() {
    let folder = testkit::folder();
    let living = LineSink::start(ANY_PORT);
    let nodes = format!("['{}', '{}']", closed_address(), living.address());
    for kind in ["any_of", "failover"] {
        let text = format!("[clusters.default]\ntype = '{kind}'\nnode = {nodes}\n");
        let (running, line) = run(settings(folder.path(), &text)).await;
        let before = living.lines().len();
        let sent: Vec<String> = (0..200).map(|i| format!("{kind}.web{i} 1 1700000000")).collect();
        send_lines(line, &sent).await;
        wait_until_async("every line to reach the one that lives", PATIENCE, async || {
            (living.lines().len() == before + sent.len()).then_some(())
        })
        .await;
        running.stop(STOP).await.unwrap();
    }
}

#[tokio::test]
async fn results_of_aggregates_go_through_the_rules_or_to_the_cluster_named_and_a_stop_sends_them()
{
    let folder = testkit::folder();
    let (store, totals) = (LineSink::start(ANY_PORT), LineSink::start(ANY_PORT));
    let text = format!(
        "[clusters.default]\ntype = 'forward'\nnode = ['{}']\n\
         [clusters.totals]\ntype = 'forward'\nnode = ['{}']\n\
         [[rule]]\nname = 'sums'\nmatch = {{ regex = '^web[0-9]+\\.cpu$' }}\nstop = true\n\
         aggregate = [{{ into = 'web.cpu.{{method}}', window = '1m', method = ['sum', 'count'] }},\n\
         {{ into = 'total', window = '1m', method = 'max', send = 'totals' }}]\n\
         [[rule]]\nmatch = {{ suffix = '.count' }}\nrewrite = '.n'\n",
        store.address(),
        totals.address()
    );
    let (running, line) = run(settings(folder.path(), &text)).await;
    let sent = lines(&["web1.cpu 2 1700000040", "web2.cpu 5 1700000090", "db.cpu 1 1700000040"]);
    send_lines(line, &sent).await;
    assert_eq!(store.wait_for(1).await, ["db.cpu 1 1700000040"]);
    // The same rules again: the open windows stay.
    running.reload(&settings(folder.path(), &format!("{text}# the same\n"))).unwrap();
    running.stop(STOP).await.unwrap();
    let mut results = store.wait_for(3).await;
    results.sort();
    assert_eq!(
        results,
        ["db.cpu 1 1700000040", "web.cpu.n 2 1700000040", "web.cpu.sum 7 1700000040"]
    );
    assert_eq!(totals.wait_for(1).await, ["total 5 1700000040"]);
}

#[tokio::test]
async fn a_restart_rebuilds_open_windows_from_the_log() {
    let folder = testkit::folder();
    let sink = LineSink::start(ANY_PORT);
    let text = format!(
        "node = ['{}']\nlog = '{}'\n\
         [[rule]]\nname = 'sums'\nmatch = {{ regex = '^web[0-9]+\\.cpu$' }}\nstop = true\n\
         aggregate = {{ into = 'web.cpu.{{method}}', window = '1m', method = ['sum', 'median'] }}\n",
        sink.address(),
        folder.path().join("log").display(),
    );
    let values = settings(folder.path(), &text);
    for points in
        [&["web1.cpu 2 1700000040", "web2.cpu 3 1700000050"][..], &["web1.cpu 5 1700000060"]]
    {
        let (running, line) = run(values.clone()).await;
        send_lines(line, &lines(points)).await;
        wait_until_async("the points to count", PATIENCE, async || {
            let metric = "plumbago_relay_aggregate_points_received_total";
            (value(&running, metric, &["sums"]) == Some(points.len() as f64)).then_some(())
        })
        .await;
        running.stop(STOP).await.unwrap();
    }
    let (running, line) = run(values).await;
    // A point of a later minute ends the window.
    send_lines(line, &lines(&["web1.cpu 1 1700000300"])).await;
    let mut results = sink.wait_for(2).await;
    results.sort();
    assert_eq!(results, ["web.cpu.median 3 1700000040", "web.cpu.sum 10 1700000040"]);
    running.stop(STOP).await.unwrap();
}
