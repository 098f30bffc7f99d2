//! Seals the index from time to time, in the background.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use daemon::threads::Pool;
use daemon::{Context, Counter, Running, StartError};

use crate::engine::Engine;

/// How often it is looked whether a seal is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// So many looks without a new name mean that no more come for now.
const QUIET_LOOKS: u32 = 6;

/// Fewer new or removed series than this are not worth a new file.
const CHANGES_MIN: u32 = 1 << 16;

/// Nor are fewer than this part of those that are sealed: each of them is written again.
const CHANGES_PART: u32 = 4;

/// With so many new series nobody waits for a quiet time.
const CHANGES_MAX: u32 = 1 << 20;

/// What has changed since the last seal, as seen at each look.
#[derive(Debug, Default)]
struct Watch {
    id_end: u32,
    quiet_looks: u32,
}

impl Watch {
    /// Whether a seal is due, with `unsealed` ids below `id_end` and so many sealed series removed.
    fn is_due(&mut self, id_end: u32, unsealed: u32, removed: u32) -> bool {
        let is_quiet = std::mem::replace(&mut self.id_end, id_end) == id_end;
        self.quiet_looks = if is_quiet { self.quiet_looks.saturating_add(1) } else { 0 };
        let changes = unsealed.saturating_add(removed);
        let sealed = id_end - unsealed;
        let is_worth_it = changes >= CHANGES_MIN.max(sealed / CHANGES_PART);
        is_worth_it && (changes >= CHANGES_MAX || self.quiet_looks >= QUIET_LOOKS)
    }
}

/// Starts looking. A stop waits for a seal that is being written.
pub(crate) fn start(
    running: &mut Running,
    engine: Arc<Engine>,
    context: &Context,
) -> Result<(), StartError> {
    let failed = |error: io::Error| StartError::io("sealing thread", error);
    let pool = Pool::new("carbon-seal", 1, 1).map_err(failed)?;
    let shutdown = context.shutdown.clone();
    let errors = context.metrics.counter("plumbago_carbon_seal_errors_total");
    let seals = context.metrics.counter("plumbago_carbon_seals_total");
    let task = tokio::spawn(async move {
        let mut watch = Watch::default();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                () = shutdown.wait() => return,
            }
            let table = engine.table();
            if !watch.is_due(table.id_end(), table.unsealed(), table.removed_sealed()) {
                continue;
            }
            let (engine, seals, errors) = (Arc::clone(&engine), seals.clone(), errors.clone());
            if let Err(error) = pool.run(move || seal(&engine, &seals, &errors)).await {
                tracing::error!(%error, "sealing the index failed");
            }
        }
    });
    running.add_stage("seal", async move { drop(task.await) });
    Ok(())
}

fn seal(engine: &Engine, seals: &Counter, errors: &Counter) {
    match engine.index().seal() {
        Ok(()) => {
            seals.inc();
            tracing::info!(series = engine.table().len(), "index sealed");
        }
        Err(error) => {
            errors.inc();
            tracing::warn!(%error, "index not sealed, new names stay in memory");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(watch: &mut Watch, state: (u32, u32, u32), times: u32) -> Vec<bool> {
        (0..times).map(|_| watch.is_due(state.0, state.1, state.2)).collect()
    }

    #[test]
    fn many_new_names_are_sealed_once_no_more_come() {
        let mut watch = Watch::default();
        assert_eq!(looks(&mut watch, (CHANGES_MIN, CHANGES_MIN, 0), 7).last(), Some(&true));
        assert!(!watch.is_due(CHANGES_MIN + 1, CHANGES_MIN + 1, 0), "one more came");
        assert!(!looks(&mut watch, (CHANGES_MIN - 1, CHANGES_MIN - 1, 0), 20).contains(&true));
        assert!(looks(&mut watch, (CHANGES_MIN, 0, CHANGES_MIN), 20).contains(&true), "removed");
    }

    #[test]
    fn a_large_seal_is_not_written_again_for_a_few_names() {
        let mut watch = Watch::default();
        let sealed = CHANGES_MIN * 10;
        assert!(!looks(&mut watch, (sealed + CHANGES_MIN, CHANGES_MIN, 0), 20).contains(&true));
        let many = sealed / CHANGES_PART;
        assert!(looks(&mut watch, (sealed + many, many, 0), 20).contains(&true));
    }

    #[test]
    fn a_flood_of_names_does_not_wait_for_a_quiet_time() {
        let mut watch = Watch::default();
        assert!(watch.is_due(CHANGES_MAX, CHANGES_MAX, 0));
    }
}
