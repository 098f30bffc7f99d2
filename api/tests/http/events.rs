//! Events in, events out: as a list, one by one, and as a series.

use serde_json::{Value, json};

use crate::server::{NOW, Server};

async fn happened(server: &Server, event: Value) {
    let answer = server.ask("POST", "/events/", "", event.to_string().as_bytes()).await;
    assert_eq!((answer.status, answer.text()), (200, ""));
}

#[tokio::test]
async fn a14_annotations_come_back_by_time_and_tags() {
    let server = Server::start().await;
    assert_eq!(server.get("/events/get_data?from=-1h&tags=a+b").await.text(), "[]");
    happened(
        &server,
        json!({ "what": "deploy", "tags": ["a", "b"], "data": "v2", "when": NOW - 60 }),
    )
    .await;
    happened(&server, json!({ "what": "restart", "tags": "b c", "when": (NOW - 30) as f64 + 0.5 }))
        .await;
    happened(&server, json!({ "what": "<svg onload>\u{1f600}" })).await;
    let all = server.get("/events/get_data?from=-1h&until=now").await.json();
    let first =
        json!({ "when": NOW - 60, "what": "deploy", "data": "v2", "tags": ["a", "b"], "id": 1 });
    assert_eq!((all.as_array().unwrap().len(), &all[0]), (3, &first));
    let names = |query: &str| {
        let path = format!("/events/get_data?{query}");
        let server = &server;
        async move {
            let list = server.get(&path).await.json();
            let names = list.as_array().unwrap().iter().map(|e| e["what"].as_str().unwrap());
            names.map(str::to_owned).collect::<Vec<_>>()
        }
    };
    assert_eq!(names("tags=b").await, ["deploy", "restart"]);
    assert_eq!(names("tags=a+c&set=union").await, ["deploy", "restart"]);
    assert!(names("tags=a+c").await.is_empty());
    assert_eq!(names(&format!("from={}&until={}", NOW - 40, NOW - 20)).await, ["restart"]);
    let one = server.get("/events/1/").await.json();
    assert_eq!((&one["what"], &one["when"]), (&json!("deploy"), &json!("2026-09-21T15:59:00Z")));
    assert_eq!(server.get("/events/99/").await.status, 404);
    assert_eq!(server.get("/events").await.json().as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn events_are_counted_in_a_series() {
    let server = Server::start().await;
    for when in [NOW - 5, NOW - 3, NOW - 3] {
        happened(&server, json!({ "what": "x", "tags": ["deploy"], "when": when })).await;
    }
    let url = format!("/render?target=events(%22deploy%22)&from={}&until={NOW}", NOW - 6);
    let answer = server.get(&url).await.json();
    assert_eq!(answer[0]["target"], "events(\"deploy\")");
    let values: Vec<_> =
        answer[0]["datapoints"].as_array().unwrap().iter().map(|p| p[0].as_f64()).collect();
    assert_eq!(values, [None, Some(1.0), None, Some(2.0), None, None]);
    let all = server.get(&url.replace("deploy", "*")).await.json();
    assert_eq!(all[0]["datapoints"], answer[0]["datapoints"]);
    let none = server.get(&url.replace("deploy", "other")).await.json();
    assert!(none[0]["datapoints"].as_array().unwrap().iter().all(|point| point[0].is_null()));
}

#[tokio::test]
async fn what_is_no_event_is_refused_in_one_line() {
    let server = Server::start().await;
    for (body, part) in [
        ("", "no JSON"),
        ("[1]", "no JSON"),
        ("{\"what\":\"x\",\"tags\":7}", "tags"),
        ("{\"what\":\"x\",\"tags\":[7]}", "tags"),
        ("{\"what\":\"x\",\"when\":\"now\"}", "when"),
        ("{\"tags\":[]}", "what"),
    ] {
        server.ask("POST", "/events", "", body.as_bytes()).await.refused(400, part);
    }
}
