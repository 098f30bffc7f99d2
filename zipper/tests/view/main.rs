//! The zipper as its clients see it, over nodes that die, hang, differ and refuse.

#[cfg(test)]
mod births;
#[cfg(test)]
mod fakes;
#[cfg(test)]
mod folds;
#[cfg(test)]
mod holes;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod shadow;

use axum::http::StatusCode;
use daemon::Shutdown;
use fakes::{Fake, Mood, NEVER, counted, get, owners, post, render, series, zipper};
use metric::SeriesData;
use prost::Message as _;
use wire::pb_v3;

const NAN: f64 = f64::NAN;

/// Nodes that each hold their share of `names` as a ring of two copies has it.
async fn cluster(names: &[&str], moods: &[Mood]) -> Vec<Fake> {
    let mut nodes = Vec::new();
    for (node, mood) in moods.iter().enumerate() {
        let owned = |name: &&&str| owners(name, moods.len(), 2).contains(&node);
        let held = names.iter().filter(owned).map(|name| series(name, [1.0, 2.0, 3.0, 4.0]));
        nodes.push(Fake::start(held.collect(), mood.clone()).await);
    }
    nodes
}

fn urls(nodes: &[Fake]) -> Vec<String> {
    nodes.iter().map(|node| node.url.clone()).collect()
}

fn names(series: &[SeriesData]) -> Vec<&str> {
    series.iter().map(|one| one.name.as_str()).collect()
}

#[tokio::test]
async fn an_exact_name_is_read_from_its_primary_alone() {
    let nodes = cluster(&["a.b"], &[Mood::Well, Mood::Well, Mood::Well]).await;
    let zipper = zipper(&urls(&nodes), &[("replication", "2"), ("hedge_delay_min", NEVER)]).await;
    let (head, reply) = render(&zipper, "target=a.b").await;
    assert_eq!(names(&reply.series), ["a.b"]);
    assert!(!head.contains("x-plumbago-partial"));
    let primary = owners("a.b", 3, 2)[0];
    for (index, node) in nodes.iter().enumerate() {
        assert_eq!(node.renders(), u32::from(index == primary), "node {index}");
    }
}

#[tokio::test]
async fn a_silent_primary_costs_the_hedge_delay_and_the_answer_is_whole() {
    let end = Shutdown::new();
    let primary = owners("a.b", 3, 2)[0];
    let mut moods = [Mood::Well, Mood::Well, Mood::Well];
    moods[primary] = Mood::Waits(end.clone());
    let nodes = cluster(&["a.b"], &moods).await;
    let zipper = zipper(&urls(&nodes), &[("replication", "2"), ("timeout", NEVER)]).await;
    let (head, reply) = render(&zipper, "target=a.b").await;
    assert_eq!(names(&reply.series), ["a.b"]);
    assert!(!head.contains("x-plumbago-partial"));
    assert_eq!(reply.meta.unwrap().nodes_answered, 1);
    let second = format!("{}={}", nodes[owners("a.b", 3, 2)[1]].url, owners("a.b", 3, 2)[1]);
    assert_eq!(counted(&zipper, &format!("plumbago_zipper_hedges_total{{node=\"{second}\"}}")), 1);
    end.fire();
}

#[tokio::test]
async fn a_dead_or_failing_primary_is_passed_over_at_once() {
    for dead in [true, false] {
        let [primary, second] = owners("a.b", 3, 2)[..] else { panic!("two copies") };
        let mut moods = [Mood::Well, Mood::Well, Mood::Well];
        moods[primary] = Mood::Fails(StatusCode::INTERNAL_SERVER_ERROR);
        let nodes = cluster(&["a.b"], &moods).await;
        let mut urls = urls(&nodes);
        if dead {
            urls[primary] = format!("http://{}", testkit::closed_address());
        }
        let settings = [("replication", "2"), ("hedge_delay_min", NEVER), ("timeout", NEVER)];
        let zipper = zipper(&urls, &settings).await;
        for round in 1..=2 {
            let (_, reply) = render(&zipper, "target=a.b").await;
            assert_eq!(names(&reply.series), ["a.b"]);
            assert_eq!(nodes[second].renders(), round);
        }
        assert!(nodes[primary].renders() <= 1, "a suspect is not asked again at once");
    }
}

