//! Series on their way between nodes: listed, given, taken over, compared, put away. docs/formats/moves.md has the
//! messages; `serve::moves` reads them.
//!
//! The node does what it is told for the series that it is told, whoever owns them: which series belong where is the
//! tools' business. What it guards is that no point is lost by it, and that two jobs never change it at once.

mod digest;
mod lease;
pub mod stream;
mod summary;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use daemon::threads::{Pool, PoolError};
use daemon::{Clock, Context, Registry};
use remote::{AdminClient, ClientSettings, Endpoint, RemoteError};
use serde::Serialize;
use whisper::Whisper;
use wire::moves::{
    CompareReply, CompareRequest, ComparedSeries, Comparison, DigestReply, DigestRequest,
    FetchOutcome, FetchReply, FetchRequest, FetchedSeries, Held, HeldPage, LeaseRequest, NAMES_MAX,
    PurgeReply, PurgeRequest, RestoreRequest, SeriesDigest, SnapshotRequest, TrashReply,
    TrashRequest, View, is_day,
};
use wire::summaries::{SummaryReply, SummaryRequest};

use self::lease::Lease;
pub(crate) use self::lease::LeaseError;
use self::stream::{Entry, State};
use self::summary::Summary;
use crate::engine::{Image, Merged};
use crate::index::HOUR_SECONDS;
use crate::keeper::{DeleteError, Keeper};
use crate::queue::{SeriesCommand, SeriesOutcome};
use crate::series::SeriesId;

/// Threads for it: reading and merging wait for the disk, and ingest goes first.
const THREADS: usize = 2;

/// How much they give way to those that take points in.
const NICENESS: u8 = 10;

/// Requests that may wait for a thread.
const QUEUE_MAX: usize = 64;

/// Most series in one list.
const LIST_MAX: usize = 100_000;

/// How long another node may take for its part.
const SOURCE_WAIT: Duration = Duration::from_secs(120);

/// How long series that came wait for the node to have room again; what is left then is asked for again.
const PRESSURE_WAIT: Duration = Duration::from_secs(5);

