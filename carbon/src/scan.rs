//! The walk over the tree of files, in the background and at once.

use std::io;
use std::sync::Arc;
use std::thread::park_timeout;
use std::time::Duration;

use daemon::threads::Pool;
use daemon::{Counter, Shutdown};
use parking_lot::Mutex;

use crate::index::ScanReport;
use crate::keeper::Keeper;

/// Rest between two folders, so that the walk is not felt: a thousand folders a second at most.
const REST: Duration = Duration::from_millis(1);

/// Walks the tree.
#[derive(Debug)]
pub(crate) struct Scanner {
    keeper: Arc<Keeper>,
    shutdown: Shutdown,
    discovered: Counter,
    /// One walk at a time.
    turn: Mutex<()>,
}

impl Scanner {
    pub(crate) fn new(keeper: Arc<Keeper>, shutdown: Shutdown, discovered: Counter) -> Self {
        Self { keeper, shutdown, discovered, turn: Mutex::new(()) }
    }

    /// A walk as fast as the disk allows.
    pub(crate) fn at_once(&self) -> ScanReport {
        self.walk(|| {})
    }

    fn slowly(&self) -> ScanReport {
        self.walk(|| park_timeout(REST))
    }

    fn walk(&self, rest: impl Fn()) -> ScanReport {
        let _turn = self.turn.lock();
        let report = self.keeper.scan(&mut || {
            rest();
            !self.shutdown.is_fired()
        });
        self.discovered.add(report.added);
        report
    }

    /// Walks now and every `interval`, on a thread of its own, until the stop.
    pub(crate) fn start(self: Arc<Self>, interval: Duration) -> io::Result<()> {
        let pool = Pool::new("carbon-scan", 1, 1)?;
        tokio::spawn(async move {
            loop {
                let scanner = Arc::clone(&self);
                match pool.run(move || scanner.slowly()).await {
                    Ok(report) => log(&report),
                    Err(error) => tracing::error!(%error, "walking the tree failed"),
                }
                tokio::select! {
                    () = tokio::time::sleep(interval) => {}
                    () = self.shutdown.wait() => return,
                }
            }
        });
        Ok(())
    }
}

fn log(report: &ScanReport) {
    let ScanReport { files, added, foreign, unreadable, .. } = report;
    let missing = report.missing.len();
    tracing::info!(files, added, missing, foreign, unreadable, "walked the tree of files");
}
