//! Events: what happened when, with tags, in a small database of their own.

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

use daemon::threads::{Pool, PoolError};
use metric::Window;
use parking_lot::Mutex;
use rusqlite::{Connection, Row, params, params_from_iter};

use crate::config;

/// Requests that may wait for the one thread that works on the database.
const WAITING_MAX: usize = 1000;

/// Most events that one answer shows.
pub(crate) const SHOWN_MAX: u32 = 10_000;

/// Something that happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its number; given by the store.
    pub(crate) id: i64,
    /// When, in seconds since 1970.
    pub(crate) when: i64,
    /// What.
    pub(crate) what: String,
    /// More about it.
    pub(crate) data: String,
    /// Words to find it by.
    pub(crate) tags: Vec<String>,
}

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Not before this; without it from the first one on.
    pub(crate) from: Option<i64>,
    /// Not after this.
    pub(crate) until: Option<i64>,
    /// With these tags; all events where there are none.
    pub(crate) tags: Vec<String>,
    /// One of the tags is enough.
    pub(crate) any: bool,
}

/// Why events cannot be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum EventError {
    /// The database does not take it.
    #[error("events: {0}")]
    Database(#[from] rusqlite::Error),
    /// There is no thread for it.
    #[error("events: {0}")]
    Thread(#[from] io::Error),
    /// Too many wait, or it ended without a result.
    #[error("events: {0}")]
    Waiting(#[from] PoolError),
}

/// Keeps events. Calls may take as long as a disk does.
pub(crate) trait Store: Debug + Send + Sync {
    /// Keeps one, and gives back its number.
    fn add(&self, event: &Event) -> Result<i64, EventError>;
    /// The events that a filter means in the order of time, [`SHOWN_MAX`] at most.
    fn find(&self, filter: &Filter) -> Result<Vec<Event>, EventError>;
    /// How many of them there are in each second, in the order of time.
    fn count(&self, filter: &Filter) -> Result<Vec<(i64, u64)>, EventError>;
    /// The one of this number.
    fn get(&self, id: i64) -> Result<Option<Event>, EventError>;
}

/// The store of a daemon, away from its sockets.
#[derive(Debug)]
pub(crate) struct Events {
    store: Arc<dyn Store>,
    thread: Pool,
}

impl Events {
    pub(crate) fn open(config: &config::Events) -> Result<Self, EventError> {
        let store = Sqlite::open(config.path.as_deref(), config.events_max)?;
        Ok(Self { store: Arc::new(store), thread: Pool::new("events", 1, WAITING_MAX)? })
    }

    /// Has the store do something.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Store) -> Result<T, EventError> + Send + 'static,
    ) -> Result<T, EventError> {
        let store = Arc::clone(&self.store);
        self.thread.run(move || question(store.as_ref())).await?
    }

    /// Counts of the events with all these tags in each second of a window, without its end.
    pub(crate) async fn counts(
        &self,
        tags: Vec<String>,
        window: Window,
    ) -> Result<Vec<(i64, u64)>, EventError> {
        let filter =
            Filter { from: Some(window.from), until: Some(window.until - 1), tags, any: false };
        self.ask(move |store| store.count(&filter)).await
    }
}

/// One SQLite file, or memory.
#[derive(Debug)]
struct Sqlite {
    connection: Mutex<Connection>,
    events_max: u64,
}

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        what TEXT NOT NULL,
        data TEXT NOT NULL,
        tags TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS events_at ON events (at);
    CREATE TABLE IF NOT EXISTS event_tags (
        tag TEXT NOT NULL,
        event INTEGER NOT NULL REFERENCES events (id) ON DELETE CASCADE,
        PRIMARY KEY (tag, event)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS event_tags_event ON event_tags (event);
    PRAGMA foreign_keys = ON;
";

impl Sqlite {
    fn open(path: Option<&Path>, events_max: u64) -> Result<Self, EventError> {
        let connection = match path {
            Some(path) => Connection::open(path)?,
            None => Connection::open_in_memory()?,
        };
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection: Mutex::new(connection), events_max })
    }

    fn query<T>(
        &self,
        select: &str,
        rest: &str,
        filter: &Filter,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, EventError> {
        let condition = match (filter.tags.is_empty(), filter.any) {
            (true, _) => String::new(),
            (false, any) => {
                let places = vec!["?"; filter.tags.len()].join(",");
                let least = if any { 1 } else { filter.tags.len() };
                format!(
                    " AND id IN (SELECT event FROM event_tags WHERE tag IN ({places})
                       GROUP BY event HAVING COUNT(*) >= {least})"
                )
            }
        };
        let text = format!("{select} WHERE at >= ? AND at <= ?{condition} {rest}");
        let times = [filter.from.unwrap_or(i64::MIN), filter.until.unwrap_or(i64::MAX)];
        let times = times.map(|time| time.into());
        let tags = filter.tags.iter().map(|tag| rusqlite::types::Value::from(tag.clone()));
        let connection = self.connection.lock();
        let mut statement = connection.prepare(&text)?;
        let rows = statement.query_map(params_from_iter(times.into_iter().chain(tags)), read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let tags: String = row.get(4)?;
    Ok(Event {
        id: row.get(0)?,
        when: row.get(1)?,
        what: row.get(2)?,
        data: row.get(3)?,
        tags: tags.split_whitespace().map(str::to_owned).collect(),
    })
}

impl Store for Sqlite {
    fn add(&self, event: &Event) -> Result<i64, EventError> {
        let mut connection = self.connection.lock();
        let change = connection.transaction()?;
        change
            .prepare("INSERT INTO events (at, what, data, tags) VALUES (?, ?, ?, ?)")?
            .execute(params![event.when, event.what, event.data, event.tags.join(" ")])?;
        let id = change.last_insert_rowid();
        for tag in &event.tags {
            change
                .prepare("INSERT OR IGNORE INTO event_tags (tag, event) VALUES (?, ?)")?
                .execute(params![tag, id])?;
        }
        // Numbers only grow, so that this leaves so many of the newest.
        let last = i64::try_from(self.events_max).map_or(i64::MIN, |max| id.saturating_sub(max));
        change.prepare("DELETE FROM events WHERE id <= ?")?.execute([last])?;
        change.commit()?;
        Ok(id)
    }

    fn find(&self, filter: &Filter) -> Result<Vec<Event>, EventError> {
        let select = "SELECT id, at, what, data, tags FROM events";
        self.query(select, &format!("ORDER BY at, id LIMIT {SHOWN_MAX}"), filter, event)
    }

    fn count(&self, filter: &Filter) -> Result<Vec<(i64, u64)>, EventError> {
        let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()));
        self.query("SELECT at, COUNT(*) FROM events", "GROUP BY at ORDER BY at", filter, pair)
    }

    fn get(&self, id: i64) -> Result<Option<Event>, EventError> {
        let connection = self.connection.lock();
        let mut statement =
            connection.prepare("SELECT id, at, what, data, tags FROM events WHERE id = ?")?;
        let mut found = statement.query_map([id], event)?;
        Ok(found.next().transpose()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(when: i64, what: &str, tags: &[&str]) -> Event {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Event { when, what: what.to_owned(), tags, ..Event::default() }
    }

    fn found(store: &dyn Store, filter: &Filter) -> Vec<String> {
        store.find(filter).unwrap().into_iter().map(|event| event.what).collect()
    }

    #[test]
    fn events_are_found_by_time_and_tags() {
        let store = Sqlite::open(None, 100).unwrap();
        for event in [
            happened(30, "c", &["x", "y"]),
            happened(10, "a", &["x"]),
            happened(20, "b", &["y", "y"]),
            happened(20, "'; DROP TABLE events; --", &[]),
        ] {
            store.add(&event).unwrap();
        }
        let all = Filter::default();
        assert_eq!(found(&store, &all), ["a", "b", "'; DROP TABLE events; --", "c"]);
        let some = Filter { from: Some(10), until: Some(20), ..Filter::default() };
        assert_eq!(found(&store, &some).len(), 3);
        let tags = |tags: &[&str], any| Filter {
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            any,
            ..Filter::default()
        };
        assert_eq!(found(&store, &tags(&["x"], false)), ["a", "c"]);
        assert_eq!(found(&store, &tags(&["x", "y"], false)), ["c"]);
        assert_eq!(found(&store, &tags(&["x", "y"], true)), ["a", "b", "c"]);
        assert_eq!(store.count(&all).unwrap(), [(10, 1), (20, 2), (30, 1)]);
        assert_eq!(store.get(2).unwrap().unwrap().what, "a");
        assert_eq!(store.get(99).unwrap(), None);
    }

    #[test]
    fn the_oldest_make_room() {
        let store = Sqlite::open(None, 2).unwrap();
        for what in ["a", "b", "c"] {
            store.add(&happened(1, what, &["t"])).unwrap();
        }
        let filter = Filter { tags: vec!["t".to_owned()], ..Filter::default() };
        assert_eq!(found(&store, &filter), ["b", "c"]);
    }

    #[test]
    fn a_file_keeps_them_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.sqlite");
        Sqlite::open(Some(&path), 9).unwrap().add(&happened(5, "kept", &[])).unwrap();
        let again = Sqlite::open(Some(&path), 9).unwrap();
        assert_eq!(found(&again, &Filter::default()), ["kept"]);
    }
}
