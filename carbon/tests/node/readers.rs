//! Who may read, and that nobody sees more than he may, wherever he asks.

use tempfile::TempDir;
use wire::reply::Format;

use crate::harness::{Answer, NOW, Node, file, try_start};

const READERS: &str = "[[reader]]\nname = 'all'\ntoken = 'T1'\ndeletes = true\n\
    [[reader]]\nname = 'a'\ntoken = 'T2'\npassword = 'p'\nwithin = ['team.a.']\n";

const ALL: (&str, &str) = ("Authorization", "Bearer T1");
const A: (&str, &str) = ("Authorization", "Bearer T2");
/// `a:p`.
const A_BY_PASSWORD: (&str, &str) = ("Authorization", "Basic YTpw");

/// A node with readers, series of two teams, and further settings.
async fn node(with: &[(&str, &str)]) -> (Node, TempDir, TempDir) {
    let (config, folder) = (testkit::folder(), testkit::folder());
    let readers = file(&config, "readers.toml", READERS);
    let with = [&[("readers", &*readers)], with].concat();
    let node = try_start(folder.path(), &with).await.unwrap();
    let names = ["team.a.x", "team.b.x", "other.x", "team.a.m;k=1", "team.b.m;k=2;z=3"];
    node.send(&names.map(|name| format!("{name} 1 {NOW}"))).await;
    (node, folder, config)
}

async fn get(node: &Node, path: &str, headers: &[(&str, &str)]) -> Answer {
    node.request("read", &format!("GET {path}"), headers, b"").await
}

#[tokio::test]
async fn nobody_reads_without_credentials_and_the_probes_of_balancers_need_none() {
    let (node, _folder, _config) = node(&[]).await;
    for path in ["/render?target=*&from=0&until=1", "/metrics/find?query=*", "/tags", "/nowhere"] {
        for wrong in [None, Some("Bearer T"), Some("Basic YTpx"), Some("Digest x"), Some("Bearer")]
        {
            let headers: Vec<_> = wrong.iter().map(|text| ("Authorization", *text)).collect();
            let answer = get(&node, path, &headers).await;
            assert_eq!(answer.status, 401, "{path} {wrong:?}");
            assert!(answer.head.contains("www-authenticate: basic"), "{}", answer.head);
        }
    }
    assert_eq!(node.number("access_refused_total", &["no_credentials"]), 4.0);
    assert_eq!(node.number("access_refused_total", &["wrong_credentials"]), 16.0);
    assert_eq!(node.get("/robots.txt").await.status, 200);
    assert_eq!(get(&node, "/tags", &[ALL]).await.json().as_array().map(Vec::len), Some(3));
    node.stop().await;
}

#[tokio::test]
async fn a_reader_of_one_prefix_sees_its_names_and_no_others_wherever_it_asks() {
    let (node, _folder, _config) = node(&[]).await;
    for credentials in [A, A_BY_PASSWORD] {
        let text = async |path: &str| {
            let answer = get(&node, path, &[credentials]).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            answer.text().to_owned()
        };
        assert_eq!(text("/metrics/index.json").await, r#"["team.a.m;k=1","team.a.x"]"#);
        assert_eq!(text("/tags").await, r#"[{"id":1,"tag":"k"},{"id":2,"tag":"name"}]"#);
        assert_eq!(text("/tags/autoComplete/tags").await, r#"["k","name"]"#);
        assert_eq!(text("/tags/autoComplete/values?tag=k").await, r#"["1"]"#);
        assert_eq!(text("/tags/autoComplete/values?tag=k&expr=name=~.").await, r#"["1"]"#);
        assert_eq!(text("/tags/z").await, "null");
        assert_eq!(text("/tags/findSeries?expr=k=~.").await, r#"["team.a.m;k=1"]"#);
        for path in [
            "/metrics/list",
            "/metrics/find?query=*",
            "/metrics/find?query=team.*",
            "/metrics/find?query=**",
            "/metrics/find?query=team.b.x",
            "/metrics/details",
            "/render?target=**&target=team.b.x&target=seriesByTag('k=~.')&from=0&until=1700000040",
        ] {
            let text = text(path).await;
            let hidden = ["team.b.x\",\"is", "team.b.m", "other", "\"team.b\""];
            let hidden = hidden.iter().find(|part| text.contains(**part));
            assert_eq!(hidden, None, "{path}: {text}");
        }
        assert!(text("/metrics/find?query=*").await.contains("\"team\""));
        assert_eq!(get(&node, "/info?target=team.b.x", &[credentials]).await.status, 404);
        assert_eq!(get(&node, "/info?target=team.a.x", &[credentials]).await.status, 200);
    }
    let delete = async |path: &str, credentials| {
        let path = format!("POST /tags/delSeries?path={path}");
        node.request("read", &path, &[credentials], b"").await.status
    };
    assert_eq!((delete("team.a.x", A).await, delete("team.a.x", ALL).await), (403, 200));
    node.stop().await;
}

#[tokio::test]
async fn who_passes_a_request_on_may_narrow_it_and_never_widen() {
    let (node, _folder, _config) = node(&[("trusted_proxies", "127.0.0.0/8")]).await;
    let names = async |headers: &[(&str, &str)]| {
        get(&node, "/metrics/index.json", headers).await.json().as_array().unwrap().len()
    };
    assert_eq!(names(&[ALL]).await, 5);
    assert_eq!(names(&[ALL, ("X-Plumbago-Within", "team.b.,other")]).await, 3);
    assert_eq!(names(&[A, ("X-Plumbago-Within", "team.b.,team.")]).await, 2);
    assert_eq!(names(&[A, ("X-Plumbago-Within", "team.b.")]).await, 0);
    assert_eq!(names(&[A, ("X-Plumbago-Within", "%")]).await, 0);
    assert_eq!(names(&[("X-Plumbago-Reader", "a")]).await, 2, "the word of a trusted proxy");
    assert_eq!(get(&node, "/tags", &[("X-Plumbago-Reader", "z")]).await.status, 401);
    node.stop().await;
}

#[tokio::test]
async fn the_word_of_a_stranger_counts_for_nothing_and_a_reload_changes_readers() {
    let (node, folder, config) = node(&[("trusted_proxies", "10.0.0.0/8")]).await;
    assert_eq!(get(&node, "/tags", &[("X-Plumbago-Reader", "all")]).await.status, 401);
    let readers = file(&config, "readers.toml", "[[reader]]\nname = 'new'\ntoken = 'T3'\n");
    let values = crate::harness::values(folder.path(), &[("readers", &readers)]);
    node.running.reload(&values).unwrap();
    assert_eq!(get(&node, "/tags", &[ALL]).await.status, 401);
    assert_eq!(get(&node, "/tags", &[("Authorization", "bearer T3")]).await.status, 200);
    file(&config, "readers.toml", "[[reader]]\nname = 3\n");
    let fault = node.running.reload(&values).unwrap_err()[0].to_string();
    assert!(fault.contains("readers.toml:2: invalid type"), "{fault}");
    assert_eq!(get(&node, "/tags", &[("Authorization", "Bearer T3")]).await.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn without_a_file_of_readers_everybody_reads_everything() {
    let (node, _folder) = crate::harness::node(&[]).await;
    node.send(&[format!("a.b 1 {NOW}")]).await;
    let strange = [("Authorization", "Bearer whatever")];
    assert_eq!(get(&node, "/metrics/index.json", &strange).await.text(), r#"["a.b"]"#);
    let query = format!("target=a.b&from={}&until={NOW}", NOW - 60);
    assert_eq!(node.render(&query, Format::Json).await.series.len(), 1);
    node.stop().await;
}
