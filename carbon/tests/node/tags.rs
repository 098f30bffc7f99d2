//! Tagged series: by name, by terms, and the completions of an editor.

use serde_json::json;
use wire::reply::Format;

use crate::harness::{NOW, Node, node};

async fn filled() -> (Node, tempfile::TempDir) {
    let (node, folder) = node(&[]).await;
    let names = [
        "disk.used;dc=dc1;rack=a1;server=web01",
        "disk.used;dc=dc1;rack=b1;server=web02",
        "disk.free;dc=dc2;rack=a1;server=web01",
        "plain.name",
    ];
    node.send(&names.map(|name| format!("{name} 1 {NOW}"))).await;
    (node, folder)
}

async fn rendered(node: &Node, target: &str) -> Vec<String> {
    let query = format!("target={target}&from={}&until={NOW}", NOW - 60);
    let reply = node.render(&query, Format::V3).await;
    reply.series.into_iter().map(|series| series.name).collect()
}

#[tokio::test]
async fn tagged_series_are_rendered_by_name_in_any_order_and_by_terms() {
    let (node, _folder) = filled().await;
    for flushed in [false, true] {
        let web01 = "disk.used;dc=dc1;rack=a1;server=web01";
        assert_eq!(rendered(&node, &web01.replace('=', "%3D")).await, [web01], "{flushed}");
        let shuffled = "disk.used;server%3Dweb01;dc%3Ddc1;rack%3Da1";
        assert_eq!(rendered(&node, shuffled).await, [web01], "{flushed}");
        let terms = "seriesByTag('name%3Ddisk.used',%20%22rack!%3Db1%22)";
        assert_eq!(rendered(&node, terms).await, [web01], "{flushed}");
        let found = node.get("/metrics/find?query=seriesByTag('rack%3D~a.*')").await.json();
        let matches = found["metrics"][0]["matches"].as_array().unwrap();
        assert!(matches.len() == 2 && matches.iter().all(|found| found["isLeaf"] == true));
        node.flush().await;
    }
    node.stop().await;
}

#[tokio::test]
async fn tags_answer_in_graphite_webs_shapes() {
    let (node, _folder) = filled().await;
    for (path, answer) in [
        ("/tags/autoComplete/tags", json!(["dc", "name", "rack", "server"])),
        ("/tags/autoComplete/tags?tagPrefix=r", json!(["rack"])),
        ("/tags/autoComplete/tags/?expr=dc%3Ddc2&limit=2", json!(["name", "rack"])),
        ("/tags/autoComplete/values?tag=server&limit=1", json!(["web01"])),
        ("/tags/autoComplete/values?tag=rack&expr=dc%3Ddc1&valuePrefix=b", json!(["b1"])),
        ("/tags/autoComplete/values?tag=none", json!([])),
        ("/tags/findSeries?expr[]=rack%3Db1", json!(["disk.used;dc=dc1;rack=b1;server=web02"])),
        ("/tags?filter=s", json!([{"id": 1, "tag": "server"}])),
        (
            "/tags/rack",
            json!({"id": 1, "tag": "rack", "values": [
                {"id": 1, "value": "a1", "count": 2}, {"id": 2, "value": "b1", "count": 1},
            ]}),
        ),
        ("/tags/no%20such/", json!(null)),
    ] {
        assert_eq!(node.get(path).await.json(), answer, "{path}");
    }
    node.stop().await;
}
