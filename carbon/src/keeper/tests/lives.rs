//! Random streams with late points, duplicates, stops and deaths at any moment: no point that the journal has taken is
//! lost, and the file ends as whisper's own `update_many` leaves it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use whisper::{OnExisting, Spec, Whisper};

use super::*;

const NOW: i64 = 1_700_000_000;
const NAME: &str = "a.b";

#[derive(Debug)]
struct OneSpec(whisper::Method);

impl FileSpecs for OneSpec {
    fn spec_for(&self, _name: &str) -> Spec {
        let mut spec = Spec::new(whisper::parse_retentions("10s:5m,1m:20m,5m:2h").unwrap());
        spec.method = self.0;
        spec
    }
}

#[derive(Debug, Clone)]
enum Event {
    /// Seconds before now, and values.
    Points(Vec<(u32, f64)>),
    /// Time passes, and so many points come, ten seconds apart.
    Stream(u32),
    /// What is due is written.
    Due,
    /// Everything is written, and segments that are not needed go.
    All,
    Stop,
    Die,
}

fn lives() -> impl Strategy<Value = Vec<Event>> {
    // One timestamp a slot: of several, those that waited together count by their time, not by their arrival.
    let point = (0..14u32, -50..50i32).prop_map(|(age, value)| (10 * age, f64::from(value) / 4.0));
    let event = prop_oneof![
        6 => (1..14u32).prop_map(Event::Stream),
        4 => prop::collection::vec(point, 1..6).prop_map(Event::Points),
        3 => Just(Event::Due),
        2 => Just(Event::All),
        1 => Just(Event::Stop),
        4 => Just(Event::Die),
    ];
    prop::collection::vec(event, 1..25)
}

/// The node beside a plain file.
struct Life {
    node: Node,
    plain: PathBuf,
    /// What the plain file has not got yet, and the journal must have.
    waiting: BTreeMap<u32, f64>,
}

impl Life {
    fn new(method: whisper::Method) -> Self {
        let node = Node::on(Machine::new(NOW, Arc::new(OneSpec(method))));
        let plain = node.machine.folder.path().join("plain");
        whisper::create(&plain, &node.machine.specs.spec_for(NAME), OnExisting::Refuse).unwrap();
        Self { node, plain, waiting: BTreeMap::new() }
    }

    fn accept(&mut self, points: &[(u32, f64)]) {
        self.node.accept(NAME, points);
        assert!(self.node.commit(Durability::Written));
        self.waiting.extend(points.iter().copied());
    }

    fn write_plain(&mut self) {
        let points = std::mem::take(&mut self.waiting).into_iter();
        let points: Vec<(i64, f64)> = points.map(|(at, value)| (at.into(), value)).collect();
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&self.plain).unwrap();
        let mut file = Whisper::open(file).unwrap();
        file.update_many(&points, self.node.machine.clock.now_unix_seconds()).unwrap();
    }

    fn live(mut self, event: Event) -> Self {
        let now = self.node.now();
        match event {
            Event::Points(points) => {
                let points: Vec<_> =
                    points.into_iter().map(|(age, value)| (now - age, value)).collect();
                self.accept(&points);
            }
            Event::Stream(count) => {
                for number in 1..=count {
                    self.node.machine.clock.advance(Duration::from_secs(10));
                    self.accept(&[(now + 10 * number, f64::from(number * number % 23) / 10.0)]);
                }
            }
            Event::Due => {
                self.node.flush(FlushScope::Due);
                self.write_plain();
            }
            Event::All => {
                self.node.flush(FlushScope::All);
                self.node.keeper.journal.rotate();
                self.node.keeper.release_written();
                self.write_plain();
            }
            Event::Stop => {
                self.node = self.node.restart();
                self.write_plain();
            }
            Event::Die => self.node = self.node.die(),
        }
        self
    }
}

fn values(path: &Path) -> Vec<BTreeMap<u32, u64>> {
    let file = Whisper::open(std::fs::File::open(path).unwrap()).unwrap();
    let archives = file.header().archives.iter().enumerate();
    let of_archive = |(index, archive): (usize, &whisper::Archive)| {
        let points = file.slots(index, 0, archive.points).unwrap().into_iter();
        let valid = points.filter(|point| point.interval != 0);
        valid.map(|point| (point.interval, point.value.to_bits())).collect()
    };
    archives.map(of_archive).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_life_with_deaths_ends_as_whisper_itself_would_have_it(
        events in lives(),
        method in prop::sample::select(whisper::Method::all().collect::<Vec<_>>()),
    ) {
        let mut life = events.into_iter().fold(Life::new(method), Life::live);
        let now = life.node.now();
        life.accept(&[(now, 1.0)]);
        life = life.live(Event::Die).live(Event::All);
        prop_assert_eq!(values(&life.node.file(NAME)), values(&life.plain));
    }
}
