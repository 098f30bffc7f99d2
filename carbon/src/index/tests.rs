//! The index against a plain list of names, and what it leaves out.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn empty(folder: &std::path::Path) -> (Arc<SeriesTable>, NameIndex) {
    let table = Arc::new(SeriesTable::open(&folder.join("names.log")).unwrap().0);
    (Arc::clone(&table), NameIndex::new(table))
}

fn add(table: &SeriesTable, index: &NameIndex, name: &str, hour: Option<u32>) -> SeriesId {
    let (mut ids, mut fresh) = (Vec::new(), Vec::new());
    table.resolve(&[name], usize::MAX, &mut ids, &mut fresh);
    for &id in &fresh {
        index.insert(id, name, hour);
    }
    ids[0].unwrap()
}

fn find(index: &NameIndex, pattern: &str, hours: Option<(i64, i64)>) -> (Vec<String>, u64) {
    let window = hours.map(|(from, until)| Window::new(from * 3600, until * 3600));
    let limits = FindLimits { grace_seconds: 0, ..FindLimits::default() };
    let found = index.find(&Glob::compile(pattern).unwrap(), window, Scope::All, &limits).unwrap();
    (found.paths.into_iter().map(|found| found.path).collect(), found.pruned)
}

/// What the pattern must find: the names that match, and the beginnings of names that do.
fn naive(names: &[String], pattern: &Glob) -> Vec<(String, bool, bool)> {
    let mut paths: BTreeMap<String, (bool, bool)> = BTreeMap::new();
    for name in names {
        paths.entry(name.clone()).or_default().0 = true;
        for (dot, _) in name.match_indices('.') {
            paths.entry(name[..dot].to_owned()).or_default().1 = true;
        }
    }
    let found = paths.into_iter().filter(|(path, _)| pattern.matches(path));
    found.map(|(path, (leaf, branch))| (path, leaf, branch)).collect()
}

proptest! {
    #[test]
    fn finds_what_a_plain_list_finds(
        names in prop::collection::vec("[ab]{1,2}(\\.[abc]{1,2}){0,4}", 1..40),
        patterns in prop::collection::vec(
            "(\\*|\\*\\*|[ab]|a\\*|\\?|[ab]{2}|\\{a,b\\*\\}|\\{a.b,c\\}|\\[a-b\\])(\\.(\\*|\\*\\*|[abc]|\\?b|\\{aa,b\\})){0,4}",
            1..10,
        ),
        removed in 0..40usize,
        sealed_at in prop::collection::btree_set(0..45usize, 0..3),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (table, index) = empty(folder.path());
        let mut names = names;
        for (at, name) in names.iter().enumerate() {
            if sealed_at.contains(&at) {
                index.seal().unwrap();
            }
            add(&table, &index, name, Some(5));
        }
        if sealed_at.contains(&names.len()) {
            index.seal().unwrap();
        }
        if removed < names.len() {
            let gone = names[removed].clone();
            let id = table.get(&gone).unwrap();
            index.remove(id);
            table.remove(id);
            names.retain(|name| *name != gone);
        }
        prop_assert!(!sealed_at.contains(&44) || index.seal().is_ok());
        for pattern in &patterns {
            let glob = Glob::compile(pattern).unwrap();
            let limits = FindLimits::default();
            let found = index.find(&glob, None, Scope::All, &limits).unwrap();
            let found: Vec<_> = found
                .paths
                .into_iter()
                .map(|found| {
                    assert_eq!(found.series, table.get(&found.path));
                    (found.path, found.series.is_some(), found.is_branch)
                })
                .collect();
            prop_assert_eq!(found, naive(&names, &glob), "{}", pattern);
        }
    }
}

#[test]
fn silent_series_and_branches_are_left_out_but_exact_names_never() {
    let folder = tempfile::tempdir().unwrap();
    let (table, index) = empty(folder.path());
    add(&table, &index, "prod.dead.a", Some(100));
    add(&table, &index, "prod.dead.b", Some(101));
    let alive = add(&table, &index, "prod.alive.a", Some(100));
    index.touch(alive, 200);
    add(&table, &index, "prod.young.a", Some(200));
    assert_eq!(find(&index, "prod.*", Some((150, 210))).0, ["prod.alive", "prod.young"]);
    assert_eq!(
        find(&index, "prod.*.a", Some((150, 210))),
        (vec!["prod.alive.a".to_owned(), "prod.young.a".to_owned(),], 1)
    );
    assert_eq!(
        find(&index, "prod.*.*", Some((100, 120))).0,
        ["prod.alive.a", "prod.dead.a", "prod.dead.b", "prod.young.a"],
        "what began after the window has nulls in it, which a graph of the past should show"
    );
    assert_eq!(find(&index, "prod.dead.a", Some((150, 210))).0, ["prod.dead.a"]);
    index.touch(alive, 90);
    assert_eq!(index.activity(alive), Some((90, 200)));
}

