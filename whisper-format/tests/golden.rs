//! Replays the recorded scenarios of `testdata/` and compares bytes and answers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::PathBuf;

use plumbago_whisper as whisper;
use serde_json::Value;
use sha2::{Digest, Sha256};
use whisper::{Error, Header, Like, LikeCarbonate, Method, Now, OnExisting, Resize, Retention};
use whisper::{Spec, Whisper};

/// How a step went: an answer, or none for what only changes a file.
type Outcome = Result<Option<Value>, String>;

#[test]
fn all_recorded_scenarios_pass() {
    let mut text = String::new();
    let packed = File::open("testdata/scenarios.jsonl.gz").unwrap();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    let mut failures = Vec::new();
    let mut count = 0;
    for line in text.lines() {
        let scenario: Value = serde_json::from_str(line).unwrap();
        count += 1;
        if let Err(failure) = Scene::new(&scenario).play() {
            failures.push(format!("{} {}: {failure}", scenario["id"], scenario["group"]));
        }
    }
    assert_eq!(count, 360);
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// One scenario in a folder of its own.
struct Scene<'a> {
    scenario: &'a Value,
    folder: tempfile::TempDir,
    /// Set once our file rightly differs from Python's: what follows is only asked to be harmless.
    astray: bool,
}

impl<'a> Scene<'a> {
    fn new(scenario: &'a Value) -> Self {
        Self { scenario, folder: tempfile::tempdir().unwrap(), astray: false }
    }

    fn play(mut self) -> Result<(), String> {
        for (index, step) in self.scenario["steps"].as_array().unwrap().iter().enumerate() {
            let say = |what: String| format!("step {index} {}: {what}", step["op"]);
            let before = self.files();
            let outcome = self.run(step);
            let after = self.files();
            self.judge(step, outcome, before, after).map_err(say)?;
        }
        Ok(())
    }