/// Rest between two looks at it.
const PRESSURE_REST: Duration = Duration::from_millis(50);

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum MovesError {
    /// It makes no sense.
    #[error("{0}")]
    Bad(String),
    /// Somebody else may.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The other node.
    #[error("source {0}")]
    Source(#[from] RemoteError),
    /// What former runs have left is still being read.
    #[error("the journal is still being read; try again")]
    Replaying,
    /// Too many requests.
    #[error(transparent)]
    Busy(#[from] PoolError),
    /// The disk.
    #[error("{0}")]
    Failed(String),
}

/// What a node does for the tools.
#[derive(Debug)]
pub(crate) struct Moves {
    keeper: Arc<Keeper>,
    clock: Arc<dyn Clock>,
    registry: Arc<Registry>,
    lease: Lease,
    pool: Pool,
    trash: PathBuf,
}

impl Moves {
    pub(crate) fn new(keeper: Arc<Keeper>, trash: PathBuf, context: &Context) -> io::Result<Self> {
        let (clock, registry) = (Arc::clone(&context.clock), Arc::clone(&context.metrics));
        let pool = Pool::nice("carbon-moves", THREADS, QUEUE_MAX, NICENESS)?;
        let lease = Lease::new(Arc::clone(&clock));
        Ok(Self { keeper, clock, registry, lease, pool, trash })
    }

    /// Part of the series from an id on.
    pub(crate) async fn list(
        &self,
        from: u32,
        limit: Option<usize>,
    ) -> Result<HeldPage, MovesError> {
        let limit = limit.unwrap_or(LIST_MAX).clamp(1, LIST_MAX);
        let keeper = Arc::clone(&self.keeper);
        Ok(self.pool.run(move || list(&keeper, from, limit)).await?)
    }

    /// Takes, renews or ends the lease.
    pub(crate) fn lease(&self, request: &LeaseRequest) -> Result<(), MovesError> {
        Ok(self.lease.take(&request.holder, request.seconds)?)
    }

    /// The bytes of series.
    pub(crate) async fn snapshot(&self, request: SnapshotRequest) -> Result<Vec<u8>, MovesError> {
        check_count(&request.names)?;
        let keeper = Arc::clone(&self.keeper);
        let packed = self.pool.run(move || snapshot(&keeper, &request.names)).await?;
        let packed = packed.map_err(|error| MovesError::Failed(error.to_string()))?;
        self.count_bytes("given", packed.len());
        Ok(packed)
    }

    /// What series hold.
    pub(crate) async fn digests(&self, request: DigestRequest) -> Result<DigestReply, MovesError> {
        check_count(&request.names)?;
        let keeper = Arc::clone(&self.keeper);
        let DigestRequest { names, view, each } = request;
        let digests = self.pool.run(move || digests(&keeper, &names, view)).await?;
        let all = digest::of_all(&digests);
        Ok(DigestReply { all, series: if each { digests } else { Vec::new() } })
    }

    /// What all series of a range hold, in one digest.
    pub(crate) async fn summary(
        &self,
        request: SummaryRequest,
    ) -> Result<SummaryReply, MovesError> {
        if self.keeper.is_replaying() {
            return Err(MovesError::Replaying);
        }
        let summary = Summary::read(request, self.clock.now_unix_seconds())?;
        let (keeper, clock) = (Arc::clone(&self.keeper), Arc::clone(&self.clock));
        Ok(self.pool.run(move || summary.of(&keeper.engine, &*clock)).await?)
    }

    /// Takes series over from another node.
    pub(crate) async fn fetch(&self, request: FetchRequest) -> Result<FetchReply, MovesError> {
        self.lease.check(&request.holder)?;
        check_count(&request.names)?;
        if self.keeper.is_replaying() {
            return Err(MovesError::Replaying);
        }
        let source = source(&request.source)?;
        let mut series = Vec::with_capacity(request.names.len());
        let mut done = |name, outcome, error| {
            series.push(FetchedSeries { name, outcome, error });
        };
        let (mut names, foul): (Vec<_>, Vec<_>) =
            request.names.into_iter().partition(|name| is_sound(name));
        foul.into_iter().for_each(|name| {
            done(name, FetchOutcome::Refused, Some("the name is not canonical".to_owned()));
        });
        if let Some(view) = request.view {
            let differing = self.differing(&source, &names, view).await?;
            let (wanted, equal): (Vec<_>, Vec<_>) =
                names.into_iter().partition(|name| differing.contains(name));
            equal.into_iter().for_each(|name| done(name, FetchOutcome::Equal, None));
            names = wanted;
        }
        if names.is_empty() {
            return Ok(FetchReply { series, bytes: 0 });
        }
        let packed = self.ask_snapshot(&source, &names).await?;
        let bytes = packed.len() as u64;
        let from = request.view.and_then(|view| view.from);
        series.extend(self.take_over(names, packed, from).await?);
        Ok(FetchReply { series, bytes })
    }

    /// Takes over the series of a stream that a tool sends.
    pub(crate) async fn give(
        &self,
        holder: &str,
        packed: bytes::Bytes,
    ) -> Result<FetchReply, MovesError> {
        self.lease.check(holder)?;
        if self.keeper.is_replaying() {
            return Err(MovesError::Replaying);
        }
        let names: io::Result<Vec<String>> =
            stream::read(&packed).map(|entry| Ok(entry?.name)).collect();
        let names = names.map_err(|error| MovesError::Bad(error.to_string()))?;
        check_count(&names)?;
        if let Some(foul) = names.iter().find(|name| !is_sound(name)) {
            return Err(MovesError::Bad(format!("the name {foul:?} is not canonical")));
        }
        let bytes = packed.len() as u64;
        self.count_bytes("taken", packed.len());
        Ok(FetchReply { series: self.take_over(names, packed, None).await?, bytes })
    }

    /// Puts series from the trash back into service.
    pub(crate) async fn restore(&self, request: RestoreRequest) -> Result<FetchReply, MovesError> {
        self.lease.check(&request.holder)?;
        check_count(&request.names)?;
        if self.keeper.is_replaying() {
            return Err(MovesError::Replaying);
        }
        let (keeper, now) = (Arc::clone(&self.keeper), self.clock.now_unix_seconds());
        let trash = self.trash.clone();
        let restore = move || {
            let names = request.names.into_iter();
            names.map(|name| restored(&keeper, &trash, name, now)).collect::<Vec<_>>()
        };
        let series = self.pool.run(restore).await?;
        Ok(FetchReply { series, bytes: 0 })
    }

    async fn take_over(
        &self,
        names: Vec<String>,
        packed: bytes::Bytes,
        from: Option<i64>,
    ) -> Result<Vec<FetchedSeries>, MovesError> {
        let (keeper, now) = (Arc::clone(&self.keeper), self.clock.now_unix_seconds());
        let take_over =
            move || Takeover { keeper, now, from, waited: Duration::ZERO }.run(&names, &packed);
        let series = self.pool.run(take_over).await?;
        for one in &series {
            self.count_series(one.outcome);
        }
        Ok(series)
    }

    /// Tells whether all that another node has is here too.
    pub(crate) async fn compare(
        &self,
        request: CompareRequest,
    ) -> Result<CompareReply, MovesError> {
        check_count(&request.names)?;
        let source = source(&request.source)?;
        let CompareRequest { names, view, .. } = request;
        let differing = self.differing(&source, &names, view).await?;
        let (wanted, equal): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| differing.contains(name));
        let mut series: Vec<ComparedSeries> =
            equal.into_iter().map(|name| digest::verdict(name, Comparison::Equal)).collect();
        if !wanted.is_empty() {
            let packed = self.ask_snapshot(&source, &wanted).await?;
            let keeper = Arc::clone(&self.keeper);
            let compare = move || compare(&keeper, &wanted, &packed, view);
            series.extend(self.pool.run(compare).await?);
        }
        // What was found here may be the reason to remove it there.
        let engine = Arc::clone(&self.keeper.engine);
        let synced = self.pool.run(move || engine.sync_merges()).await?;
        let failed = |error| MovesError::Failed(format!("files cannot be synced: {error}"));
        self.registry.counter(SYNCS).add(synced.map_err(failed)?.into());
        Ok(CompareReply { series })
    }

    /// Puts series into the trash.
    pub(crate) async fn trash(&self, request: TrashRequest) -> Result<TrashReply, MovesError> {
        self.lease.check(&request.holder)?;
        check_count(&request.names)?;
        if !is_day(&request.date) {
            return Err(MovesError::Bad(format!("`{}` is no day", request.date)));
        }
        let (keeper, folder) = (Arc::clone(&self.keeper), self.trash.join(&request.date));
        let trash = move || keeper.put_away(&request.names, &folder);
        match self.pool.run(trash).await? {
            Ok(trashed) => {
                let trashed = trashed as u64;
                self.registry.counter_with(SERIES, &["trashed"]).add(trashed);
                Ok(TrashReply { trashed })
            }
            Err(DeleteError::Replaying) => Err(MovesError::Replaying),
            Err(error) => Err(MovesError::Failed(error.to_string())),
        }
    }

    /// Deletes what has been in the trash since before a day.
    pub(crate) async fn purge(&self, request: PurgeRequest) -> Result<PurgeReply, MovesError> {
        self.lease.check(&request.holder)?;
        if !is_day(&request.before) {
            return Err(MovesError::Bad(format!("`{}` is no day", request.before)));
        }
        let trash = self.trash.clone();
        let days = self.pool.run(move || purge(&trash, &request.before)).await?;
        let days = days.map_err(|error| MovesError::Failed(format!("trash: {error}")))?;
        Ok(PurgeReply { days })
    }

    /// The names whose points in the view are not the same here and there.
    async fn differing(
        &self,
        source: &AdminClient,
        names: &[String],
        view: View,
    ) -> Result<HashSet<String>, MovesError> {
        let request = DigestRequest { names: names.to_vec(), view, each: true };
        let theirs = source.post_json("/admin/moves/digests", &request, SOURCE_WAIT);
        let theirs: DigestReply = theirs.await?;
        let ours = self.digests(request).await?;
        let pairs = ours.series.into_iter().zip(theirs.series);
        let differing = pairs.filter(|(ours, theirs)| ours != theirs || ours.archives.is_none());
        Ok(differing.map(|(ours, _theirs)| ours.name).collect())
    }

    async fn ask_snapshot(
        &self,
        source: &AdminClient,
        names: &[String],
    ) -> Result<bytes::Bytes, MovesError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            names: &'a [String],
        }
        let packed = source.post("/admin/moves/snapshot", &Asked { names }, SOURCE_WAIT).await?;
        self.count_bytes("taken", packed.len());
        Ok(packed)
    }

    fn count_series(&self, outcome: FetchOutcome) {
        let label = match outcome {
            FetchOutcome::Created => "created",
            FetchOutcome::Filled => "filled",
            FetchOutcome::Refused => "refused",
            FetchOutcome::Equal | FetchOutcome::Missing | FetchOutcome::Left => return,
        };
        self.registry.counter_with(SERIES, &[label]).inc();
    }

    fn count_bytes(&self, direction: &str, bytes: usize) {
        self.registry.counter_with(BYTES, &[direction]).add(bytes as u64);
    }
}

