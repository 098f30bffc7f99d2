//! Quotas by prefix, and files that the rules of today would make otherwise.

use schema::Quotas;

use super::*;

fn resolve(node: &Node, names: &[&str]) -> Vec<bool> {
    let mut ids = Vec::new();
    node.engine.resolve(names, &mut ids);
    ids.iter().map(Option::is_some).collect()
}

fn with_quotas(text: &str) -> Node {
    let node = Node::new();
    node.append("a.old", &[(NOW, 1.0)]);
    node.engine.set_quotas(&Quotas::parse(text, "quotas.conf").unwrap());
    node
}

#[test]
fn a_quota_of_series_refuses_new_ones_below_its_prefix_alone() {
    let node = with_quotas("[a]\nprefix = a.\nseries = 3\n[all]\nprefix=\nseries = 4\n");
    let names = ["a.old", "a.1", "a.2", "a.3", "b.1", "a.1", "b.2"];
    assert_eq!(resolve(&node, &names), [true, true, true, false, true, true, false]);
    assert!(node.engine.is_over_quota("a.3") && !node.engine.is_over_quota("a.1"));
    let used: Vec<u64> = node.engine.quota_uses().iter().map(|used| used.series).collect();
    assert_eq!(used, [3, 4]);
}

#[test]
fn what_is_gone_makes_room() {
    let node = with_quotas("[a]\nprefix = a.\nseries = 1\n");
    assert_eq!(resolve(&node, &["a.new"]), [false]);
    assert!(node.engine.remove(node.id("a.old")).unwrap());
    node.engine.store.count_quotas();
    assert_eq!(resolve(&node, &["a.new", "a.newer"]), [true, false]);
}

#[test]
fn a_quota_of_bytes_counts_whole_files() {
    let bytes = OneSpec.spec_for("a.old").header().unwrap().file_bytes();
    let node = with_quotas(&format!("[a]\nprefix = a.\nbytes = {}\n", 3 * bytes));
    assert_eq!(resolve(&node, &["a.1", "a.2", "a.3"]), [true, true, false]);
    assert_eq!(node.engine.quota_uses()[0].bytes, 3 * bytes);
}

#[test]
fn a_quota_of_points_refuses_new_series_until_there_are_fewer() {
    let node = with_quotas("[a]\nprefix = a.\npoints_per_minute = 4\n");
    assert_eq!(resolve(&node, &["a.old"; 3]), [true; 3]);
    assert_eq!(resolve(&node, &["a.1", "a.2"]), [false, false], "these two are points too");
    assert_eq!(resolve(&node, &["a.old", "b.1"]), [true, true]);
    advance(&node, 60);
    assert_eq!(resolve(&node, &["a.1"]), [false], "the last minute had too many");
    advance(&node, 60);
    assert_eq!(resolve(&node, &["a.1"]), [true]);
}

#[test]
fn without_quotas_everything_is_as_before() {
    let node = with_quotas("");
    assert_eq!(resolve(&node, &["a.1", "a.1", "b"]), [true, true, true]);
    assert!(!node.engine.is_over_quota("a.1"));
}

#[test]
fn files_of_another_kind_than_todays_rules_are_found_a_part_at_a_time() {
    let node = Node::new();
    for name in ["a", "b", "c"] {
        node.append(name, &[(NOW, 1.0)]);
    }
    node.engine.flush(FlushScope::All);
    let path = node.file("b.wsp");
    std::fs::remove_file(&path).unwrap();
    let spec = Spec::new(whisper::parse_retentions("1m:1h").unwrap());
    whisper::create(&path, &spec, whisper::OnExisting::Refuse).unwrap();
    assert_eq!(node.engine.schema_drift(SeriesId(0), 10, &mut || {}).drifted, [], "from memory");
    let node = node.restart();
    let mut rests = 0;
    let first = node.engine.schema_drift(SeriesId(0), 2, &mut || rests += 1);
    assert_eq!((first.checked, first.read, first.next), (2, 2, Some(SeriesId(2))));
    assert_eq!((first.drifted.len(), rests), (1, 2));
    let Drifted { name, file, rules } = &first.drifted[0];
    assert_eq!((name.as_str(), file.archives.len(), rules.archives.len()), ("b", 1, 3));
    let rest = node.engine.schema_drift(SeriesId(2), 2, &mut || {});
    assert_eq!((rest.checked, rest.drifted.len(), rest.next), (1, 0, None));
}
