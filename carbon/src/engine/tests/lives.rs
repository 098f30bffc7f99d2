//! Whole lives of a series: points in order, late, twice, in the future; writes, stops and deaths at any moment.
//! Whatever the order, the file ends as whisper's own `update_many` leaves it, called with the same points at the
//! moments at which the engine wrote them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use whisper::{OnExisting, Whisper};

use super::*;

#[derive(Debug, Clone)]
enum Event {
    /// Seconds before now, and values.
    Points(Vec<(i64, f64)>),
    /// Time passes, and so many points come, ten seconds apart.
    Stream(u32),
    /// What is due is written.
    Due,
    /// Everything is written.
    All,
    /// The disk call of this number from now on fails while everything is written; another point comes, everything is
    /// written again.
    Fault(usize),
    Restart,
    Die,
}

fn points(age: impl Strategy<Value = i64>) -> impl Strategy<Value = Event> {
    let point = (age, -50..50i32).prop_map(|(age, value)| (age, f64::from(value) / 4.0));
    prop::collection::vec(point, 1..6).prop_map(Event::Points)
}

fn lives() -> impl Strategy<Value = Vec<Event>> {
    let wild = prop_oneof![2 => -30..100i64, 2 => 0..400i64, 1 => 0..7_400i64];
    let event = prop_oneof![
        8 => (1..30u32).prop_map(Event::Stream),
        3 => points(0..60i64),
        1 => points(wild),
        6 => Just(Event::Due),
        2 => Just(Event::All),
        2 => (0..12usize).prop_map(Event::Fault),
        1 => Just(Event::Restart),
    ];
    prop::collection::vec(event, 1..30)
}

/// No point is so old that it goes straight into a coarser archive: that may be lost in a death, with what it changed.
fn lives_with_deaths() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => (1..14u32).prop_map(Event::Stream),
        2 => points(0..60i64),
        1 => points(0..140i64),
        6 => Just(Event::Due),
        1 => Just(Event::All),
        1 => Just(Event::Restart),
        2 => Just(Event::Die),
    ];
    prop::collection::vec(event, 1..30)
}

fn names() -> impl Strategy<Value = String> {
    let methods: Vec<_> = whisper::Method::all().map(whisper::Method::name).collect();
    let percent = prop::sample::select(vec![0, 30, 50, 100]);
    let method = prop::sample::select(methods);
    (method, percent).prop_map(|(method, percent)| format!("a.{method}.{percent}"))
}

/// The engine's series beside a plain file.
struct Life {
    node: Node,
    name: String,
    waiting: BTreeMap<i64, f64>,
}

impl Life {
    fn new(name: &str) -> Self {
        let life = Self { node: Node::new(), name: name.to_owned(), waiting: BTreeMap::new() };
        whisper::create(&life.plain(), &OneSpec.spec_for(name), OnExisting::Refuse).unwrap();
        life
    }

    fn plain(&self) -> PathBuf {
        self.node.folder.path().join("plain")
    }

    fn path(&self) -> PathBuf {
        self.node.file(&metric::path::whisper_path(&self.name))
    }

    fn append(&mut self, points: &[(i64, f64)]) {
        self.node.append(&self.name, points);
        self.waiting.extend(points.iter().copied());
    }

    fn write_plain(&mut self) {
        let points: Vec<_> = std::mem::take(&mut self.waiting).into_iter().collect();
        let file = std::fs::OpenOptions::new().read(true).write(true).open(self.plain()).unwrap();
        let mut file = Whisper::open(file).unwrap();
        file.update_many(&points, self.node.clock.now_unix_seconds()).unwrap();
    }

    fn live(mut self, event: Event) -> Self {
        let now = self.node.clock.now_unix_seconds();
        match event {
            Event::Points(points) => {
                let points: Vec<_> =
                    points.iter().map(|&(age, value)| (now - age, value)).collect();
                self.append(&points);
            }
            Event::Stream(count) => {
                for number in 0..i64::from(count) {
                    advance(&self.node, 10);
                    self.append(&[(now + 10 * (number + 1), (number * number % 23) as f64 / 10.0)]);
                }
            }
            Event::Due | Event::All => {
                let scope =
                    if matches!(event, Event::All) { FlushScope::All } else { FlushScope::Due };
                self.node.engine.flush(scope);
                self.write_plain();
            }
            Event::Fault(call) => {
                let at = self.node.disk.faults.lock().calls + call;
                self.node.disk.faults.lock().at = Some(at);
                let report = self.node.engine.flush(FlushScope::All);
                self.node.disk.faults.lock().at = None;
                if report.points_left == 0 {
                    self.write_plain();
                }
                self.append(&[(now - 35, 0.5)]);
                self.node.engine.flush(FlushScope::All);
                self.write_plain();
            }
            Event::Restart => {
                self.node = self.node.restart();
                self.write_plain();
            }
            Event::Die => {
                self.node = self.node.die();
                self.waiting.clear();
            }
        }
        self
    }
}

/// What each archive of a file says of every interval.
fn logical(path: &Path) -> Vec<BTreeMap<u32, u64>> {
    let file = Whisper::open(std::fs::File::open(path).unwrap()).unwrap();
    let archives = file.header().archives.iter().enumerate();
    let of_archive = |(index, archive): (usize, &whisper::Archive)| {
        let base = file.base_interval(index).unwrap();
        let slots = file.slots(index, 0, archive.points).unwrap();
        let valid = (0..).zip(slots).filter(|(slot, point)| {
            point.interval != 0 && archive.slot(point.interval.into(), base) == *slot
        });
        valid.map(|(_slot, point)| (point.interval, point.value.to_bits())).collect()
    };
    archives.map(of_archive).collect()
}

fn read_all(life: &Life) -> Vec<Option<(i64, i64, Vec<u64>)>> {
    let id = life.node.id(&life.name);
    let now = life.node.clock.now_unix_seconds();
    let read = |age: i64| {
        let data = life.node.engine.read(id, now - age, now, now).unwrap()?;
        Some((data.start, data.step, data.values.iter().map(|value| value.to_bits()).collect()))
    };
    [50, 295, 300, 301, 600, 1_199, 1_200, 1_201, 4_000, 7_200].map(read).to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_life_ends_as_whisper_itself_would_have_it(events in lives(), name in names()) {
        let mut life = events.into_iter().fold(Life::new(&name), Life::live);
        life.append(&[(life.node.clock.now_unix_seconds(), 1.0)]);
        let before = read_all(&life);
        life = life.live(Event::All);
        prop_assert_eq!(before, read_all(&life));
        prop_assert_eq!(logical(&life.path()), logical(&life.plain()));
        prop_assert_eq!(life.node.engine.rollups_owed(), 0);
    }

    #[test]
    fn a_death_costs_no_rollup_of_a_point_that_was_written(
        events in lives_with_deaths(),
        name in names(),
    ) {
        let mut life = events.into_iter().fold(Life::new(&name), Life::live);
        let id = life.node.id(&life.name);
        if !life.path().exists() && life.node.engine.pending(id).is_empty() {
            return Ok(());
        }
        let before = read_all(&life);
        life = life.live(Event::All);
        prop_assert_eq!(before, read_all(&life));
        prop_assert_eq!(logical(&life.path()), logical(&life.plain()));
    }
}
