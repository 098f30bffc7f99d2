//! `plumbago sync`, `carbon-sync`: fetches files from another machine with rsync, and fills ours from them.

use std::ffi::OsString;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use daemon::Clock;
use daemon::clock::System;
use serde_json::json;

use super::cluster::ClusterArgs;
use super::files::{self, STORAGE_DIR, Tree};
use super::names::{NameList, lossy};
use crate::commands::whisper::make_good;
use crate::invocation::{Context, Failure, Run};

const RSYNC: &str = "rsync";

/// Exit codes with which rsync says that some of the files did not come; the others did.
const RSYNC_PARTIAL: [i32; 2] = [23, 24];

#[derive(clap::Args)]
pub(crate) struct Sync {
    #[command(flatten)]
    names: NameList,
    #[command(flatten)]
    tree: Tree,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The machine to fetch the files from, as ssh knows it.
    #[arg(short, long, value_name = "HOST")]
    source_node: String,
    /// Folder of the Whisper tree over there.
    #[arg(long, value_name = "DIR", default_value = STORAGE_DIR)]
    source_storage_dir: PathBuf,
    /// Names that one rsync fetches.
    #[arg(short, long, value_name = "NAMES", default_value = "1000")]
    batch_size: NonZeroUsize,
    /// What rsync is told.
    #[arg(long, value_name = "OPTIONS", default_value = "-azpS", allow_hyphen_values = true)]
    rsync_options: String,
    /// Fetch files whole, not what differs from ours.
    #[arg(long)]
    rsync_disable_copy_dest: bool,
    /// Leave the fetched files.
    #[arg(long)]
    dirty: bool,
    /// Lock our file (flock) while it is filled, as carbon does with WHISPER_LOCK_WRITES.
    #[arg(short, long)]
    lock: bool,
    /// Take every point, also over points that are there.
    #[arg(short, long)]
    overwrite: bool,
    /// Folder for fetched files (default: the system's).
    #[arg(short, long, value_name = "DIR")]
    tmpdir: Option<PathBuf>,
    /// How often an rsync is begun that fails.
    #[arg(long, value_name = "TIMES", default_value_t = 3)]
    rsync_max_retries: u32,
    /// Rest before it is begun again.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    rsync_retries_interval: u32,
}

/// A name, and its file below either tree.
type Named = (Vec<u8>, PathBuf);

/// The work of one call, batch by batch.
struct Syncing<'a> {
    args: &'a Sync,
    /// USER@HOST:DIR/ as rsync wants it.
    remote: OsString,
    options: Vec<OsString>,
    lock: bool,
    /// Names that were given so far.
    total: usize,
    batch: Vec<Named>,
}

impl Run for Sync {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let clock = System::new();
        let mut syncing = Syncing::new(&self)?;
        self.names.for_each(|name| syncing.add(context, name))?;
        syncing.run_batch(context)?;
        if !context.json {
            let (total, took) = (syncing.total, clock.monotonic().as_secs_f64());
            writeln!(context.out, "\n* Sync Report\n  {}", "=".repeat(40))?;
            writeln!(context.out, "  Total metrics synced: {total}\n  Total time: {took:.3}s")?;
        }
        Ok(())
    }
}

impl<'a> Syncing<'a> {
    fn new(args: &'a Sync) -> Result<Self, Failure> {
        let wrong = |what: &str, text: &str| Failure::usage(Path::new(what), &text);
        let host = &args.source_node;
        if host.is_empty() || host.starts_with('-') {
            return Err(wrong("--source-node", &format!("{host:?} is no host")));
        }
        let cluster = args.cluster.load()?;
        let mut remote = OsString::new();
        if let Some(user) = &cluster.ssh_user {
            remote.push(format!("{user}@"));
        }
        remote.push(format!("{host}:"));
        remote.push(&args.source_storage_dir);
        remote.push("/");
        let options = shlex::split(&args.rsync_options);
        let options = options.ok_or_else(|| wrong("--rsync-options", "a quote is not closed"))?;
        let mut options: Vec<OsString> = options.into_iter().map(OsString::from).collect();
        if !args.rsync_disable_copy_dest {
            let tree = std::path::absolute(&args.tree.dir);
            let tree = tree.map_err(|error| Failure::of(&args.tree.dir, &error))?;
            let mut basis = OsString::from("--copy-dest=");
            basis.push(tree);
            options.push(basis);
            // Two files of a series have one size, and may have been written within the same second.
            options.push("--ignore-times".into());
        }
        let lock = args.lock || cluster.locks_writes;
        Ok(Self { args, remote, options, lock, total: 0, batch: Vec::new() })
    }

