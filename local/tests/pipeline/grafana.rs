//! What Grafana's Graphite data source sends, and what it reads: the acceptance cases A1 to A30,
//! asked of the whole pipeline. Requests are in the shapes of its two modes: the browser's (all
//! targets in one form) and its Go backend's (one sorted form a query).

use serde_json::{Value, json};
use testkit::{PATIENCE, send_lines, wait_until_async};

use crate::{FORM, NOW, Pipeline, lines};

/// What a browser sends along.
const GRAFANA: &str = "Content-Type: application/x-www-form-urlencoded\r\n\
    Accept: application/json, text/plain, */*\r\nX-Dashboard-Id: 12\r\nX-Panel-Id: 3\r\n\
    X-Panel-Plugin-Id: timeseries\r\nX-Grafana-Org-Id: 1\r\n";

/// For questions that are asked until the answer changes: the clock stands, so no cache expires.
const NOT_KEPT: &str = "&noCache=true";

impl Pipeline {
    /// A form, as the browser posts it.
    async fn form(&self, path: &str, form: &str) -> Value {
        let answer = self.ask("POST", path, GRAFANA, form.as_bytes()).await;
        assert_eq!(answer.status, 200, "{form}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, "", b"").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// A render of the last ten minutes.
    async fn panel(&self, targets: &str, more: &str) -> Value {
        let from = NOW - 600;
        let form = format!("{targets}&from={from}&until={NOW}&format=json{more}");
        self.form("/render", &form).await
    }

    /// Sends tagged and odd lines, and waits until a render has so many series of them.
    async fn send(&self, lines: &[String], target: &str, series: usize) {
        send_lines(self.cluster.line(), lines).await;
        wait_until_async("the lines to be readable", PATIENCE, async || {
            let found = self.panel(&format!("target={target}"), NOT_KEPT).await;
            (targets(&found).len() == series).then_some(())
        })
        .await;
    }
}

fn targets(answer: &Value) -> Vec<String> {
    let rows = answer.as_array().unwrap().iter();
    rows.map(|row| row["target"].as_str().unwrap().to_owned()).collect()
}

fn points(answer: &Value) -> &Vec<Value> {
    answer[0]["datapoints"].as_array().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a1_a7_a13_a26_a_new_data_source_on_an_empty_store_is_green() {
    let folder = testkit::folder();
    let pipeline = Pipeline::start(folder.path()).await;
    for points in [100, 300] {
        let form = format!(
            "format=json&from=-1h&maxDataPoints={points}&target=constantLine(100)&until=now"
        );
        assert_eq!(targets(&pipeline.form("/render", &form).await), ["100.0"]);
    }
    assert_eq!(pipeline.json("/metrics/find?query=*").await, json!([]));
    assert_eq!(pipeline.form("/render", "target=a.*&format=json").await, json!([]));
    let version = pipeline.ask("GET", "/version", "", b"").await;
    let parts: Vec<u32> = version.text().split('.').map(|part| part.parse().unwrap()).collect();
    assert!(parts.len() == 3 && parts >= vec![1, 1], "{}", version.text());

    pipeline.load(&lines(2), "servers.*.cpu", 2).await;
    let undefined = "from=undefined&until=undefined";
    for path in ["/tags", "/tags/autoComplete/tags", "/tags/autoComplete/values?tag=x"] {
        let separator = if path.contains('?') { '&' } else { '?' };
        let found = pipeline.json(&format!("{path}{separator}{undefined}&limit=0")).await;
        assert_eq!(found, json!([]), "{path}");
    }
    let found = pipeline.form(&format!("/metrics/find?{undefined}"), "query=servers.*").await;
    assert_eq!(found.as_array().unwrap().len(), 2, "{found}");
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a2_a6_a9_a15_a28_panels_variables_and_alerts_read_the_same_series() {
    let folder = testkit::folder();
    let pipeline = Pipeline::start(folder.path()).await;
    pipeline.load(&lines(3), "servers.*.cpu", 3).await;

    // A2, A3, A4: thirty targets in one body, the same by GET, and with brackets.
    let wanted: Vec<_> = (0..30).map(|n| format!("target=alias(servers.web1.cpu,'{n}')")).collect();
    let names: Vec<_> = (0..30).map(|n| n.to_string()).collect();
    let more = "&maxDataPoints=1200";
    assert_eq!(targets(&pipeline.panel(&wanted.join("&"), more).await), names);
    let path = format!("/render?{}&from=-10min&until=now&format=json{more}", wanted.join("&"));
    assert_eq!(targets(&pipeline.json(&path).await), names);
    let bracketed = pipeline.panel("target[]=servers.web1.cpu&target[]=servers.web2.cpu", "").await;
    assert_eq!(targets(&bracketed), ["servers.web1.cpu", "servers.web2.cpu"]);

    // A5: the wrapper of newer Grafanas.
    let alias = "alias(servers.web1.cpu,%22100%25%20of%20it%22)";
    let wrapped = format!("target=aliasSub({alias},%22(%5E.*%24)%22,%22%5C1%20A%22)");
    assert_eq!(targets(&pipeline.panel(&wrapped, "").await), ["100% of it A"]);

    // A6, A9: the editor's find is not percent-encoded; variables expand.
    let range = format!("from={}&until={NOW}", NOW - 600);
    let found =
        pipeline.form(&format!("/metrics/find?{range}"), "query=servers.{web0,web2}.c*").await;
    let row = &found.as_array().unwrap()[0];
    assert_eq!((&row["text"], &row["leaf"]), (&json!("cpu"), &json!(1)), "{found}");
    assert_eq!(found.as_array().unwrap().len(), 1, "equal names are one row");
    let expanded = pipeline.json(&format!("/metrics/expand?query=servers.*.cpu&{range}")).await;
    let cpu = |n: usize| format!("servers.web{n}.cpu");
    assert_eq!(expanded["results"], json!([cpu(0), cpu(1), cpu(2)]));

    // A15: series of nulls stay; noNullPoints drops them.
    let nulls = "target=removeAboveValue(servers.web1.cpu,-1)";
    let kept = pipeline.panel(nulls, "").await;
    assert!(points(&kept).iter().all(|point| point[0].is_null()) && points(&kept).len() == 10);
    assert_eq!(pipeline.panel(nulls, "&noNullPoints=true").await, json!([]));

    // A28: an alert asks for more points than there are.
    let alert = pipeline.panel("target=servers.web1.cpu", "&maxDataPoints=43200").await;
    assert_eq!(points(&alert).len(), 10);

    // A23: a range widened by a second at both ends has the last full point.
    let wide = format!("target=servers.web1.cpu&from={}&until={}&format=json", NOW - 601, NOW + 1);
    let wide = pipeline.form("/render", &wide).await;
    assert_eq!(points(&wide).last(), Some(&json!([110.0, NOW])));
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a8_a10_a11_a27_ten_thousand_values_are_listed_and_forty_thousand_series_refused() {
    let folder = testkit::folder();
    let pipeline = Pipeline::start(folder.path()).await;
    let many: Vec<_> =
        (0..10_000).map(|n| format!("many;host=h{n:05};rack=r{} 1 {NOW}", n % 7)).collect();
    send_lines(pipeline.cluster.line(), &many).await;
    let counted = "target=countSeries(seriesByTag('name=many'))";
    wait_until_async("all series", PATIENCE, async || {
        let found = pipeline.panel(counted, NOT_KEPT).await;
        let last = found[0]["datapoints"].as_array().and_then(|points| points.last().cloned());
        last.is_some_and(|point| point[0] == 10_000.0).then_some(())
    })
    .await;

    let path = "/tags/autoComplete/values?tag=host&limit=10000&expr=name%3Dmany";
    let values = pipeline.json(path).await;
    let values: Vec<&str> =
        values.as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect();
    assert!(values.len() == 10_000 && values.is_sorted() && values[9_999] == "h09999");
    let few = pipeline.json("/tags/autoComplete/values?tag=host&limit=0&valuePrefix=h0").await;
    assert_eq!(few.as_array().unwrap().len(), 100);
    let tags = pipeline.json("/tags/autoComplete/tags?expr=rack%3Dr1&limit=10000").await;
    assert_eq!(tags, json!(["host", "name"]));

    let four_times = ["target=seriesByTag('name=many')"; 4].join("&");
    let form = format!("{four_times}&from=-5min&until={NOW}&format=json");
    let refused = pipeline.ask("POST", "/render", FORM, form.as_bytes()).await;
    refused.refused(&[422], "limit reply_series_max exceeded: asked 40000, allowed 30000");
    let counted = [counted; 4].join("&");
    let drawn = targets(&pipeline.panel(&counted, NOT_KEPT).await).len();
    assert_eq!(drawn, 4, "what is drawn counts here, not what is read");
    // Not stopped: writing all the files first is no part of this.
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a14_annotations_are_read_with_tags_in_both_forms() {
    let folder = testkit::folder();
    let pipeline = Pipeline::start(folder.path()).await;
    for (what, tags) in [("one", json!(["deploy", "web"])), ("two", json!("deploy db"))] {
        let event = json!({ "what": what, "tags": tags, "data": "by hand", "when": NOW - 60 });
        let event = event.to_string();
        let answer = pipeline.ask("POST", "/events/", "", event.as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let range = format!("from={}&until={NOW}", NOW - 600);
    let whats = |events: &Value| -> Vec<String> {
        let events = events.as_array().unwrap().iter();
        let mut whats: Vec<_> =
            events.map(|event| event["what"].as_str().unwrap().to_owned()).collect();
        whats.sort();
        whats
    };
    for (tags, found) in
        [("deploy", &["one", "two"][..]), ("deploy+web", &["one"]), ("deploy%20db", &["two"])]
    {
        let events = pipeline.json(&format!("/events/get_data?{range}&tags={tags}")).await;
        assert_eq!(whats(&events), found, "{tags}");
    }
    let events = pipeline.json(&format!("/events/get_data?{range}&tags=db")).await;
    let event = &events[0];
    assert_eq!(event["tags"], json!(["deploy", "db"]), "a text of tags comes back as a list");
    assert_eq!((&event["when"], &event["data"]), (&json!(NOW - 60), &json!("by hand")));
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a12_the_functions_are_what_grafanas_parser_reads() {
    const TYPES: &[&str] = &[
        "aggFunc",
        "aggOrSeriesFunc",
        "any",
        "boolean",
        "date",
        "float",
        "integer",
        "interval",
        "intOrInf",
        "intOrInterval",
        "node",
        "nodeOrTag",
        "series",
        "seriesList",
        "seriesLists",
        "string",
        "tag",
    ];
    let folder = testkit::folder();
    let pipeline = Pipeline::start(folder.path()).await;
    let answer = pipeline.ask("GET", "/functions", "", b"").await;
    assert!(!answer.text().contains("Infinity"));
    // JavaScript reads a number too large as infinity.
    let functions: Value = serde_json::from_str(&answer.text().replace("1e9999", "0")).unwrap();
    for (name, function) in functions.as_object().unwrap() {
        assert!(function["group"].is_string() && function["description"].is_string(), "{name}");
        for param in function["params"].as_array().unwrap() {
            assert!(TYPES.contains(&param["type"].as_str().unwrap()), "{name}: {param}");
            assert!(param["name"].is_string() && param.get("required") != Some(&json!(false)));
        }
    }
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a17_a18_names_and_values_of_any_kind_are_sound_json() {
    let folder = testkit::folder();
    let pipeline = Pipeline::start(folder.path()).await;
    let odd = ["odd.ü.x", "odd.😀.x", "odd.<b>.x"];
    let sent: Vec<_> = odd.iter().map(|name| format!("{name} 5 {NOW}")).collect();
    pipeline.send(&sent, "odd.*.x", 3).await;
    let mut names = targets(&pipeline.panel("target=odd.*.x", "").await);
    names.sort();
    assert_eq!(names, ["odd.<b>.x", "odd.ü.x", "odd.😀.x"]);
    let named = pipeline.panel("target=alias(odd.*.x,%22a%01%09%7F%22)", "").await;
    assert_eq!(targets(&named)[0], "a\u{1}\t\u{7f}");

    let infinite = pipeline.panel("target=scale(scale(odd.%C3%BC.x,1e308),-1e308)", "").await;
    assert_eq!(points(&infinite).last(), Some(&json!([null, NOW])));
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a19_a20_a29_a30_wrappers_encodings_methods_and_headers() {
    let folder = testkit::folder();
    let pipeline = Pipeline::start(folder.path()).await;
    pipeline.load(&lines(2), "servers.*.cpu", 2).await;
    let form = format!("target=servers.web1.cpu&from={}&until={NOW}&format=json", NOW - 600);
    for (path, form) in
        [("/render", format!("{form}&meta=true")), ("/render?meta=true", form.clone())]
    {
        let answer = pipeline.form(path, &form).await;
        assert_eq!(targets(&answer["series"]), ["servers.web1.cpu"], "{path}");
        assert!(answer["meta"]["stats"].is_object() && answer["series"][0]["meta"].is_array());
    }

    let path = "/render?target=servers.*.cpu&target=servers.*.cpu&from=-1d&format=json";
    let plain = pipeline.ask("GET", path, "", b"").await;
    let head = "Accept-Encoding: gzip, deflate, br, zstd\r\n";
    let packed = pipeline.ask("GET", path, head, b"").await;
    assert!(packed.header("content-encoding").is_some() && packed.body.len() < plain.body.len());

    let head = pipeline.ask("HEAD", path, "", b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let options = pipeline.ask("OPTIONS", "/render", "Origin: http://grafana\r\n", b"").await;
    assert!(options.status < 300 && options.body.is_empty(), "{}", options.head);

    let login =
        format!("{GRAFANA}Authorization: Basic Z3JhZmFuYTpzZWNyZXQ=\r\nTraceparent: 00-0-0-01\r\n");
    let answer = pipeline.ask("POST", "/render", &login, form.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a21_a24_a_refresh_every_second_moves_no_band() {
    let folder = testkit::folder();
    let pipeline = Pipeline::start(folder.path()).await;
    pipeline.load(&lines(1), "servers.*.cpu", 1).await;
    let bands = async |later: i64| {
        // All of it in the past: what lies after now is cut off.
        let (from, until) = (NOW - 660 + later, NOW - 120 + later);
        let form = format!(
            "target=servers.web0.cpu&from={from}&until={until}&format=json&maxDataPoints=5"
        );
        let answer = pipeline.form("/render", &form).await;
        // The first and the last band are still being filled, or emptied.
        let inner = &points(&answer)[1..points(&answer).len() - 1];
        inner.iter().map(|point| (point[1].as_i64().unwrap(), point[0].clone())).collect::<Vec<_>>()
    };
    let mut known = std::collections::BTreeMap::new();
    for later in 0..120 {
        for (time, value) in bands(later).await {
            assert_eq!(*known.entry(time).or_insert(value.clone()), value, "{later} s later");
        }
    }
    assert!(known.len() >= 2, "{known:?}");
    let short = pipeline.panel("target=summarize(servers.web0.cpu,'200ms','max')", "").await;
    assert!(points(&short).iter().any(|point| point[0] == 10.0), "{short}");
    pipeline.stop().await;
}
