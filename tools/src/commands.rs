//! The table of commands: what each is called, by us and classically, and what runs it.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::invocation::{Caller, Common, Run, execute, usage_error};
use backup::Backup;
use carbonate::{Aggregate, Hosts, List, Lookup, Paths, Sieve, Stale, Sync};
use give::{Import, Restore};
use jobs::{Apply, Purge, Reap, Verify};
use migrate::Migrate;
use plan::Plan;
use query::Query;
use replicas::Repair;
use ring::{CheckRing, LookupNames, ShowRing};
use schemas::{ApplySchemas, CheckSchemas};
use send::Send;
use series::{
    CopySeries, DiskUse, DumpSeries, ListSeries, LoadPoints, Misplaced, StaleSeries, StatSeries,
    TrashSeries, UntrashSeries,
};
use shell::{Completions, Man};
use top::Top;
use whisper::{
    Check, Create, Diff, Dump, Fetch, Fill, FindCorrupt, Heal, Info, Merge, Resize, Set, SetFactor,
    SetMethod, Update,
};

mod backup;
mod carbonate;
mod give;
mod jobs;
mod migrate;
mod plan;
mod query;
mod replicas;
mod ring;
mod schemas;
mod send;
mod series;
mod shell;
mod top;
mod up;
mod whisper;

/// The program's own name; any other is looked up among the classic ones.
const PROGRAM: &str = "plumbago";

/// The group of the commands on the ring.
const RING_GROUP: &str = "ring";

/// The group of the commands on Whisper files.
const WHISPER_GROUP: &str = "whisper";

/// The group of the commands on rules and files.
const SCHEMAS_GROUP: &str = "schemas";

/// The group of the commands on series, wherever they lie.
const SERIES_GROUP: &str = "series";

/// Every group, and what it is for.
const GROUPS: [(&str, &str); 4] = [
    (RING_GROUP, "Ask the hash ring where series live, and whether all follow the same"),
    (WHISPER_GROUP, "Read and edit Whisper files"),
    (SCHEMAS_GROUP, "Bring files and the rules of their nodes together"),
    (SERIES_GROUP, "Series wherever they lie: list, measure, copy, put away, bring back"),
];

/// What may stand behind a classic name.
const SCRIPT_SUFFIX: &str = ".py";

/// A classic name that is told from its namesake only by `.py`, and the flag that makes the
/// difference: `whisper-fill` is carbonate's, `whisper-fill.py` whisper's.
const NAMESAKE: (&str, &str) = ("whisper-fill.py", "--like=whisper-fill");

/// One command.
struct Entry {
    /// The word before its name, if it belongs to a group.
    group: Option<&'static str>,
    name: &'static str,
    /// Programs it stands in for when called by their name, also with `.py` behind it.
    classic: &'static [&'static str],
    about: &'static str,
    arguments: fn(Command) -> Command,
    run: fn(&ArgMatches, &Caller) -> ExitCode,
}

