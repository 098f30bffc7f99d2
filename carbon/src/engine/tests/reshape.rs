//! A file that gets other archives while its series is read and written.

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;

use super::fake_disk::Meanwhile;
use super::*;
use crate::engine::Reshaped;

/// A node with a file that holds ten points and is of other retentions than the rules say.
fn node_with_an_old_file() -> Node {
    let node = Node::new();
    let path = node.file("a/b.wsp");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let old = Spec::new(whisper::parse_retentions("10s:10m,1m:2h").unwrap());
    whisper::create(&path, &old, whisper::OnExisting::Refuse).unwrap();
    node.append("a.b", &[]);
    add_points(&path, 100..200);
    node
}

/// Writes to the file as another program would.
fn add_points(path: &Path, ages: std::ops::Range<i64>) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let points: Vec<(i64, f64)> = ages.step_by(10).map(|age| (NOW - age, age as f64)).collect();
    whisper::Whisper::open(file).unwrap().update_many(&points, NOW).unwrap();
}

fn values(node: &Node, ages: std::ops::Range<i64>) -> Vec<f64> {
    let id = node.id("a.b");
    node.engine.read(id, NOW - ages.end, NOW - ages.start, NOW).unwrap().unwrap().values
}

#[test]
fn what_is_written_while_the_disk_syncs_the_new_file_is_in_it() {
    let node = node_with_an_old_file();
    let (path, syncs) = (node.file("a/b.wsp"), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&syncs);
    let write = move || {
        let age = [0, 10][count.fetch_add(1, Ordering::Relaxed).min(1)];
        add_points(&path, age..age + 1);
    };
    node.disk.faults.lock().in_sync = Some(Meanwhile(Box::new(write)));
    let reshaped = node.engine.reshape(node.id("a.b")).unwrap();
    assert!(matches!(reshaped, Reshaped::Done { .. }), "{reshaped:?}");
    assert_eq!(syncs.load(Ordering::Relaxed), 3, "two of them met a change");
    assert_eq!(values(&node, 0..20), [10.0, 0.0]);
    assert!(values(&node, 100..200).iter().all(|value| value.is_finite()));
    assert_eq!(whisper_files(&node.folder.path().join("whisper")), ["a/b.wsp"]);
}

#[test]
fn nobody_waits_for_a_disk_that_syncs_slowly() {
    let node = Arc::new(node_with_an_old_file());
    let (sender, answered) = mpsc::channel();
    let reader = Arc::downgrade(&node);
    let read = move || {
        let (node, sender) = (reader.upgrade().unwrap(), sender.clone());
        let answer = move || {
            node.append("a.b", &[(NOW, 7.0)]);
            drop(sender.send(values(&node, 0..10)));
        };
        drop(std::thread::spawn(answer));
        assert_eq!(answered.recv_timeout(testkit::PATIENCE), Ok(vec![7.0]));
    };
    node.disk.faults.lock().in_sync = Some(Meanwhile(Box::new(read)));
    node.engine.reshape(node.id("a.b")).unwrap();
    assert_eq!(values(&node, 0..10), [7.0]);
}

/// Whatever call fails: the old file stays, or the new one has all its points, and nothing is left beside it.
#[test]
fn a_failure_leaves_one_whole_file() {
    let run = |fail_at: Option<usize>| {
        let node = node_with_an_old_file();
        let before = node.disk.faults.lock().calls;
        node.disk.faults.lock().at = fail_at.map(|number| before + number);
        let reshaped = node.engine.reshape(node.id("a.b"));
        assert_eq!(reshaped.is_err(), fail_at.is_some(), "call {fail_at:?}: {reshaped:?}");
        let calls = node.disk.faults.lock().calls - before;
        assert!(values(&node, 100..200).iter().all(|value| value.is_finite()), "{fail_at:?}");
        let files = whisper_files(&node.folder.path().join("whisper"));
        assert_eq!(files, ["a/b.wsp"], "call {fail_at:?}");
        calls
    };
    for call in 0..run(None) {
        run(Some(call));
    }
}
