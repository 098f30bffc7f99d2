//! The drills that type a page of docs/operate.

use std::process::Output;

use testkit::wait_until;

use crate::cluster::{Drill, patience};
use crate::readers::Watch;

pub(crate) const GROW: &str = include_str!("../../../docs/operate/grow.md");
const SHRINK: &str = include_str!("../../../docs/operate/shrink.md");
const REPLACE: &str = include_str!("../../../docs/operate/replace.md");
const REPAIR: &str = include_str!("../../../docs/operate/repair.md");

/// The relay's address and the time on the pages.
const RELAY: &str = "10.0.0.1:9100";
const SINCE: &str = "1763790000";

/// One line that an operator types, and the exit code that the page tells.
pub(crate) struct Typed {
    pub(crate) line: String,
    code: i32,
}

/// What a page has an operator type.
pub(crate) fn typed(page: &str) -> Vec<Typed> {
    let blocks = page.split("```console\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    let mut typed: Vec<Typed> = Vec::new();
    for line in lines {
        if let Some(line) = line.strip_prefix("$ ") {
            typed.push(Typed { line: line.to_owned(), code: 0 });
        } else if line == "(exit code 2)" {
            typed.last_mut().unwrap().code = 2;
        }
    }
    assert!(typed.len() > 2, "the page has commands");
    typed
}

impl Drill {
    /// Does what a line of a page says; returns what the tool printed.
    pub(crate) fn type_line(&self, Typed { line, code }: &Typed, since: i64) -> String {
        let line = line.replace(RELAY, &self.relay_admin()).replace(SINCE, &since.to_string());
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["systemctl", "reload", "plumbago-relay"] => self.reload_relay(),
            ["systemctl", "reload", "plumbago-zipper"] => self.readers.reload_zipper(),
            ["plumbago", ref words @ ..] => return self.ends(*code, words),
            _ => panic!("{line}"),
        }
        String::new()
    }

    pub(crate) fn type_page(&self, page: &str, since: i64) {
        typed(page).iter().for_each(|line| drop(self.type_line(line, since)));
    }

    /// Starts the first `apply` of a page with little speed, and kills it once something is copied.
    fn kill_in_the_middle(&self, plan: &str) {
        let speed = self.slow_speed();
        let slow = ["apply", plan, "--yes", "--series-per-second", &speed];
        let mut killed = self.spawn(&slow);
        wait_until("the first series to be copied", patience(), || {
            (self.copied(plan) > 0).then_some(())
        });
        killed.kill().unwrap();
        let Output { status, .. } = killed.wait_with_output().unwrap();
        assert!(!status.success(), "it was still at work");
        let said = self.ends(2, &["reap", plan]);
        assert!(said.contains("not verified"), "{said}");
    }

    /// Series a second with which an `apply` of a grown ring takes some seconds.
    pub(crate) fn slow_speed(&self) -> String {
        (self.load.names.len() * 3 / 20).to_string()
    }

    /// When each node began, as it says.
    async fn births(&self) -> Vec<i64> {
        let mut births = Vec::new();
        for node in &self.nodes {
            let answer = testkit::ask(node.address("admin"), "GET", "/admin/birth", "", b"").await;
            let birth: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
            births.push(birth["born"].as_i64().unwrap());
        }
        births
    }

    /// How many copies the journal of a plan tells of.
    pub(crate) fn copied(&self, plan: &str) -> usize {
        let journal = std::fs::read_to_string(self.path(&format!("{plan}.journal")));
        journal.unwrap_or_default().matches("\"copied\"").count()
    }

    /// Ends load and watch, looks at everything, and stops. No answer may have lacked anything.
    pub(crate) async fn end(mut self, watch: Watch, but: Option<&str>) {
        self.settle(but).await;
        let answers = watch.end().await;
        self.report(&answers);
        assert!(answers.whole > 0 && answers.marked == 0, "{} marked", answers.marked);
        self.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_added_and_the_tool_is_killed_in_the_middle() {
    let mut drill = Drill::start(4).await;
    let watch = drill.watch().await;
    drill.add_node();
    drill.write_wanted(&[0, 1, 2, 3, 4]);
    let page = typed(GROW);
    let of_first = |word: &str| page.iter().position(|typed| typed.line.contains(word)).unwrap();
    let [reload, apply] = ["systemctl reload", "apply grow.plan --yes"].map(of_first);
    for (at, line) in page.iter().enumerate() {
        if at == reload {
            let said = drill.ends(1, &["apply", "grow.plan", "--yes"]);
            assert!(said.contains("reload it"), "{said}");
        }
        if at == apply {
            drill.kill_in_the_middle("grow.plan");
        }
        let said = drill.type_line(line, 0);
        assert!(at != 0 || said.contains("store-5  gets"), "{said}");
    }
    assert!(drill.ends(0, &["apply", "grow.plan"]).contains("would copy 0"));
    let again = ["plan", "rebalance", "--cluster", "cluster.toml", "--out", "again.plan"];
    assert!(drill.ends(0, &again).starts_with("0 series"));
    drill.end(watch, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_the_nodes_changes_and_with_it_who_holds_the_copies() {
    let drill = Drill::start(4).await;
    let watch = drill.watch().await;
    drill.write_wanted(&[2, 0, 1, 3]);
    drill.type_page(&GROW.replace("grow.plan", "reorder.plan"), 0);
    drill.end(watch, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_drained_and_taken_out() {
    let drill = Drill::start(4).await;
    let watch = drill.watch().await;
    drill.type_page(SHRINK, 0);
    drill.end(watch, Some("store-4")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decommissioned_node_gives_up_all_that_it_held() {
    let drill = Drill::start(4).await;
    let watch = drill.watch().await;
    drill.type_page(&SHRINK.replace("plan drain", "plan decommission"), 0);
    drill.end(watch, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_comes_back_with_an_empty_disk() {
    let mut drill = Drill::start(4).await;
    let watch = drill.watch().await;
    drill.nodes[2].stop();
    drill.lose_disk(2);
    drill.nodes[2].run();
    let own = drill.births().await[2];
    drill.type_page(REPLACE, 0);
    let births = drill.births().await;
    assert!(
        births[2] <= own && births[2] == *births.iter().min().unwrap(),
        "{births:?}, was {own}"
    );
    drill.end(watch, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_comes_back_with_an_old_state_and_is_repaired() {
    let mut drill = Drill::start(4).await;
    let since = drill.load.first();
    let quiet = drill.pause().await;
    drill.nodes[1].stop();
    drill.keep_disk(1);
    drill.nodes[1].run();
    drill.send_between().await;
    drill.nodes[1].stop();
    drill.restore_disk(1);
    drill.nodes[1].run();
    drop(quiet);
    let watch = drill.watch().await;
    drill.type_page(REPAIR, since);
    drill.end(watch, None).await;
}
