//! What a drill tells at its end: how long each command took, and what those who send and ask felt of it.

use std::ops::Range;
use std::time::Duration;

use crate::cluster::Drill;
use crate::node::Node;
use crate::readers::Answers;

/// Bytes of a megabyte as people count them.
const MEGABYTE: f64 = 1e6;

/// The commands of a drill so far.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    /// What was typed, and how long it took.
    typed: Vec<(String, Duration)>,
    /// Parts of the load that came before them, with nothing but questions beside them.
    pub(crate) parts_alone: Range<usize>,
}

impl Commands {
    /// Takes note of a command; so many parts of the load had come before it was typed.
    pub(crate) fn note(&mut self, words: &[&str], took: Duration, parts: usize) {
        if self.typed.is_empty() {
            self.parts_alone.end = parts;
        }
        let subject = words.iter().take_while(|word| !word.contains(['-', '.'])).copied();
        self.typed.push((subject.collect::<Vec<_>>().join(" "), took));
    }
}

impl Drill {
    /// Prints a row of the table in docs/operate/drills.md.
    pub(crate) fn report(&self, answers: &Answers) {
        let drill = std::thread::current().name().unwrap_or_default().to_owned();
        let commands = self.commands.lock();
        let shown = commands.typed.iter();
        let shown = shown.map(|(what, took)| format!("{what} {:.1}", took.as_secs_f64()));
        let parts = self.load.took();
        let (before, during) =
            (&parts[commands.parts_alone.clone()], &parts[commands.parts_alone.end..]);
        let peak = self.nodes.iter().map(Node::peak_bytes).max().unwrap_or(0) as f64 / MEGABYTE;
        let Answers { whole, marked, took } = answers;
        println!(
            "| {drill} | {:.0} | {} | {whole} / {marked} | {} / {} | {} / {} | {peak:.0} |",
            self.clock_seconds(),
            shown.collect::<Vec<_>>().join(", "),
            of_hundred(50, took),
            of_hundred(100, took),
            of_hundred(99, before),
            of_hundred(99, during),
        );
    }
}

/// The time that so many of a hundred did not exceed.
fn of_hundred(count: usize, took: &[Duration]) -> String {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * count).div_ceil(100).saturating_sub(1);
    sorted
        .get(at)
        .map_or_else(|| "-".to_owned(), |took| format!("{:.1} ms", took.as_secs_f64() * 1e3))
}