/// Every command, in the order of the help.
static COMMANDS: &[Entry] = &[
    Entry {
        group: None,
        name: "up",
        classic: &[],
        about: "Run the whole pipeline in one process",
        arguments: up::Up::augment_args,
        run: |matches, caller| match up::Up::from_arg_matches(matches) {
            Ok(up) => up::run(up),
            Err(error) => usage_error(&error, caller.program),
        },
    },
    local::<Send>("send", &[], "Send points by hand and wait until they are kept"),
    local::<Query>("query", &[], "Ask the api for values or names by hand"),
    local::<Plan>("plan", &[], "Plan what should move between nodes; moves nothing"),
    local::<Apply>("apply", &[], "Copy what a plan says, from node to node"),
    local::<Verify>("verify", &[], "Compare what a plan copied, on every owner"),
    local::<Reap>("reap", &[], "Put away what a plan makes superfluous and verify has proved"),
    local::<Purge>("purge", &[], "Delete what has been in the trash since before a day"),
    local::<replicas::Check>("check", &[], "Compare what the owners of each series hold"),
    local::<Repair>("repair", &[], "Fill what a node missed, and the others from it"),
    local::<Top>("top", &[], "Watch the programs of a cluster: rates, what waits, what is dropped"),
    local::<Hosts>("hosts", &["carbon-hosts"], "Print the host of every node of a cluster"),
    local::<Lookup>("lookup", &["carbon-lookup"], "Print the nodes that own a series"),
    local::<Sieve>("sieve", &["carbon-sieve"], "Print those names of a list that a node owns"),
    local::<List>("list", &["carbon-list"], "Print the names of the series in a Whisper tree"),
    local::<Paths>("path", &["carbon-path"], "Turn names into paths, or paths into names"),
    local::<Stale>("stale", &["carbon-stale"], "Print those names of a list that get no points"),
    local::<Sync>("sync", &["carbon-sync"], "Fill files from those of another machine, by rsync"),
    local::<Aggregate>("aggregate", &["whisper-aggregate"], "Set aggregation methods from a list"),
    local::<Migrate>("migrate", &[], "Write another program's configuration as ours"),
    local::<Completions>("completions", &[], "Print a shell's completions for all commands"),
    local::<Man>("man", &[], "Write a man page for every command"),
    local::<Backup>("backup", &[], "Write the series of live nodes into a tar file"),
    local::<Restore>("restore", &[], "Give the series of a backup to the nodes that own them"),
    local::<Import>("import", &[], "Give the files of a Whisper tree to the nodes that own them"),
    grouped::<LookupNames>(
        RING_GROUP,
        "lookup",
        "Print the nodes that own each name, the primary first",
    ),
    grouped::<ShowRing>(
        RING_GROUP,
        "show",
        "Print the nodes, their shares of all names, and the ring's fingerprint",
    ),
    grouped::<CheckRing>(
        RING_GROUP,
        "check",
        "Print which ring each program follows; exits 1 if any other than the cluster's",
    ),
    grouped::<ListSeries>(
        SERIES_GROUP,
        "list",
        "Print the names of the series that the nodes have",
    ),
    grouped::<DiskUse>(SERIES_GROUP, "du", "Print how many bytes and series each branch has"),
    grouped::<StatSeries>(
        SERIES_GROUP,
        "stat",
        "Print what each node's file of a series is and holds",
    ),
    grouped::<Misplaced>(
        SERIES_GROUP,
        "misplaced",
        "Print what lies elsewhere than the ring says; exits 1 if anything does",
    ),
    grouped::<CopySeries>(SERIES_GROUP, "copy", "Copy series to another cluster or to other names"),
    grouped::<DumpSeries>(SERIES_GROUP, "dump", "Write points into a CSV or Parquet file"),
    grouped::<LoadPoints>(SERIES_GROUP, "load", "Send the points of CSV or Parquet files"),
    grouped::<StaleSeries>(
        SERIES_GROUP,
        "stale",
        "Print the series of which every owner says that they have been silent for long",
    ),
    grouped::<TrashSeries>(SERIES_GROUP, "trash", "Take series out of service, keep their files"),
    grouped::<UntrashSeries>(SERIES_GROUP, "restore", "Bring series back from the trash"),
    grouped::<CheckSchemas>(
        SCHEMAS_GROUP,
        "check",
        "Print which files differ from the rules, and what that is in bytes; exits 1 if any does",
    ),
    grouped::<ApplySchemas>(
        SCHEMAS_GROUP,
        "apply",
        "Give files the archives of the rules, while points keep coming",
    ),
    file::<Create>("create", &["whisper-create"], "Create a file"),
    file::<Update>("update", &["whisper-update"], "Write points; with negative times behind `--`"),
    file::<Fetch>("fetch", &["whisper-fetch"], "Print the values of a window"),
    file::<Info>("info", &["whisper-info"], "Print the header"),
    file::<Dump>("dump", &["whisper-dump"], "Print the header and every slot"),
    file::<Check>("check", &[], "Look for damage"),
    file::<FindCorrupt>(
        "find-corrupt",
        &["find-corrupt-whisper-files"],
        "Look for corrupt files in whole trees",
    ),
    file::<Merge>("merge", &["whisper-merge"], "Write all points of one file over another"),
    file::<Diff>("diff", &["whisper-diff"], "Compare two files; exits 0 if equal, 1 if different"),
    file::<Fill>("fill", &["whisper-fill"], "Fill the holes of one file from another"),
    file::<Heal>("heal", &[], "Fill a file from its replica, or copy that over a lost or bad file"),
    file::<Resize>("resize", &["whisper-resize"], "Move a file's points to other archives"),
    file::<Set>("set", &[], "Change aggregation method or xFilesFactor"),
    file::<SetMethod>(
        "set-method",
        &["whisper-set-aggregation-method"],
        "Change the aggregation method, in the words of whisper's script",
    ),
    file::<SetFactor>(
        "set-xff",
        &["whisper-set-xfilesfactor"],
        "Change the xFilesFactor, in the words of whisper's script",
    ),
];