    fn add(&mut self, context: &mut Context<'_>, name: &[u8]) -> Result<(), Failure> {
        self.total += 1;
        match files::path_of(name) {
            Ok(path) => self.batch.push((name.to_vec(), path)),
            Err(error) => context.skip(&format!("name {:?}", lossy(name)), &error),
        }
        if self.batch.len() == self.args.batch_size.get() {
            self.run_batch(context)?;
        }
        Ok(())
    }

    /// Fetches and fills what has gathered.
    fn run_batch(&mut self, context: &mut Context<'_>) -> Result<(), Failure> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        let range = format!("batch {}-{}", self.total + 1 - batch.len(), self.total);
        if !context.json {
            writeln!(context.out, "* Running {range}")?;
        }
        context.out.flush()?;
        let folder = self.args.tmpdir.clone().unwrap_or_else(std::env::temp_dir);
        let failed = |error: io::Error| Failure::of(&folder, &error);
        let prefix = format!("{}-", self.args.source_node);
        let staging = tempfile::Builder::new().prefix(&prefix).tempdir_in(&folder);
        let mut staging = staging.map_err(failed)?;
        if self.args.dirty {
            staging.disable_cleanup(true);
            context.say(&format!("the fetched files stay in {}", staging.path().display()));
        }
        let mut list = tempfile::NamedTempFile::new_in(&folder).map_err(failed)?;
        for (_name, path) in &batch {
            list.write_all(path.as_os_str().as_bytes()).map_err(failed)?;
            list.write_all(&[0]).map_err(failed)?;
        }
        list.flush().map_err(failed)?;
        if let Err(why) = self.fetch(list.path(), staging.path()) {
            let saved = save_names(&batch, &folder).map_err(failed)?;
            let why = format!("{why}; its names are in {}", saved.display());
            context.skip(&range, &why);
            return Ok(());
        }
        batch.iter().try_for_each(|named| self.fill(context, named, staging.path()))
    }

    /// Has rsync fetch the files of a list; how it failed, if it did the last time too.
    fn fetch(&self, list: &Path, staging: &Path) -> Result<(), String> {
        let mut staging = staging.as_os_str().to_owned();
        staging.push("/");
        let mut why = "it is not to be begun".to_owned();
        for attempt in 0..self.args.rsync_max_retries {
            if attempt > 0 {
                let rest = Duration::from_secs(self.args.rsync_retries_interval.into());
                std::thread::park_timeout(rest);
            }
            let mut rsync = Command::new(RSYNC);
            rsync.args(&self.options).arg("--from0").arg("--files-from").arg(list);
            rsync.arg(&self.remote).arg(&staging);
            // What it says is for people; standard output has the answers.
            rsync.stdin(Stdio::null()).stdout(io::stderr());
            why = match rsync.status() {
                Ok(status) if status.success() => return Ok(()),
                Ok(status) if status.code().is_some_and(|code| RSYNC_PARTIAL.contains(&code)) => {
                    return Ok(());
                }
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            };
        }
        Err(format!("{RSYNC}: {why}"))
    }

    /// Fills our file from the one that was fetched.
    fn fill(
        &self,
        context: &mut Context<'_>,
        (name, relative): &Named,
        staging: &Path,
    ) -> Result<(), Failure> {
        let (theirs, ours) = (staging.join(relative), self.args.tree.dir.join(relative));
        let name = lossy(name);
        if !theirs.exists() {
            let source = &self.args.source_node;
            context.skip(&format!("{name:?}"), &format!("did not come from {source}"));
            return Ok(());
        }
        match make_good(context, &theirs, &ours, self.args.overwrite, self.lock) {
            Ok(done) if context.json => {
                let line = json!({"metric": name, "path": ours.to_string_lossy(), "healed": done});
                writeln!(context.out, "{line}")?;
            }
            Ok(_done) => {}
            Err(failure) => {
                context.skip(&format!("{name:?}"), &failure.message.unwrap_or_default());
            }
        }
        Ok(())
    }
}

/// Keeps the names of a batch that failed, for another try.
fn save_names(batch: &[Named], folder: &Path) -> io::Result<PathBuf> {
    let file = tempfile::Builder::new().suffix(".failed").tempfile_in(folder)?;
    let (mut file, path) = file.keep()?;
    for (name, _path) in batch {
        file.write_all(name)?;
        file.write_all(b"\n")?;
    }
    Ok(path)
}
