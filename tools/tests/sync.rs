//! `carbon-sync` between two trees, with a stand-in for rsync that copies within this machine.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output};

use whisper::{OnExisting, Spec, Whisper, parse_retentions};

const NOW: i64 = 1_700_000_000;

/// Takes the files of the list that are there, and ends as rsync does when some were not.
const RSYNC: &str = r#"#!/bin/sh
echo "$@" >> "$RSYNC_LOG"
[ -z "$RSYNC_FAILS" ] || exit 12
while [ $# -gt 2 ]; do
  [ "$1" = --files-from ] && list=$2
  shift
done
tr '\0' '\n' < "$list" | {
  while read -r file; do
    if [ -f "${1#*:}$file" ]; then
      mkdir -p "$2$(dirname "$file")" && cp "${1#*:}$file" "$2$file"
    else
      code=23
    fi
  done
  exit ${code:-0}
}
"#;

struct Machines {
    folder: tempfile::TempDir,
}

impl Machines {
    fn new() -> Self {
        let machines = Self { folder: tempfile::tempdir().unwrap() };
        for folder in ["ours", "theirs", "bin", "tmp"] {
            fs::create_dir(machines.path(folder)).unwrap();
        }
        let rsync = machines.path("bin/rsync");
        fs::write(&rsync, RSYNC).unwrap();
        fs::set_permissions(&rsync, fs::Permissions::from_mode(0o755)).unwrap();
        symlink(env!("CARGO_BIN_EXE_plumbago"), machines.path("bin/carbon-sync")).unwrap();
        let conf = "[main]\nDESTINATIONS = h:2004\nREPLICATION_FACTOR = 1\nSSH_USER = deploy\n";
        fs::write(machines.path("carbonate.conf"), conf).unwrap();
        machines
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// A file with points of these ages, each of which is its value.
    fn file(&self, relative: &str, ages: &[i64]) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let spec = Spec::new(parse_retentions("1m:1h,5m:1d").unwrap());
        whisper::create(&path, &spec, OnExisting::Refuse).unwrap();
        let points: Vec<(i64, f64)> = ages.iter().map(|&age| (NOW - age, age as f64)).collect();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        Whisper::open(file).unwrap().update_many(&points, NOW).unwrap();
    }

    /// The ages of the points that a file of ours has, by their values.
    fn ages(&self, relative: &str) -> Vec<f64> {
        let file = Whisper::open(File::open(self.path("ours").join(relative)).unwrap()).unwrap();
        let fetched = file.fetch(NOW - 3600, NOW, NOW, None).unwrap().unwrap();
        fetched.values().flatten().collect()
    }

    fn sync(&self, names: &str, more: &[&str], variables: &[(&str, &str)]) -> Output {
        fs::write(self.path("names"), names).unwrap();
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let path = format!("{}:{}", text(self.path("bin")), std::env::var("PATH").unwrap());
        let mut command = Command::new(self.path("bin/carbon-sync"));
        command.args([
            "-s",
            "10.0.0.7",
            "--now",
            &NOW.to_string(),
            "--rsync-retries-interval",
            "0",
        ]);
        command.args(["-f", &text(self.path("names")), "-t", &text(self.path("tmp"))]);
        command.args(["-d", &text(self.path("ours")), "-c", &text(self.path("carbonate.conf"))]);
        command.args(["--source-storage-dir", &text(self.path("theirs"))]).args(more);
        command.env("PATH", path).env("RSYNC_LOG", self.path("log"));
        command.envs(variables.iter().copied()).output().unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    fn left_in_tmp(&self) -> Vec<PathBuf> {
        fs::read_dir(self.path("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn files_are_filled_copied_or_replaced_and_what_did_not_come_is_named() {
    let machines = Machines::new();
    machines.file("ours/a/filled.wsp", &[600, 300]);
    machines.file("theirs/a/filled.wsp", &[600, 480, 300]);
    machines.file("theirs/a/new.wsp", &[300]);
    fs::write(machines.path("ours/bad.wsp"), b"no file of points").unwrap();
    machines.file("theirs/bad.wsp", &[240]);
    let names = "a.filled\na.new\nbad\nno.such\n../../etc/passwd\n";
    let output = machines.sync(names, &["-b", "3"], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert_eq!(machines.ages("a/filled.wsp"), [600.0, 480.0, 300.0]);
    assert_eq!(machines.ages("a/new.wsp"), [300.0]);
    assert_eq!(machines.ages("bad.wsp"), [240.0]);
    assert!(machines.path("ours/bad.wsp.corrupt").exists());
    let said = said(&output);
    assert!(said.contains("\"no.such\": did not come from 10.0.0.7"), "{said}");
    assert!(said.contains("passwd"), "{said}");
    assert!(said.contains("bad.wsp: was corrupt, is kept as "), "{said}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("* Running batch 1-3\n* Running batch 5-5\n"), "{printed}");
    assert!(printed.contains("Total metrics synced: 5\n"), "{printed}");
    assert!(machines.left_in_tmp().is_empty());
    let log = machines.log();
    let source = format!("deploy@10.0.0.7:{}/", machines.path("theirs").display());
    let basis = format!("-azpS --copy-dest={}", machines.path("ours").display());
    assert!(log.lines().all(|call| call.starts_with(&basis) && call.contains(&source)), "{log}");
}

#[test]
fn a_point_that_is_there_stays_unless_it_is_to_be_overwritten() {
    let machines = Machines::new();
    let path = |tree: &str| machines.path(tree).join("a.wsp");
    machines.file("ours/a.wsp", &[300]);
    machines.file("theirs/a.wsp", &[]);
    let file = File::options().read(true).write(true).open(path("theirs")).unwrap();
    Whisper::open(file).unwrap().update_many(&[(NOW - 300, 7.0)], NOW).unwrap();
    assert!(machines.sync("a\n", &["--lock"], &[]).status.success());
    assert_eq!(machines.ages("a.wsp"), [300.0]);
    assert!(machines.sync("a\n", &["-o", "--lock"], &[]).status.success());
    assert_eq!(machines.ages("a.wsp"), [7.0]);
}

#[test]
fn an_rsync_that_fails_is_tried_again_and_the_names_of_its_batch_are_kept() {
    let machines = Machines::new();
    machines.file("theirs/a.wsp", &[300]);
    let more = [
        "--rsync-max-retries",
        "2",
        "--rsync-disable-copy-dest",
        "--rsync-options=-a -e 'ssh -p 2222'",
    ];
    let output = machines.sync("a\n", &more, &[("RSYNC_FAILS", "yes")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("batch 1-1: rsync: exit status: 12"), "{}", said(&output));
    let log = machines.log();
    assert_eq!(log.lines().count(), 2);
    assert!(log.starts_with("-a -e ssh -p 2222 --from0"), "{log}");
    let [kept] = &machines.left_in_tmp()[..] else { panic!("{:?}", machines.left_in_tmp()) };
    assert_eq!(kept.extension().unwrap(), "failed");
    assert_eq!(fs::read_to_string(kept).unwrap(), "a\n");
    assert!(!machines.path("ours/a.wsp").exists());
}

#[test]
fn a_host_that_would_be_an_option_is_refused() {
    let machines = Machines::new();
    let output = machines.sync("a\n", &["--source-node=-e sh"], &[]);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(!machines.path("log").exists());
}