    fn path(&self, name: &Value) -> PathBuf {
        self.folder.path().join(format!("{}.wsp", name.as_str().unwrap()))
    }

    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let entries = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }

    fn judge(
        &mut self,
        step: &Value,
        outcome: Outcome,
        before: BTreeMap<PathBuf, Vec<u8>>,
        after: BTreeMap<PathBuf, Vec<u8>>,
    ) -> Result<(), String> {
        let target = if step["dst"].is_string() { &step["dst"] } else { &step["file"] };
        let outcome = match outcome {
            Err(_) if before != after => return Err("refused, but files changed".to_owned()),
            _ if self.astray => return Ok(()),
            Err(error) => {
                self.astray |= step["state"].is_object();
                if !step["error"].is_null() || self.may_refuse(step) {
                    return Ok(());
                }
                return Err(format!("refused: {error}"));
            }
            Ok(_) if step["error"].is_object() => return Err("accepted".to_owned()),
            Ok(outcome) => outcome,
        };
        if let Some(answer) = outcome {
            return compare(&answer, &expected_answer(step));
        }
        if step["state"].is_object() {
            let bytes = after.get(&self.path(target)).ok_or("no file")?;
            return compare_state(bytes, &step["state"]);
        }
        Ok(())
    }

    /// What Python accepts and we do not.
    fn may_refuse(&self, step: &Value) -> bool {
        let group = self.scenario["group"].as_str().unwrap();
        let zero = |list: &Value| list.as_array().unwrap().iter().any(|number| number == 0);
        match step["op"].as_str().unwrap() {
            "create" => step["archives"].as_array().unwrap().iter().any(zero),
            "parse_retention" => zero(&step["out"]) || !step["def"].as_str().unwrap().is_ascii(),
            _ => ["corrupt", "poison", "truncated"].iter().any(|kind| group.starts_with(kind)),
        }
    }

    fn run(&self, step: &Value) -> Outcome {
        let op = step["op"].as_str().unwrap();
        match op {
            "create" => self.create(step),
            "update" | "update_many" => self.update(step),
            "fetch" | "info" | "diff" => self.read(step),
            "merge" | "fill" => self.join(step),
            "resize" => self.resize(step),
            "set_agg" | "set_xff" => self.set(step),
            "parse_retention" => {
                let retention: Retention = ok(step["def"].as_str().unwrap().parse())?;
                Ok(Some([retention.seconds_per_point, retention.points].to_vec().into()))
            }
            "write_raw" | "truncate" | "patch" => {
                self.by_hand(step);
                Ok(None)
            }
            other => panic!("unknown step {other}"),
        }
    }

    fn by_hand(&self, step: &Value) {
        let path = self.path(&step["file"]);
        let mut bytes = fs::read(&path).unwrap_or_default();
        if let Some(packed) = step["zb64"].as_str() {
            bytes = inflate(packed);
        } else if let Some(size) = step["size"].as_u64() {
            bytes.truncate(usize::try_from(size).unwrap());
        } else {
            let offset = usize::try_from(step["offset"].as_u64().unwrap()).unwrap();
            let patch = hex(step["hex"].as_str().unwrap());
            bytes.splice(offset..offset + patch.len(), patch);
        }
        fs::write(path, bytes).unwrap();
    }

    fn create(&self, step: &Value) -> Outcome {
        let archives = step["archives"].as_array().unwrap().iter().map(|archive| {
            let number = |index: usize| ok(u32::try_from(archive[index].as_i64().unwrap()));
            Ok(Retention { seconds_per_point: number(0)?, points: number(1)? })
        });
        let mut spec = Spec::new(archives.collect::<Result<_, String>>()?);
        if !step["xff"].is_null() {
            spec.x_files_factor = float(&step["xff"]).ok_or("not a number")?;
        }
        if let Some(name) = step["method"].as_str() {
            spec.method = Method::from_name(name).ok_or("unknown method")?;
        }
        ok(whisper::create(&self.path(&step["file"]), &spec, OnExisting::Refuse))?;
        Ok(None)
    }

    fn update(&self, step: &Value) -> Outcome {
        let mut file = self.open(&step["file"])?;
        if step["op"] == "update" {
            ok(file.update(
                seconds(&step["ts"]).unwrap(),
                float(&step["value"]).unwrap(),
                now(step),
            ))?;
            return Ok(None);
        }
        let points = step["points"].as_array().unwrap().iter();
        let points = points.map(|point| (seconds(&point[0]).unwrap(), float(&point[1]).unwrap()));
        ok(file.update_many_as_python(&points.collect::<Vec<_>>(), now(step)))?;
        Ok(None)
    }

    fn read(&self, step: &Value) -> Outcome {
        let answer = match step["op"].as_str().unwrap() {
            "info" => info(self.open(&step["file"])?.header()),
            "diff" => {
                let (a, b) = (self.open(&step["src"])?, self.open(&step["dst"])?);
                let ignore_empty = step["ignore_empty"].as_bool().unwrap_or(false);
                let options = whisper::Diff { ignore_empty, until: None };
                let archives = ok(whisper::diff(&a, &b, options, now(step)))?;
                let archives = archives.iter().enumerate().map(|(index, archive)| {
                    let points = archive.differences.iter();
                    let points: Vec<Value> = points
                        .map(|point| {
                            vec![point.interval.into(), json(point.a), json(point.b)].into()
                        })
                        .collect();
                    Value::from(vec![Value::from(index), points.into(), archive.total.into()])
                });
                archives.collect::<Vec<_>>().into()
            }
            _ => {
                let until = seconds(&step["until"]).unwrap_or_else(|| now(step).truncate());
                let archive = match &step["archive"] {
                    Value::Null => None,
                    Value::String(text) => Some(ok(whisper::parse_step(text))?),
                    number => Some(u32::try_from(number.as_u64().unwrap()).unwrap()),
                };
                let file = self.open(&step["file"])?;
                match ok(file.fetch(seconds(&step["from"]).unwrap(), until, now(step), archive))? {
                    None => Value::Null,
                    Some(fetched) => {
                        let values: Vec<Value> = fetched.values().map(json).collect();
                        let (start, end) = (fetched.start, fetched.end);
                        let window = vec![start, end, i64::from(fetched.step)];
                        vec![Value::from(window), values.into()].into()
                    }
                }
            }
        };
        Ok(Some(answer))
    }

    fn join(&self, step: &Value) -> Outcome {
        let (src, mut dst) = (self.open(&step["src"])?, self.open(&step["dst"])?);
        if step["op"] == "merge" {
            let (from, until) = (seconds(&step["from"]), seconds(&step["to"]));
            ok(whisper::merge(&src, &mut dst, from, until, now(step)))?;
            return Ok(None);
        }
        let like = if step["impl"] == "carbonate" {
            let overwrite = step["overwrite"].as_bool().unwrap_or(false);
            Like::Carbonate(LikeCarbonate { from: seconds(&step["end_at"]), overwrite })
        } else {
            Like::WhisperFill
        };
        ok(whisper::fill_like(&src, &mut dst, like, now(step)))?;
        Ok(None)
    }

    fn resize(&self, step: &Value) -> Outcome {
        let mut resize = Resize {
            archives: Vec::new(),
            x_files_factor: None,
            method: None,
            aggregate: false,
            backup: false,
        };
        for arg in step["args"].as_array().unwrap().iter().filter_map(Value::as_str) {
            match arg.split_once('=') {
                Some(("--xFilesFactor", text)) => resize.x_files_factor = Some(ok(text.parse())?),
                Some(("--aggregationMethod", name)) => {
                    resize.method = Some(Method::from_name(name).ok_or("unknown method")?);
                }
                _ if arg == "--aggregate" => resize.aggregate = true,
                _ => resize.archives.push(ok(arg.parse())?),
            }
        }
        ok(whisper::resize(&self.path(&step["file"]), &resize, now(step).truncate()))?;
        Ok(None)
    }

    fn set(&self, step: &Value) -> Outcome {
        let method = step["method"].as_str();
        let method =
            method.map(|name| Method::from_name(name).ok_or("unknown method")).transpose()?;
        let mut file = self.open(&step["file"])?;
        ok(file.set(method, float(&step["xff"])))?;
        Ok(None)
    }

    fn open(&self, name: &Value) -> Result<Whisper<File>, String> {
        let file = OpenOptions::new().read(true).write(true).open(self.path(name));
        ok(file.map_err(Error::from).and_then(Whisper::open))
    }
}

