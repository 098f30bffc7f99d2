//! The life of points: in memory, in files, over a stop; and of the node itself.

use std::time::Duration;

use metric::SeriesData;
use testkit::send_lines_and_wait_for_close;
use whisper::{OnExisting, Spec, Whisper, parse_retentions};
use wire::reply::{Format, decode_render};

use crate::harness::{CAPS, NOW, Node, file, file_of, node, try_start, values};

fn known(series: &SeriesData) -> Vec<(i64, f64)> {
    let times = (0..).map(|slot| series.start + slot * series.step);
    times.zip(series.values.iter().copied()).filter(|(_, value)| !value.is_nan()).collect()
}

type Known = Vec<(i64, f64)>;

/// All of a series that can be compared: a value that is not known equals nothing.
fn shape(series: &[SeriesData]) -> Vec<(String, i64, i64, i64, Known)> {
    let one = |s: &SeriesData| (s.name.clone(), s.start, s.stop, s.step, known(s));
    series.iter().map(one).collect()
}

fn last_hour() -> String {
    format!("from={}&until={NOW}", NOW - 3600)
}

#[tokio::test]
async fn lines_are_found_and_rendered_at_once_and_then_from_the_file() {
    let (node, folder) = node(&[]).await;
    node.send(&[format!("a.b 1.5 {}", NOW - 60), format!("a.b 2.5 {NOW}"), "a.c 7 -1".to_owned()])
        .await;
    let found = node.get("/metrics/find/?query=a.*").await.json();
    let path = |name: &str| serde_json::json!({"path": name, "isLeaf": true});
    assert_eq!(found["metrics"][0]["matches"], serde_json::json!([path("a.b"), path("a.c")]));

    let query = format!("target=a.b&{}", last_hour());
    let waiting = node.render(&query, Format::V3).await;
    let slot = NOW - NOW % 60;
    assert_eq!(known(&waiting.series[0]), [(slot - 60, 1.5), (slot, 2.5)]);
    assert_eq!(waiting.series[0].start, (NOW - 3600) - (NOW - 3600) % 60 + 60, "slot after from");
    assert!(!file_of(&folder, "a.b").exists());
    node.check_ledger(&[]);

    assert_eq!(node.flush().await["points"], 3);
    let written = node.render(&query, Format::V3).await.series;
    assert_eq!(shape(&written), shape(&waiting.series));
    let file = Whisper::open(std::fs::File::open(file_of(&folder, "a.b")).unwrap()).unwrap();
    let fetched = file.fetch(NOW - 3600, NOW, NOW, None).unwrap().unwrap();
    let values: Vec<f64> = fetched.values().map(|value| value.unwrap_or(f64::NAN)).collect();
    let same = values.iter().zip(&waiting.series[0].values);
    assert!(same.clone().all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()));
    node.check_ledger(&[]);
    assert_eq!(node.number("points_written_total", &[]), 3.0);
    node.stop().await;
}

#[tokio::test]
async fn a_stop_writes_what_waits_and_a_restart_serves_the_same() {
    let (first, folder) = node(&[]).await;
    first.send(&[format!("a.b 1 {NOW}"), format!("disk;rack=1 2 {NOW}")]).await;
    let query = format!("target=a.b&target=disk;rack%3D1&{}", last_hour());
    let before = shape(&first.render(&query, Format::V3).await.series);
    assert_eq!(before.len(), 2);
    first.stop().await;
    assert!(file_of(&folder, "a.b").exists() && file_of(&folder, "disk;rack=1").exists());

    let second = try_start(folder.path(), &[]).await.unwrap();
    assert_eq!(shape(&second.render(&query, Format::V3).await.series), before);
    let found = second.get("/tags/findSeries?expr=rack%3D1").await.json();
    assert_eq!(found, serde_json::json!(["disk;rack=1"]));
    second.stop().await;
}

#[tokio::test]
async fn coarse_archives_show_points_that_are_not_written() {
    let (schemas, folder) = (testkit::folder(), testkit::folder());
    let schemas = file(&schemas, "schemas.conf", "[a]\npattern=.*\nretentions=60s:1h,300s:1d\n");
    let node = try_start(folder.path(), &[("schemas", &schemas)]).await.unwrap();
    let lines: Vec<String> = (0..50).map(|m| format!("a {m} {}", NOW - 60 * m)).collect();
    node.send(&lines).await;
    let query = format!("target=a&from={}&until={NOW}", NOW - 7200);
    let waiting = node.render(&query, Format::V3).await.series;
    assert_eq!(waiting[0].step, 300);
    assert!(known(&waiting[0]).len() >= 9, "{:?}", known(&waiting[0]));
    node.flush().await;
    let written = node.render(&query, Format::V3).await.series;
    assert_eq!(known(&waiting[0]), known(&written[0]));
    node.stop().await;
}

