//! Death and full journals: what a sender was told is safe is in the answers and in the files.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread::park_timeout;
use std::time::Duration;

use testkit::{ANY_PORT, Batches, PATIENCE, Process, wait_until, wait_until_async};
use wire::reply::{Format, decode_render};

use crate::harness::{CAPS, NOW, file_of, node};

const LIVES: u64 = 20;
/// Rest of a sender between batches.
const PACE: Duration = Duration::from_millis(3);
const SERIES: i64 = 10;
/// The first timestamp; each batch is a slot further.
const BEGIN: i64 = 946_684_800;
const SLOT: i64 = 3600;

/// A storage node as a process of its own.
struct Node(Process);

impl Node {
    fn start(data: &Path, schemas: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plumbago-carbon"));
        command.arg("--data").arg(data).arg("--schemas").arg(schemas);
        let doors = ["--line", "--read", "--carbonlink", "--link", "--admin"];
        command.args(doors.iter().flat_map(|door| [door, ANY_PORT]));
        command.args(["--self-metrics-interval", "0s", "--scan-interval", "0s"]);
        command.args(["--stop-deadline", "1h"]); // however much other programs have written to the disk
        command.args(["--free-space-min", "0B", "--free-inodes-min", "0", "--log-format", "json"]);
        Self(Process::start(&mut command, doors.len()))
    }

    fn request(&self, door: &str, method_path: &str) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(self.0.addresses()[door]).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "{method_path} HTTP/1.0\r\nContent-Length: 0\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let body = answer.split_off(end + 4);
        let head = String::from_utf8(answer).unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
    }

    fn wait_until_ready(&self) {
        wait_until("the journal is read", PATIENCE, || {
            (self.request("admin", "GET /ready").0 == 200).then_some(())
        });
    }

    /// All that the node knows of a pattern in the slots of so many batches: series and slot.
    fn points(&self, pattern: &str, batches: i64) -> BTreeMap<(String, i64), f64> {
        let until = BEGIN + batches * SLOT;
        let format = Format::V3;
        let query = format!("target={pattern}&from={}&until={until}", BEGIN - SLOT);
        let path = format!("GET /render?{query}&format={}", format.name());
        let (status, body) = self.request("read", &path);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let mut points = BTreeMap::new();
        for series in decode_render(format, &body, CAPS).unwrap().series {
            let times = (0..).map(|slot| series.start + slot * series.step);
            let known = times.zip(&series.values).filter(|(_, value)| !value.is_nan());
            points.extend(known.map(|(time, value)| ((series.name.clone(), time), *value)));
        }
        points
    }

    fn number(&self, metric: &str) -> f64 {
        let text = String::from_utf8(self.request("admin", "GET /metrics").1).unwrap();
        let of = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            let name = name.split('{').next()?;
            (name == format!("plumbago_carbon_{metric}")).then(|| value.parse::<f64>().unwrap())
        };
        text.lines().filter_map(of).sum()
    }

    /// After a death the writers look after rollups: the books balance once none of them is between two numbers.
    fn check_ledger(&self) {
        wait_until("the ledger to balance", PATIENCE, || {
            let begun = self.number("points_received_total") + self.number("points_replayed_total");
            let ended = ["points_written_total", "points_superseded_total", "points_dropped_total"];
            let ended: f64 = ended.iter().map(|metric| self.number(metric)).sum();
            (begun == ended + self.number("points_pending")).then_some(())
        });
    }
}

/// The lines of a batch: the same series in a new slot, and one that is new.
fn batch(number: i64) -> Vec<(String, i64)> {
    let usual = (0..SERIES).map(|series| format!("usual.s{series}"));
    usual.chain([format!("fresh.b{number}")]).map(|name| (name, BEGIN + number * SLOT)).collect()
}

fn lines(number: i64) -> String {
    let lines = batch(number).into_iter().map(|(name, time)| format!("{name} {number} {time}\n"));
    lines.collect()
}

fn check(points: &BTreeMap<(String, i64), f64>, promised: &[i64], branch: &str, life: u64) {
    for &number in promised {
        for key in batch(number).into_iter().filter(|(name, _)| name.starts_with(branch)) {
            assert_eq!(points.get(&key), Some(&(number as f64)), "{key:?} after death {life}");
        }
    }
}

