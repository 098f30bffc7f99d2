//! One table per daemon says everything about its settings; flags, environment names, the TOML
//! reader, `--help`, `--print-config` and the docs page are derived from it.
//!
//! A value comes from, in order of precedence: flag, environment, file, default. Every fault in
//! all of them is found before the first is reported.

mod document;
mod fault;
mod load;
mod print;
mod units;
mod values;

#[cfg(test)]
mod tests;

pub use document::{Document, Place, Placed};
pub use fault::{Fault, nearest};
pub use load::{CONFIG_FILE_BYTES_MAX, Command, Sources, load, load_for_action};
pub use print::{common_markdown, config_text, help, markdown, markdown_table};
pub use units::{parse_address, parse_bytes, parse_duration};
pub use values::{Source, Values};

/// What a setting holds, and so how its text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `HOST:PORT`, kept as text and resolved when it is bound or connected to.
    Address,
    /// A file or folder.
    Path,
    /// A size in bytes; the unit must be written (`64MiB`).
    Bytes,
    /// A length of time; the unit must be written (`30s`).
    Duration,
    /// A whole number.
    Count,
    /// Any finite number.
    Float,
    /// Any text.
    Text,
    /// `true` or `false`; the flag alone means `true`.
    Flag,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// `[[key]]` or `[key.NAME]` tables of the file, read by the daemon itself; no flag, no
    /// environment name.
    Tables,
}

impl Kind {
    /// The words a fault uses for "expected …".
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::Address => "an address such as 127.0.0.1:2003".into(),
            Self::Path => "a path".into(),
            Self::Bytes => "a size with its unit, such as 64MiB".into(),
            Self::Duration => "a duration with its unit, such as 30s".into(),
            Self::Count => "a whole number, zero or more".into(),
            Self::Float => "a number".into(),
            Self::Text => "text".into(),
            Self::Flag => "true or false".into(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Tables => "tables".into(),
        }
    }

    const fn value_name(self) -> &'static str {
        match self {
            Self::Address => "ADDR",
            Self::Path => "PATH",
            Self::Bytes => "SIZE",
            Self::Duration => "DURATION",
            Self::Count => "N",
            Self::Float => "NUMBER",
            Self::Text => "TEXT",
            Self::Tables => "[[…]]",
            Self::Flag => "BOOL",
            Self::Choice(_) => "WORD",
        }
    }

    /// Only kinds that stay text can be lists; the others have no use for it.
    const fn is_textual(self) -> bool {
        matches!(self, Self::Address | Self::Path | Self::Text | Self::Choice(_))
    }
}

/// One setting: all that is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The TOML key, snake_case; the flag is `--` and the same with dashes.
    pub key: &'static str,
    /// How its text is read.
    pub kind: Kind,
    /// The default as a user would write it; empty means "not set".
    pub default: &'static str,
    /// What stands for the value in help (`ADDR`).
    pub value_name: &'static str,
    /// One or two sentences for the user.
    pub doc: &'static str,
    /// Whether SIGHUP applies a change without a restart.
    pub reload: bool,
    /// Whether it may be given several times.
    pub list: bool,
    /// Whether the daemon refuses to start without it.
    pub required: bool,
}

impl Setting {
    /// A setting that needs a restart and takes one value; an empty default means "not set".
    #[must_use]
    pub const fn new(
        key: &'static str,
        kind: Kind,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        let value_name = kind.value_name();
        Self { key, kind, default, value_name, doc, reload: false, list: false, required: false }
    }

    /// Names the value in help and docs.
    #[must_use]
    pub const fn value_name(mut self, name: &'static str) -> Self {
        self.value_name = name;
        self
    }

    /// SIGHUP applies a change of this setting.
    #[must_use]
    pub const fn reload(mut self) -> Self {
        self.reload = true;
        self
    }

    /// The setting takes any number of values: the flag repeats, the file holds an array, the
    /// environment a comma list.
    ///
    /// # Panics
    /// For kinds that are not text (in a `const` table: at compile time).
    #[must_use]
    pub const fn list(mut self) -> Self {
        assert!(self.kind.is_textual(), "only addresses, paths, text and choices make lists");
        self.list = true;
        self
    }

    /// The daemon refuses to start without it.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The name on the command line, without the two dashes.
    #[must_use]
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// The name in the environment, for instance `PLUMBAGO_RELAY_LOG_LEVEL`.
    #[must_use]
    pub fn environment(&self, daemon: &str) -> String {
        format!("{}{}", environment_prefix(daemon), self.key.to_uppercase())
    }
}

fn environment_prefix(daemon: &str) -> String {
    format!("PLUMBAGO_{}_", daemon.to_uppercase().replace('-', "_"))
}

/// The settings that every daemon has besides its own table.
pub const COMMON: &[Setting] = &[
    Setting::new(
        "log_level",
        Kind::Text,
        "info",
        "What is logged: error, warn, info, debug, trace, or a filter such as `info,hyper=warn`. \
         `PUT /admin/log_level` changes it without a restart.",
    )
    .value_name("LEVEL")
    .reload(),
    Setting::new(
        "log_format",
        Kind::Choice(&["text", "json"]),
        "text",
        "How a log line looks. Logs go to stderr.",
    ),
    Setting::new(
        "stop_deadline",
        Kind::Duration,
        "30s",
        "How long an ordered stop may take before the process ends regardless, with exit code 1.",
    )
    .reload(),
    Setting::new(
        "worker_threads",
        Kind::Count,
        "0",
        "Threads that serve sockets; 0 means one per CPU.",
    ),
];

/// A daemon's own table followed by [`COMMON`].
pub fn every(table: &'static [Setting]) -> impl Iterator<Item = &'static Setting> + Clone {
    table.iter().chain(COMMON)
}