/// 20,000 children that have been dead for a week beside 200 that live, which may be anywhere among them.
#[test]
fn the_dead_are_passed_over_by_their_hour_alone_before_a_seal_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let (table, index) = empty(folder.path());
    let name = |i: usize| format!("a.p{i:05}.x");
    let ids: Vec<SeriesId> =
        (0..20_200).map(|i| add(&table, &index, &name(i), Some(1000 - 7 * 24))).collect();
    let glob = Glob::compile("a.*.x").unwrap();
    let window = Some(Window::new(996 * 3600, 1000 * 3600));
    let mut live = 0;
    let mut check = |touched: std::iter::StepBy<std::ops::Range<usize>>| {
        live += touched.len() as u64;
        touched.for_each(|at| index.touch(ids[at], 999));
        let found = index.find(&glob, window, Scope::All, &FindLimits::default()).unwrap();
        assert_eq!(found.paths.len() as u64, live);
        assert_eq!((found.visited, found.pruned), (1 + 2 * live, 20_200 - live));
    };
    check((0..10_000).step_by(101));
    index.seal().unwrap();
    check((10_000..10_000).step_by(1));
    check((20_101..20_200).step_by(1));
    check((10_000..10_002).step_by(1));
}

#[test]
fn a_series_of_unknown_activity_is_found_until_it_is_known_to_be_silent() {
    let folder = tempfile::tempdir().unwrap();
    let (table, index) = empty(folder.path());
    let unknown = add(&table, &index, "a.b.c", None);
    assert_eq!(find(&index, "a.*", Some((50, 60))).0, ["a.b"]);
    index.touch(unknown, 10);
    index.settle();
    assert_eq!(find(&index, "a.*", Some((50, 60))), (Vec::new(), 1));
    assert_eq!(find(&index, "a.*", Some((5, 60))).0, ["a.b"]);
}

#[test]
fn limits_are_errors_that_name_them() {
    let folder = tempfile::tempdir().unwrap();
    let (table, index) = empty(folder.path());
    for i in 0..20 {
        add(&table, &index, &format!("a.b{i}"), None);
    }
    let glob = Glob::compile("a.*").unwrap();
    let find = |limits| index.find(&glob, None, Scope::All, &limits).unwrap_err();
    let limits = FindLimits { visited_max: 20, ..FindLimits::default() };
    assert_eq!(find(limits), IndexError::TooManyVisited { limit: 20 });
    let limits = FindLimits { results_max: 19, ..FindLimits::default() };
    assert_eq!(find(limits), IndexError::TooManyFound { limit: 19 });
}

#[test]
fn a_scope_keeps_foreign_series_out_and_branches_in() {
    let folder = tempfile::tempdir().unwrap();
    let (table, index) = empty(folder.path());
    for name in ["a.x", "a.y", "a.x.z"] {
        add(&table, &index, name, None);
    }
    let scope = |name: &str| name.ends_with('y');
    let glob = Glob::compile("a.*").unwrap();
    let found = index.find(&glob, None, Scope::Names(&scope), &FindLimits::default()).unwrap();
    let found: Vec<_> =
        found.paths.iter().map(|found| (&found.path[..], found.series.is_some())).collect();
    assert_eq!(found, [("a.x", false), ("a.y", true)]);
}

#[test]
fn who_may_see_one_branch_sees_nothing_beside_it_wherever_it_asks() {
    let folder = tempfile::tempdir().unwrap();
    let (table, index) = empty(folder.path());
    let within = Within::prefixes(["team.a.".to_owned()]);
    let scope = Scope::from(&within);
    let names = ["team.a.x", "team.b.x", "team.a", "other", "team.a.m;k=1", "team.b.m;k=2;z=9"];
    for (at, name) in names.iter().enumerate() {
        if at == 3 {
            index.seal().unwrap();
        }
        add(&table, &index, name, None);
    }
    let find = |pattern: &str| {
        let limits = FindLimits::default();
        let found = index.find(&Glob::compile(pattern).unwrap(), None, scope, &limits).unwrap();
        let seen = found.paths.into_iter();
        seen.map(|found| (found.path, found.series.is_some(), found.is_branch)).collect::<Vec<_>>()
    };
    let seen = |path: &str, leaf, branch| (path.to_owned(), leaf, branch);
    assert_eq!(find("*"), [seen("team", false, true)]);
    assert_eq!(find("team.*"), [seen("team.a", false, true)]);
    assert_eq!(find("**.x"), [seen("team.a.x", true, false)]);
    assert_eq!(find("team.b.x"), []);
    assert_eq!(find("team.b.m;k=2;z=9"), []);
    assert_eq!(find("team.a.m;k=1"), [seen("team.a.m;k=1", true, false)]);
    assert_eq!(index.tag_keys(None, scope, "", 9).unwrap(), ["k", "name"]);
    assert_eq!(index.tag_values("k", None, scope, "", 9).unwrap(), [("1".to_owned(), 1)]);
    let query = TagQuery::parse(&["k=~."]).unwrap();
    let found = index.tags(&query, None, scope, &FindLimits::default()).unwrap();
    assert_eq!(found.paths.len(), 1);
    assert_eq!(index.tag_values("k", Some(&query), scope, "", 9).unwrap().len(), 1);
}

