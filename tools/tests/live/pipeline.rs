//! `plumbago up` as a process of its own, and the other commands beside it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use testkit::ANY_PORT;

/// A pipeline that ends with the value.
pub(crate) struct Pipeline {
    child: Child,
    /// Kept open: a process whose output nobody takes may end.
    _out: BufReader<ChildStdout>,
    pub(crate) line: String,
    pub(crate) api: String,
    folder: Option<tempfile::TempDir>,
}

impl Pipeline {
    /// Starts it with so many nodes, two of which hold each series.
    pub(crate) fn start(nodes: &str) -> Self {
        Self::on(testkit::folder(), &["--nodes", nodes])
    }

    /// The same with other settings, on the data that it has.
    pub(crate) fn again(mut self, settings: &[&str]) -> Self {
        let folder = self.folder.take().unwrap();
        // Told to end, it writes all points to their files.
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap();
        Self::on(folder, settings)
    }

    /// The file that names its nodes.
    pub(crate) fn cluster(&self) -> String {
        let folder = self.folder.as_ref().unwrap().path();
        folder.join("data/cluster.toml").to_str().unwrap().to_owned()
    }

    /// Starts it in a folder.
    pub(crate) fn on(folder: tempfile::TempDir, settings: &[&str]) -> Self {
        let data = folder.path().join("data");
        let mut child = Command::new(env!("CARGO_BIN_EXE_plumbago"))
            .args(["up", "--replication", "2"])
            .args(["--line", ANY_PORT, "--pickle", ANY_PORT, "--listen", ANY_PORT])
            .arg("--data")
            .arg(&data)
            .args(settings)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut after = |label: &str| {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            let rest = line.strip_prefix(label).unwrap_or_else(|| panic!("{label}: {line:?}"));
            rest.split_whitespace().next().unwrap().to_owned()
        };
        let line = after("carbon lines");
        after("pickles");
        let api = after("Graphite API").trim_start_matches("http://").to_owned();
        Self { child, _out: out, line, api, folder: Some(folder) }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs `plumbago` with these words and this input.
pub(crate) fn plumbago(words: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_plumbago"))
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that refuses its command line does not read its input.
    drop(child.stdin.take().unwrap().write_all(input));
    child.wait_with_output().unwrap()
}

/// What a command printed that must have ended well.
pub(crate) fn printed(words: &[&str], input: &[u8]) -> String {
    let output = plumbago(words, input);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {} {said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The whole of a file.
pub(crate) fn text_of(path: &Path) -> String {
    let mut text = String::new();
    std::fs::File::open(path).unwrap().read_to_string(&mut text).unwrap();
    text
}