#[tokio::test]
async fn an_unreadable_file_is_named_in_the_answer_then_set_aside_and_no_point_is_lost() {
    let (node, folder) = node(&[]).await;
    let path = file_of(&folder, "a.b");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, b"no whisper file").unwrap();
    node.send(&[format!("a.b 1 {NOW}"), format!("a.c 2 {NOW}")]).await;

    let query = format!("target=a.*&{}", last_hour());
    let reply = node.render(&query, Format::V3).await;
    let names: Vec<&str> = reply.series.iter().map(|series| &*series.name).collect();
    assert_eq!(names, ["a.c"]);
    let meta = reply.meta.unwrap();
    assert!(meta.partial && meta.notes[0].contains("a/b.wsp"), "{meta:?}");
    let answer = node.get(&format!("/render?{query}")).await;
    assert!(answer.head.contains("x-plumbago-partial"), "{}", answer.head);

    node.flush().await;
    assert_eq!(node.number("files_set_aside_total", &[]), 1.0);
    assert!(folder.path().join("aside").read_dir().unwrap().next().is_some());
    let reply = node.render(&query, Format::V3).await;
    assert_eq!((reply.series.len(), reply.meta.unwrap().partial), (2, false));
    node.check_ledger(&[]);
    node.stop().await;
}

#[tokio::test]
async fn a_folder_in_use_is_refused_and_free_after_the_stop() {
    let (first, folder) = node(&[]).await;
    let refused = try_start(folder.path(), &[]).await.err().unwrap().to_string();
    assert!(refused.starts_with("data folder ") && refused.contains("in use"), "{refused}");
    first.stop().await;
    try_start(folder.path(), &[]).await.unwrap().stop().await;
}

#[tokio::test]
async fn a_reload_gives_new_series_new_archives_and_a_bad_file_changes_nothing() {
    let (config, folder) = (testkit::folder(), testkit::folder());
    let schemas = file(&config, "schemas.conf", "[a]\npattern=.*\nretentions=60s:1h\n");
    let node = try_start(folder.path(), &[("schemas", &schemas)]).await.unwrap();
    let values = values(folder.path(), &[("schemas", &schemas)]);
    let step = async |node: &Node, name: &str| {
        node.send(&[format!("{name} 1 {NOW}")]).await;
        let info = node.get(&format!("/info?target={name}")).await.json();
        info["metrics"][0]["retentions"][0]["secondsPerPoint"].as_str().unwrap().to_owned()
    };
    assert_eq!(step(&node, "a").await, "60");
    file(&config, "schemas.conf", "[a]\npattern=.*\nretentions=never\n");
    let faults = node.running.reload(&values).unwrap_err();
    assert!(faults[0].to_string().contains("schemas.conf:3"), "{faults:?}");
    assert_eq!(step(&node, "b").await, "60");
    file(&config, "schemas.conf", "[a]\npattern=.*\nretentions=10s:1h\n");
    node.running.reload(&values).unwrap();
    assert_eq!(step(&node, "c").await, "10");
    node.stop().await;
}

