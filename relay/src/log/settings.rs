//! The settings of the log, understood.

use std::path::PathBuf;
use std::time::Duration;

use daemon::Values;
use segments::{Durability, SyncInterval};

/// What becomes of lines when the log has no room for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFull {
    /// The oldest lines of the node that holds them go.
    #[default]
    Oldest,
    /// The node is kept no more lines until it has what was kept.
    Newest,
    /// Senders wait.
    Wait,
}

impl LogFull {
    /// The words of the setting, in the order of the variants.
    pub const WORDS: &[&str] = &["oldest", "newest", "wait"];

    /// What one of the words means.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "oldest" => Some(Self::Oldest),
            "newest" => Some(Self::Newest),
            "wait" => Some(Self::Wait),
            _ => None,
        }
    }
}

/// How the log is to behave.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// Where it lies.
    pub folder: PathBuf,
    /// Its largest size, give or take a segment.
    pub bytes_max: u64,
    /// How long it keeps lines.
    pub age_max: Duration,
    /// Size at which a segment ends.
    pub segment_bytes: u64,
    /// Bytes not written or not synced at which senders wait.
    pub buffer_bytes_max: usize,
    /// Bytes in memory that nodes may be behind before they are fed from the log.
    pub memory_bytes_max: usize,
    /// Bytes a second that are read back for nodes.
    pub replay_bytes_per_s_max: u64,
    /// What goes when it is full, for nodes that say nothing else.
    pub full: LogFull,
    /// What a sender that waits for the close of its connection is told.
    pub ack: Durability,
    /// How often it is synced.
    pub sync_interval: SyncInterval,
}

impl LogSettings {
    /// Reads the settings; none if there is to be no log.
    #[must_use]
    pub fn from_values(values: &Values) -> Option<Self> {
        let size = |key| usize::try_from(values.bytes(key)).unwrap_or(usize::MAX);
        let interval = values.text("sync_interval").parse();
        Some(Self {
            folder: values.opt_path("log")?,
            bytes_max: values.bytes("log_bytes_max"),
            age_max: values.duration("log_age_max"),
            segment_bytes: values.bytes("log_segment_bytes"),
            buffer_bytes_max: size("log_buffer_bytes_max"),
            memory_bytes_max: size("log_memory_bytes_max"),
            replay_bytes_per_s_max: values.bytes("log_replay_bytes_per_s_max"),
            full: LogFull::from_word(values.text("log_full")).unwrap_or_default(),
            ack: match values.text("ack") {
                "synced" => Durability::Synced,
                _ => Durability::Written,
            },
            sync_interval: interval.expect("the choices of the setting are all intervals"),
        })
    }
}
