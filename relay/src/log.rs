//! The relay's log: what was accepted and some node may not have got yet, on disk.
//!
//! One log for all nodes; a node is a place in it. The bytes: docs/formats/relay-log.md; the promises: docs/operate/relay-log.md.

mod format;
mod identity;
mod passes;
mod places;
mod replayer;
mod settings;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use daemon::{Context, Registry, StartError};
use parking_lot::Mutex;
use segments::{
    Durability, LogConfig, LogCounters, Position, RealDisk, Replay, SegmentLog, Surroundings,
};

pub(crate) use format::{Lines, key_of, lines_of};
pub(crate) use identity::random;
use places::PlacesFile;
pub(crate) use places::SavedPlace;
pub(crate) use replayer::{Found, Replayer};
pub use settings::{LogFull, LogSettings};

/// How far the nodes of the former run had come.
#[derive(Debug, Default)]
struct Former {
    /// By name; none where the file of places is missing or does not check.
    places: Option<HashMap<String, SavedPlace>>,
    has_segments: bool,
    /// Nodes that have been told: one that is removed and comes back begins anew.
    taken: HashSet<String>,
}

impl Former {
    /// Where a node goes on: where it was, at the end if it is new, at the beginning if nobody knows.
    fn take_place(&mut self, name: &str, end: Position) -> SavedPlace {
        let at = |done| SavedPlace { done, kept_until: None };
        if !self.taken.insert(name.to_owned()) {
            return at(end);
        }
        match &self.places {
            Some(places) => places.get(name).copied().unwrap_or_else(|| at(end)),
            None if self.has_segments => at(Position(0)),
            None => at(end),
        }
    }

    /// How far each node had come by its key, and all others.
    fn done_by_key(&self) -> (HashMap<u64, Position>, Position) {
        let Some(places) = &self.places else { return (HashMap::new(), Position(0)) };
        let done = places.iter().map(|(name, place)| (key_of(name), place.done));
        (done.collect(), Position(u64::MAX))
    }
}

/// The log.
#[derive(Debug)]
pub(crate) struct RelayLog {
    pub(crate) segments: SegmentLog,
    pub(crate) settings: LogSettings,
    /// By what storage nodes know it.
    pub(crate) identity: u64,
    former: Mutex<Former>,
    replay: Mutex<Option<Replay>>,
    places: Mutex<PlacesFile>,
}

impl RelayLog {
    /// Opens the log in its folder; lines may be appended at once.
    ///
    /// # Errors
    /// A folder that cannot be used.
    pub(crate) fn open(settings: &LogSettings, context: &Context) -> Result<Self, StartError> {
        let with = Surroundings {
            disk: Arc::new(RealDisk),
            clock: Arc::clone(&context.clock),
            counters: counters(&context.metrics),
        };
        let places = PlacesFile::new(&settings.folder);
        let read =
            places.read().map_err(|error| StartError::io("reading places of `log`", error))?;
        // A run that follows at once on one that left no segment must not go over its positions again.
        let known = read.iter().flat_map(HashMap::values);
        let after = known.map(|place| place.done.max(place.kept_until.unwrap_or_default())).max();
        let config = LogConfig {
            sync_interval: settings.sync_interval,
            segment_bytes: settings.segment_bytes,
            buffer_bytes_max: settings.buffer_bytes_max,
            after: after.unwrap_or_default(),
            ..LogConfig::default()
        };
        let (segments, replay) = SegmentLog::open(&settings.folder, &format::KIND, config, with)
            .map_err(StartError::other)?;
        let identity = identity::of_log(&settings.folder)
            .map_err(|error| StartError::io("identity of `log`", error))?;
        let has_segments = !segments.segments().is_empty();
        if read.is_none() && has_segments {
            tracing::warn!("nobody knows how far the nodes had come: the whole log is sent again");
        }
        Ok(Self {
            segments,
            settings: settings.clone(),
            identity,
            former: Mutex::new(Former { places: read, has_segments, taken: HashSet::new() }),
            replay: Mutex::new(Some(replay)),
            places: Mutex::new(places),
        })
    }

    /// Where a node goes on; for its second beginning in one run that is `end`.
    pub(crate) fn take_place(&self, name: &str, end: Position) -> SavedPlace {
        self.former.lock().take_place(name, end)
    }

    /// The node of the former run that had this key.
    pub(crate) fn name_of(&self, key: u64) -> Option<String> {
        let former = self.former.lock();
        former.places.iter().flat_map(HashMap::keys).find(|name| key_of(name) == key).cloned()
    }

    /// Appends batches, each for the nodes with its keys.
    pub(crate) fn append<'a>(&self, batches: impl IntoIterator<Item = Lines<'a>>) -> Position {
        self.segments.append(batches)
    }

    /// Reads what former runs have left from end to end: torn tails are cut, damage is counted, and what waits for
    /// each key is handed to `found`. Only the first call reads.
    pub(crate) fn count_former(&self, found: &mut dyn FnMut(Found)) {
        let Some(mut replay) = self.replay.lock().take() else { return };
        let (done, others) = self.former.lock().done_by_key();
        let is_wanted = |key: u64, at: Position| at > done.get(&key).copied().unwrap_or(others);
        while replay.step(&mut |at, body| {
            for lines in lines_of(body) {
                for key in lines.keys().filter(|key| is_wanted(*key, at)) {
                    found(Found { key, lines: lines.lines.into(), bytes: lines.bytes.len() });
                }
            }
        }) {}
    }

    /// Makes the places of nodes survive the death of the process.
    pub(crate) fn save_places<'a>(&self, places: impl Iterator<Item = (&'a str, SavedPlace)>) {
        if let Err(error) = self.places.lock().write(places) {
            tracing::warn!(%error, "places of the relay's log cannot be saved");
        }
    }

    /// Returns once all that was appended so far is as safe as a sender is told.
    pub(crate) async fn committed(&self) {
        let last = self.segments.appended();
        if let Err(error) = self.segments.wait(last, self.settings.ack).await {
            tracing::warn!(%error, "a sender is told nothing");
        }
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.segments().iter().map(|segment| segment.bytes).sum()
    }

    /// What has gone to all its nodes is not worth an fdatasync, unless senders are told that it was synced.
    pub(crate) fn spare(&self, position: Position) {
        if self.settings.ack == Durability::Written {
            self.segments.spare(position);
        }
    }
}

fn counters(registry: &Registry) -> LogCounters {
    let counter = |what: &str| registry.counter(&format!("plumbago_relay_log_{what}_total"));
    let gauge = |what: &str| registry.gauge(&format!("plumbago_relay_log_{what}"));
    LogCounters {
        items_appended: counter("lines_appended"),
        items_written: counter("lines_written"),
        bytes_written: counter("bytes_written"),
        bytes_released: counter("bytes_released"),
        writes: counter("writes"),
        syncs: counter("syncs"),
        write_errors: counter("write_errors"),
        sync_errors: counter("sync_errors"),
        stalled: gauge("stalled"),
        alarm: gauge("alarm"),
        frames_damaged: counter("frames_damaged"),
        torn_bytes: counter("torn_bytes"),
        files_unusable: counter("files_unusable"),
    }
}
