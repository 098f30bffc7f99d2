//! Every format of `/render` reads back to what was sent.

use serde_json::json;
use wire::reply::{Caps, Format, decode_render};

use crate::server::{Answer, Server};

const CAPS: Caps = Caps { bytes_max: 1 << 20, items_max: 100 };

async fn render(server: &Server, rest: &str) -> Answer {
    let answer = server.get(&format!("/render?from=1790006280&until=1790006400&{rest}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

#[tokio::test]
async fn csv_is_quoted_where_it_must_be_and_in_the_zone_asked_for() {
    let server = Server::start().await;
    let answer =
        render(&server, "target=alias(gaps.half,'a,+%22b%22')&format=csv&tz=Europe/Paris").await;
    let name = r#""a, ""b""""#;
    let expected = format!("{name},2026-09-21 17:59:00,\r\n{name},2026-09-21 18:00:00,1.0\r\n");
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.header("content-type"), Some("text/csv"));
    let utc = render(&server, "target=toplevel&format=csv&tz=No/Where").await;
    assert!(utc.text().starts_with("toplevel,2026-09-21 15:59:00,0.0\r\n"));
}

#[tokio::test]
async fn raw_has_its_shortcuts() {
    let server = Server::start().await;
    for rest in ["format=raw", "rawData=true", "rawdata=1"] {
        let answer = render(&server, &format!("target=gaps.half&{rest}")).await;
        assert_eq!(answer.text(), "gaps.half,1790006340,1790006460,60|None,1.0\n", "{rest}");
    }
}

#[tokio::test]
async fn peers_read_the_series_in_their_formats() {
    let server = Server::start().await;
    for (rest, format) in [
        ("pickle=1", Format::Pickle),
        ("format=pickle", Format::Pickle),
        ("format=msgpack", Format::Msgpack),
        ("format=protobuf", Format::V2),
        ("format=carbonapi_v2_pb", Format::V2),
        ("format=carbonapi_v3_pb", Format::V3),
    ] {
        let answer = render(&server, &format!("target=gaps.half&target=toplevel&{rest}")).await;
        let reply = decode_render(format, &answer.body, CAPS).unwrap();
        let names: Vec<_> = reply.series.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["gaps.half", "toplevel"], "{rest}");
        assert!(reply.series[0].values[0].is_nan());
        assert_eq!(reply.series[1].values, [0.0, 1.0]);
        assert_eq!(reply.series[1].window(), metric::Window::new(1_790_006_340, 1_790_006_460));
    }
}

#[tokio::test]
async fn drawing_libraries_get_their_shapes() {
    let server = Server::start().await;
    let both = "target=gaps.half&target=toplevel";
    let dygraph = render(&server, &format!("{both}&format=dygraph")).await.json();
    assert_eq!(dygraph["labels"], json!(["Time", "gaps.half", "toplevel"]));
    assert_eq!(
        dygraph["data"],
        json!([[1_790_006_340_000_i64, null, 0.0], [1_790_006_400_000_i64, 1.0, 1.0]])
    );
    let rickshaw = render(&server, &format!("{both}&format=rickshaw")).await.json();
    assert_eq!(rickshaw[0]["datapoints"][0], json!({ "x": 1_790_006_340, "y": null }));
    assert_eq!(render(&server, "target=nosuch&format=dygraph").await.text(), "{}");
}

#[tokio::test]
async fn pretty_changes_blanks_only() {
    let server = Server::start().await;
    let plain = render(&server, "target=odd.*.x&format=json").await;
    let pretty = render(&server, "target=odd.*.x&format=json&pretty=1").await;
    assert!(pretty.text().lines().count() > 10);
    assert_eq!(pretty.json(), plain.json());
}

#[tokio::test]
async fn large_replies_are_refused_before_they_are_begun() {
    let settings = [("reply_bytes_max", "1KiB")];
    let server = Server::with(crate::fake::Kind::Full, &settings).await;
    let answer = server.get("/render?target=servers.*.cpu.*&format=json&from=-1h").await;
    answer.refused(422, "reply_bytes_max");
}

#[tokio::test]
async fn pictures_show_what_was_asked_for() {
    let server = Server::start().await;
    let png = render(&server, "target=gaps.half&format=png&width=400&height=200").await;
    assert_eq!(png.header("content-type"), Some("image/png"));
    assert_eq!(png.body[..4], *b"\x89PNG");
    assert_eq!(png.body[16..24], [0, 0, 1, 144, 0, 0, 0, 200]);
    let svg = "format=svg&title=%3CLoad%3E&tz=Europe/Paris&target=";
    let svg = render(&server, &format!("{svg}color(alias(toplevel,'n'),'red')")).await;
    assert_eq!(svg.header("content-type"), Some("image/svg+xml"));
    for part in [">n</text>", "&lt;Load&gt;", "#c80032", ">17:59:00</text>"] {
        assert!(svg.text().contains(part), "{part}: {}", svg.text());
    }
    let empty = render(&server, "target=no.such&format=svg").await;
    assert!(empty.text().contains("No Data"));
}

#[tokio::test]
async fn pies_take_series_and_numbers() {
    let server = Server::start().await;
    let pie = "graphType=pie&format=svg&pieMode=maximum&target=idle:3&target=gaps.half";
    let answer = render(&server, pie).await;
    for part in [">idle</text>", ">gaps.half</text>", ">%75.00</text>", ">%25.00</text>"] {
        assert!(answer.text().contains(part), "{part}: {}", answer.text());
    }
    render(&server, "graphType=pie&format=png&target=only:1").await;
}

#[tokio::test]
async fn options_that_cannot_be_are_refused_by_name() {
    let server = Server::start().await;
    for (query, part) in [
        ("width=4097", "width"),
        ("lineMode=curly", "lineMode"),
        ("bgcolor=blau", "bgcolor"),
        ("graphType=cake", "graphType"),
        ("graphType=pie&pieMode=most", "pieMode"),
        ("yMin=9&yMax=1", "y axis"),
    ] {
        let path =
            format!("/render?from=1790006280&until=1790006400&target=toplevel&format=png&{query}");
        server.get(&path).await.refused(400, part);
    }
}
