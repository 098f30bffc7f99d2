//! Every limit is a setting, a counter, and one line that names it.

use crate::fake::Kind;
use crate::server::Server;

#[tokio::test]
async fn each_limit_names_itself_with_what_was_asked_and_what_is_allowed() {
    for (limit, allowed, query) in [
        ("targets_max", "1", "target=a&target=b"),
        ("target_bytes_max", "10B", "target=sumSeries(toplevel)"),
        ("calls_max", "2", "target=lower(lower(lower(toplevel)))"),
        ("arguments_max", "2", "target=sum(toplevel,odd.dup,odd.inf)"),
        ("pattern_nodes_max", "3", "target=a.b.c.d"),
        ("globstars_max", "1", "target=a.**.b.**"),
        ("brace_expansions_max", "3", "target=a.{b,c}.{d,e}"),
        ("fetches_max", "1", "target=a&target=b"),
        ("windows_max", "2", "target=timeStack(toplevel,'1h',0,3)"),
        ("time_stack_shifts_max", "2", "target=timeStack(toplevel,'1h',0,3)"),
        ("pattern_series_max", "1", "target=servers.*.*.*"),
        ("series_max", "1", "target=servers.*.*.*"),
        ("points_max", "10", "target=toplevel"),
        ("generated_points_max", "10", "target=time('t',1)"),
        ("window_points_max", "10", "target=pearson(toplevel,odd.inf,20)"),
        ("memory_bytes_max", "500B", "target=toplevel"),
        ("reply_series_max", "1", "target=servers.*.*.*"),
        ("reply_bytes_max", "100B", "target=toplevel"),
    ] {
        let server = Server::with(Kind::Full, &[(limit, allowed)]).await;
        let answer = server.get(&format!("/render?{query}&from=-1h&format=json")).await;
        answer.refused(422, &format!("limit {limit} exceeded: asked "));
        assert!(
            answer.text().contains(&format!("allowed {}", allowed.trim_end_matches('B'))),
            "{}",
            answer.text()
        );
        let metric = format!("plumbago_api_limits_total{{limit=\"{limit}\"}}");
        assert_eq!(server.metric(&metric).await, 1.0, "{limit}");
    }
}

#[tokio::test]
async fn finds_have_limits_of_their_patterns_too() {
    let server = Server::start().await;
    let braces = "%7Ba,b,c,d,e,f,g,h%7D".repeat(12);
    for path in ["/metrics/find?query=x.", "/metrics/expand?query=x."] {
        server.get(&format!("{path}{braces}")).await.refused(422, "brace_expansions_max");
    }
}

#[tokio::test]
async fn bad_input_of_the_field_s_list_is_refused_or_answered_and_nothing_falls_over() {
    let server = Server::start().await;
    let nested =
        |calls: usize| format!("target={}toplevel{}", "sum(".repeat(calls), ")".repeat(calls));
    for (query, status) in [
        (nested(250), 200),
        (nested(1000), 400),
        (nested(20_000), 400),
        ("target=summarize(toplevel,%220s%22)".to_owned(), 400),
        ("target=summarize(toplevel,%22-1s%22)".to_owned(), 400),
        ("target=toplevel&maxDataPoints=-5".to_owned(), 400),
        ("target=toplevel&maxDataPoints=0".to_owned(), 200),
        (format!("target=x.{}", "%7Ba,b,c,d,e,f,g,h%7D".repeat(12)), 422),
        (format!("target=t.{}", "*".repeat(5000)), 200),
        ("target=a.%7Bb".to_owned(), 400),
        ("target=grep(toplevel,'(')".to_owned(), 400),
        ("target=grep(toplevel,'(a%2B)%2B$')".to_owned(), 200),
        ("target=toplevel&".repeat(1001), 422),
        ("target=toplevel&format=png&width=100000".to_owned(), 400),
        ("target=randomWalk('x',1)&from=0".to_owned(), 422),
    ] {
        let answer = server.post("/render", &query).await;
        let shown: String = query.chars().take(80).collect();
        assert_eq!(answer.status, status, "{shown}: {}", String::from_utf8_lossy(&answer.body));
        if status != 200 {
            answer.refused(status, "");
        }
    }
}

#[tokio::test]
async fn what_takes_too_long_for_a_processor_is_ended() {
    let server =
        Server::with(Kind::Full, &[("evaluation_ms_max", "50"), ("points_max", "1000000000")]);
    let server = server.await;
    // A trillion values, were they all looked at.
    let target = "movingWindow(time('t',1),'2000000s','max')";
    let answer = server.post("/render", &format!("target={target}&from=-5000000s")).await;
    answer.refused(422, "limit evaluation_ms_max exceeded");
    let other = server.get("/render?target=toplevel&from=-1h&format=json").await;
    assert_eq!(other.status, 200, "its thread is free again");
}

#[tokio::test]
async fn one_client_has_so_many_requests_at_a_time() {
    let server =
        Server::with(Kind::Hung, &[("client_requests_max", "1"), ("request_timeout", "1s")]);
    let server = server.await;
    let (first, second) =
        tokio::join!(server.get("/render?target=toplevel"), server.get("/render?target=toplevel"),);
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [429, 503]);
    let refused = if first.status == 429 { &first } else { &second };
    refused.refused(429, "client_requests_max");
    assert_eq!(refused.header("retry-after"), Some("1"));
}