const SERIES: &str = "plumbago_carbon_moved_series_total";
const BYTES: &str = "plumbago_carbon_moved_bytes_total";
const SYNCS: &str = "plumbago_carbon_moved_syncs_total";

fn check_count(names: &[String]) -> Result<(), MovesError> {
    let count = names.len();
    if count > NAMES_MAX {
        return Err(MovesError::Bad(format!("{count} names, {NAMES_MAX} are allowed")));
    }
    Ok(())
}

fn source(address: &str) -> Result<AdminClient, MovesError> {
    let endpoint: Endpoint = address
        .parse()
        .map_err(|_no_address| MovesError::Bad(format!("source `{address}` is no HOST:PORT")))?;
    Ok(AdminClient::new(endpoint, ClientSettings::default()))
}

/// Whether a series may be called so: nothing in it leads out of the tree.
fn is_sound(name: &str) -> bool {
    let limits = metric::Limits { glob_chars_allowed: true, ..metric::Limits::DEFAULT };
    metric::name::canonicalise_text(name, &limits).is_ok_and(|canonical| canonical == name)
}

fn list(keeper: &Keeper, from: u32, limit: usize) -> HeldPage {
    let engine = &keeper.engine;
    let mut series = Vec::new();
    for id in (from..engine.table().id_end()).map(SeriesId) {
        if series.len() == limit {
            return HeldPage { series, next: Some(id.0) };
        }
        let Some(name) = engine.table().name(id) else { continue };
        let activity = engine.index().activity(id);
        let last = activity.map(|(_first, last)| i64::from(last) * HOUR_SECONDS);
        series.push(Held { bytes: engine.expected_bytes(id, &name), name, last });
    }
    HeldPage { series, next: None }
}

