//! Who may read, what he sees, and what of his request goes on.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use parking_lot::Mutex;

use crate::fake::Kind;
use crate::server::Server;

const ALL: &str = "Authorization: Bearer T1\r\n";
const WEB1: &str = "Authorization: Bearer T2\r\n";

/// An api over the corpus, whose backend knows nothing of readers.
async fn server(folder: &tempfile::TempDir) -> Server {
    let path = folder.path().join("readers.toml");
    let readers = "[[reader]]\nname = 'all'\ntoken = 'T1'\n\
        [[reader]]\nname = 'web1'\ntoken = 'T2'\nwithin = ['servers.web1.']\ndeletes = true\n";
    std::fs::write(&path, readers).unwrap();
    let settings = [
        ("readers", path.to_str().unwrap()),
        ("deletes_allowed", "true"),
        ("fetch_cache_bytes_max", "1MiB"),
        ("reply_cache_bytes_max", "1MiB"),
        ("cache_time", "60s"),
    ];
    Server::with(Kind::Full, &settings).await
}

#[tokio::test]
async fn what_was_kept_for_one_reader_is_not_shown_to_another() {
    let folder = testkit::folder();
    let server = server(&folder).await;
    for path in [
        "/render?target=servers.*.cpu.*&format=json",
        "/metrics/find?query=servers.*",
        "/metrics/expand?query=servers.*.cpu.user",
        "/metrics/index.json",
    ] {
        let sees = async |reader: &str| {
            let answer = server.ask("GET", path, reader, b"").await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            ["web1", "web2"].map(|host| answer.text().contains(host))
        };
        for _twice in 0..2 {
            assert_eq!(sees(ALL).await, [true, true], "{path}");
            assert_eq!(sees(WEB1).await, [true, false], "{path}");
        }
        server.ask("GET", path, "", b"").await.refused(401, "is needed");
    }
    assert_eq!(server.get("/lb_check").await.status, 200);
}

#[tokio::test]
async fn a_reader_deletes_only_if_it_may_and_only_what_it_sees() {
    let folder = testkit::folder();
    let server = server(&folder).await;
    for (reader, path, status) in [
        (ALL, "servers.web1.cpu.user", 403),
        (WEB1, "servers.web2.cpu.user", 403),
        (WEB1, "servers.web1.cpu.user", 200),
    ] {
        let path = format!("/tags/delSeries?path={path}");
        assert_eq!(server.ask("POST", &path, reader, b"").await.status, status, "{path}");
    }
}

#[tokio::test]
async fn no_header_of_a_client_reaches_the_backend_unless_it_is_listed() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let router = Router::new().fallback(move |request: Request| async move {
        note.lock().extend(request.headers().keys().map(ToString::to_string));
        StatusCode::NOT_FOUND
    });
    let listener = daemon::listen::tcp("listen", testkit::ANY_PORT).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let limits = daemon::http::Limits::default();
    tokio::spawn(daemon::http::serve(listener, router, daemon::Shutdown::new(), limits));
    let server = Server::on(&url, None, &[("pass_headers", "X-Request-Id")]).await;
    let head = "Authorization: Bearer x\r\nCookie: c=1\r\nX-Request-Id: 7\r\nReferer: /\r\n\
        X-Plumbago-Reader: root\r\nX-Forwarded-For: 10.0.0.1\r\n";
    server.ask("GET", "/render?target=a.*", head, b"").await;
    server.ask("GET", "/tags", head, b"").await;
    let mut seen = std::mem::take(&mut *seen.lock());
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.contains(&"x-request-id".to_owned()), "{seen:?}");
    let ours = ["accept", "content-length", "content-type", "host", "x-plumbago-deadline-ms"];
    seen.retain(|name| !ours.contains(&name.as_str()));
    assert_eq!(seen, ["x-request-id"]);
}