#[tokio::test]
async fn a_glob_is_whole_while_a_hung_nodes_neighbours_answer() {
    let end = Shutdown::new();
    let all = ["s.0", "s.1", "s.2", "s.3", "s.4", "s.5", "s.6", "s.7"];
    let moods = [Mood::Well, Mood::Waits(end.clone()), Mood::Well, Mood::Well];
    let nodes = cluster(&all, &moods).await;
    let zipper = zipper(&urls(&nodes), &[("replication", "2"), ("timeout", NEVER)]).await;
    let (head, reply) = render(&zipper, "target=s.*").await;
    assert_eq!(names(&reply.series), all);
    assert!(!head.contains("x-plumbago-partial"));
    let (_, body) = get(&zipper, "/metrics/find/?query=s.*").await;
    let found = String::from_utf8(body).unwrap();
    assert_eq!(found.matches("\"isLeaf\":true").count(), all.len(), "{found}");
    end.fire();
}

#[tokio::test]
async fn two_dead_neighbours_make_a_glob_partial_and_deny_refuses_it() {
    let moods = [Mood::Well, Mood::Well, Mood::Well, Mood::Well];
    let nodes = cluster(&["s.0", "s.1", "s.2", "s.3"], &moods).await;
    let mut urls = urls(&nodes);
    urls[1] = format!("http://{}", testkit::closed_address());
    urls[2] = format!("http://{}", testkit::closed_address());
    let zipper = zipper(&urls, &[("replication", "2")]).await;
    let (head, reply) = render(&zipper, "target=s.*").await;
    let marked = format!("x-plumbago-partial: nodes={}=1,{}=2", urls[1], urls[2]);
    assert!(head.contains(&marked), "{head}");
    let meta = reply.meta.unwrap();
    assert!(meta.partial && meta.notes[0].contains("not connected"), "{meta:?}");
    assert_eq!((meta.nodes_asked, meta.nodes_answered), (4, 2));
    let (head, body) = get(&zipper, "/render/?target=s.*&from=0&until=240&partial=deny").await;
    let line = String::from_utf8(body).unwrap();
    assert!(head.starts_with("http/1.0 503") && line.lines().count() == 1, "{head}\n{line}");
    assert!(line.starts_with("the answer would be partial: nodes="), "{line}");
    assert_eq!(counted(&zipper, "plumbago_zipper_partial_answers_total{kind=\"render\"}"), 1);
}

#[tokio::test]
async fn without_a_ring_one_missing_node_makes_every_answer_partial() {
    let here = Fake::start(vec![series("a", [1.0; 4])], Mood::Well).await;
    let settings = [("node", here.url.as_str()), ("node", "http://127.0.0.1:1")];
    let zipper = zipper(&[], &settings).await;
    let (head, reply) = render(&zipper, "target=a").await;
    assert_eq!(names(&reply.series), ["a"]);
    assert!(head.contains("x-plumbago-partial: nodes=http://127.0.0.1:1"), "{head}");
}

/// Replicas differ, and each in turn answers last: the bytes are the same.
#[tokio::test]
async fn the_answer_does_not_depend_on_who_answers_first() {
    let [primary, second] = owners("a.b", 2, 2)[..] else { panic!("two copies") };
    let mut bodies = Vec::new();
    for slow in [primary, second] {
        let gate = Shutdown::new();
        let mood = |node| if node == slow { Mood::Waits(gate.clone()) } else { Mood::Well };
        let held = |node| {
            let values = if node == primary { [1.0, NAN, 3.0, 4.0] } else { [7.0, 2.0, 3.0, NAN] };
            vec![series("a.b", values)]
        };
        let nodes = [Fake::start(held(0), mood(0)).await, Fake::start(held(1), mood(1)).await];
        let settings = [("replication", "2"), ("hedge_delay_min", NEVER), ("timeout", NEVER)];
        let zipper = zipper(&urls(&nodes), &settings).await;
        let release = async {
            let other = &nodes[1 - slow];
            let asked = || (other.renders() > 0 && nodes[slow].renders() > 0).then_some(());
            testkit::wait_until_async("both are asked", testkit::PATIENCE, async || asked()).await;
            gate.fire();
        };
        let path = "/render?target=*.b&from=0&until=240&format=pickle";
        let ((_, body), ()) = tokio::join!(get(&zipper, path), release);
        bodies.push(body);
        let mut names = [0, 1].map(|n| format!("{}={n}", nodes[n].url));
        names.sort_unstable();
        let metrics = &zipper.context.metrics;
        let labels = [names[0].as_str(), names[1].as_str()];
        let divergent = metrics.value("plumbago_zipper_divergent_points_total", &labels);
        assert_eq!(divergent, Some(1.0), "7 against 1");
    }
    assert_eq!(bodies[0], bodies[1]);
    let caps = wire::pb::Caps { bytes_max: 1 << 20, items_max: 10 };
    let reply = wire::reply::decode_render(wire::reply::Format::Pickle, &bodies[0], caps).unwrap();
    assert_eq!(reply.series[0].values, [1.0, 2.0, 3.0, 4.0]);
}

