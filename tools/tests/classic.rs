//! Replays recorded calls of carbonate's programs and whisper's scripts through the binary, called
//! by their names. `testdata/README.md` tells where the record comes from.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use flate2::read::GzDecoder;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What the first line of the record holds: files and texts that cases share.
struct Shared {
    conf: String,
    metrics: String,
    blobs: BTreeMap<String, Vec<u8>>,
}

/// What a call left.
struct Outcome {
    failed: bool,
    out: String,
    err: String,
    files: BTreeMap<String, Vec<u8>>,
}

type Fault = String;

#[test]
fn every_recorded_call_is_answered_as_it_was_or_as_it_should_have_been() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cases.jsonl.gz");
    let mut text = String::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let shared = shared(&lines.next().unwrap());
    let mut faults = Vec::new();
    let mut played = 0;
    for case in lines {
        played += 1;
        if let Err(fault) = play(&case, &shared) {
            faults.push(format!("{} {} {}: {fault}", case["id"], case["tool"], case["argv"]));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(played, 249);
}

fn shared(line: &Value) -> Shared {
    let blob = |(name, hex): (&String, &Value)| (name.clone(), unhex(text(hex)));
    Shared {
        conf: text(&line["conf"]).to_owned(),
        metrics: text(&line["metrics"]).to_owned(),
        blobs: line["blobs"].as_object().unwrap().iter().map(blob).collect(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn unhex(hex: &str) -> Vec<u8> {
    let pair = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    hex.as_bytes().chunks(2).map(pair).collect()
}

fn play(case: &Value, shared: &Shared) -> Result<(), Fault> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for (name, file) in case["tree"].as_object().unwrap() {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &shared.blobs[text(&file["sha256"])]).unwrap();
        let written = UNIX_EPOCH + Duration::from_secs(file["mtime"].as_u64().unwrap());
        File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
    }
    let before = files(&root);
    let outcome = call(case, shared, &root);
    compare(case, &before, &outcome)
}

fn call(case: &Value, shared: &Shared, root: &Path) -> Outcome {
    let binary = env!("CARGO_BIN_EXE_plumbago");
    let links = tempfile::tempdir().unwrap();
    let (mut program, mut words) = (PathBuf::from(binary), Vec::new());
    if case["kind"] == "heal" {
        words = vec!["whisper", "heal"];
    } else {
        program = links.path().join(text(&case["tool"]));
        symlink(binary, &program).unwrap();
    }
    if case["conf"].is_string() {
        fs::write(root.join("carbonate.conf"), &shared.conf).unwrap();
    }
    words.extend(case["argv"].as_array().unwrap().iter().map(text));
    let environment = case["env"].as_object().unwrap();
    let mut child = Command::new(program)
        .args(words)
        .current_dir(root)
        .env("PLUMBAGO_NOW", case["now"].to_string())
        .env_remove("CARBONATE_CONFIG")
        .env_remove("CARBONATE_CLUSTER")
        .envs(environment.iter().map(|(name, value)| (name, text(value))))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = text(&case["stdin"]);
    let stdin = if stdin == "@METRICS" { &shared.metrics } else { stdin };
    // A program that refuses its command line does not read its input.
    drop(child.stdin.take().unwrap().write_all(stdin.as_bytes()));
    let output = child.wait_with_output().unwrap();
    if case["conf"].is_string() {
        fs::remove_file(root.join("carbonate.conf")).unwrap();
    }
    let place = format!("{}/", root.display());
    let said = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&place, "");
    Outcome {
        failed: !output.status.success(),
        out: said(output.stdout),
        err: said(output.stderr),
        files: files(root),
    }
}

fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Compares with the record, or with the `mended` answer where the record is a fault of the program.
fn compare(
    case: &Value,
    before: &BTreeMap<String, Vec<u8>>,
    outcome: &Outcome,
) -> Result<(), Fault> {
    let mended = &case["mended"];
    let wanted = if mended.is_object() { mended } else { case };
    if outcome.failed != (wanted["rc"] != 0) {
        return Err(format!("failed: {}, stderr {:?}", outcome.failed, outcome.err));
    }
    if outcome.failed && outcome.err.is_empty() {
        return Err("failed without a word".to_owned());
    }
    if !outcome.failed && !same_text(case, text(&wanted["stdout"]), &outcome.out) {
        return Err(format!("printed {:?}, expected {}", outcome.out, wanted["stdout"]));
    }
    let changed = wanted["changed"].as_object().unwrap();
    let removed: Vec<&str> = wanted["removed"].as_array().unwrap().iter().map(text).collect();
    for name in before.keys().chain(outcome.files.keys()).chain(changed.keys()) {
        let (old, new) = (before.get(name), outcome.files.get(name));
        let right = match (changed.get(name), new) {
            (_, None) => removed.contains(&name.as_str()),
            (None, Some(new)) => old.is_some_and(|old| old == new || logical(old) == logical(new)),
            (Some(file), Some(new)) if file["logical"].is_string() => {
                logical(new).as_deref() == file["logical"].as_str()
            }
            (Some(file), Some(new)) => sha256(new) == text(&file["sha256"]),
        };
        if !right {
            return Err(format!("{name} is not what it should be"));
        }
    }
    Ok(())
}

/// Lines in any order where the order of a folder decides; JSON by value; an empty name is none.
fn same_text(case: &Value, wanted: &str, printed: &str) -> bool {
    if case["argv"].as_array().unwrap().iter().any(|word| word == "--json") {
        let read = |text| serde_json::from_str::<Value>(text).unwrap();
        return read(wanted) == read(printed);
    }
    let lines = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if case["order"] == "any" {
            lines.sort();
        }
        lines.retain(|line| !line.is_empty() || case["tool"] != "carbon-sieve");
        lines
    };
    lines(wanted) == lines(printed)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A Whisper file without its layout: the first 16 bytes, then for each archive its step and size
/// and its points with a timestamp, sorted.
fn logical(bytes: &[u8]) -> Option<String> {
    let word =
        |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().unwrap()) as usize);
    let mut content = bytes.get(..16)?.to_vec();
    for archive in 0..word(12)?.min(64) {
        let record = 16 + 12 * archive;
        let (offset, count) = (word(record)?, word(record + 8)?);
        content.extend(&bytes[record + 4..record + 12]);
        let mut points: Vec<&[u8]> = bytes.get(offset..offset + 12 * count)?.chunks(12).collect();
        points.retain(|point| point[..4] != [0; 4]);
        points.sort_unstable();
        content.extend(points.concat());
    }
    Some(sha256(&content))
}
