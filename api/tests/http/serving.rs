//! Prefix, origins, what runs and how it is ended.

use serde_json::{Value, json};

use crate::fake::Kind;
use crate::server::Server;

#[tokio::test]
async fn a_prefix_may_stand_before_every_path() {
    let server = Server::with(Kind::Full, &[("url_prefix", "/graphite/")]).await;
    for path in ["/graphite/version", "/version", "/graphite//version/"] {
        assert_eq!(server.get(path).await.text(), "1.1.10", "{path}");
    }
    assert_eq!(server.get("/graphite").await.status, 200, "the page");
    assert_eq!(server.get("/graphiteversion").await.status, 404);
}

#[tokio::test]
async fn only_named_origins_may_read() {
    let head = "Origin: https://a.example\r\nAccess-Control-Request-Headers: x-panel-id\r\n";
    for (allowed, origin, answered) in [
        ("https://a.example", head, Some("https://a.example")),
        ("*", head, Some("*")),
        ("https://b.example", head, None),
    ] {
        let server = Server::with(Kind::Full, &[("cors_origins", allowed)]).await;
        let answer = server.ask("GET", "/version", origin, b"").await;
        assert_eq!(answer.header("access-control-allow-origin"), answered, "{allowed}");
        let options = server.ask("OPTIONS", "/render", origin, b"").await;
        let headers = answered.map(|_| "x-panel-id");
        assert_eq!(options.header("access-control-allow-headers"), headers);
    }
}

#[tokio::test]
async fn what_runs_is_listed_at_the_admin_address_and_can_be_ended() {
    let server = Server::with(Kind::Hung, &[]).await;
    assert_eq!(server.get("/debug/queries").await.status, 404, "not for everyone");
    let head = "X-Dashboard-Id: 12\r\nX-Panel-Id: 3\r\n\
                Content-Type: application/x-www-form-urlencoded\r\n";
    let asked = server.ask("POST", "/render", head, b"target=toplevel");
    let ended = async {
        let running = loop {
            let list: Value =
                serde_json::from_slice(&server.admin("GET", "/debug/queries").await.body).unwrap();
            match list[0]["phase"] == "fetching" {
                true => break list[0].clone(),
                false => tokio::task::yield_now().await,
            }
        };
        assert_eq!(
            (&running["asked"], &running["path"]),
            (&json!("target=toplevel"), &json!("/render"))
        );
        assert_eq!((&running["dashboard"], &running["panel"]), (&json!("12"), &json!("3")));
        let answer = server.admin("DELETE", &format!("/debug/queries/{}", running["id"])).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    let (answer, ()) = tokio::join!(asked, ended);
    answer.refused(503, "cancelled by an operator");
    assert_eq!(server.admin("DELETE", "/debug/queries/99").await.status, 404);
    assert_eq!(server.admin("DELETE", "/debug/queries/x").await.status, 400);
    assert_eq!(server.admin("GET", "/debug/queries").await.text().trim(), "[]");
}
