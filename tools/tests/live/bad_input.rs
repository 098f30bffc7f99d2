//! Damaged files, absurd names, nodes that are away, rings that differ, disks that are full: each is told in one line, what
//! can be done is done, and the exit code says which it was.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::page::Stage;
use crate::pipeline::{Pipeline, plumbago, printed};

/// What a command said on standard error, line by line.
pub(crate) fn said(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A sound file of one archive with one point.
pub(crate) fn whisper_file(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    printed(&["whisper", "create", text(path), "60:60"], b"");
    printed(&["whisper", "update", text(path), "N:7"], b"");
}

#[test]
fn files_that_are_none_and_names_that_no_series_has_are_left_out_of_an_import() {
    let (pipeline, stage) = (Pipeline::start("2"), Stage::new());
    let tree = stage.path("tree");
    let good = tree.join("good/one.wsp");
    whisper_file(&good);
    let bytes = fs::read(&good).unwrap();
    fs::write(tree.join("cut.wsp"), &bytes[..bytes.len() - 5]).unwrap();
    fs::write(tree.join("foreign.wsp"), b"<html>this is no series</html>").unwrap();
    fs::write(tree.join("empty.wsp"), b"").unwrap();
    let mut corrupt = bytes;
    corrupt[15] = 200;
    fs::write(tree.join("corrupt.wsp"), corrupt).unwrap();
    whisper_file(&tree.join("climbs./up.wsp"));
    let words = ["import", "--cluster", &pipeline.cluster(), "--yes", text(&tree)];
    let output = plumbago(&words, b"");
    assert_eq!(output.status.code(), Some(2));
    let lines = said(&output);
    for name in ["cut", "foreign", "empty", "corrupt", "climbs..up"] {
        let of_name = lines.iter().filter(|line| line.starts_with(&format!("plumbago: {name}: ")));
        assert_eq!(of_name.count(), 1, "{name}: {lines:?}");
    }
    assert_eq!(lines.len(), 5, "{lines:?}");
    let taken = ["node-1", "node-2"].map(|node| format!("{node}: 1 series taken, 1 of them new\n"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), taken.concat());
    let listed = printed(&["series", "list", "--cluster", &pipeline.cluster()], b"");
    assert_eq!(listed, "good.one\n");
}

#[test]
fn a_damaged_backup_restores_nothing_that_was_not_checked() {
    let (pipeline, stage) = (Pipeline::start("2"), Stage::new());
    let backup = stage.path("all.tar");
    printed(&["send", "--to", &pipeline.line, "a.b 1", "a.c 2"], b"");
    printed(&["backup", "--cluster", &pipeline.cluster(), "--to", text(&backup)], b"");
    let whole = fs::read(&backup).unwrap();
    for (damaged, code) in [(&whole[..700], 1), (&b"no tar file"[..], 1)] {
        fs::write(&backup, damaged).unwrap();
        let words = ["restore", "--cluster", &pipeline.cluster(), "--yes", text(&backup)];
        let output = plumbago(&words, b"");
        assert_eq!(output.status.code(), Some(code), "{:?}", said(&output));
        assert_eq!(said(&output).len(), 1, "{:?}", said(&output));
    }
}

#[test]
fn a_node_that_is_away_is_named_and_the_others_are_asked() {
    let (pipeline, stage) = (Pipeline::start("2"), Stage::new());
    printed(&["send", "--to", &pipeline.line, "a.b 1"], b"");
    let (away, cluster) = (testkit::closed_address(), pipeline.cluster());
    let both = ["--cluster", &cluster, "--admin", &away];
    let (tar, csv) = (stage.path("a.tar"), stage.path("a.csv"));
    let commands: [(&[&str], &str); 5] = [
        (&["series", "list"], "a.b\n"),
        (&["series", "stat", "--json"], "\"metric\":\"a.b\""),
        (&["series", "dump", "--to", text(&csv)], ""),
        (&["backup", "--to", text(&tar)], ""),
        (&["schemas", "check", "--json"], ""),
    ];
    for (command, printed) in commands {
        let output = plumbago(&[command, &both[..]].concat(), b"");
        let lines = said(&output);
        assert_eq!(output.status.code(), Some(2), "{command:?}: {lines:?}");
        let about = lines.iter().filter(|line| line.contains(&away));
        assert_eq!(about.count(), 1, "{command:?}: {lines:?}");
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(out.contains(printed), "{command:?}: {out}");
    }
    assert!(fs::read_to_string(csv).unwrap().contains("\na.b,"));
    assert!(fs::metadata(tar).unwrap().len() > 0);
    // What cannot be known without all of them is not guessed.
    for command in [["series", "stale"], ["series", "misplaced"]] {
        let output = plumbago(&[&command[..], &both[..]].concat(), b"");
        assert_eq!((output.status.code(), said(&output).len()), (Some(1), 1), "{command:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_program_with_another_ring_is_told_apart() {
    let (pipeline, stage) = (Pipeline::start("2"), Stage::new());
    let cluster = fs::read_to_string(pipeline.cluster()).unwrap();
    let other = stage.path("other.toml");
    fs::write(&other, cluster.replace("copies = 2", "copies = 1")).unwrap();
    assert!(cluster.contains("copies = 2"));
    let show = |path: &str| printed(&["ring", "show", "--cluster", path], b"");
    let fingerprint = |text: &str| text.lines().next().unwrap().to_owned();
    let (one, two) = (show(&pipeline.cluster()), show(text(&other)));
    assert_ne!(fingerprint(&one), fingerprint(&two));
    // With one copy each, a half of what lies there is one copy too many.
    printed(&["send", "--to", &pipeline.line, "a.b 1", "a.c 2"], b"");
    let output = plumbago(&["series", "misplaced", "--cluster", text(&other)], b"");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches("stray\t").count(), 2);
}

#[test]
fn a_plan_is_refused_once_the_ring_is_another_or_the_plan_is_cut_short() {
    let (pipeline, stage) = (Pipeline::start("2"), Stage::new());
    printed(&["send", "--to", &pipeline.line, "a.b 1"], b"");
    let (cluster, plan) = (stage.path("cluster.toml"), stage.path("plan"));
    let ring = fs::read_to_string(pipeline.cluster()).unwrap();
    fs::write(&cluster, &ring).unwrap();
    let words = ["plan", "rebalance", "--cluster", text(&cluster), "--out", text(&plan)];
    printed(&words, b"");
    printed(&["apply", text(&plan), "--yes"], b"");
    fs::write(&cluster, ring.replace("copies = 2", "copies = 1")).unwrap();
    let refused = |why: &str| {
        let output = plumbago(&["apply", text(&plan), "--yes"], b"");
        let lines = said(&output);
        assert_eq!((output.status.code(), lines.len()), (Some(1), 1), "{lines:?}");
        assert!(lines[0].contains(why), "{lines:?}");
    };
    refused("make a new plan");
    let whole = fs::read(&plan).unwrap();
    fs::write(&plan, &whole[..whole.len() / 2]).unwrap();
    refused("plan:1: ");
    let listed = printed(&["series", "list", "--cluster", &pipeline.cluster()], b"");
    assert_eq!(listed, "a.b\n");
}

#[test]
fn where_the_disk_is_full_no_half_file_gets_its_name() {
    let (pipeline, stage) = (Pipeline::start("2"), Stage::new());
    let line = |number| format!("load.of.a.host.with.a.long.name{number} {number}\n");
    let lines: String = (0..40).map(line).collect();
    printed(&["send", "--to", &pipeline.line], lines.as_bytes());
    let cluster = pipeline.cluster();
    for (command, file) in
        [("backup", "a.tar"), ("series dump", "a.csv"), ("series dump", "a.parquet")]
    {
        let path = stage.path(file);
        // No file may grow beyond a block, which is an error to the writer as a full disk is.
        let script = format!(
            "trap '' XFSZ; ulimit -f 1; exec {} {command} --cluster {cluster} --to {}",
            env!("CARGO_BIN_EXE_plumbago"),
            text(&path)
        );
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let lines = said(&output);
        assert_eq!((output.status.code(), lines.len()), (Some(1), 1), "{command}: {lines:?}");
        assert!(lines[0].contains(file), "{lines:?}");
        assert!(!path.exists(), "{command}");
        printed(
            &[
                &command.split(' ').collect::<Vec<_>>()[..],
                &["--cluster", &cluster, "--to", text(&path)],
            ]
            .concat(),
            b"",
        );
        assert!(path.exists(), "{command}: once there is room");
    }
}
