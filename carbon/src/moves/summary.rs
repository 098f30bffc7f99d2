//! One digest for all series of a range of the ring, of a leaf, of a series; docs/formats/summaries.md has the exchange.

use std::collections::BTreeMap;
use std::time::Duration;

use daemon::Clock;
use ring::cluster::Cluster;
use ring::{Ring, fnv1a_64};
use wire::summaries::{
    Digest, LEAF_BITS_MAX, LeafSummary, Part, RangeSummary, SeriesKey, SeriesSummary, SettledView,
    SummaryReply, SummaryRequest,
};

use super::MovesError;
use crate::engine::Engine;
use crate::series::SeriesId;

/// How long one request may read settled parts; what is left then is read by the next ones.
const READING_MAX: Duration = Duration::from_secs(20);

/// A request, understood.
#[derive(Debug)]
pub(super) struct Summary {
    ring: Ring,
    view: SettledView,
    part: Part,
}

/// What was added up.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    series: u64,
    digest: Digest,
}

impl Sum {
    fn add(&mut self, digest: Digest) {
        self.series += 1;
        self.digest.add(digest);
    }
}

impl Summary {
    pub(super) fn read(request: SummaryRequest, now: i64) -> Result<Self, MovesError> {
        let SummaryRequest { cluster, view, mut part } = request;
        let bad = |reason: &dyn std::fmt::Display| MovesError::Bad(format!("summary: {reason}"));
        let cluster = Cluster::parse(&cluster).map_err(|error| bad(&error))?;
        if view.held <= now {
            return Err(bad(&format!("held {} has passed, it is {now}", view.held)));
        }
        if view.settled > view.until || view.until > view.now {
            return Err(bad(&"expected settled <= until <= now"));
        }
        if let Part::Leaves { bits, .. } | Part::Series { bits, .. } = part
            && bits > LEAF_BITS_MAX
        {
            return Err(bad(&format!("{bits} bits, {LEAF_BITS_MAX} are allowed")));
        }
        if let Part::Series { leaves, .. } = &mut part {
            leaves.sort_unstable();
        }
        Ok(Self { ring: cluster.into_ring(), view, part })
    }

    /// Looks at all series of the part that is wanted.
    pub(super) fn of(&self, engine: &Engine, clock: &dyn Clock) -> SummaryReply {
        let mut reading = Reading { engine, clock, view: self.view, took: Duration::ZERO, left: 0 };
        let mut ranges: BTreeMap<Vec<u16>, Sum> = BTreeMap::new();
        let mut leaves: BTreeMap<u32, Sum> = BTreeMap::new();
        let mut series = Vec::new();
        for id in (0..engine.table().id_end()).map(SeriesId) {
            let Some(name) = engine.table().name(id) else { continue };
            let key = SeriesKey::of(fnv1a_64(name.as_bytes(), false));
            let mut owners = self.ring.owners(name.as_bytes()).to_vec();
            owners.sort_unstable();
            if !self.wants(&owners, key) {
                continue;
            }
            let Some(digest) = reading.digest(id, key) else { continue };
            match self.part {
                Part::Ranges => ranges.entry(owners).or_default().add(digest),
                Part::Leaves { bits, .. } => leaves.entry(key.leaf(bits)).or_default().add(digest),
                Part::Series { .. } => series.push(SeriesSummary { name, digest }),
            }
        }
        if reading.left > 0 {
            return SummaryReply { left: reading.left, ..SummaryReply::default() };
        }
        series.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let range = |(owners, Sum { series, digest })| RangeSummary { owners, series, digest };
        let leaf = |(leaf, Sum { series, digest })| LeafSummary { leaf, series, digest };
        let ranges = ranges.into_iter().map(range).collect();
        SummaryReply { left: 0, ranges, leaves: leaves.into_iter().map(leaf).collect(), series }
    }

    fn wants(&self, owners: &[u16], key: SeriesKey) -> bool {
        match &self.part {
            Part::Ranges => true,
            Part::Leaves { owners: wanted, .. } => wanted == owners,
            Part::Series { owners: wanted, bits, leaves } => {
                wanted == owners && leaves.binary_search(&key.leaf(*bits)).is_ok()
            }
        }
    }
}

/// The work of one request.
struct Reading<'a> {
    engine: &'a Engine,
    clock: &'a dyn Clock,
    view: SettledView,
    /// How long settled parts were read.
    took: Duration,
    left: u64,
}

impl Reading<'_> {
    /// The digest of a series; none once reading has taken too long, and of this one nothing is kept.
    fn digest(&mut self, id: SeriesId, key: SeriesKey) -> Option<Digest> {
        let is_kept = self.engine.keeps_sum(id, self.view);
        if !is_kept && self.took > READING_MAX {
            self.left += 1;
            return None;
        }
        let begin = self.clock.monotonic();
        // Of a file that cannot be read nothing is known but its name.
        let unreadable = key.digest(0);
        let digest = self.engine.digest(id, key, self.view).unwrap_or(unreadable);
        if !is_kept {
            self.took += self.clock.monotonic().saturating_sub(begin);
        }
        Some(digest)
    }
}
