//! kill -9 of everybody who takes part in a move.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use testkit::wait_until;

use crate::cluster::{Drill, patience};
use crate::node::was_node;
use crate::pages::{GROW, typed};

const PLAN: &str = "grow.plan";

const APPLY: [&str; 3] = ["apply", PLAN, "--yes"];
const VERIFY: [&str; 2] = ["verify", PLAN];
const REAP: [&str; 3] = ["reap", PLAN, "--yes"];

/// The new node, which most series go to, and the one that gives it some of the last.
const TARGET: usize = 4;
const SOURCE: usize = 3;

/// Most time from the first series that an `apply` has copied to the kill.
const MOMENT_MS_MAX: u64 = 300;

impl Drill {
    /// Starts a command on the plan; once it has done something a node is killed at a random moment, and started again
    /// when the command has ended.
    fn kill_during(&mut self, words: &[&str], victim: usize) -> Option<i32> {
        let begun = self.journal_bytes();
        let mut command = self.spawn(words);
        wait_until("the command to do something", patience(), || {
            let has_ended = command.try_wait().unwrap().is_some();
            (has_ended || self.journal_bytes() > begun).then_some(())
        });
        let moment = Duration::from_millis(RandomState::new().hash_one(victim) % MOMENT_MS_MAX);
        std::thread::park_timeout(moment);
        self.nodes[victim].kill();
        let code = command.wait().unwrap().code();
        println!("{words:?}: node {victim} killed after {moment:?}, ended with {code:?}");
        assert!(matches!(code, Some(0 | 2)), "{code:?}");
        self.nodes[victim].run();
        code
    }

    fn journal_bytes(&self) -> u64 {
        std::fs::metadata(self.path(&format!("{PLAN}.journal"))).map_or(0, |facts| facts.len())
    }

    /// Types these commands one after another until all of them end in order.
    fn until_done(&self, commands: &[&[&str]]) {
        wait_until("the commands to end in order", patience(), || {
            commands.iter().all(|words| self.run(words).0 == Some(0)).then_some(())
        });
    }
}

#[test]
fn a_move_goes_on_after_kills_of_its_source_its_target_and_the_tool() {
    if !was_node() {
        tokio::runtime::Runtime::new().unwrap().block_on(kill_everybody());
    }
}

async fn kill_everybody() {
    let mut drill = Drill::start(4).await;
    let watch = drill.watch().await;
    drill.add_node();
    drill.write_wanted(&[0, 1, 2, 3, 4]);
    let page = typed(GROW);
    let is_reap = |line: &str| line.starts_with("plumbago reap");
    let last_reap = page.iter().rposition(|typed| is_reap(&typed.line)).unwrap();
    for (at, line) in page.iter().enumerate() {
        if line.line.starts_with("plumbago apply grow.plan --yes") {
            let speed = drill.slow_speed();
            let slow = [&APPLY[..], &["--series-per-second", &speed]].concat();
            let codes = [TARGET, SOURCE].map(|victim| drill.kill_during(&slow, victim));
            assert!(codes.contains(&Some(2)), "nobody missed them: {codes:?}");
            drill.until_done(&[&APPLY]);
        } else if line.line.starts_with("plumbago verify") {
            drill.kill_during(&VERIFY, TARGET);
            drill.until_done(&[&APPLY, &VERIFY]);
        } else if at == last_reap {
            drill.kill_during(&REAP, SOURCE);
            drill.until_done(&[&APPLY, &VERIFY, &REAP]);
        } else {
            drill.type_line(line, 0);
        }
    }
    drill.settle(None).await;
    let answers = watch.end().await;
    drill.report(&answers);
    assert!(answers.whole > 0);
    drill.stop().await;
}
