//! What is written is read by our daemons, and every key has a fate.

use daemon::settings::{Command, Sources, load};
use daemon::{Program, Values};

use super::*;

const GO_CARBON: &str = r#"
[common]
metric-interval = "1m0s"
max-cpu = 4
[whisper]
data-dir = "/srv/graphite/whisper"
schemas-file = ""
workers = 8
flock = true
compressed = false
[cache]
max-size = 1000000
[tcp]
listen = ":2003"
enabled = true
[udp]
listen = ":2003"
enabled = false
[pickle]
listen = ":2004"
[carbonlink]
enabled = false
[grpc]
enabled = false
listen = "127.0.0.1:7003"
[carbonserver]
listen = "127.0.0.1:8080"
scan-frequency = "0s"
max-creates-per-second = 10
trie-index = true
[receiver.kafka]
protocol = "kafka"
[[logging]]
level = "warn"
encoding = "json"
[made-up]
key = 1
"#;

const CARBONAPI: &str = r#"
listeners:
  - address: "127.0.0.1:8888"
  - address: "[::1]:8888"
prefix: "/graphite"
define:
  -
    name: "perMinute"
    template: "perSecond({{.argString}})|scale(60)"
cache:
  type: "memcache"
  size_mb: 100
  defaultTimeoutSec: 30
  memcachedServers: ["127.0.0.1:11211", "127.0.0.2:11211"]
tz: "UTC,0"
upstreams:
  slowLogThreshold: "2s"
  timeouts: {find: "2s", render: "10s", connect: "200ms"}
  backends: ["http://127.0.0.9:8080"]
  backendsv2:
    backends:
      - groupName: "one"
        lbMethod: "broadcast"
        servers: ["http://127.0.0.1:8081", "http://127.0.0.2:8081"]
      - groupName: "two"
        lbMethod: "rr"
        servers: ["http://127.0.0.3:8081"]
logger:
  - level: "debug"
"#;

/// The draft of a text, and its findings by key.
fn migrated(text: &str) -> Draft {
    let folder = testkit::folder();
    let path = folder.path().join("theirs");
    fs::write(&path, text).unwrap();
    draft(&path).unwrap()
}

/// What a daemon of ours makes of a file.
fn read(program: &Program, file: &File) -> Values {
    assert_eq!(file.program, format!("plumbago-{}", program.name));
    let folder = testkit::folder();
    write_new(&folder.path().join(file.name()), &file.text()).unwrap();
    let path = folder.path().join(file.name()).to_string_lossy().into_owned();
    let arguments = ["--config".to_owned(), path];
    let (daemon, table) = (program.name, program.settings);
    let loaded = load(Sources { daemon, table, arguments: &arguments, environment: &[] });
    let Command::Run(values) = loaded.unwrap() else { panic!("{}", file.text()) };
    (program.check)(&values).unwrap();
    values
}

fn fate(draft: &Draft, key: &str) -> Value {
    let report = draft.report();
    let finding = report.iter().find(|finding| finding["key"] == key);
    finding.unwrap_or_else(|| panic!("{key} is not reported"))["fate"].clone()
}

#[test]
fn a_storage_node_reads_what_go_carbon_had() {
    let draft = migrated(GO_CARBON);
    let [file] = draft.files.as_slice() else { panic!("one file") };
    let values = read(&carbon::PROGRAM, file);
    assert_eq!(values.path("data"), Path::new("/srv/graphite/plumbago"));
    assert_eq!(values.path("whisper"), Path::new("/srv/graphite/whisper"));
    assert_eq!(values.list("line"), [":2003"]);
    assert_eq!(values.list("pickle"), [":2004"]);
    assert_eq!(values.count("writer_threads"), 8);
    assert_eq!(values.count("max_creates_per_minute"), 600);
    assert_eq!(values.duration("scan_interval"), std::time::Duration::ZERO);
    assert_eq!(values.text("log_level"), "warn");
}

#[test]
fn every_key_has_a_fate_and_what_was_in_use_and_is_missing_is_said() {
    let draft = migrated(GO_CARBON);
    let left_out = ["whisper.flock", "receiver.kafka.protocol", "made-up.key"];
    for key in left_out {
        assert_eq!(fate(&draft, key), "left out", "{key}");
        assert!(draft.files[0].text().contains(&format!("# {key} = ")));
        assert!(draft.summary().contains(&format!("\nleft out: {key} = ")));
    }
    for key in ["whisper.compressed", "cache.max-size", "carbonserver.trie-index"] {
        assert_eq!(fate(&draft, key), "needless", "{key}");
    }
    assert!(draft.summary().contains(&format!("{} left out", left_out.len())));
}

#[test]
fn the_api_and_the_zipper_read_what_carbonapi_had() {
    let draft = migrated(CARBONAPI);
    let [api, zipper] = draft.files.as_slice() else { panic!("two files") };
    let values = read(&api::PROGRAM, api);
    assert_eq!(values.address("listen"), "127.0.0.1:8888");
    assert_eq!(values.text("url_prefix"), "/graphite");
    assert_eq!(values.text("cache_server"), "memcached://127.0.0.1:11211");
    assert!(api.text().contains("left out: [::1]:8888"));
    assert_eq!(fate(&draft, "define.template"), "left out");
    let values = read(&zipper::PROGRAM, zipper);
    let nodes = ["http://127.0.0.1:8081", "http://127.0.0.2:8081", "http://127.0.0.3:8081"];
    assert_eq!(values.list("node"), nodes);
    assert_eq!(values.duration("connect_timeout"), std::time::Duration::from_millis(200));
}

#[test]
fn one_backend_needs_no_zipper() {
    let draft =
        migrated("listen: \"0.0.0.0:8081\"\nupstreams:\n  backends: [\"http://127.0.0.1:8080\"]\n");
    let [api] = draft.files.as_slice() else { panic!("one file") };
    assert_eq!(read(&api::PROGRAM, api).text("backend"), "http://127.0.0.1:8080");
}

#[test]
fn relays_are_imported_as_the_relay_does_it() {
    let draft =
        migrated("cluster a carbon_ch 10.0.0.1:2003 10.0.0.2:2003 ;\nmatch * send to a stop ;\n");
    let [file] = draft.files.as_slice() else { panic!("one file") };
    read(&relay::PROGRAM, file);
}

#[test]
fn another_file_is_refused_and_no_file_is_written_over() {
    let folder = testkit::folder();
    let path = folder.path().join("theirs");
    fs::write(&path, "what is this\n").unwrap();
    assert!(draft(&path).is_err());
    assert!(write_new(&path, "ours").is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "what is this\n");
}