#[test]
fn what_a_sender_was_told_survives_twenty_deaths_at_any_moment() {
    let (config, data) = (testkit::folder(), testkit::folder());
    let schemas = config.path().join("schemas.conf");
    std::fs::write(&schemas, "[all]\npattern=.*\nretentions=3600s:60y\n").unwrap();
    let batches = Batches::default();
    let mut promised: Vec<i64> = Vec::new();
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    for life in 0..LIVES {
        let node = Node::start(data.path(), &schemas);
        // Not ready yet, perhaps; it answers and takes points all the same.
        assert_eq!(node.request("read", "GET /metrics/find?query=*").0, 200);
        batches.send_while(node.0.addresses()["line"], PACE, lines, || {
            if life > 0 {
                node.wait_until_ready();
                check(&node.points("usual.*", batches.begun()), &promised, "usual", life);
            }
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            park_timeout(Duration::from_millis(5 + random % 60));
            drop(node);
        });
        // Also those of the last moment: the kernel resets the connections of a node that dies.
        promised.extend(batches.take_confirmed());
    }
    assert!(promised.len() >= 20, "{} batches", promised.len());
    let node = Node::start(data.path(), &schemas);
    node.wait_until_ready();
    check(&node.points("*.*", batches.begun()), &promised, "", LIVES);
    println!("{LIVES} deaths, {} points", promised.len() * (SERIES as usize + 1));
    node.check_ledger();
    assert_eq!(node.request("admin", "POST /admin/flush").0, 200);
    node.check_ledger();
    for &number in &promised {
        for (name, time) in batch(number) {
            let file = std::fs::File::open(file_of(&data, &name)).unwrap();
            let file = whisper::Whisper::open(file).unwrap();
            let fetched = file.fetch(time - 1, time, time + SLOT, None).unwrap().unwrap();
            assert!(fetched.values().any(|value| value == Some(number as f64)), "{name} {time}");
        }
    }
    node.0.stop();
    let left = std::fs::read_dir(data.path().join("journal")).unwrap().count();
    assert_eq!(left, 0, "segments after a stop");
}

#[tokio::test]
async fn a_long_journal_is_shortened_by_writing_files_before_their_time() {
    let limits = [
        ("journal_bytes_max", "64KiB"),
        ("journal_segment_bytes", "4KiB"),
        ("stop_deadline", "1h"), // however much other programs have written to the disk
    ];
    let (node, folder) = node(&limits).await;
    for minute in 0..80 {
        let time = NOW - 60 * minute;
        let lines: Vec<String> = (0..200).map(|s| format!("s{s} {}.{s} {time}", minute)).collect();
        node.send(&lines).await;
    }
    wait_until_async("a short journal", PATIENCE, async || {
        (node.number("journal_bytes", &[]) <= 40.0 * 1024.0).then_some(())
    })
    .await;
    assert!(node.number("points_written_total", &[]) > 0.0);
    assert!(node.number("updates_hurried_total", &[]) > 0.0);
    node.check_ledger(&[]);
    node.stop().await;
    assert_eq!(folder.path().join("journal").read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn a_series_whose_file_was_deleted_does_not_come_back() {
    let (first, folder) = node(&[]).await;
    first.send(&[format!("a 1 {NOW}"), format!("b 2 {NOW}")]).await;
    first.flush().await;
    std::fs::remove_file(file_of(&folder, "a")).unwrap();
    first.request("admin", "POST /admin/scan", &[], b"").await.json();
    first.send(&[format!("c 3 {NOW}")]).await;
    // A copy of the folder at this moment is what a death would leave.
    let copy = testkit::folder();
    copy_tree(folder.path(), copy.path());
    first.stop().await;
    let second = crate::harness::try_start(copy.path(), &[]).await.unwrap();
    let names = second.get("/metrics/index.json").await.json();
    assert_eq!(names, serde_json::json!(["b", "c"]));
    second.check_ledger(&["series_deleted"]);
    second.stop().await;
}

#[tokio::test]
async fn a_series_deleted_by_name_is_gone_from_answers_files_and_journal() {
    let (first, folder) = node(&[]).await;
    first.send(&[format!("d;x=1 1 {NOW}"), format!("d;x=2 2 {NOW}"), format!("e 3 {NOW}")]).await;
    first.flush().await;
    first.send(&[format!("d;x=1 4 {}", NOW - 60), format!("waits 5 {NOW}")]).await;
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let names = b"path=d%3Bx%3D1&path=waits&path=nosuch";
    let deleted = first.request("read", "POST /tags/delSeries", &form, names).await;
    assert_eq!(deleted.json(), serde_json::json!({ "deleted": 2 }));
    assert!(!file_of(&folder, "d;x=1").exists() && file_of(&folder, "d;x=2").exists());
    assert_eq!(first.get("/tags/delSeries?path=e").await.status, 405);
    // A copy of the folder at this moment is what a death would leave.
    let copy = testkit::folder();
    copy_tree(folder.path(), copy.path());
    let second = crate::harness::try_start(copy.path(), &[]).await.unwrap();
    for node in [&first, &second] {
        let names = node.get("/metrics/index.json").await.json();
        assert_eq!(names, serde_json::json!(["d;x=2", "e"]));
        let values = node.get("/tags/autoComplete/values?tag=x").await.json();
        assert_eq!(values, serde_json::json!(["2"]));
    }
    first.send(&[format!("d;x=1 6 {NOW}")]).await;
    let query = format!("target=d%3Bx%3D1&from={}&until={NOW}", NOW - 120);
    let again = first.render(&query, Format::V3).await.series;
    let values: Vec<f64> = again[0].values.iter().copied().filter(|v| !v.is_nan()).collect();
    assert_eq!(values, [6.0], "a new series of the old name has none of its points");
    first.check_ledger(&["series_deleted"]);
    second.check_ledger(&["series_deleted"]);
    first.stop().await;
    second.stop().await;
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    for entry in from.read_dir().unwrap() {
        let entry = entry.unwrap();
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&copy).unwrap();
            copy_tree(&path, &copy);
        } else {
            std::fs::copy(&path, &copy).unwrap();
        }
    }
}
