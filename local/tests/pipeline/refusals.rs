//! Requests that make no sense or would cost too much: each is answered in one line, and the server
//! goes on. The rows are those of the project's list of bad input for find and render.

use crate::{FORM, NOW, Pipeline, lines};

/// Refused for what it says, or for how much it asks.
const REFUSED: &[u16] = &[400, 413, 422];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a16_a25_bad_input_is_refused_in_one_line_and_harms_nobody() {
    let folder = testkit::folder();
    let pipeline = Pipeline::start(folder.path()).await;
    pipeline.load(&lines(2), "servers.*.cpu", 2).await;
    let nested = |depth: usize| format!("target={}servers.web1.cpu", "sumSeries(".repeat(depth));
    let braces = format!("target={}", "{a,b,c,d,e,f,g,h}".repeat(12));
    let rows: Vec<(String, &[u16], &str)> = vec![
        (nested(1_000), &[400], "deep"),
        (nested(20_000), &[400], "deep"),
        (nested(1_000_000), REFUSED, ""),
        ("target=summarize(servers.web1.cpu,%220s%22)".to_owned(), &[400], "summarize"),
        ("target=summarize(servers.web1.cpu,%22-1s%22)".to_owned(), &[400], "summarize"),
        ("target=servers.web1.cpu&maxDataPoints=-5".to_owned(), &[400], "maxDataPoints"),
        (braces, REFUSED, "brace_expansions_max"),
        ("target=servers.{web1,web2.cpu".to_owned(), &[400], "position"),
        ("target=grep(servers.*.cpu,%22(%22)".to_owned(), &[400], "grep"),
        ("target=servers.web1.cpu&format=png&width=100000".to_owned(), &[400], "width"),
        (["target=a"; 1_001].join("&"), REFUSED, "targets_max"),
        ("target=nosuch(servers.web1.cpu)".to_owned(), &[400], "nosuch"),
        ("target=servers.web1.cpu&from=garbage".to_owned(), &[400], "from"),
        ("target=sumSeries(%23B)".to_owned(), &[400], "#B"),
        (format!("target=servers.web1.cpu&from={NOW}&until={NOW}"), &[400], "empty"),
    ];
    for (form, statuses, part) in rows {
        let answer = pipeline.ask("POST", "/render", FORM, form.as_bytes()).await;
        assert!(answer.status != 200, "{form:.100}: {}", answer.text());
        answer.refused(statuses, part);
    }
    pipeline.ask("GET", "/metrics/find", "", b"").await.refused(&[400], "query");
    assert_eq!(pipeline.render("servers.*.cpu").await.len(), 2);
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_looks_dear_but_is_not_is_answered() {
    let folder = testkit::folder();
    let pipeline = Pipeline::start(folder.path()).await;
    pipeline.load(&lines(2), "servers.*.cpu", 2).await;
    let stars = format!("target=servers.{}", "*".repeat(5_000));
    for form in [
        stars.as_str(),
        "target=grep(servers.*.cpu,%22(a%2B)%2B%24%22)",
        "target=holtWintersForecast(servers.*.cpu)",
        "target=servers.web1.cpu&from=0&until=9999999999",
        "target=servers.web1.cpu&from=now&until=-1h",
        "target=servers.web1.cpu&maxDataPoints=0",
        // A bracket that nothing closes is a letter, as recorded from graphite-web.
        "target=servers.%5Bab.cpu",
    ] {
        let form = format!("{form}&format=json");
        let answer = pipeline.ask("POST", "/render", FORM, form.as_bytes()).await;
        assert_eq!(answer.status, 200, "{form:.80}: {}", answer.text());
        assert!(answer.text().starts_with('['));
    }
    // As long a window as a year has seconds: nothing, or a refusal, but no harm.
    let form = b"target=movingAverage(servers.web1.cpu,1000000000)";
    let answer = pipeline.ask("POST", "/render", FORM, form).await;
    assert!([200, 400, 422].contains(&answer.status), "{}", answer.text());
    pipeline.stop().await;
}