#[tokio::test]
async fn a_file_that_was_copied_in_is_found_after_a_walk() {
    let (node, folder) = node(&[]).await;
    let path = file_of(&folder, "copied.in");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let spec = Spec::new(parse_retentions("60s:1d").unwrap());
    whisper::create(&path, &spec, OnExisting::Refuse).unwrap();
    assert_eq!(node.get("/info?target=copied.in").await.status, 404);
    let report = node.request("admin", "POST /admin/scan", &[], b"").await.json();
    assert_eq!((report["added"].as_u64(), report["complete"].as_bool()), (Some(1), Some(true)));
    assert_eq!(node.get("/info?target=copied.in").await.status, 200);
    assert_eq!(node.number("files_discovered_total", &[]), 1.0);
    node.stop().await;
    // Without the index, the walk that begins at every start finds it.
    std::fs::remove_dir_all(folder.path().join("index")).unwrap();
    let node = try_start(folder.path(), &[("scan_interval", "1h")]).await.unwrap();
    testkit::wait_until_async("the walk", testkit::PATIENCE, async || {
        (node.number("files_discovered_total", &[]) == 1.0).then_some(())
    })
    .await;
    assert_eq!(node.get("/info?target=copied.in").await.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn a_silent_series_is_pruned_from_patterns_and_never_from_exact_names() {
    let (node, _folder) = node(&[]).await;
    node.send(&[format!("a.old 1 {NOW}")]).await;
    node.clock.advance(Duration::from_secs(3 * 86_400));
    let later = NOW + 3 * 86_400;
    node.send(&[format!("a.new 1 {later}")]).await;
    let window = format!("from={}&until={later}", later - 3600);
    let reply = node.render(&format!("target=a.*&{window}"), Format::V3).await;
    let names: Vec<&str> = reply.series.iter().map(|series| &*series.name).collect();
    assert_eq!((names, reply.meta.unwrap().series_pruned), (vec!["a.new"], 1));
    let exact = node.render(&format!("target=a.old&{window}"), Format::V3).await;
    assert_eq!(exact.series.len(), 1);
    let found = node.get(&format!("/metrics/find?query=a.*&{window}")).await.json();
    assert_eq!(found["metrics"][0]["matches"].as_array().unwrap().len(), 1);
    node.stop().await;
}

/// Pods that have been dead for a week beside some that live.
#[tokio::test]
async fn what_has_died_costs_a_search_nothing_however_much_of_it_there_is() {
    const WEEK_S: u64 = 7 * 86_400;
    let (node, _folder) = node(&[]).await;
    let line = |pod: usize| format!("pods.p{pod:04}.cpu 1 -1");
    node.send(&(0..2_020).map(line).collect::<Vec<_>>()).await;
    node.clock.advance(Duration::from_secs(WEEK_S));
    node.send(&(0..2_020).step_by(101).map(line).collect::<Vec<_>>()).await;
    let until = NOW + WEEK_S.cast_signed();
    let window = format!("from={}&until={until}", until - 4 * 3600);
    let reply = node.render(&format!("target=pods.*.cpu&{window}"), Format::V3).await;
    assert_eq!(reply.series.len(), 20);
    let meta = reply.meta.unwrap();
    assert_eq!((meta.index_nodes_visited, meta.series_pruned), (1 + 2 * 20, 2_000));
    let counted = ["series_read_total", "index_nodes_visited_total", "series_pruned_total"];
    let counted = counted.map(|what| node.number(what, &[]));
    assert_eq!(counted, [20.0, meta.index_nodes_visited as f64, 2_000.0]);
    let found = node.get(&format!("/metrics/find?query=pods.*&{window}")).await.json();
    assert_eq!(found["metrics"][0]["matches"].as_array().unwrap().len(), 20);
    node.stop().await;
}

#[tokio::test]
async fn pickles_udp_and_lines_end_in_the_same_place() {
    let (node, _folder) = node(&[]).await;
    let socket = tokio::net::UdpSocket::bind(testkit::ANY_PORT).await.unwrap();
    let line = node.running.address("line").unwrap();
    socket.send_to(format!("u 1 {NOW}\n").as_bytes(), line).await.unwrap();
    let mut frame = Vec::new();
    let pickle = format!("(lp0\n(S'p'\n(I{NOW}\nF2.5\ntp1\ntp2\na.");
    wire::framing::write_frame(&mut frame, |out| out.extend_from_slice(pickle.as_bytes())).unwrap();
    let mut stream =
        tokio::net::TcpStream::connect(node.running.address("pickle").unwrap()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &frame).await.unwrap();
    drop(stream);
    send_lines_and_wait_for_close(line, &[format!("l 3 {NOW}")]).await;
    testkit::wait_until_async("three points", testkit::PATIENCE, async || {
        (node.number("points_pending", &[]) == 3.0).then_some(())
    })
    .await;
    let reply = node.render(&format!("target=*&{}", last_hour()), Format::V3).await;
    let last = |series: &SeriesData| (series.name.clone(), known(series).last().unwrap().1);
    let values: Vec<(String, f64)> = reply.series.iter().map(last).collect();
    let expected = [("l", 3.0), ("p", 2.5), ("u", 1.0)].map(|(name, v)| (name.to_owned(), v));
    assert_eq!(values, expected);
    node.stop().await;
}

#[tokio::test]
async fn a_node_says_of_what_time_points_may_be_missing() {
    let (first, folder) = node(&[]).await;
    assert_eq!(first.admin("/admin/holes").await, serde_json::json!([]));
    first.send(&[format!("a.b 1 {NOW}")]).await;
    first.stop().await;
    let alive = folder.path().join("index/alive");
    assert_eq!(std::fs::read_to_string(&alive).unwrap().trim(), NOW.to_string());
    // As a death a hundred seconds ago leaves it.
    std::fs::write(&alive, (NOW - 100).to_string()).unwrap();
    let second = try_start(folder.path(), &[]).await.unwrap();
    let hole = serde_json::json!([{"from": NOW - 100, "until": NOW}]);
    while second.admin("/admin/holes").await != hole {
        tokio::task::yield_now().await;
    }
    let touched = |from: i64, until: i64| format!("/render?target=a.b&from={from}&until={until}");
    let answer = second.get(&(touched(NOW - 300, NOW) + "&format=carbonapi_v3_pb")).await;
    let header = format!("x-plumbago-holes: {}-{NOW}\r\n", NOW - 100);
    assert!(answer.head.contains(&header), "{}", answer.head);
    let reply = decode_render(Format::V3, &answer.body, CAPS).unwrap();
    let holes = reply.meta.unwrap().holes;
    assert_eq!(holes, [wire::pb_v3::Hole { from_s: NOW - 100, until_s: NOW }]);
    // Relays may need as long again to send what they have kept, of whatever time.
    for (now, is_told) in [(NOW + 99, true), (NOW + 100, false)] {
        let before = touched(NOW - 300, NOW - 101);
        let answer = second.get(&format!("{before}&now={now}&format=json")).await;
        assert_eq!(answer.head.contains("holes"), is_told, "{}", answer.head);
    }
    second.stop().await;
}
