//! Runs the commands of a page and compares what they print with what the page says.
//!
//! Blocks fenced as `console` are run: a line that begins with `$ ` is a command, the lines below it
//! are what it prints, on either stream. `…` stands for anything within a line, and alone on a line
//! for any number of lines. A command may fail only in a block fenced as `console fails`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

const ANYTHING: &str = "…";

/// Where the commands run, and what is called otherwise than on the page.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    swaps: Vec<(String, String)>,
}

/// A command of a page.
struct Step {
    line: usize,
    command: String,
    printed: Vec<String>,
    may_fail: bool,
}

impl Stage {
    /// An empty folder in which `plumbago` is known.
    pub(crate) fn new() -> Self {
        let folder = testkit::folder();
        fs::create_dir(folder.path().join(".bin")).unwrap();
        let program = folder.path().join(".bin/plumbago");
        symlink(env!("CARGO_BIN_EXE_plumbago"), program).unwrap();
        Self { folder, swaps: Vec::new() }
    }

    /// What stands on the page as the first is the second here, such as an address.
    pub(crate) fn swap(mut self, page: &str, here: &str) -> Self {
        self.swaps.push((page.to_owned(), here.to_owned()));
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a page below docs/.
    pub(crate) fn play(&self, page: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
        let text = fs::read_to_string(&path).unwrap();
        let steps = steps(&text);
        assert!(!steps.is_empty(), "{page} has no commands");
        for step in steps {
            let (printed, succeeded) = self.run(&step.command);
            let place = format!("{page}:{}: {}", step.line, step.command);
            assert!(succeeded || step.may_fail, "{place}: failed: {printed}");
            let wanted: Vec<String> = step.printed.iter().map(|line| self.here(line)).collect();
            let lines: Vec<&str> = printed.lines().collect();
            assert!(fits(&wanted, &lines), "{place}: printed\n{printed}");
        }
    }

    fn run(&self, command: &str) -> (String, bool) {
        let mut path = OsString::from(self.folder().join(".bin"));
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let script = format!("exec 2>&1\n{}", self.here(command));
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(self.folder())
            .env("PATH", path)
            .output()
            .unwrap();
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
    }

    fn here(&self, text: &str) -> String {
        self.swaps.iter().fold(text.to_owned(), |text, (page, here)| text.replace(page, here))
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut block: Option<&str> = None;
    for (number, line) in (1..).zip(page.lines()) {
        if let Some(fence) = line.strip_prefix("```") {
            block = fence.starts_with("console").then_some(fence);
            continue;
        }
        let Some(fence) = block else { continue };
        if let Some(command) = line.strip_prefix("$ ") {
            let may_fail = fence.ends_with("fails");
            let (command, printed) = (command.to_owned(), Vec::new());
            steps.push(Step { line: number, command, printed, may_fail });
        } else {
            let step = steps.last_mut().expect("a block begins with a command");
            step.printed.push(line.to_owned());
        }
    }
    steps
}

fn fits(wanted: &[String], printed: &[&str]) -> bool {
    match wanted.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == ANYTHING => {
            (0..=printed.len()).any(|skipped| fits(rest, &printed[skipped..]))
        }
        Some((first, rest)) => printed
            .split_first()
            .is_some_and(|(line, others)| line_fits(first, line) && fits(rest, others)),
    }
}

fn line_fits(wanted: &str, line: &str) -> bool {
    let mut parts = wanted.split(ANYTHING);
    let Some(mut rest) = parts.next().and_then(|head| line.strip_prefix(head)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(tail) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(found) = rest.find(part) else { return false };
        rest = &rest[found + part.len()..];
    }
    rest.ends_with(tail)
}

#[test]
fn dots_stand_for_anything_and_all_else_for_itself() {
    let fits = |wanted: &[&str], printed: &[&str]| {
        let wanted: Vec<String> = wanted.iter().map(|line| (*line).to_owned()).collect();
        fits(&wanted, printed)
    };
    assert!(fits(&["a … c", "…", "end"], &["a b c", "x", "y", "end"]));
    assert!(fits(&["…", "end"], &["end"]));
    assert!(!fits(&["a … c"], &["a b d"]));
    assert!(!fits(&["a"], &["ab"]) && !fits(&["a"], &["a", "b"]) && !fits(&["a", "b"], &["a"]));
    let page = "text\n```console\n$ one\nout\n$ two\n```\n```\n$ not this\n```\n```console fails\n$ three\n```\n";
    let found = steps(page);
    assert_eq!(found.iter().map(|step| step.line).collect::<Vec<_>>(), [3, 5, 11]);
    assert_eq!(found[0].printed, ["out"]);
    assert!(!found[1].may_fail && found[2].may_fail);
}
