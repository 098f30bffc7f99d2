//! `send`, `query`, `completions` and `man`.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::pipeline::{Pipeline, plumbago, printed, text_of};

#[test]
fn points_that_were_sent_are_there_when_the_command_ends() {
    let pipeline = Pipeline::start("2");
    let answer = printed(
        &["send", "--to", &pipeline.line, "--json", "hand.a 42", "hand.b;t=1 -0.5 -1"],
        b"",
    );
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), json!({"sent": 2, "refused": 0}));
    let ask = |words: &[&str]| {
        let common = ["query", "--api", &pipeline.api, "--from", "-10min"];
        printed(&[&common[..], words].concat(), b"")
    };
    let points = ask(&["--points", "hand.a", "seriesByTag('name=hand.b')"]);
    let rows: Vec<Vec<&str>> = points.lines().map(|line| line.split('\t').collect()).collect();
    let kept: Vec<(&str, &str)> = rows.iter().map(|row| (row[0], row[2])).collect();
    assert_eq!(kept, [("hand.a", "42"), ("hand.b;t=1", "-0.5")]);
    assert!(ask(&["hand.a"]).contains("last 42  min 42  max 42  points 1"));
    assert_eq!(ask(&["--find", "*"]), "hand.\n");
    assert_eq!(ask(&["--find", "hand.*"]), "hand.a\n");
    assert_eq!(ask(&["--json", "no.such"]).trim(), "[]");
    let said = |target: &str| {
        let output = plumbago(&["query", "--api", &pipeline.api, target], b"");
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(said("no.such"), (Some(0), "plumbago: no series\n".to_owned()));
    let (code, fault) = said("sumSeries(");
    assert!(
        code == Some(1) && fault.contains(": expected a series") && !fault.contains('{'),
        "{fault}"
    );
}

#[test]
fn a_bad_line_is_named_and_the_rest_is_sent() {
    let pipeline = Pipeline::start("2");
    let input = b"in.good 1 -1\nno value here at all\n\nin..dots 2 -1\nin.nan nan -1\n";
    let output = plumbago(&["send", "--to", &pipeline.line, "--json"], input);
    assert_eq!(output.status.code(), Some(2));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer, json!({"sent": 2, "refused": 2}));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("point `no value here at all`") && said.contains("point `in.nan nan -1`")
    );
}

#[test]
fn a_receiver_that_confirms_nothing_is_a_failure() {
    let listener = TcpListener::bind(testkit::ANY_PORT).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let output = plumbago(&["send", "--to", &address, "--wait", "1", "a 1"], b"");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no sign of it in time; of 1 points"), "{said}");
}

#[test]
fn nobody_there_is_a_failure_and_a_wrong_address_a_wrong_command_line() {
    let closed = testkit::closed_address();
    for words in [["send", "--to", &closed, "a 1"], ["query", "--api", &closed, "a"]] {
        let output = plumbago(&words, b"");
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8(output.stderr).unwrap().contains(&closed), "{words:?}");
    }
    assert_eq!(plumbago(&["query", "--api", "nowhere", "a"], b"").status.code(), Some(64));
}

#[test]
fn completions_know_every_command_in_all_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&["completions", shell], b"");
        for word in ["sieve", "whisper", "resize", "metrics-file", "lookup"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(plumbago(&["completions", "tcsh"], b"").status.code(), Some(64));
}

#[test]
fn there_is_a_man_page_for_every_command() {
    let folder = testkit::folder();
    let pages = folder.path().join("man1");
    let listed = printed(&["man", pages.to_str().unwrap()], b"");
    assert_eq!(listed.lines().count(), std::fs::read_dir(&pages).unwrap().count());
    let page = text_of(&pages.join("plumbago-whisper-resize.1"));
    assert!(page.contains(".TH") && page.contains("nobackup"), "{page}");
    assert!(pages.join("plumbago-sieve.1").exists());
}

#[test]
fn top_shows_every_node_and_names_who_does_not_answer() {
    let pipeline = Pipeline::start("2");
    printed(&["send", "--to", &pipeline.line, "hand.top 1"], b"");
    let cluster = pipeline.cluster();
    let words = ["top", "--cluster", &cluster, "--once", "--interval", "1"];
    let seen = printed(&[&words[..], &["--json"]].concat(), b"");
    let nodes: Vec<Value> = seen.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown = |key: &str| nodes.iter().map(|node| node[key].clone()).collect::<Vec<_>>();
    assert_eq!(shown("name"), ["node-1", "node-2"]);
    assert_eq!(shown("series"), [1.0, 1.0]);
    let closed = testkit::closed_address();
    let output = plumbago(&[&words[..], &["--admin", &closed]].concat(), b"");
    assert_eq!(output.status.code(), Some(2));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("carbon") && table.contains("node-2") && table.contains(&closed));
}