/// A command of its own.
const fn local<T: Run>(
    name: &'static str,
    classic: &'static [&'static str],
    about: &'static str,
) -> Entry {
    Entry { group: None, name, classic, about, arguments: arguments::<T>, run: execute::<T> }
}

/// A command of a group without a classic name.
const fn grouped<T: Run>(group: &'static str, name: &'static str, about: &'static str) -> Entry {
    let group = Some(group);
    Entry { group, name, classic: &[], about, arguments: arguments::<T>, run: execute::<T> }
}

/// A command on Whisper files.
const fn file<T: Run>(
    name: &'static str,
    classic: &'static [&'static str],
    about: &'static str,
) -> Entry {
    let group = Some(WHISPER_GROUP);
    Entry { group, name, classic, about, arguments: arguments::<T>, run: execute::<T> }
}

fn arguments<T: Run>(command: Command) -> Command {
    Common::augment_args(T::augment_args(command))
}

impl Entry {
    fn command(&self) -> Command {
        (self.arguments)(Command::new(self.name)).about(self.about).long_about(None)
    }

    /// The classic name that a program's name means.
    fn classic_name(&self, called: &str) -> Option<&'static str> {
        let called = called.strip_suffix(SCRIPT_SUFFIX).unwrap_or(called);
        self.classic.iter().copied().find(|name| *name == called)
    }
}

/// Runs what the command line asks for: by the program's name, else by the first words.
pub(crate) fn main(mut line: Vec<OsString>) -> ExitCode {
    let path = line.first().cloned().unwrap_or_default();
    let called = Path::new(&path).file_name().and_then(OsStr::to_str).unwrap_or(PROGRAM);
    let classic = COMMANDS.iter().find_map(|entry| Some((entry, entry.classic_name(called)?)));
    match classic {
        Some((entry, program)) => {
            if called == NAMESAKE.0 {
                line.insert(1, NAMESAKE.1.into());
            }
            by_classic_name(entry, program, line)
        }
        None => by_own_name(line),
    }
}

fn by_classic_name(entry: &Entry, program: &'static str, line: Vec<OsString>) -> ExitCode {
    // optparse and argparse take any beginning of a flag that is clear, and a flag given twice.
    let command = entry.command().name(program).infer_long_args(true).args_override_self(true);
    match command.try_get_matches_from(line) {
        Ok(matches) => (entry.run)(&matches, &Caller { program, classic: true }),
        Err(error) => usage_error(&error, program),
    }
}

fn by_own_name(line: Vec<OsString>) -> ExitCode {
    let matches = match own_command().try_get_matches_from(line) {
        Ok(matches) => matches,
        Err(error) => return usage_error(&error, PROGRAM),
    };
    let outer = matches.subcommand();
    let group_of = |word: &str| GROUPS.iter().map(|group| group.0).find(|name| *name == word);
    let group = outer.and_then(|(word, matches)| Some((group_of(word)?, matches)));
    let chosen = group.map_or(outer, |(_, matches)| matches.subcommand());
    let Some((name, matches)) = chosen else {
        // The command line is refused before, unless the table and the group disagree.
        return ExitCode::FAILURE;
    };
    let group = group.map(|(name, _)| name);
    let entry = COMMANDS.iter().find(|entry| entry.group == group && entry.name == name);
    let caller = Caller { program: PROGRAM, classic: false };
    entry.map_or(ExitCode::FAILURE, |entry| (entry.run)(matches, &caller))
}

/// `plumbago` with all its commands.
fn own_command() -> Command {
    let of = |group: Option<&'static str>| {
        COMMANDS.iter().filter(move |entry| entry.group == group).map(Entry::command)
    };
    let groups = GROUPS.iter().map(|(name, about)| {
        Command::new(*name).about(*about).subcommand_required(true).subcommands(of(Some(*name)))
    });
    Command::new(PROGRAM)
        .version(env!("CARGO_PKG_VERSION"))
        .about("Plumbago: a Graphite-compatible relay, storage and query stack")
        .subcommand_required(true)
        .subcommands(of(None))
        .subcommands(groups)
        .after_help(classic_names())
}

/// What the program answers to when it is called by another name.
fn classic_names() -> String {
    let mut text =
        String::from("Called by a classic name (a symbolic link will do), it is that program:\n");
    for entry in COMMANDS {
        for name in entry.classic {
            let group = entry.group.map_or(String::new(), |group| format!("{group} "));
            text.push_str(&format!("  {name:<32}{group}{}\n", entry.name));
        }
    }
    text
}
