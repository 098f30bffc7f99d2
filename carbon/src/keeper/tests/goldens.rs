//! The recorded scenarios of crate `whisper`, their updates taken in as points of a series: through journal, death,
//! replay, tails and flush the file holds what Python whisper's own updates have left.

use std::io::Read;
use std::path::Path;

use parking_lot::Mutex;
use serde_json::Value;
use sha2::{Digest, Sha256};
use whisper::{Method, Retention, Spec};

use super::*;

const SCENARIOS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../whisper-format/testdata/scenarios.jsonl.gz");

/// The kinds of files that the scenario has asked for so far.
#[derive(Debug, Default)]
struct AsCreated(Mutex<std::collections::HashMap<String, Spec>>);

impl FileSpecs for AsCreated {
    fn spec_for(&self, name: &str) -> Spec {
        self.0.lock()[name].clone()
    }
}

/// In which order the points of a batch come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    /// As they were given to Python, backwards: of one timestamp it takes the first, and a node the last.
    Backwards,
}

/// When the node dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    Never,
    /// Nothing of a batch is in the file yet.
    BeforeTheFlush,
    /// All of it is, and the journal does not know.
    AfterTheFlush,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Compared {
    scenarios: usize,
    files: usize,
    answers: usize,
}

struct Scene {
    node: Option<Node>,
    specs: Arc<AsCreated>,
    order: Order,
    death: Death,
    compared: Compared,
}

#[test]
fn points_in_order_leave_what_python_recorded() {
    let compared = play_all(Order::Ascending, Death::Never);
    assert_eq!(compared, Compared { scenarios: 276, files: 942, answers: 1740 });
}

#[test]
fn points_in_any_order_that_went_through_a_death_leave_what_python_recorded() {
    let compared = play_all(Order::Backwards, Death::BeforeTheFlush);
    assert_eq!(compared, Compared { scenarios: 222, files: 734, answers: 1063 });
}

#[test]
fn points_that_were_written_and_are_replayed_leave_what_python_recorded() {
    let compared = play_all(Order::Ascending, Death::AfterTheFlush);
    assert_eq!(compared, Compared { scenarios: 222, files: 734, answers: 1063 });
}

fn play_all(order: Order, death: Death) -> Compared {
    let mut text = String::new();
    let packed = std::fs::File::open(SCENARIOS).unwrap();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    let mut all = Compared::default();
    for line in text.lines() {
        let scenario: Value = serde_json::from_str(line).unwrap();
        let mut scene = Scene::new(order, death);
        if let Err(failure) = scene.play(&scenario) {
            panic!("{} {}: {failure}", scenario["id"], scenario["group"]);
        }
        all.scenarios += usize::from(scene.compared.files > 0);
        all.files += scene.compared.files;
        all.answers += scene.compared.answers;
    }
    all
}

impl Scene {
    fn new(order: Order, death: Death) -> Self {
        let compared = Compared::default();
        Self { node: None, specs: Arc::default(), order, death, compared }
    }