fn tagged(index: &NameIndex, terms: &[&str]) -> Vec<String> {
    let query = TagQuery::parse(terms).unwrap();
    let found = index.tags(&query, None, Scope::All, &FindLimits::default()).unwrap();
    found.paths.into_iter().map(|found| found.path).collect()
}

#[test]
fn tagged_series_are_found_by_tags_and_by_exact_name_only() {
    let folder = tempfile::tempdir().unwrap();
    let (table, index) = empty(folder.path());
    let names = ["disk;dc=a;rack=1", "disk;dc=a;rack=2", "disk;dc=b;rack=1", "cpu;dc=a"];
    for name in names {
        add(&table, &index, name, None);
    }
    assert_eq!(tagged(&index, &["dc=a", "rack=~[12]"]), names[..2]);
    assert_eq!(tagged(&index, &["dc=a", "rack!=1"]), ["cpu;dc=a", names[1]]);
    assert_eq!(tagged(&index, &["name=disk", "dc!=a"]), [names[2]]);
    assert_eq!(find(&index, "disk;dc=a;rack=1", None).0, [names[0]]);
    assert_eq!(find(&index, "**", None).0, Vec::<String>::new());

    assert_eq!(index.tag_keys(None, Scope::All, "", 9).unwrap(), ["dc", "name", "rack"]);
    assert_eq!(
        index.tag_values("dc", None, Scope::All, "", 9).unwrap(),
        [("a".to_owned(), 3), ("b".to_owned(), 1),]
    );
    let cpu = TagQuery::parse(&["name=cpu"]).unwrap();
    assert_eq!(index.tag_keys(Some(&cpu), Scope::All, "", 9).unwrap(), ["dc", "name"]);
    let values = index.tag_values("dc", Some(&cpu), Scope::All, "", 9).unwrap();
    assert_eq!(values, [("a".to_owned(), 1)]);

    let gone = table.get(names[2]).unwrap();
    index.remove(gone);
    table.remove(gone);
    assert_eq!(tagged(&index, &["rack=1"]), [names[0]]);
    assert_eq!(index.tag_values("dc", None, Scope::All, "b", 9).unwrap(), []);
}

#[test]
fn a_scan_adds_files_copied_in_and_names_series_without_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (table, index) = empty(folder.path());
    let root = folder.path().join("whisper");
    let gone = add(&table, &index, "a.gone", None);
    let tagged = add(&table, &index, "m;a=b", None);
    for path in ["a/b/c.wsp", "top.wsp", "a/note.txt", &metric::path::whisper_path("m;a=b")] {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"").unwrap();
    }
    let report = scan(&root, &table, &index, &mut || true);
    assert_eq!((report.files, report.added, report.foreign), (3, 2, 1));
    assert_eq!((report.missing, report.complete), (vec![gone], true));
    assert!(index.activity(tagged).is_some());
    assert_eq!(find(&index, "**", None).0, ["a", "a.b", "a.b.c", "a.gone", "top"]);
    let again = scan(&root, &table, &index, &mut || true);
    assert_eq!((again.files, again.added), (3, 0));
    assert!(!scan(&root, &table, &index, &mut || false).complete);
}

/// The goal is 150 bytes for names of this shape, table and index together.
#[test]
fn a_series_costs_little_memory() {
    const SERIES: usize = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let (table, index) = empty(folder.path());
    for i in 0..SERIES {
        let (host, kind) = (i / 100, i % 100);
        let name =
            format!("servers.datacenter1.web{host:05}.cpu.core{:02}.f{:03}", kind / 4, kind % 4);
        assert_eq!(name.len(), 44);
        add(&table, &index, &name, Some(1));
    }
    let bytes = (table.memory_bytes() + index.memory_bytes()) / SERIES;
    println!(
        "{} table + {} index bytes a series",
        table.memory_bytes() / SERIES,
        index.memory_bytes() / SERIES
    );
    assert!(bytes <= 150, "{bytes} bytes a series");
}