fn ok<T, E: ToString>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

fn now(step: &Value) -> Now {
    Now::from_seconds(step["now"].as_f64().unwrap()).unwrap()
}

/// A time with its fraction cut off; `None` for null.
fn seconds(value: &Value) -> Option<i64> {
    let fraction = || value.as_f64().and_then(Now::from_seconds).map(Now::truncate);
    value.as_i64().or_else(fraction)
}

/// A number or the word for one.
fn float(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

fn json(value: Option<f64>) -> Value {
    let word = |value: f64| if value.is_nan() { "NaN".to_owned() } else { format!("{value:?}") };
    match value {
        None => Value::Null,
        Some(value) if value.is_finite() => value.into(),
        Some(value) => word(value).replace("inf", "Infinity").into(),
    }
}

fn info(header: &Header) -> Value {
    let archives = header.archives.iter().map(|archive| {
        serde_json::json!({
            "offset": archive.offset,
            "secondsPerPoint": archive.seconds_per_point,
            "points": archive.points,
            "retention": archive.retention(),
            "size": archive.size(),
        })
    });
    serde_json::json!({
        "aggregationMethod": header.method.name(),
        "maxRetention": header.max_retention,
        "xFilesFactor": f64::from(header.x_files_factor),
        "archives": archives.collect::<Vec<_>>(),
    })
}

fn expected_answer(step: &Value) -> Value {
    match &step["out"] {
        Value::Object(out) if out.contains_key("timeInfo") => {
            vec![out["timeInfo"].clone(), out["values"].clone()].into()
        }
        out => out.clone(),
    }
}

/// Numbers count by their bits, so that -0.0 is not 0.0 but 5 is 5.0.
fn compare(ours: &Value, theirs: &Value) -> Result<(), String> {
    let same = match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().map(f64::to_bits) == b.as_f64().map(f64::to_bits)
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| compare(a, b).is_ok())
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| compare(a, b).is_ok()))
        }
        (a, b) => a == b,
    };
    if same { Ok(()) } else { Err(format!("{ours}, expected {theirs}")) }
}

fn compare_state(bytes: &[u8], state: &Value) -> Result<(), String> {
    let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if state["sha256"] == digest || state["sha256_asc"] == digest {
        return Ok(());
    }
    Err(format!("{} bytes differ from the recorded {}", bytes.len(), state["size"]))
}

fn hex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digits).collect()
}

fn inflate(base64: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut packed = Vec::new();
    for chunk in base64.trim_end_matches('=').as_bytes().chunks(4) {
        let place = |byte: &u8| ALPHABET.iter().position(|letter| letter == byte).unwrap();
        let bits = chunk.iter().fold(0, |bits, byte| bits << 6 | place(byte));
        let bits = u32::try_from(bits << (6 * (4 - chunk.len()))).unwrap();
        packed.extend(&bits.to_be_bytes()[1..chunk.len()]);
    }
    let mut bytes = Vec::new();
    flate2::read::ZlibDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
    bytes
}
