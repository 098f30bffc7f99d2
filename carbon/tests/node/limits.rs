//! What a stranger sends is refused in one line, and counted.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{NOW, file, node, try_start};

#[tokio::test]
async fn bad_requests_get_one_line_that_says_why() {
    let (node, _folder) = node(&[("targets_max", "3")]).await;
    node.send(&[format!("a.b 1 {NOW}")]).await;
    for (path, status, reason) in [
        ("/render?from=1&until=2", 400, "no target is given"),
        ("/render?target=a.b&until=2", 400, "no from is given"),
        ("/render?target=a.b&from=-15min&until=2", 400, "from=-15min is no whole number"),
        ("/render?target=a.b&from=9&until=2", 400, "from 9 is later than until 2"),
        ("/render?target=a.b&from=1&until=2&format=png", 400, "format png is unknown"),
        ("/render?target=a&target=b&target=c&target=d&from=1&until=2", 422, "4 of target"),
        ("/render?target=seriesByTag('a')&from=1&until=2", 400, "invalid tag expression"),
        ("/render?target=seriesByTag('a!%3Db')&from=1&until=2", 400, "at least one"),
        ("/render?target=a;b&from=1&until=2", 400, "malformed tags"),
        ("/metrics/find", 400, "no query is given"),
        ("/metrics/find?query=a%0Ab;c", 400, "in `a b;c`"),
        ("/info", 400, "no target is given"),
        ("/info?target=x", 404, "metric not found"),
        ("/metrics/list?format=pickle", 400, "list does not exist as pickle"),
        ("/tags/findSeries", 400, "no tag expressions specified"),
        ("/tags/autoComplete/values", 400, "no tag is given"),
        ("/tags?filter=(", 400, "regular expression"),
        ("/nowhere", 404, "no such path"),
    ] {
        let answer = node.get(path).await;
        let text = answer.text();
        assert_eq!(answer.status, status, "{path}: {text}");
        assert!(text.contains(reason), "{path}: {text}");
        assert_eq!((text.matches('\n').count(), text.ends_with('\n')), (1, true), "{path}: {text}");
    }
    let v3 = [("Accept", "application/x-carbonapi-v3-pb")];
    let answer = node.request("read", "POST /render", &v3, b"\xff\xff\xff").await;
    assert!(answer.status == 400 && answer.text().starts_with("request body: "), "{answer:?}");
    assert_eq!(node.number("read_refused_total", &["targets_max"]), 1.0);
    node.stop().await;
}

#[tokio::test]
async fn limits_name_themselves_what_was_asked_and_what_is_allowed() {
    let (node, _folder) = node(&[
        ("render_points_max", "50"),
        ("find_series_max", "3"),
        ("find_nodes_max", "5"),
        ("request_bytes_max", "1KiB"),
    ])
    .await;
    let lines: Vec<String> = (0..4).map(|n| format!("a.s{n} 1 {NOW}")).collect();
    node.send(&lines).await;
    let window = format!("from={}&until={NOW}", NOW - 2400);
    let get = async |path: String| {
        let answer = node.get(&path).await;
        (answer.status, answer.text().to_owned())
    };
    let (status, text) = get(format!("/render?target=a.s0&{window}")).await;
    assert_eq!(status, 200, "{text}");
    let (status, text) = get(format!("/render?target=a.s[01]&{window}")).await;
    let expected =
        "the answer has 80 points or more, allowed are 50 (setting `render_points_max`)\n";
    assert_eq!((status, &*text), (422, expected));
    let (status, text) = get("/metrics/find?query=a.*".to_owned()).await;
    let expected = "search finds more series, allowed are 3 (setting `find_series_max`)\n";
    assert_eq!((status, &*text), (422, expected));
    let (status, text) = get(format!("/render?target=a.s[012]&target=a.s3&{window}")).await;
    assert_eq!((status, &*text), (422, expected), "over all targets together");
    node.send(&["b.c.d.e 1 -1"]).await;
    let (status, text) = get("/metrics/find?query=**".to_owned()).await;
    let expected =
        "search visits more nodes of the index, allowed are 5 (setting `find_nodes_max`)\n";
    assert_eq!((status, &*text), (422, expected));
    let body = vec![b'x'; 2000];
    let answer = node.request("read", "POST /render", &[], &body).await;
    assert!(answer.status == 413 && answer.text().contains("1024"), "{answer:?}");
    let late = [("X-Plumbago-Deadline-Ms", "0")];
    let path = format!("GET /render?target=a.s0&{window}");
    let answer = node.request("read", &path, &late, b"").await;
    assert_eq!((answer.status, answer.text()), (504, "no answer before the deadline\n"));
    assert_eq!(node.number("read_refused_total", &["deadline"]), 1.0);
    node.stop().await;
}