/// Everything a search can say, before and after.
fn answers(index: &NameIndex) -> Vec<Vec<String>> {
    let patterns = ["**", "a.*", "*.b", "m;x=1"];
    let mut answers: Vec<_> = patterns.map(|pattern| find(index, pattern, None).0).into();
    answers.push(index.tag_keys(None, Scope::All, "", 9).unwrap());
    for key in ["x", "name"] {
        let values = index.tag_values(key, None, Scope::All, "", 9).unwrap();
        answers.push(values.iter().map(|(value, count)| format!("{value} {count}")).collect());
    }
    for query in ["x=1", "name=~.*", "x!=1"] {
        let query = TagQuery::parse(&[query, "name=~."]).unwrap();
        let found = index.tags(&query, None, Scope::All, &FindLimits::default()).unwrap();
        answers.push(found.paths.into_iter().map(|found| found.path).collect());
    }
    answers
}

#[test]
fn a_seal_changes_no_answer_and_neither_does_a_restart_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let (table, index) = empty(folder.path());
    let ids: Vec<SeriesId> = ["a.b", "a.b.c", "gone.b", "m;x=1", "m;x=2", "n;x=1", "gone;x=3"]
        .iter()
        .map(|name| add(&table, &index, name, Some(5)))
        .collect();
    index.seal().unwrap();
    for gone in [ids[2], ids[6]] {
        index.remove(gone);
        assert!(table.remove(gone) && !table.remove(gone));
    }
    let again = add(&table, &index, "a.b.d", Some(5));
    add(&table, &index, "o;x=1;y=2", Some(5));
    let before = answers(&index);
    assert_eq!(before[0], ["a", "a.b", "a.b.c", "a.b.d"], "{before:?}");
    index.seal().unwrap();
    assert_eq!(answers(&index), before);
    assert_eq!((table.len(), table.unsealed()), (7, 0));
    let late = add(&table, &index, "late.b", Some(5));
    index.remove(ids[0]);
    table.remove(ids[0]);
    let before = answers(&index);
    table.commit(true).unwrap();
    drop((table, index));
    let (table, index) = empty(folder.path());
    assert_eq!(answers(&index), before);
    assert_eq!((table.len(), table.unsealed()), (7, 1));
    assert_eq!((table.get("a.b.d"), table.get("late.b")), (Some(again), Some(late)));
    assert_eq!((table.get("gone.b"), table.get("a.b")), (None, None));
    assert_ne!(add(&table, &index, "a.b", Some(6)), ids[0], "an id is never given twice");
}

#[test]
fn names_may_come_and_go_while_a_seal_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let (table, index) = empty(folder.path());
    let name = |at: usize| format!("a{}.b{}.c{at}", at % 7, at % 100);
    let all: Vec<SeriesId> = (0..3000).map(|at| add(&table, &index, &name(at), Some(5))).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..5).for_each(|_| index.seal().unwrap()));
        scope.spawn(|| {
            for at in 3000..6000 {
                add(&table, &index, &name(at), Some(5));
            }
        });
        for &id in all.iter().step_by(3) {
            index.remove(id);
            assert!(table.remove(id));
        }
    });
    let living = |at: &usize| *at >= 3000 || !at.is_multiple_of(3);
    let mut expected: Vec<String> = (0..6000).filter(living).map(name).collect();
    expected.sort();
    assert_eq!(find(&index, "*.*.*", None).0, expected);
    assert_eq!(table.len(), expected.len());
    table.commit(true).unwrap();
    drop((table, index));
    let (table, index) = empty(folder.path());
    assert_eq!(find(&index, "*.*.*", None).0, expected);
    assert_eq!(table.len(), expected.len());
}

#[test]
fn what_fell_silent_is_left_out_of_a_sealed_tree_too() {
    let folder = tempfile::tempdir().unwrap();
    let (table, index) = empty(folder.path());
    let dead = add(&table, &index, "prod.dead.a", Some(100));
    let alive = add(&table, &index, "prod.alive.a", Some(100));
    index.seal().unwrap();
    index.touch(alive, 200);
    assert_eq!(find(&index, "prod.*", Some((150, 210))), (vec!["prod.alive".to_owned()], 1));
    assert_eq!(find(&index, "prod.dead.a", Some((150, 210))).0, ["prod.dead.a"]);
    index.touch(dead, 160);
    assert_eq!(find(&index, "prod.*", Some((150, 210))).1, 0);
    drop(index);
    let index = NameIndex::new(table);
    assert_eq!(find(&index, "prod.*", Some((150, 210))).1, 0, "nothing is known after a restart");
    index.touch(dead, 100);
    index.touch(alive, 200);
    index.settle();
    assert_eq!(find(&index, "prod.*", Some((150, 210))).1, 1);
}
