//! Kept sums are those of the files, whatever has happened since they were made.

use ring::fnv1a_64;
use wire::summaries::{Digest, SeriesKey, SettledView};

use super::*;

/// Of the three archives the coarsest one has a settled part.
const VIEW: SettledView =
    SettledView { now: NOW, until: NOW - 60, settled: NOW - 600, held: NOW + 3_600 };

fn key(name: &str) -> SeriesKey {
    SeriesKey::of(fnv1a_64(name.as_bytes(), false))
}

impl Node {
    fn digest(&self, name: &str, view: SettledView) -> Digest {
        self.engine.digest(self.id(name), key(name), view).unwrap()
    }

    /// The digest without anything that was kept.
    fn digest_anew(&self, name: &str, view: SettledView) -> Digest {
        self.digest(name, SettledView { held: view.held + 1, ..view });
        self.digest(name, view)
    }

    fn keeps(&self, name: &str) -> bool {
        self.engine.keeps_sum(self.id(name), VIEW)
    }

    /// The file of a series with one point more, as another node has it.
    fn merge(&self, name: &str, at: i64) {
        let other = Self::new();
        let id = other.append(name, &[(at, 5.0)]);
        let image = other.engine.execute(id, SeriesCommand::Snapshot).unwrap();
        let SeriesOutcome::Snapshot(Some(bytes)) = image else { panic!("{image:?}") };
        self.engine.merge(self.id(name), Incoming::read(bytes, NOW).unwrap(), None).unwrap();
    }

    fn write_from_outside(&self, relative: &str, at: i64) {
        let now = self.clock.now_unix_seconds();
        let file = std::fs::File::options().read(true).write(true).open(self.file(relative));
        let mut file = whisper::Whisper::open(file.unwrap()).unwrap();
        file.update_many(&[(at, 9.0)], now).unwrap();
    }
}

#[test]
fn a_sum_is_dropped_by_whatever_may_change_it_and_by_nothing_else() {
    let node = Node::new();
    let write = |age: i64| {
        node.append("a", &[(NOW - age, age as f64)]);
        node.engine.flush(FlushScope::All);
    };
    write(3_000);
    type Change = (&'static str, bool, fn(&Node));
    let changes: [Change; 6] = [
        ("a flush", false, |node| {
            node.engine.flush(FlushScope::All);
        }),
        ("a late point", true, |node| {
            node.append("a", &[(NOW - 2_000, 1.0)]);
        }),
        ("a point far ahead", true, |node| {
            node.append("a", &[(VIEW.held, 1.0)]);
        }),
        ("a merge", true, |node| node.merge("a", NOW - 1_500)),
        ("a late point of another series", false, |node| {
            node.append("b", &[(NOW - 2_000, 1.0)]);
        }),
        ("a file that somebody else has written", true, |node| {
            node.write_from_outside("a.wsp", NOW - 1_000);
            node.append("a", &[(NOW - 10, 1.0)]);
            node.engine.flush(FlushScope::All);
        }),
    ];
    let ages = (90..=290).rev().step_by(40);
    for ((what, drops, change), age) in changes.into_iter().zip(ages) {
        // After the first of them the node knows the file.
        write(age);
        write(age - 10);
        node.digest("a", VIEW);
        assert!(node.keeps("a"), "{what}");
        node.append("a", &[(NOW - age + 20, 2.0)]);
        assert!(node.keeps("a"), "points since the settled time, before {what}");
        change(&node);
        assert_eq!(node.keeps("a"), !drops, "{what}");
        assert_eq!(node.digest("a", VIEW), node.digest_anew("a", VIEW), "{what}");
    }
    node.engine.remove(node.id("a")).unwrap();
    assert_eq!(node.digest("a", VIEW), key("a").digest(0), "nothing is left of it");
}

#[test]
fn a_digest_from_parts_is_the_one_of_the_whole_after_any_history() {
    let mut random = 7_u64;
    let mut below = |limit: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % limit
    };
    let node = Node::new();
    let (mut view, mut seen) = (VIEW, std::collections::HashSet::new());
    for step in 0..150 {
        let now = node.clock.now_unix_seconds();
        let value = below(1_000) as f64;
        let at = match below(7) {
            0 | 1 => Some(now - below(30) as i64),
            2 => Some(now - below(6_000) as i64),
            3 => Some(view.held + below(300) as i64),
            4 => {
                node.merge("a", NOW - below(5_000) as i64);
                None
            }
            5 => {
                node.engine.flush(FlushScope::All);
                None
            }
            _ => {
                node.engine.flush(FlushScope::Due);
                None
            }
        };
        if let Some(at) = at {
            node.append("a", &[(at, value)]);
        }
        advance(&node, below(10));
        view.now = node.clock.now_unix_seconds();
        view.until = view.now - 60;
        view.settled = (view.now - 600) / 60 * 60;
        let digest = node.digest("a", view);
        assert_eq!(digest, node.digest_anew("a", view), "step {step}");
        seen.insert(digest);
    }
    assert!(seen.len() > 40, "{} different ones", seen.len());
}

#[test]
fn nodes_that_wrote_at_other_times_agree_and_one_bit_more_is_seen() {
    let nodes = [Node::new(), Node::new()];
    let mut view = VIEW;
    for number in 0..400 {
        for (node, rounds) in nodes.iter().zip([11, 17]) {
            advance(node, 10);
            let now = node.clock.now_unix_seconds();
            node.append("a", &[(now, f64::from(number))]);
            if number % rounds == 0 {
                node.engine.flush(FlushScope::All);
            }
        }
        view.now = nodes[0].clock.now_unix_seconds();
        view.until = view.now - 60;
        view.settled = view.now - 600;
        nodes[1].digest("a", view);
    }
    let [one, other] = nodes;
    let other = other.restart();
    assert_eq!(one.digest("a", view), other.digest("a", view));
    let late = view.now - 90;
    one.append("a", &[(late, 0.0)]);
    other.append("a", &[(late, -0.0)]);
    assert_ne!(one.digest("a", view), other.digest("a", view));
    other.append("a", &[(late, 0.0), (view.now - 30, 7.0)]);
    assert_eq!(one.digest("a", view), other.digest("a", view), "what is not settled yet");
}