    /// Plays as far as files are only created, updated and read.
    fn play(&mut self, scenario: &Value) -> Result<(), String> {
        let steps = scenario["steps"].as_array().unwrap();
        for (index, step) in steps.iter().enumerate() {
            let say = |what: String| format!("step {index} {}: {what}", step["op"]);
            match step["op"].as_str().unwrap() {
                "create" => self.create(step),
                "update" | "update_many" => {
                    let Some(points) = points(step) else { return Ok(()) };
                    if self.is_beyond_us(step, &points) {
                        return Ok(());
                    }
                    let asked = steps[index + 1..].iter().take_while(|next| next["op"] == "fetch");
                    let asked: Vec<&Value> =
                        asked.filter(|next| next["now"] == step["now"]).collect();
                    self.update(step, points, &asked).map_err(say)?;
                }
                "fetch" => self.fetch(step).map_err(say)?,
                "info" | "parse_retention" | "diff" => {}
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    fn create(&self, step: &Value) {
        let archives = step["archives"].as_array().unwrap().iter().map(|archive| {
            let number = |index: usize| u32::try_from(archive[index].as_i64()?).ok();
            Some(Retention { seconds_per_point: number(0)?, points: number(1)? })
        });
        let Some(archives) = archives.collect() else { return };
        let mut spec = Spec::new(archives);
        spec.x_files_factor = float(&step["xff"]).unwrap_or(spec.x_files_factor);
        let method = step["method"].as_str();
        spec.method = method.and_then(Method::from_name).unwrap_or(spec.method);
        if step["error"].is_null() && spec.header().is_ok() {
            self.specs.0.lock().entry(text(&step["file"])).or_insert(spec);
        }
    }

    /// Whether the files rightly differ from here on: Python writes a run longer than its archive over the archive's
    /// end; and where a point too old for the finest archive has pushed out a rollup, a node that died computes that
    /// rollup again.
    fn is_beyond_us(&self, step: &Value, points: &[(u32, f64)]) -> bool {
        let specs = self.specs.0.lock();
        let Some(spec) = specs.get(step["file"].as_str().unwrap()) else { return false };
        let finest = spec.header().unwrap().archives[0];
        let ages = points.iter().map(|point| step["now"].as_i64().unwrap() - i64::from(point.0));
        let mut slots: Vec<i64> = points.iter().map(|point| finest.align(point.0.into())).collect();
        slots.sort_unstable();
        slots.dedup();
        let in_a_row = |a: &i64, b: &i64| a + i64::from(finest.seconds_per_point) == *b;
        let longest = slots.chunk_by(in_a_row).map(<[i64]>::len).max();
        longest > Some(finest.points as usize) && ages.clone().any(|age| age < 0)
            || self.death != Death::Never && ages.max() > Some(finest.retention())
    }

    fn update(
        &mut self,
        step: &Value,
        mut points: Vec<(u32, f64)>,
        asked: &[&Value],
    ) -> Result<(), String> {
        let name = text(&step["file"]);
        // What Python refuses was not sent, and a file without points is not created.
        let is_known = self.specs.0.lock().contains_key(&name);
        if !step["error"].is_null() || !is_known || points.is_empty() {
            return Ok(());
        }
        let now = step["now"].as_i64().unwrap();
        let specs = Arc::clone(&self.specs) as Arc<dyn FileSpecs>;
        let mut node = self.node.take().unwrap_or_else(|| Node::on(Machine::new(now, specs)));
        node.machine.clock.set(now);
        points.reverse();
        if self.order == Order::Ascending {
            points.sort_by_key(|point| point.0);
        }
        node.accept(&name, &points);
        assert!(node.commit(Durability::Written));
        if self.death == Death::BeforeTheFlush {
            node = node.die();
        }
        self.node = Some(node);
        for question in asked {
            self.fetch(question)?;
        }
        let node = self.node.take().expect("put there above");
        node.flush(FlushScope::All);
        let node = match self.death {
            Death::Never => node,
            _ => node.die(),
        };
        node.flush(FlushScope::All);
        node.keeper.release_written();
        let compared = compare_state(&node.file(&name), &step["state"]);
        self.node = Some(node);
        self.compared.files += 1;
        compared
    }

    /// Compares an answer with the recorded one, whether points wait or not.
    fn fetch(&mut self, step: &Value) -> Result<(), String> {
        let name = text(&step["file"]);
        let Some(node) = self.node.as_ref() else { return Ok(()) };
        let Some(id) = node.id(&name) else { return Ok(()) };
        if !step["error"].is_null() || !step["archive"].is_null() {
            return Ok(());
        }
        let seconds = |key: &str| step[key].as_i64();
        // Python takes fractions of a second here.
        let (Some(now), Some(from)) = (seconds("now"), seconds("from")) else { return Ok(()) };
        let until = seconds("until").unwrap_or(now);
        let read = node.keeper.engine.read(id, from, until, now).unwrap();
        let expected = &step["out"];
        self.compared.answers += 1;
        let Some(data) = read else {
            return if expected.is_null() { Ok(()) } else { Err("no answer".to_owned()) };
        };
        let values = expected["values"].as_array().ok_or("an answer where there is none")?;
        let same = |ours: &f64, theirs: &Value| match float(theirs) {
            Some(value) => value.to_bits() == ours.to_bits() || (value.is_nan() && ours.is_nan()),
            None => ours.is_nan(),
        };
        let window = [data.start, data.step].map(Value::from);
        let info = &expected["timeInfo"];
        let is_same = window == [info[0].clone(), info[2].clone()]
            && values.len() == data.values.len()
            && data.values.iter().zip(values).all(|(ours, theirs)| same(ours, theirs));
        if is_same { Ok(()) } else { Err(format!("{data:?}, expected {expected}")) }
    }
}

/// The points of a step; none if one of them has a time that no carbon line can have.
fn points(step: &Value) -> Option<Vec<(u32, f64)>> {
    let single = serde_json::json!([[step["ts"], step["value"]]]);
    let points = step["points"].as_array().or(single.as_array())?.iter();
    let point = |point: &Value| Some((u32::try_from(point[0].as_i64()?).ok()?, float(&point[1])?));
    points.map(point).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A number or the word for one.
fn float(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// Header and all points of a file, wherever in their archive they lie.
fn logical(bytes: &[u8]) -> String {
    let header = whisper::Header::parse(bytes, bytes.len() as u64).unwrap();
    let mut digest = Sha256::new();
    digest.update(&bytes[..16]);
    for archive in &header.archives {
        digest.update(archive.seconds_per_point.to_be_bytes());
        digest.update(archive.points.to_be_bytes());
        let start = archive.offset as usize;
        let slots = &bytes[start..start + archive.points as usize * whisper::POINT_BYTES];
        let mut points: Vec<&[u8]> = slots.chunks(whisper::POINT_BYTES).collect();
        points.retain(|point| point[..4] != [0; 4]);
        points.sort_unstable();
        points.iter().for_each(|point| digest.update(point));
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn compare_state(path: &Path, state: &Value) -> Result<(), String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    if state["logical"] == logical(&bytes) {
        return Ok(());
    }
    Err(format!("content of {} bytes differs from the recorded one", bytes.len()))
}