/// The bytes of a series with all that waits; none if there is no such series.
fn image(keeper: &Keeper, name: &str) -> Result<Option<Vec<u8>>, String> {
    let engine = &keeper.engine;
    let Some(id) = engine.table().get(name) else { return Ok(None) };
    match engine.execute(id, SeriesCommand::Snapshot) {
        Ok(SeriesOutcome::Snapshot(bytes)) => Ok(bytes),
        Ok(_other) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// The series of a request, one by one. Before each the thread offers its processor to others that wait for one: the
/// scheduler by itself looks for them when a thread wakes, and then only at its ticks of some milliseconds.
fn giving_way<T>(series: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    series.inspect(|_one| std::thread::yield_now())
}

fn snapshot(keeper: &Keeper, names: &[String]) -> io::Result<Vec<u8>> {
    let mut writer = stream::Writer::new()?;
    for name in giving_way(names.iter()) {
        if writer.is_full() {
            writer.add(name, State::LeftOut, &[])?;
            continue;
        }
        match image(keeper, name) {
            Ok(Some(bytes)) => writer.add_file(name, &bytes)?,
            Ok(None) => writer.add(name, State::Missing, &[])?,
            Err(error) => {
                tracing::warn!(name, error, "cannot be given to another node");
                writer.add(name, State::Unreadable, &[])?;
            }
        }
    }
    writer.finish()
}

fn digests(keeper: &Keeper, names: &[String], view: View) -> Vec<SeriesDigest> {
    let digest = |name: &String| {
        let file = image(keeper, name).ok().flatten();
        let file = file.and_then(|bytes| Whisper::open(Image(bytes)).ok());
        let archives = file.and_then(|file| digest::of_archives(&file, view).ok());
        SeriesDigest { name: name.clone(), archives }
    };
    giving_way(names.iter()).map(digest).collect()
}

fn compare(keeper: &Keeper, names: &[String], packed: &[u8], view: View) -> Vec<ComparedSeries> {
    let mut compared = Vec::with_capacity(names.len());
    let mut rest: HashSet<&String> = names.iter().collect();
    for entry in giving_way(stream::read(packed).map_while(Result::ok)) {
        if !rest.remove(&entry.name) {
            continue;
        }
        compared.push(match (entry.state, image(keeper, &entry.name)) {
            (State::Missing, _) => digest::verdict(entry.name, Comparison::Gone),
            (State::File, Ok(None)) => digest::verdict(entry.name, Comparison::Missing),
            (State::File, Ok(Some(own))) => digest::compare(entry.name, entry.file, own, view),
            _ => digest::verdict(entry.name, Comparison::Unreadable),
        });
    }
    let unread = rest.into_iter().cloned();
    compared.extend(unread.map(|name| digest::verdict(name, Comparison::Unreadable)));
    compared
}

/// Series that came from another node, on their way into the files.
struct Takeover {
    keeper: Arc<Keeper>,
    now: i64,
    from: Option<i64>,
    /// How long they have waited for room.
    waited: Duration,
}

impl Takeover {
    fn run(mut self, names: &[String], packed: &[u8]) -> Vec<FetchedSeries> {
        let mut series = Vec::with_capacity(names.len());
        let mut rest: HashSet<&String> = names.iter().collect();
        let mut reason = "the answer of the source ends early".to_owned();
        for entry in giving_way(stream::read(packed)) {
            match entry {
                Ok(entry) if rest.remove(&entry.name) => series.push(self.one(entry)),
                Ok(_unasked) => {}
                Err(error) => reason = error.to_string(),
            }
        }
        let lost = |name: &String| FetchedSeries {
            name: name.clone(),
            outcome: FetchOutcome::Left,
            error: Some(reason.clone()),
        };
        series.extend(rest.into_iter().map(lost));
        series
    }

    fn one(&mut self, Entry { name, state, file }: Entry) -> FetchedSeries {
        let (outcome, error) = match state {
            State::Missing => (FetchOutcome::Missing, None),
            State::LeftOut => (FetchOutcome::Left, None),
            State::Unreadable => {
                (FetchOutcome::Refused, Some("the source cannot read it".to_owned()))
            }
            State::File if !self.has_room() => {
                (FetchOutcome::Left, Some("the node is under pressure".to_owned()))
            }
            State::File => match self.keeper.merge(&name, file, self.from, self.now) {
                Ok(Merged::Created) => (FetchOutcome::Created, None),
                Ok(Merged::Filled) => (FetchOutcome::Filled, None),
                Err(error) => (FetchOutcome::Refused, Some(error.to_string())),
            },
        };
        FetchedSeries { name, outcome, error }
    }

    /// Whether the node takes points; waits a little until it does.
    fn has_room(&mut self) -> bool {
        while !self.keeper.has_room() && self.waited < PRESSURE_WAIT {
            std::thread::park_timeout(PRESSURE_REST);
            self.waited += PRESSURE_REST;
        }
        self.keeper.has_room()
    }
}

/// Merges the file that the trash has of a series into the one that it has now, if any.
fn restored(keeper: &Keeper, trash: &Path, name: String, now: i64) -> FetchedSeries {
    let result = match is_sound(&name) {
        true => merged_from_trash(keeper, trash, &name, now),
        false => Err("the name is not canonical".to_owned()),
    };
    let (outcome, error) = match result {
        Ok(None) => (FetchOutcome::Missing, None),
        Ok(Some(Merged::Created)) => (FetchOutcome::Created, None),
        Ok(Some(Merged::Filled)) => (FetchOutcome::Filled, None),
        Err(error) => (FetchOutcome::Refused, Some(error)),
    };
    FetchedSeries { name, outcome, error }
}

fn merged_from_trash(
    keeper: &Keeper,
    trash: &Path,
    name: &str,
    now: i64,
) -> Result<Option<Merged>, String> {
    let mut days = trash_days(trash).map_err(|error| format!("trash: {error}"))?;
    days.sort_unstable_by(|a, b| b.cmp(a));
    let relative = metric::path::whisper_path(name);
    for path in days.into_iter().map(|day| trash.join(day).join(&relative)) {
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            bytes => bytes.map_err(|error| format!("{}: {error}", path.display()))?,
        };
        let merged = keeper.merge(name, bytes, None, now).map_err(|error| error.to_string())?;
        std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        return Ok(Some(merged));
    }
    Ok(None)
}

/// The days of which something is in the trash.
fn trash_days(trash: &Path) -> io::Result<Vec<String>> {
    let folders = match std::fs::read_dir(trash) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        folders => folders?,
    };
    let mut days = Vec::new();
    for folder in folders {
        let day = folder?.file_name().to_string_lossy().into_owned();
        days.extend(is_day(&day).then_some(day));
    }
    Ok(days)
}

fn purge(trash: &Path, before: &str) -> io::Result<Vec<String>> {
    let mut days = trash_days(trash)?;
    days.retain(|day| **day < *before);
    for day in &days {
        std::fs::remove_dir_all(trash.join(day))?;
    }
    days.sort_unstable();
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_tree() {
        for name in ["a.b", "a", "a;t=v", "a.b{1}"] {
            assert!(is_sound(name), "{name}");
        }
        for name in
            ["", ".", "..", "a..b", ".a", "/etc/passwd", "a/../b", "_tagged.x", "a b", "a\0b"]
        {
            assert!(!is_sound(name), "{name}");
        }
    }

    #[test]
    fn only_old_days_are_purged_and_nothing_that_is_no_day() {
        let folder = testkit::folder();
        for name in ["2026-10-31", "2026-11-01", "2026-11-02", "other"] {
            std::fs::create_dir_all(folder.path().join(name).join("a")).unwrap();
        }
        assert_eq!(purge(folder.path(), "2026-11-02").unwrap(), ["2026-10-31", "2026-11-01"]);
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["2026-11-02", "other"]);
        assert!(purge(&folder.path().join("none"), "2026-11-02").unwrap().is_empty());
    }
}