#[tokio::test]
async fn a_gap_of_the_primary_is_filled_from_the_next_owner() {
    let [primary, _] = owners("a.b", 2, 2)[..] else { panic!("two copies") };
    let held = |node| {
        let values = if node == primary { [1.0, NAN, 3.0, 4.0] } else { [NAN, 2.0, NAN, NAN] };
        vec![series("a.b", values)]
    };
    let nodes = [Fake::start(held(0), Mood::Well).await, Fake::start(held(1), Mood::Well).await];
    let zipper = zipper(&urls(&nodes), &[("replication", "2"), ("hedge_delay_min", NEVER)]).await;
    let (_, reply) = render(&zipper, "target=a.b").await;
    assert_eq!(reply.series[0].values, [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(counted(&zipper, "plumbago_zipper_gap_reads_total"), 1);
}

#[tokio::test]
async fn a_gap_is_filled_from_an_owner_whose_hedged_answer_was_overtaken() {
    let [primary, second] = owners("a.b", 2, 2)[..] else { panic!("two copies") };
    let gates = [Shutdown::new(), Shutdown::new()];
    let held = |node| {
        let values = if node == primary { [1.0, NAN, 3.0, 4.0] } else { [NAN, 2.0, NAN, NAN] };
        vec![series("a.b", values)]
    };
    let mood = |node: usize| Mood::Waits(gates[node].clone());
    let nodes = [Fake::start(held(0), mood(0)).await, Fake::start(held(1), mood(1)).await];
    let settings = [("replication", "2"), ("hedge_delay_min", "1ms"), ("timeout", NEVER)];
    let zipper = zipper(&urls(&nodes), &settings).await;
    let release = async {
        for (asked, gate) in [(1, primary), (2, second)] {
            let enough = || (nodes[second].renders() >= asked).then_some(());
            testkit::wait_until_async("the second is asked", testkit::PATIENCE, async || enough())
                .await;
            gates[gate].fire();
        }
    };
    let ((_, reply), ()) = tokio::join!(render(&zipper, "target=a.b"), release);
    assert_eq!(reply.series[0].values, [1.0, 2.0, 3.0, 4.0]);
}

#[tokio::test]
async fn the_deadline_ends_the_wait_and_what_came_is_given() {
    let end = Shutdown::new();
    let well = Fake::start(vec![series("a", [1.0; 4])], Mood::Well).await;
    let hung = Fake::start(vec![], Mood::Waits(end.clone())).await;
    let timeout = format!("{}ms", fakes::SOON.as_millis());
    let settings =
        [("node", well.url.as_str()), ("node", hung.url.as_str()), ("timeout", timeout.as_str())];
    let over_both = zipper(&[], &settings).await;
    let (head, reply) = render(&over_both, "target=*").await;
    assert_eq!(names(&reply.series), ["a"]);
    assert!(head.contains("x-plumbago-partial"), "{head}");
    assert!(reply.meta.unwrap().notes[0].ends_with("no answer by the deadline"));

    let over_none = zipper(&[], &settings[1..]).await;
    let (head, body) = get(&over_none, "/render?target=*&from=0&until=240").await;
    let line = String::from_utf8(body).unwrap();
    assert!(head.starts_with("http/1.0 503"), "{head}");
    assert!(line.starts_with("no node answered: ") && line.lines().count() == 1, "{line}");
    end.fire();
}

#[tokio::test]
async fn nothing_found_is_an_empty_answer_and_a_refusal_is_passed_on() {
    let nodes = cluster(&[], &[Mood::Well, Mood::Well]).await;
    let over_well = zipper(&urls(&nodes), &[("replication", "2")]).await;
    let (head, body) = get(&over_well, "/render/?target=x.*&from=0&until=240").await;
    assert!(head.starts_with("http/1.0 200") && body == b"{\"metrics\":[]}", "{head}");
    let refusing = Mood::Fails(StatusCode::UNPROCESSABLE_ENTITY);
    let nodes = cluster(&[], &[refusing.clone(), refusing]).await;
    let settings = [("replication", "2"), ("hedge_delay_min", NEVER)];
    let over_refusing = zipper(&urls(&nodes), &settings).await;
    for target in ["x", "x.*"] {
        let path = format!("/render?target={target}&from=0&until=240");
        let (head, body) = get(&over_refusing, &path).await;
        assert!(head.starts_with("http/1.0 422") && body == b"unwell\n", "{head}");
    }
    assert_eq!(nodes.iter().map(Fake::renders).sum::<u32>(), 3, "no blind second try");
}

#[tokio::test]
async fn messages_may_ask_for_several_windows_forms_for_many_targets() {
    let nodes = cluster(&["a", "b"], &[Mood::Well, Mood::Well]).await;
    let zipper = zipper(&urls(&nodes), &[("replication", "2"), ("targets_max", "2")]).await;
    let form = b"target=b&target[]=a&from=0&until=240&format=carbonapi_v2_pb";
    let (head, body) = post(&zipper, "/render/", "application/x-www-form-urlencoded", form).await;
    assert!(head.contains("application/x-protobuf"), "{head}");
    let reply = wire::pb_v2::MultiFetchResponse::decode(&body[..]).unwrap();
    let got: Vec<&str> = reply.metrics.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(got, ["b", "a"], "in the order asked");

    let one = |name: &str| pb_v3::FetchRequest {
        name: name.to_owned(),
        stop_time: 240,
        path_expression: format!("expression of {name}"),
        ..Default::default()
    };
    let message = pb_v3::MultiFetchRequest { metrics: vec![one("a")], plan: None };
    let path = "/render?format=carbonapi_v3_pb";
    let (_, body) = post(&zipper, path, "", &message.encode_to_vec()).await;
    let reply = pb_v3::MultiFetchResponse::decode(&body[..]).unwrap();
    assert_eq!(reply.metrics[0].path_expression, "expression of a");
    assert_eq!(reply.metrics[0].request_stop_time, 240);

    let message = pb_v3::MultiFetchRequest { metrics: vec![one("a"); 3], plan: None };
    let (head, body) = post(&zipper, path, "", &message.encode_to_vec()).await;
    assert!(head.starts_with("http/1.0 422"), "{head}");
    assert_eq!(body, b"targets_max: 3 asked for, 2 allowed\n");
}

#[tokio::test]
async fn bad_parameters_are_named_in_one_line() {
    let nodes = cluster(&[], &[Mood::Well]).await;
    let zipper = zipper(&urls(&nodes), &[]).await;
    for (path, line) in [
        ("/render", "no target is given\n"),
        ("/render?target=a&from=-1h", "from=-1h: expected whole seconds since 1970\n"),
        ("/render?target=a&format=png", "format=png: no such format\n"),
        ("/render?target=a&partial=no", "partial=no: expected allow or deny\n"),
        ("/metrics/find", "no query is given\n"),
        ("/info/?target=a&format=pickle", "info reply does not exist as pickle\n"),
    ] {
        let (head, body) = get(&zipper, path).await;
        assert!(head.starts_with("http/1.0 400"), "{path}: {head}");
        assert_eq!(String::from_utf8(body).unwrap(), line, "{path}");
    }
}

#[tokio::test]
async fn series_are_deleted_of_every_node_or_it_is_said_of_which_not() {
    let form = b"path=a%3Bx%3D1&path=b";
    let nodes = cluster(&[], &[Mood::Well, Mood::Well]).await;
    let whole = zipper(&urls(&nodes), &[("replication", "2")]).await;
    let kind = "application/x-www-form-urlencoded";
    let (_, body) = post(&whole, "/tags/delSeries", kind, form).await;
    assert_eq!(body, b"{\"deleted\":2}");
    let (head, _) = get(&whole, "/tags/delSeries?path=a").await;
    assert!(head.starts_with("http/1.0 405"), "{head}");
    let unwell = Mood::Fails(StatusCode::INTERNAL_SERVER_ERROR);
    let nodes = cluster(&[], &[Mood::Well, unwell]).await;
    let broken = zipper(&urls(&nodes), &[("replication", "2")]).await;
    let (head, body) = post(&broken, "/tags/delSeries", kind, form).await;
    let body = String::from_utf8(body).unwrap();
    assert!(head.starts_with("http/1.0 503") && body.contains("not deleted everywhere"), "{body}");
}

#[tokio::test]
async fn tags_are_united_and_the_small_paths_answer_in_both_spellings() {
    let nodes = cluster(&["b;x=1", "a;x=1"], &[Mood::Well, Mood::Well]).await;
    let zipper = zipper(&urls(&nodes), &[]).await;
    let (_, body) = get(&zipper, "/tags/findSeries?expr=x%3D1").await;
    assert_eq!(body, b"[\"a;x=1\",\"b;x=1\"]");
    for path in ["/lb_check", "/lb_check/"] {
        assert_eq!(get(&zipper, path).await.1, b"Ok\n");
    }
    let (_, body) = get(&zipper, "/_internal/capabilities/?format=carbonapi_v3_pb").await;
    let capabilities = pb_v3::CapabilityResponse::decode(&body[..]).unwrap();
    assert_eq!(capabilities.supported_protocols[0], "carbonapi_v3_pb");
    let (_, body) = get(&zipper, "/_internal/capabilities?format=protobuf").await;
    assert!(body.is_empty(), "carbonapi takes this for the old protocol");
}

#[tokio::test]
async fn series_of_a_tag_are_counted_once_with_all_nodes_and_with_one_away() {
    let names: Vec<String> = (0..20).map(|n| format!("m{n};x={}", n % 3)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let nodes = cluster(&names, &[Mood::Well, Mood::Well, Mood::Well]).await;
    let mut urls = urls(&nodes);
    for away in [false, true] {
        if away {
            urls[1] = format!("http://{}", testkit::closed_address());
        }
        let zipper = zipper(&urls, &[("replication", "2")]).await;
        let (head, body) = get(&zipper, "/tags/x").await;
        assert!(head.starts_with("http/1.0 200") && !head.contains("partial"), "{head}");
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let values = answer["values"].as_array().unwrap().iter();
        let counts: Vec<_> = values.map(|entry| entry["count"].as_u64().unwrap()).collect();
        assert_eq!(counts, [7, 7, 6], "with one away: {away}");
    }
}

#[tokio::test]
async fn what_series_take_is_summed_up_with_each_counted_once() {
    let all = ["a.b.x", "a.b.y", "a.c", "a.c.z", "d"];
    let nodes = cluster(&all, &[Mood::Well, Mood::Well, Mood::Well]).await;
    let zipper = zipper(&urls(&nodes), &[("replication", "2")]).await;
    let ask = async |path: &str| {
        let (head, body) = get(&zipper, path).await;
        assert!(head.starts_with("http/1.0 200"), "{head}");
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()
    };
    let details = ask("/metrics/details").await;
    let listed = details["Metrics"].as_array().unwrap().iter().map(|row| row["Name"].as_str());
    assert!(listed.eq(all.map(Some)), "{details}");
    assert_eq!((&details["FreeSpace"], &details["TotalInodes"]), (&3000.into(), &60.into()));
    let usage = ask("/metrics/list_query?target=a.*.*&leaf_only=true").await;
    assert_eq!((&usage["Count"], &usage["LogicalSize"]), (&3.into(), &300.into()));
    let one = ask("/metrics/list_query?target=d").await;
    assert_eq!(one["Metrics"][0]["PhysicalSize"], 4096);
    let sums = ask("/metrics/list_query?target=a.*.*&stats_only=1").await;
    assert_eq!((&sums["Count"], sums["Metrics"].as_array().unwrap().len()), (&3.into(), 0));
    assert!(get(&zipper, "/metrics/list_query").await.0.starts_with("http/1.0 400"));
}

#[tokio::test]
async fn each_node_is_asked_whether_it_is_there() {
    let nodes = cluster(&[], &[Mood::Well]).await;
    let away = format!("http://{}", testkit::closed_address());
    let zipper = zipper(&[nodes[0].url.clone(), away], &[]).await;
    let (_, body) = get(&zipper, "/_internal/nodes").await;
    let health: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let states: Vec<_> =
        health["nodes"].as_array().unwrap().iter().map(|node| &node["state"]).collect();
    assert_eq!(states, ["up", "down"], "{health}");
    assert!(health["nodes"][1]["error"].as_str().unwrap().contains("not connected"), "{health}");
}
