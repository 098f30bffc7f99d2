//! The drills: each types a page of docs/operate.

use std::process::Output;

use testkit::wait_until;

use crate::cluster::Drill;

const GROW: &str = include_str!("../../../docs/operate/grow.md");
const SHRINK: &str = include_str!("../../../docs/operate/shrink.md");
const REPLACE: &str = include_str!("../../../docs/operate/replace.md");
const REPAIR: &str = include_str!("../../../docs/operate/repair.md");

/// The relay's address and the time on the pages.
const RELAY: &str = "10.0.0.1:9100";
const SINCE: &str = "1763790000";

/// One line that an operator types, and the exit code that the page tells.
struct Typed {
    line: String,
    code: i32,
}

/// What a page has an operator type.
fn typed(page: &str) -> Vec<Typed> {
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
    fn type_line(&self, Typed { line, code }: &Typed, since: i64) -> String {
        let line = line.replace(RELAY, &self.relay_admin()).replace(SINCE, &since.to_string());
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["systemctl", "reload", "plumbago-relay"] => self.reload_relay(),
            // There is no zipper in a drill.
            ["systemctl", "reload", "plumbago-zipper"] => {}
            ["plumbago", ref words @ ..] => {
                let said = self.ends(*code, words);
                // With --nocapture this is what the pages show.
                println!("$ {line}\n{said}");
                return said;
            }
            _ => panic!("{line}"),
        }
        String::new()
    }

    fn type_page(&self, page: &str, since: i64) {
        typed(page).iter().for_each(|line| drop(self.type_line(line, since)));
    }

    /// Starts the first `apply` of a page with little speed, and kills it once something is copied.
    fn kill_in_the_middle(&self, plan: &str) {
        let slow = ["apply", plan, "--yes", "--series-per-second", "300"];
        let mut killed = self.spawn(&slow);
        let journal = self.path(&format!("{plan}.journal"));
        wait_until("the first series to be copied", testkit::PATIENCE, || {
            let text = std::fs::read_to_string(&journal).ok()?;
            text.contains("copied").then_some(())
        });
        killed.kill().unwrap();
        let Output { status, .. } = killed.wait_with_output().unwrap();
        assert!(!status.success(), "it was still at work");
        let said = self.ends(2, &["reap", plan]);
        assert!(said.contains("not verified"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_added_and_the_tool_is_killed_in_the_middle() {
    let mut drill = Drill::start(4).await;
    drill.add_node().await;
    drill.write_wanted();
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
    drill.settle(None).await;
    drill.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_drained_and_taken_out() {
    let mut drill = Drill::start(4).await;
    drill.type_page(SHRINK, 0);
    drill.settle(Some("store-4")).await;
    drill.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_comes_back_with_an_empty_disk() {
    let mut drill = Drill::start(4).await;
    drill.stop_node(2).await;
    drill.lose_disk(2);
    drill.start_node(2).await;
    drill.type_page(REPLACE, 0);
    drill.settle(None).await;
    drill.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_comes_back_with_an_old_state_and_is_repaired() {
    let mut drill = Drill::start(4).await;
    let quiet = drill.pause().await;
    drill.stop_node(1).await;
    drill.keep_disk(1);
    drill.start_node(1).await;
    let since = drill.send_between().await;
    drill.stop_node(1).await;
    drill.restore_disk(1);
    drill.start_node(1).await;
    drop(quiet);
    drill.type_page(REPAIR, since);
    drill.settle(None).await;
    drill.stop().await;
}
