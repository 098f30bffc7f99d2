//! Nodes that come and go while the zipper runs.

use std::path::{Path, PathBuf};

use daemon::{Running, Values};
use plumbago_zipper as zipper;

use crate::fakes::{self, Fake, Mood, NEVER, counted, render, series};
use crate::names;

/// A cluster file with these nodes, and those of the ring that is being left.
fn write(folder: &Path, nodes: &[(&str, &str)], leaving: &[&str]) -> PathBuf {
    let path = folder.join("cluster.toml");
    let mut text = "[ring]\n".to_owned();
    if !leaving.is_empty() {
        text += &format!("[transition]\nnodes = {leaving:?}\n");
    }
    for (name, url) in nodes {
        let read = url.trim_start_matches("http://");
        text += &format!("[[node]]\nname = \"{name}\"\nhost = \"{name}\"\nread = \"{read}\"\n");
    }
    std::fs::write(&path, text).unwrap();
    path
}

fn settings(path: &Path) -> Values {
    let path = path.to_str().unwrap();
    Values::defaults(zipper::SETTINGS).with("cluster", path).with("timeout", NEVER)
}

async fn start(path: &Path) -> Running {
    fakes::zipper(&[], &[("cluster", path.to_str().unwrap()), ("timeout", NEVER)]).await
}

fn suspects(zipper: &Running, node: &str) -> u64 {
    counted(zipper, &format!("plumbago_zipper_node_suspect_state{{node=\"{node}\"}}"))
}

#[tokio::test]
async fn a_node_that_comes_is_asked_and_one_that_stays_is_known_as_before() {
    let folder = testkit::folder();
    let old = Fake::start(vec![series("a.old", [1.0; 4])], Mood::Well).await;
    let dead = testkit::closed_address();
    let new = Fake::start(vec![series("a.new", [2.0; 4])], Mood::Well).await;
    let path = write(folder.path(), &[("old", &old.url), ("dead", &dead)], &[]);
    let zipper = start(&path).await;
    let (head, reply) = render(&zipper, "target=a.*").await;
    assert!(head.contains("x-plumbago-partial: nodes=dead"), "{head}");
    assert_eq!(names(&reply.series), ["a.old"]);
    assert_eq!(suspects(&zipper, "dead"), 1);
    assert_eq!(old.connections(), 1);

    write(
        folder.path(),
        &[("old", &old.url), ("dead", &dead), ("new", &new.url)],
        &["old", "dead"],
    );
    zipper.reload(&settings(&path)).unwrap();
    assert_eq!(suspects(&zipper, "dead"), 1, "its health outlives the reload");
    assert_ne!(zipper.context.facts.all()["ring_leaving"], "");
    let (_, reply) = render(&zipper, "target=a.*").await;
    assert_eq!(names(&reply.series), ["a.new", "a.old"]);
    assert_eq!(old.connections(), 1, "its connection was kept");

    write(folder.path(), &[("new", &new.url)], &[]);
    zipper.reload(&settings(&path)).unwrap();
    let (head, reply) = render(&zipper, "target=a.*").await;
    assert_eq!(names(&reply.series), ["a.new"]);
    assert!(!head.contains("x-plumbago-partial"), "{head}");
    assert!(!zipper.context.metrics.prometheus().contains("suspect_state{node=\"dead\"}"));
}

#[tokio::test]
async fn a_bad_cluster_file_changes_nothing_and_is_told_with_its_line() {
    let folder = testkit::folder();
    let node = Fake::start(vec![series("a", [1.0; 4])], Mood::Well).await;
    let path = write(folder.path(), &[("one", &node.url)], &[]);
    let zipper = start(&path).await;
    let ring = zipper.context.facts.all()["ring_fingerprint"].clone();
    std::fs::write(&path, "[ring]\n[[node]]\nhots = \"one\"\n").unwrap();
    let fault = zipper.reload(&settings(&path)).unwrap_err()[0].to_string();
    assert!(fault.starts_with(&format!("{}:3:1: unknown key `hots`", path.display())), "{fault}");
    let (head, reply) = render(&zipper, "target=a").await;
    assert!(!head.contains("x-plumbago-partial"), "{head}");
    assert_eq!(names(&reply.series), ["a"]);
    assert_eq!(zipper.context.facts.all()["ring_fingerprint"], ring);
}
