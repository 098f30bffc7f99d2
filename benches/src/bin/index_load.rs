//! Names into the index of a storage node, a seal, and a start on it: times and memory.
//!
//! `index-load FOLDER SERIES` makes the folder; `index-load FOLDER` starts on it, as a node would, and says how long the
//! first right answer took and what the index keeps in memory. Run the two as processes of their own.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a program whose output is its result")]
#![expect(clippy::disallowed_methods, reason = "it measures how long things take")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use carbon::index::{FindLimits, Index, NameIndex, Scope, hour_of};
use carbon::series::{SeriesId, SeriesTable};
use metric::Glob;

/// Names that one batch brings, as a connection would.
const BATCH: u32 = 1000;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().context("usage: index-load FOLDER [SERIES]")?;
    let folder = Path::new(&folder);
    match arguments.next() {
        Some(series) => make(folder, series.parse().context("SERIES is a number")?),
        None => start(folder),
    }
}

/// A name of 51 characters, six components: hosts with 50 series each.
fn name(series: u32) -> String {
    let (host, of_host) = (series / 50, series % 50);
    let (cluster, device, what) = (host / 400, of_host / 10, of_host % 10);
    format!("telemetry.cluster{cluster:04}.host{host:06}.dev{device}.counters.m{what:03}")
}

fn make(folder: &Path, series: u32) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let (table, _) = SeriesTable::open(&folder.join("names.log"))?;
    let table = Arc::new(table);
    let index = NameIndex::new(Arc::clone(&table));
    let began = Instant::now();
    let (mut ids, mut fresh) = (Vec::new(), Vec::new());
    for first in (0..series).step_by(BATCH as usize) {
        let names: Vec<String> = (first..series.min(first + BATCH)).map(name).collect();
        let texts: Vec<&str> = names.iter().map(String::as_str).collect();
        fresh.clear();
        table.resolve(&texts, usize::MAX, &mut ids, &mut fresh);
        for (id, name) in ids.iter().flatten().zip(&names) {
            index.insert(*id, name, Some(hour_of(1_700_000_000)));
        }
        table.commit(false)?;
    }
    println!("{series} names in {:.2} s, RSS {} MB", began.elapsed().as_secs_f64(), resident_mb()?);
    let began = Instant::now();
    index.seal()?;
    println!("sealed in {:.2} s, RSS {} MB", began.elapsed().as_secs_f64(), resident_mb()?);
    Ok(())
}

fn start(folder: &Path) -> Result<()> {
    let before = resident_mb()?;
    let began = Instant::now();
    let (table, _) = SeriesTable::open(&folder.join("names.log"))?;
    let table = Arc::new(table);
    let index = NameIndex::new(Arc::clone(&table));
    let last = SeriesId(table.id_end().checked_sub(1).context("the folder holds no names")?);
    let wanted = table.name(last).context("the last series is there")?;
    ensure!(found(&index, &wanted)? == 1, "the last name is found");
    println!(
        "{} series, first right answer after {:.3} s",
        table.len(),
        began.elapsed().as_secs_f64()
    );
    let resident = resident_mb()? - before;
    let each = resident as f64 * 1e6 / table.len() as f64;
    println!("RSS {resident} MB more than before, {each:.0} bytes a series");
    for pattern in ["telemetry.*", "telemetry.*.*.dev1.counters.m003", "*.*.*0123*.*.*.m001"] {
        let began = Instant::now();
        let count = found(&index, pattern)?;
        println!("{pattern}: {count} found in {:.4} s", began.elapsed().as_secs_f64());
    }
    println!("RSS {} MB more than before", resident_mb()? - before);
    Ok(())
}

fn found(index: &NameIndex, pattern: &str) -> Result<usize> {
    let limits =
        FindLimits { visited_max: usize::MAX, results_max: usize::MAX, ..FindLimits::default() };
    Ok(index.find(&Glob::compile(pattern)?, None, Scope::All, &limits)?.paths.len())
}

/// Megabytes (10⁶) of memory that the system holds for this process.
fn resident_mb() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("VmRSS is there")?;
    Ok(kib.parse::<u64>()? * 1024 / 1_000_000)
}
