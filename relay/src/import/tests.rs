//! Other relays' configurations, written for these tests, and what names become under them.

use super::*;
use crate::explain::explain;
use crate::routes::Routes;
use crate::routes::tests::routes;

fn written(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Our text for a file of this name and text, which our own settings take.
fn imported(name: &str, text: &str) -> (String, Routes) {
    let folder = testkit::folder();
    let ours = import(&written(folder.path(), name, text)).unwrap();
    let routes = routes(&ours).unwrap_or_else(|faults| panic!("{faults:#?}\n{ours}"));
    (ours, routes)
}

/// The account of a name, a line a step, without the places of rules.
fn told(routes: &Routes, name: &str) -> Vec<String> {
    let mut out = Vec::new();
    explain(routes, name).write(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    text.lines().skip(1).map(|line| line.split(" (/").next().unwrap().trim().to_owned()).collect()
}

#[test]
fn statements_of_carbon_c_relay_keep_their_order_and_meaning() {
    let (ours, routes) = imported(
        "relay.conf",
        r"
# two stores, one spare
listen type linemode 2013 proto tcp 2013 proto udp /run/relay.sock proto unix;
listen type linemode transport lz4 mtls /etc/relay.pem protomin tls1.2 10.0.0.9:2023 proto tcp;
cluster store fnv1a_ch replication 2 10.0.0.1:2003 10.0.0.2:2003 10.0.0.3:2003;
cluster spare any_of 10.1.0.1 10.1.0.2:2004;
cluster audit file /var/log/audit.lines;
rewrite ^dc1\.([A-Z]+)\. into \_1.;
match ^secret\. send to blackhole;
match ^pay\. send to spare audit;
match ^tmp\. ^scratch\. send to spare stop;
match ^shard\.([^.]+)\..*$ route using \1 send to store stop;
match * send to store;
statistics submit every 30 seconds;
",
    );
    assert!(ours.contains("line = '0.0.0.0:2013'\npickle = []\nrouting_key = 'name'\n"), "{ours}");
    assert!(ours.contains("\n[[listener]]\naddress = 'unix:/run/relay.sock'\n"), "{ours}");
    let sealed = "\n# mtls: name the file of -C, if there was one, as tls_client_ca.\n\
        # protomin tls1.2: here TLS 1.2 and 1.3 with rustls' ciphers.\n\
        [[listener]]\naddress = '10.0.0.9:2023'\ncompression = 'lz4'\ntls_cert = '/etc/relay.pem'\n\
        tls_key = '/etc/relay.pem'\ntls_client_ca = '/etc/ssl/certs/ca-certificates.crt'\n";
    assert!(ours.contains(sealed), "{ours}");
    assert!(ours.contains("# statistics submit every 30 seconds:"), "{ours}");
    assert_eq!(told(&routes, "secret.x"), ["rule-2", "dropped"]);
    assert_eq!(told(&routes, "scratch.x")[0], "rule-4");
    assert_eq!(told(&routes, "scratch.x").len(), 2);
    let pay = told(&routes, "pay.total");
    assert!(pay[1].starts_with("to spare (any_of): 10.1.0."), "{pay:?}");
    assert_eq!(pay[2], "to audit (file): /var/log/audit.lines");
    assert!(pay[4].starts_with("to store (fnv1a_ch, position "), "{pay:?}");
    assert_eq!(told(&routes, "dc1.WEB.cpu")[1], "rewritten to web.cpu");
    let by = told(&routes, "shard.seven.cpu")[1].clone();
    assert!(by.starts_with("to store (fnv1a_ch, by seven, position "), "{by}");
    assert_eq!(by.split(": ").nth(1), told(&routes, "shard.seven.mem")[1].split(": ").nth(1));
}

#[test]
fn aggregates_of_carbon_c_relay_write_to_several_names() {
    let (_, routes) = imported(
        "relay.conf",
        r"
cluster default forward 127.0.0.1;
aggregate ^web[0-9]+\.(.+)$ ^none\.x$ ^web1\.(c.+)$
    every 10 seconds expire after 25 seconds timestamp at start of bucket
    compute sum write to web.sum.\1
    compute percentile99 write to web.p99.\\1
    send to default stop;
match * send to default stop;
",
    );
    assert_eq!(
        told(&routes, "web7.cpu"),
        [
            "rule-1",
            "aggregated into web.sum.cpu to default-cluster",
            "aggregated into web.p99.cpu to default-cluster"
        ]
    );
    assert_eq!(told(&routes, "none.x")[1], "to default-cluster (forward): 127.0.0.1:2003");
}

#[test]
fn servers_that_share_a_host_keep_their_places_on_the_ring() {
    let ring = |kind: &str| {
        format!("cluster a {kind} replication 2 h:1 h:2 h:3;\nmatch * send to a stop;\n")
    };
    for kind in ["fnv1a_ch", "jump_fnv1a_ch"] {
        let (_, routes) = imported("relay.conf", &ring(kind));
        let nodes: std::collections::BTreeSet<String> =
            (0..50).flat_map(|i| explain(&routes, &format!("web{i}")).receivers).collect();
        assert_eq!(nodes.len(), 3, "{kind}");
    }
    let ours = {
        let folder = testkit::folder();
        let text = ring("carbon_ch").replace("replication 2", "");
        import(&written(folder.path(), "relay.conf", &text)).unwrap()
    };
    assert!(ours.contains("# h:2 is left out"), "{ours}");
}

#[test]
fn files_are_included_by_pattern_and_faults_name_the_file() {
    let folder = testkit::folder();
    written(folder.path(), "part-1.conf", "match ^a send to blackhole;\n");
    written(folder.path(), "part-2.conf", "match ^b send to blackhole;\n");
    let text = "cluster x forward h:1;\ninclude part-[12].conf;\nmatch * send to x;\n";
    let ours = import(&written(folder.path(), "main.conf", text)).unwrap();
    assert_eq!(ours.matches("drop = true").count(), 2, "{ours}");

    written(folder.path(), "part-2.conf", "match ^b send to blackhole;\n\n  oops here;\n");
    let faults = import(&folder.path().join("main.conf")).unwrap_err();
    assert!(faults[0].place.ends_with("part-2.conf:3:3"), "{faults:?}");
    let circle = written(folder.path(), "circle.conf", "include circle.conf;\n");
    assert!(import(&circle).unwrap_err()[0].problem.contains("deep"));
    let missing = written(folder.path(), "missing.conf", "include nothing-*.conf;\n");
    assert!(import(&missing).unwrap_err()[0].problem.contains("no file is called"));
    let more = written(folder.path(), "more.conf", "cluster x carbon_ch replication 3 a:1 b:1;\n");
    assert!(import(&more).unwrap_err()[0].problem.contains("more than its 2 servers"));
}

#[test]
fn what_carbon_c_relay_can_say_and_we_cannot_is_left_as_a_comment() {
    let (ours, routes) = imported(
        "relay.conf",
        "cluster x forward h:1 transport gzip ssl;\n\
         match * validate ^[0-9]+ else drop;\n\
         match \"(?=a)b\" c send to x stop;\n\
         rewrite \"(?<!a)b\" into c;\n\
         match d stop;\n\
         match * send to x;\n",
    );
    for note in [
        "# h:1 had `gzip ssl`; here it gets plain lines over TCP.",
        "# match * validate ^[0-9]+:",
        "# match (?=a)b: the expression cannot be used here: look-around",
        "# rewrite (?<!a)b: the expression cannot be used here",
        "# match d: it does nothing",
    ] {
        assert!(ours.contains(note), "{note} not in\n{ours}");
    }
    assert_eq!(told(&routes, "c"), ["rule-1", "to x (forward): h:1"]);
}

#[test]
fn routes_of_carbon_relay_ng_become_clusters_and_rules() {
    let (ours, routes) = imported(
        "ng.toml",
        r#"
instance = "x"
listen_addr = "0.0.0.0:2003"
pickle_addr = "0.0.0.0:2013"
blocklist = ["prefix collectd.localhost", "regex ^foo\\..*\\.cpu+"]
[[rewriter]]
old = "zot"
new = "zop"
max = -1
[[rewriter]]
old = "/^a\\.([a-z]+)/"
new = "b.$1"
not = "keep"
[[aggregation]]
function = "percentiles"
prefix = "timers."
regex = "^timers\\.([^.]+)\\.(.*)$"
format = "totals.$1"
interval = 10
wait = 20
dropRaw = true
[[route]]
key = "ring"
type = "consistentHashing"
notPrefix = "local."
destinations = ["10.0.0.1:2003:a spool=true", "10.0.0.2:2003:b pickle=true"]
[[route]]
key = "split"
type = "sendFirstMatch"
destinations = ["h:1 prefix=x.", "h:2"]
[[route]]
key = "cloud"
type = "kafkaMdm"
[gcp]
x = 1
"#,
    );
    assert!(ours.contains("# route cloud: type kafkaMdm has no counterpart."), "{ours}");
    assert!(ours.contains("# 10.0.0.2:2003=b got pickles"), "{ours}");
    assert!(ours.contains("# `gcp` has no counterpart."), "{ours}");
    assert_eq!(told(&routes, "collectd.localhost.x")[1], "dropped");
    assert_eq!(told(&routes, "zot.zot")[1], "rewritten to zop.zop");
    assert_eq!(told(&routes, "a.x")[1], "rewritten to b.x");
    assert!(!told(&routes, "a.keep")[1].starts_with("rewritten"));
    assert_eq!(told(&routes, "timers.web.x")[1], "aggregated into totals.web.{method}");
    let both = told(&routes, "x.y");
    assert!(both[1].starts_with("to ring (carbon_ch, position "), "{both:?}");
    assert_eq!(both[3], "to split-1 (forward): h:1");
    assert_eq!(both.len(), 4);
    assert_eq!(told(&routes, "local.x"), ["rule-8", "to split-2 (forward): h:2"]);
}

#[test]
fn a_rule_based_relay_of_carbon_sends_by_the_first_pattern() {
    let folder = testkit::folder();
    written(
        folder.path(),
        "relay-rules.conf",
        "[collectd]\npattern = ^Collectd\\.\ndestinations = 10.0.0.1:2004:a, 10.0.0.2:2004:b\ncontinue = true\n\
         [web]\npattern = \\.web\\.\ndestinations = 10.0.0.3:2004\n\
         [default]\ndefault = true\ndestinations = 10.0.0.4:2004:a\n",
    );
    written(folder.path(), "blacklist.conf", "^noise\\.\n");
    written(folder.path(), "whitelist.conf", "\\.\n");
    written(folder.path(), "rewrite-rules.conf", "[pre]\n^old\\. = new.\n[post]\n_sum$ =\n");
    let text = "[cache]\nLINE_RECEIVER_PORT = 1\n[relay]\nLINE_RECEIVER_INTERFACE = 127.0.0.1\nLINE_RECEIVER_PORT = 2013\nPICKLE_RECEIVER_PORT = 2014\n\
         RELAY_METHOD = rules\nUSE_WHITELIST = True\n";
    let ours = import(&written(folder.path(), "carbon.conf", text)).unwrap();
    let routes = routes(&ours).unwrap();
    assert!(ours.contains("line = '127.0.0.1:2013'\npickle = '0.0.0.0:2014'\n"), "{ours}");
    assert_eq!(told(&routes, "noise.x")[1], "dropped");
    assert_eq!(told(&routes, "nodots")[1], "dropped");
    assert_eq!(
        told(&routes, "collectd.web.x"),
        [
            "collectd",
            "to collectd-nodes (forward): 10.0.0.1:2004 10.0.0.2:2004",
            "web",
            "to web-nodes (forward): 10.0.0.3:2004"
        ]
    );
    assert_eq!(told(&routes, "old.x")[1], "rewritten to new.x");
    assert_eq!(told(&routes, "a.b")[0], "to default (forward): 10.0.0.4:2004");
}

#[test]
fn an_aggregating_carbon_computes_its_rules_and_hashes_the_results() {
    let folder = testkit::folder();
    written(
        folder.path(),
        "aggregation-rules.conf",
        "# comment\n<env>.all.<<rest>> (60) = sum <env>.*.<<rest>>\n\
         total.<app> (10) = p999 app.<app>.*.time\nwhat is this\n",
    );
    let text = "[aggregator]\nLINE_RECEIVER_PORT = 2023\nDESTINATIONS = 127.0.0.1:2004:a, 127.0.0.1:2104:b\n\
         REPLICATION_FACTOR = 2\nRELAY_METHOD = consistent-hashing\nDIVERSE_REPLICAS = True\n";
    let ours = import(&written(folder.path(), "carbon.conf", text)).unwrap();
    let routes = routes(&ours).unwrap();
    assert!(ours.contains("replicas = 'diverse'\ncopies = 2\n"), "{ours}");
    assert!(ours.contains("method = 'p99.9'"), "{ours}");
    assert!(ours.contains("# aggregation not understood: what is this"), "{ours}");
    assert_eq!(told(&routes, "prod.web1.cpu.user")[1], "aggregated into prod.all.cpu.user");
    assert_eq!(told(&routes, "app.shop.web1.time")[3], "aggregated into total.shop");
}
