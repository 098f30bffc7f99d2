//! A seal against plain lists, and what makes it useless.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const SEED: u64 = 7;

struct Made {
    folder: TempDir,
    sealed: Sealed,
}

fn paths(folder: &TempDir) -> (PathBuf, PathBuf) {
    (folder.path().join("names.seal"), folder.path().join("names.log"))
}

/// A seal of names whose ids are their places in the list.
fn made(names: &[&str]) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let (seal, log) = paths(&folder);
    std::fs::write(&log, "a log of some length").unwrap();
    let covers = Covers {
        id_end: names.len() as u32 + 3,
        log_end: 10,
        log_sample_crc: log_sample(&log, 10).unwrap().unwrap(),
        seed: SEED,
    };
    let mut builder = Builder::new(covers);
    let ids: Vec<(&str, u32)> = names.iter().copied().zip(0..).collect();
    let (mut tagged, mut plain): (Vec<_>, Vec<_>) =
        ids.into_iter().partition(|(name, _)| metric::tags::is_tagged(name));
    plain.sort_by(|a, b| by_component(a.0, b.0));
    tagged.sort_unstable();
    plain.iter().for_each(|(name, id)| builder.untagged(name, *id).unwrap());
    tagged.iter().for_each(|(name, id)| builder.tagged(name, *id).unwrap());
    builder.write(&seal).unwrap();
    let sealed = Sealed::open(&seal, &log).unwrap().expect("it was just made");
    Made { folder, sealed }
}

fn find(sealed: &Sealed, name: &str) -> Option<u32> {
    sealed.find(FixedState::with_seed(SEED).hash_one(name), name)
}

proptest! {
    #[test]
    fn every_name_is_found_by_name_by_id_and_in_the_tree(
        plain in prop::collection::btree_set("[ab-]{1,2}(\\.[abc]{1,2}){0,4}", 0..40),
        tagged in prop::collection::btree_set("[ab]{1,2};x=[ab]{1,2}(;y=[ab])?", 0..20),
        others in prop::collection::vec("[abc]{1,2}(\\.[abc]{1,2}){0,3}(;x=[ab])?", 0..20),
    ) {
        let names: Vec<&str> = plain.iter().chain(&tagged).map(|name| &name[..]).collect();
        let Made { sealed, .. } = made(&names);
        prop_assert_eq!((sealed.len(), sealed.id_end()), (names.len(), names.len() as u32 + 3));
        for (id, name) in (0u32..).zip(&names) {
            prop_assert_eq!(find(&sealed, name), Some(id));
            prop_assert_eq!(sealed.name(id), Some((*name).to_owned()));
        }
        for other in others.iter().filter(|other| !names.contains(&&other[..])) {
            prop_assert_eq!(find(&sealed, other), None, "{}", other);
        }
        prop_assert_eq!(sealed.name(names.len() as u32), None);
        let mut met = Vec::new();
        sealed.each_untagged(|name, id| {
            met.push((name.to_owned(), id));
            Ok::<_, ()>(())
        }).unwrap();
        prop_assert!(met.is_sorted_by(|a, b| by_component(&a.0, &b.0).is_lt()));
        let mut count = met.len();
        sealed.each_tagged(|name, id| {
            count += 1;
            if find(&sealed, name) == Some(id) { Ok(()) } else { Err(id) }
        }).unwrap();
        prop_assert_eq!(count, names.len());
        walk(&sealed, 0, "", &plain)?;
    }
}

/// Children are those of a plain list, sorted, and each is found by its text.
fn walk(
    sealed: &Sealed,
    node: u32,
    path: &str,
    names: &BTreeSet<String>,
) -> Result<(), TestCaseError> {
    let below = |name: &String| name.strip_prefix(path).map(str::to_owned);
    let expected: BTreeSet<String> = names
        .iter()
        .filter_map(below)
        .map(|rest| rest.split('.').next().unwrap_or_default().to_owned())
        .collect();
    let children: Vec<&str> = sealed.children(node).map(|child| sealed.component(child)).collect();
    prop_assert_eq!(&children, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    prop_assert_eq!(sealed.child(node, "nowhere"), None);
    for child in sealed.children(node) {
        let text = sealed.component(child);
        prop_assert_eq!(sealed.child(node, text), Some(child));
        prop_assert_eq!(sealed.parent(child), Some(node));
        let name = format!("{path}{text}");
        prop_assert_eq!(sealed.series(child).is_some(), names.contains(&name));
        prop_assert_eq!(sealed.path(child), &name[..]);
        let under: BTreeSet<String> =
            names.iter().filter(|other| other.starts_with(&format!("{name}."))).cloned().collect();
        walk(sealed, child, &format!("{name}."), &under)?;
    }
    Ok(())
}

#[test]
fn tags_lead_to_their_series() {
    let Made { sealed, .. } = made(&["m;dc=b;x=1", "plain", "m;dc=a", "n;dc=b"]);
    let tags = sealed.tags();
    assert_eq!(tags.keys("").collect::<Vec<_>>(), ["dc", "name", "x"]);
    assert_eq!(tags.keys("n").collect::<Vec<_>>(), ["name"]);
    let values = |key: &str, prefix| -> BTreeMap<&str, Vec<u32>> {
        tags.values(key, prefix).map(|value| (value.text, value.ids().collect())).collect()
    };
    assert_eq!(values("dc", ""), BTreeMap::from([("a", vec![2]), ("b", vec![0, 3])]));
    assert_eq!(values("name", "n"), BTreeMap::from([("n", vec![3])]));
    assert!(values("nowhere", "").is_empty() && values("x", "2").is_empty());
    assert!(tags.values("dc", "b").all(|value| value.count == 2));
}

#[test]
fn a_damaged_seal_or_one_of_another_log_is_not_used() {
    let Made { folder, sealed } = made(&["a.b.c", "a.d", "m;x=y"]);
    drop(sealed);
    let (seal, log) = paths(&folder);
    let whole = std::fs::read(&seal).unwrap();
    let opens = || Sealed::open(&seal, &log).unwrap().is_some();
    assert!(opens());
    let padding_free = whole.iter().rposition(|&byte| byte != 0).unwrap();
    for at in (0..padding_free).step_by(7) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&seal, &damaged).unwrap();
        let is_padding = whole[at] == 0;
        assert!(is_padding || !opens(), "byte {at}");
    }
    for length in [0, 100, format::HEADER_BYTES, whole.len() / 2, padding_free] {
        std::fs::write(&seal, &whole[..length]).unwrap();
        assert!(!opens(), "cut at {length}");
    }
    std::fs::write(&seal, &whole).unwrap();
    assert!(opens());
    std::fs::write(&log, "a lag of some length").unwrap();
    assert!(!opens(), "the log is another one");
    std::fs::write(&log, "short").unwrap();
    assert!(!opens(), "the log has been cut");
    std::fs::remove_file(&seal).unwrap();
    assert!(!opens(), "there is none");
}

#[test]
fn names_out_of_order_are_refused() {
    let covers = Covers { id_end: 9, log_end: 0, log_sample_crc: 0, seed: SEED };
    let mut builder = Builder::new(covers);
    builder.untagged("a.b", 0).unwrap();
    assert!(matches!(builder.untagged("a", 1), Err(SealError::OutOfOrder { name }) if name == "a"));
    assert!(builder.untagged("a.b", 1).is_err());
    builder.tagged("a;x=1", 2).unwrap();
    assert!(builder.tagged("a;x=1", 3).is_err());
    builder.tagged("b;x=1", 3).unwrap();
    assert!(builder.tagged("a;y=1", 4).is_err());
}