#[tokio::test]
async fn names_over_the_limit_are_dropped_counted_and_shown_and_known_series_go_on() {
    let (node, _folder) = node(&[("series_limit", "2")]).await;
    node.send(&["a 1 -1", "b 1 -1"]).await;
    node.send(&["c 1 -1", "d 1 -1", "a 2 -1", "bad line"]).await;
    let dropped = ["series_limit", "wrong_field_count"];
    assert_eq!(node.number("points_dropped_total", &[dropped[0]]), 2.0);
    assert_eq!((node.number("series", &[]), node.number("points_pending", &[])), (2.0, 3.0));
    node.check_ledger(&dropped);
    let rejected = node.request("admin", "GET /admin/rejected", &[], b"").await.json();
    let reasons: Vec<(&str, &str)> = rejected
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["reason"].as_str().unwrap(), one["sample"].as_str().unwrap()))
        .collect();
    assert!(reasons.contains(&("series_limit", "c")), "{reasons:?}");
    assert!(reasons.contains(&("wrong_field_count", "bad line")), "{reasons:?}");
    node.flush().await;
    node.check_ledger(&dropped);
    assert_eq!(node.number("points_superseded_total", &[]), 1.0);
    node.stop().await;
}

#[tokio::test]
async fn times_at_the_ends_of_time_are_answered_and_harm_nothing() {
    let (config, folder) = (testkit::folder(), testkit::folder());
    let schemas = file(&config, "schemas.conf", "[a]\npattern=.*\nretentions=60s:1h,300s:1d\n");
    let node = try_start(folder.path(), &[("schemas", &schemas)]).await.unwrap();
    let (least, most) = (i64::MIN, i64::MAX);
    for flushed in [false, true] {
        node.send(&[format!("a.b 1 {NOW}"), format!("a.b 2 {}", NOW - 7200)]).await;
        for now in [least, -1, 0, NOW, i64::from(u32::MAX) + 1, most] {
            for (from, until) in
                [(least, most), (least, least), (most, most), (0, most), (-1, 1), (NOW, most)]
            {
                let query = format!("target=a.*&from={from}&until={until}&now={now}");
                let status = node.get(&format!("/render?{query}&format=pickle")).await.status;
                assert_eq!(status, 200, "{flushed} {query}");
                let find = format!("/metrics/find?query=a.*&from={from}&until={until}");
                assert_eq!(node.get(&find).await.status, 200, "{find}");
            }
        }
        node.flush().await;
    }
    node.stop().await;
}

#[tokio::test]
async fn an_answer_that_meets_a_limit_half_way_is_cut_off_and_not_ended() {
    let (node, _folder) = node(&[("render_points_max", "700000")]).await;
    let lines: Vec<String> = (0..600).map(|n| format!("a.s{n} {n} {NOW}")).collect();
    node.send(&lines).await;
    let mut stream =
        tokio::net::TcpStream::connect(node.running.address("read").unwrap()).await.unwrap();
    let path = format!("/render?target=a.*&format=carbonapi_v3_pb&until={NOW}");
    let path = format!("{path}&from={}", NOW - 86_400);
    let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // However the connection ends, the last chunk must not have come.
    drop(stream.read_to_end(&mut answer).await);
    assert!(answer.starts_with(b"HTTP/1.1 200"), "pieces had been sent by then");
    assert!(!answer.ends_with(b"0\r\n\r\n"));
    testkit::wait_until_async("the count", testkit::PATIENCE, async || {
        (node.number("read_requests_total", &["render", "cut_off"]) == 1.0).then_some(())
    })
    .await;
    assert_eq!(node.number("read_refused_total", &["render_points_max"]), 1.0);
    node.stop().await;
}

#[tokio::test]
async fn nothing_is_read_for_a_client_that_has_gone() {
    const SERIES: f64 = 1500.0;
    let (node, _folder) = node(&[("stop_deadline", "1s")]).await;
    let lines: Vec<String> = (0..1500).map(|n| format!("wide.s{n} 1 {NOW}")).collect();
    node.send(&lines).await;
    let day = NOW - 86_400;
    let request =
        format!("GET /render?target=wide.*&from={day}&until={NOW} HTTP/1.1\r\nHost: n\r\n\r\n");
    let mut stream =
        tokio::net::TcpStream::connect(node.running.address("read").unwrap()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 1000]).await.unwrap();
    drop(stream);
    testkit::wait_until_async("the end of the request", testkit::PATIENCE, async || {
        (node.number("read_requests_total", &["render", "cut_off"]) == 1.0).then_some(())
    })
    .await;
    let read = node.number("series_read_total", &[]);
    assert!(read < SERIES, "{read} series were read");
    node.stop().await;
}
