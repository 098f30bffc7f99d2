//! What the table of series promises.

use super::*;

fn open(folder: &Path) -> SeriesTable {
    SeriesTable::open(&folder.join("index/names.log")).unwrap().0
}

fn resolve(table: &SeriesTable, names: &[&str], limit: usize) -> (Vec<Option<SeriesId>>, usize) {
    let (mut ids, mut fresh) = (Vec::new(), Vec::new());
    table.resolve(names, limit, &mut ids, &mut fresh);
    (ids, fresh.len())
}

#[test]
fn a_name_keeps_its_id_over_a_restart_and_never_gets_anothers() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..2000).map(|i| format!("servers.web{i}.load")).collect();
    let names: Vec<&str> = names.iter().map(|name| &name[..]).collect();
    let table = open(folder.path());
    let (ids, fresh) = resolve(&table, &names, usize::MAX);
    assert_eq!(fresh, 2000);
    assert_eq!(resolve(&table, &names, usize::MAX), (ids.clone(), 0));
    let gone = ids[7].unwrap();
    assert!(table.remove(gone));
    assert!(!table.remove(gone));
    table.commit(true).unwrap();
    drop(table);

    let table = open(folder.path());
    assert_eq!((table.len(), table.get(names[7]), table.name(gone)), (1999, None, None));
    for (name, id) in names.iter().zip(&ids).filter(|(name, _)| **name != names[7]) {
        assert_eq!(table.get(name), *id);
        assert_eq!(table.name(id.unwrap()).as_deref(), Some(*name));
    }
    let (again, _) = resolve(&table, &[names[7]], usize::MAX);
    assert_eq!(again, [Some(SeriesId(2000))]);
}

#[test]
fn one_batch_may_name_a_series_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (ids, fresh) = resolve(&open(folder.path()), &["a", "b", "a"], usize::MAX);
    assert_eq!((ids[0], fresh), (ids[2], 2));
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn the_series_limit_refuses_new_names_and_no_known_one() {
    let folder = tempfile::tempdir().unwrap();
    let table = open(folder.path());
    let (first, _) = resolve(&table, &["a", "b"], 2);
    let (ids, fresh) = resolve(&table, &["c", "b", "a"], 2);
    assert_eq!((ids, fresh), (vec![None, first[1], first[0]], 0));
    assert!(table.remove(first[0].unwrap()));
    assert!(resolve(&table, &["c"], 2).0[0].is_some());
}

#[test]
fn threads_that_bring_the_same_names_agree_on_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let table = open(folder.path());
    let names: Vec<String> = (0..5000).map(|i| format!("a.b{i}")).collect();
    let names: Vec<&str> = names.iter().map(|name| &name[..]).collect();
    let (one, two) = std::thread::scope(|scope| {
        let other = scope.spawn(|| resolve(&table, &names, usize::MAX));
        (resolve(&table, &names, usize::MAX), other.join().unwrap())
    });
    assert_eq!(one.0, two.0);
    assert_eq!(one.1 + two.1, 5000);
}
