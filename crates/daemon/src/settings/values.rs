//! The settings of one run, checked and typed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{
    Document, Fault, Kind, Place, Setting, every, parse_address, parse_bytes, parse_duration,
};

/// Where a value came from; later ones win.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The table.
    Default,
    /// A place in the settings file.
    File(Place),
    /// A variable of this name.
    Environment(String),
    /// This flag, or code that called [`Values::with`].
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(place) => place.fmt(f),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag --{flag}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Bytes(u64),
    Duration(Duration),
    Count(u64),
    Float(f64),
    Flag(bool),
    Tables(Document),
}

impl Value {
    /// Reads one text as `kind` demands; none if it does not fit.
    pub(crate) fn parse(kind: Kind, text: &str) -> Option<Self> {
        match kind {
            Kind::Address => parse_address(text).map(|_| Self::Text(text.to_owned())),
            Kind::Path | Kind::Text => Some(Self::Text(text.to_owned())),
            Kind::Bytes => parse_bytes(text).map(Self::Bytes),
            Kind::Duration => parse_duration(text).map(Self::Duration),
            Kind::Count => text.replace('_', "").parse().ok().map(Self::Count),
            Kind::Float => text.parse().ok().filter(|f: &f64| f.is_finite()).map(Self::Float),
            Kind::Flag => text.parse().ok().map(Self::Flag),
            Kind::Choice(words) => words.contains(&text).then(|| Self::Text(text.to_owned())),
            Kind::Tables => None,
        }
    }
}

#[derive(Debug, Clone)]
struct Entry {
    values: Vec<Value>,
    source: Source,
}

/// Checked settings. Asking for a key that the table lacks, or by the wrong type, is a mistake in
/// the program and panics.
#[derive(Debug, Clone)]
pub struct Values {
    entries: BTreeMap<&'static str, (&'static Setting, Entry)>,
    /// Worth a line in the log, but no reason to refuse: unknown variables of our prefix.
    pub warnings: Vec<String>,
}

impl Values {
    /// Every setting of `table` and of [`super::COMMON`] at its default.
    ///
    /// # Panics
    /// If a default does not fit its kind.
    #[must_use]
    pub fn defaults(table: &'static [Setting]) -> Self {
        Self::defaults_of(every(table))
    }

    pub(crate) fn defaults_of(settings: impl Iterator<Item = &'static Setting>) -> Self {
        let entry = |setting: &'static Setting| {
            let values = match setting.default {
                "" => Vec::new(),
                text if setting.list => {
                    text.split(',').map(|item| fitting(setting, item.trim())).collect()
                }
                text => vec![fitting(setting, text)],
            };
            (setting.key, (setting, Entry { values, source: Source::Default }))
        };
        Self { entries: settings.map(entry).collect(), warnings: Vec::new() }
    }

    /// Sets one value from code, as a flag would; lists grow.
    ///
    /// # Panics
    /// If the key is unknown or the text does not fit: the caller is code, not a user.
    #[must_use]
    pub fn with(mut self, key: &str, text: &str) -> Self {
        let (setting, entry) = self.entries.get_mut(key).expect("a setting of the table");
        let source = Source::Flag(setting.flag());
        if !setting.list || entry.source != source {
            entry.values.clear();
        }
        if !text.is_empty() {
            entry.values.push(fitting(setting, text));
        }
        entry.source = source;
        self
    }

    pub(crate) fn set(&mut self, key: &'static str, values: Vec<Value>, source: Source) {
        let (_, entry) = self.entries.get_mut(key).expect("a setting of the table");
        *entry = Entry { values, source };
    }

    /// Whether the table has such a setting.
    #[must_use]
    pub fn knows(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Where the value of `key` came from.
    #[must_use]
    pub fn source(&self, key: &str) -> &Source {
        &self.entry(key).1.source
    }

    /// A fault of `key` at the place where its value was given: for checks a daemon adds.
    #[must_use]
    pub fn fault(&self, key: &str, problem: impl Into<String>) -> Fault {
        Fault::new(self.source(key).to_string(), key, problem)
    }

    /// Whether `key` has a value.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        !self.entry(key).1.values.is_empty()
    }

    /// The settings whose value differs from `other`'s.
    #[must_use]
    pub fn changed(&self, other: &Self) -> Vec<&'static Setting> {
        let differs =
            |(setting, entry): &&(&'static Setting, Entry)| match other.entries.get(setting.key) {
                Some((_, theirs)) => theirs.values != entry.values,
                None => true,
            };
        self.entries.values().filter(differs).map(|(setting, _)| *setting).collect()
    }

    pub(crate) fn missing(&self) -> impl Iterator<Item = &'static Setting> {
        self.entries
            .values()
            .filter(|(setting, entry)| setting.required && entry.values.is_empty())
            .map(|(setting, _)| *setting)
    }

    /// All texts of a list setting, in the order given.
    #[must_use]
    pub fn list(&self, key: &str) -> Vec<&str> {
        self.entry(key).1.values.iter().filter_map(as_text).collect()
    }

    /// The tables of the file under `key`; none if it has none.
    #[must_use]
    pub fn document(&self, key: &str) -> Option<&Document> {
        self.one(key, |value| match value {
            Value::Tables(document) => Some(document),
            _ => None,
        })
    }

    /// Whether a flag is on; an unset flag is off.
    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        self.one(key, |value| match value {
            Value::Flag(on) => Some(*on),
            _ => None,
        })
        .unwrap_or(false)
    }

    fn entry(&self, key: &str) -> &(&'static Setting, Entry) {
        self.entries.get(key).expect("a setting of the table")
    }

    fn one<'a, T>(&'a self, key: &str, pick: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        let (setting, entry) = self.entry(key);
        assert!(!setting.list, "a list setting is read with `list`");
        entry.values.first().map(|value| pick(value).expect("a value of the asked type"))
    }
}

/// Pairs of getters: one for settings that have a default, one for those that may be unset.
macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident $opt:ident -> $type:ty { $pattern:pat => $value:expr })*) => {
        impl Values {
            $(
                $(#[$doc])*
                ///
                /// # Panics
                /// If it is not set: ask for the `opt_` form where the default is empty.
                #[must_use]
                pub fn $name(&self, key: &str) -> $type {
                    self.$opt(key).expect("a setting with a default")
                }

                $(#[$doc])*
                /// None if it is not set.
                #[must_use]
                pub fn $opt(&self, key: &str) -> Option<$type> {
                    self.one(key, |value| match value {
                        $pattern => Some($value),
                        _ => None,
                    })
                }
            )*
        }
    };
}

getters! {
    /// A text, a choice.
    text opt_text -> &str { Value::Text(text) => text.as_str() }
    /// An address as `HOST:PORT`.
    address opt_address -> &str { Value::Text(text) => text.as_str() }
    /// A path.
    path opt_path -> PathBuf { Value::Text(text) => Path::new(text).to_path_buf() }
    /// A size in bytes.
    bytes opt_bytes -> u64 { Value::Bytes(bytes) => *bytes }
    /// A duration.
    duration opt_duration -> Duration { Value::Duration(duration) => *duration }
    /// A whole number.
    count opt_count -> u64 { Value::Count(count) => *count }
    /// A number.
    float opt_float -> f64 { Value::Float(float) => *float }
}

fn as_text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn fitting(setting: &Setting, text: &str) -> Value {
    Value::parse(setting.kind, text).unwrap_or_else(|| {
        panic!("setting {}: {text:?} is not {}", setting.key, setting.kind.expected())
    })
}
