//! From command line, environment and file to checked values, or to the list of all faults.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::values::Value;
use super::{Document, Fault, Kind, Place, Setting, Source, Values, environment_prefix, every};

/// A settings file beyond this is refused: it is some other file.
pub const CONFIG_FILE_BYTES_MAX: u64 = 10_000_000;

/// What the daemon read its settings from.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// The daemon's short name (`relay`), for the environment names.
    pub daemon: &'a str,
    /// The daemon's own settings.
    pub table: &'static [Setting],
    /// The command line without the program's name.
    pub arguments: &'a [String],
    /// The environment.
    pub environment: &'a [(String, String)],
}

/// What the command line asks for.
#[derive(Debug, Clone)]
pub enum Command {
    /// Start with these values.
    Run(Values),
    /// Say whether these values are sound, and end.
    Check(Values),
    /// Print the commented default file.
    PrintConfig,
    /// Print the help.
    Help,
    /// Print name and version.
    Version,
}

/// Reads all sources: flag over environment over file over default.
///
/// # Errors
/// Every fault found in any of them.
pub fn load(sources: Sources<'_>) -> Result<Command, Vec<Fault>> {
    let mut faults = Vec::new();
    let line = read_arguments(sources, &mut faults);
    let unexpected =
        |text: &String| Fault::new("command line", "", format!("unexpected argument {text:?}"));
    faults.extend(line.operands.iter().map(unexpected));
    command(sources, line, faults)
}

/// The same for an action that takes operands: arguments that are no flags.
///
/// # Errors
/// Every fault found in any of the sources.
pub fn load_for_action(sources: Sources<'_>) -> Result<(Values, Vec<String>), Vec<Fault>> {
    let mut faults = Vec::new();
    let mut line = read_arguments(sources, &mut faults);
    let operands = std::mem::take(&mut line.operands);
    line.ask = Ask::Run;
    match command(sources, line, faults)? {
        Command::Run(values) => Ok((values, operands)),
        _ => Err(vec![Fault::new("command line", "", "expected settings and operands")]),
    }
}

fn command(
    sources: Sources<'_>,
    line: Line,
    mut faults: Vec<Fault>,
) -> Result<Command, Vec<Fault>> {
    match line.ask {
        Ask::Help => return Ok(Command::Help),
        Ask::Version => return Ok(Command::Version),
        Ask::PrintConfig if faults.is_empty() => return Ok(Command::PrintConfig),
        Ask::PrintConfig | Ask::Run | Ask::Check => {}
    }
    let (variables, file_of_environment, warnings) = read_environment(sources);
    let mut given = Vec::new();
    if let Some(path) = line.config.or(file_of_environment) {
        read_file(sources.table, &path, &mut given, &mut faults);
    }
    given.extend(variables);
    given.extend(line.given);

    let mut values = Values::defaults(sources.table);
    values.warnings = warnings;
    for item in given {
        match item.values() {
            Ok(list) => values.set(item.setting.key, list, item.source),
            Err(fault) => faults.push(fault),
        }
    }
    for setting in values.missing() {
        let flag = setting.flag();
        let problem = format!("must be set (flag --{flag} {})", setting.value_name);
        faults.push(Fault::new(Source::Default.to_string(), setting.key, problem));
    }
    match (faults.is_empty(), line.ask) {
        (false, _) => Err(faults),
        (true, Ask::Check) => Ok(Command::Check(values)),
        (true, _) => Ok(Command::Run(values)),
    }
}

/// A setting with the raw texts one source gives it.
struct Given {
    setting: &'static Setting,
    source: Source,
    raw: Vec<Raw>,
}

enum Raw {
    Text(String),
    /// Already typed by TOML.
    Typed(Value),
    /// TOML has it, but not in a form that this setting takes; the text is for the fault.
    Wrong(String),
}

impl Given {
    fn values(&self) -> Result<Vec<Value>, Fault> {
        let fault = |found: &str| {
            let problem = format!("expected {}, found {found}", self.setting.kind.expected());
            Fault::new(self.source.to_string(), self.setting.key, problem)
        };
        let value = |raw: &Raw| match raw {
            // An empty text unsets, so that a default can be switched off.
            Raw::Text(text) if text.is_empty() => Ok(None),
            Raw::Text(text) => Value::parse(self.setting.kind, text)
                .map(Some)
                .ok_or_else(|| fault(&format!("\"{}\"", text.escape_debug()))),
            Raw::Typed(value) => Ok(Some(value.clone())),
            Raw::Wrong(found) => Err(fault(found)),
        };
        self.raw.iter().filter_map(|raw| value(raw).transpose()).collect()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Ask {
    Run,
    Check,
    PrintConfig,
    Help,
    Version,
}

struct Line {
    ask: Ask,
    config: Option<String>,
    given: Vec<Given>,
    operands: Vec<String>,
}

fn read_arguments(sources: Sources<'_>, faults: &mut Vec<Fault>) -> Line {
    let mut line = Line { ask: Ask::Run, config: None, given: Vec::new(), operands: Vec::new() };
    let mut arguments = sources.arguments.iter().map(String::as_str).peekable();
    while let Some(argument) = arguments.next() {
        let (name, inline) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument, None),
        };
        match name {
            "--help" | "-h" => line.ask = Ask::Help,
            "--version" | "-V" => line.ask = Ask::Version,
            "--print-config" => line.ask = Ask::PrintConfig,
            "--check" => line.ask = Ask::Check,
            "--config" => match inline.or_else(|| arguments.next()) {
                Some(path) => line.config = Some(path.to_owned()),
                None => faults.push(Fault::new("flag --config", "", "expected a path after it")),
            },
            _ if !argument.starts_with("--") => line.operands.push(argument.to_owned()),
            _ => match read_flag(sources, name, inline, &mut arguments) {
                Ok((setting, text)) => line.add(setting, text),
                Err(fault) => faults.push(fault),
            },
        }
    }
    line
}

impl Line {
    fn add(&mut self, setting: &'static Setting, text: String) {
        let before = self.given.iter_mut().find(|given| given.setting.key == setting.key);
        match before {
            Some(given) if setting.list => given.raw.push(Raw::Text(text)),
            Some(given) => given.raw = vec![Raw::Text(text)],
            None => {
                let source = Source::Flag(setting.flag());
                self.given.push(Given { setting, source, raw: vec![Raw::Text(text)] });
            }
        }
    }
}

fn read_flag<'a>(
    sources: Sources<'_>,
    name: &str,
    inline: Option<&str>,
    arguments: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
) -> Result<(&'static Setting, String), Fault> {
    let Some(flag) = name.strip_prefix("--").filter(|flag| !flag.is_empty()) else {
        return Err(Fault::new("command line", "", format!("unexpected argument {name:?}")));
    };
    let settings = || every(sources.table).filter(|setting| setting.kind != Kind::Tables);
    if let Some(setting) = settings().find(|setting| setting.flag() == flag) {
        if let Some(text) = inline {
            return Ok((setting, text.to_owned()));
        }
        if setting.kind == Kind::Flag {
            return Ok((setting, "true".to_owned()));
        }
        // A next flag is no value; `--flag=--odd` remains for texts that begin with dashes.
        let value = arguments.next_if(|next| !next.starts_with("--"));
        let missing = || {
            let problem = format!("expected {} after it", setting.kind.expected());
            Fault::new(format!("flag --{flag}"), setting.key, problem)
        };
        return value.map(|text| (setting, text.to_owned())).ok_or_else(missing);
    }
    if inline.is_none() {
        // The value of an unknown flag is not a second fault.
        arguments.next_if(|next| !next.starts_with('-'));
    }
    let flags: Vec<String> = settings().map(Setting::flag).collect();
    let known = flags.iter().map(String::as_str).chain([
        "config",
        "check",
        "print-config",
        "help",
        "version",
    ]);
    Err(Fault::unknown("command line", flag, known))
}

fn read_environment(sources: Sources<'_>) -> (Vec<Given>, Option<String>, Vec<String>) {
    let prefix = environment_prefix(sources.daemon);
    let (mut given, mut config, mut warnings) = (Vec::new(), None, Vec::new());
    for (name, text) in sources.environment {
        let Some(key) = name.strip_prefix(&prefix) else { continue };
        if key == "CONFIG" {
            config = Some(text.clone());
            continue;
        }
        let setting = every(sources.table)
            .find(|setting| setting.key.to_uppercase() == key && setting.kind != Kind::Tables);
        let Some(setting) = setting else {
            // Orchestrators set variables under a service's name, so this is no reason to refuse.
            warnings.push(format!("environment {name}: no such setting, left alone"));
            continue;
        };
        let raw = match setting.list {
            true => text.split(',').map(|item| Raw::Text(item.trim().to_owned())).collect(),
            false => vec![Raw::Text(text.clone())],
        };
        given.push(Given { setting, source: Source::Environment(name.clone()), raw });
    }
    (given, config, warnings)
}

fn read_file(
    table: &'static [Setting],
    path: &str,
    given: &mut Vec<Given>,
    faults: &mut Vec<Fault>,
) {
    let text = match file_text(path) {
        Ok(text) => text,
        Err(problem) => return faults.push(Fault::new(path, "", problem)),
    };
    // Editors on Windows put a byte order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (document, errors) = DeTable::parse_recoverable(text);
    // By line, so that they read in the file's order.
    let mut found = BTreeMap::new();
    for error in &errors {
        let place = Place::of(path, text, error.span().map_or(0, |span| span.start));
        found.insert(place.line, Fault::new(place.to_string(), "", error.message()));
    }
    for (key, value) in document.get_ref() {
        let place = Place::of(path, text, key.span().start);
        let number = place.line;
        if found.contains_key(&number) {
            continue;
        }
        let source = Source::File(place);
        let Some(setting) = every(table).find(|setting| setting.key == key.get_ref()) else {
            let known = every(table).map(|setting| setting.key);
            found.insert(number, Fault::unknown(source.to_string(), key.get_ref(), known));
            continue;
        };
        let raw = match setting.kind {
            Kind::Tables => vec![tables(setting.key, path, text, value)],
            _ => raw_values(setting, value),
        };
        let item = Given { setting, source, raw };
        match item.values() {
            Ok(_) => given.push(item),
            Err(fault) => _ = found.insert(number, fault),
        }
    }
    faults.extend(found.into_values());
}

fn file_text(path: &str) -> Result<String, String> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(CONFIG_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    let bytes = read().map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > CONFIG_FILE_BYTES_MAX {
        return Err(format!("is larger than {CONFIG_FILE_BYTES_MAX} bytes, so no settings file"));
    }
    String::from_utf8(bytes).map_err(|error| format!("is not UTF-8 text: {error}"))
}

/// The values of one key of a table within the file, whose settings are a table of their own.
pub(super) fn values_in_table(
    setting: &'static Setting,
    place: Place,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<Value>, Fault> {
    let raw = raw_values(setting, value);
    Given { setting, source: Source::File(place), raw }.values()
}

fn raw_values(setting: &Setting, value: &Spanned<DeValue<'_>>) -> Vec<Raw> {
    match value.get_ref() {
        DeValue::Array(items) if setting.list => {
            items.iter().map(|item| raw_value(setting.kind, item.get_ref())).collect()
        }
        other => vec![raw_value(setting.kind, other)],
    }
}

fn raw_value(kind: Kind, value: &DeValue<'_>) -> Raw {
    let typed = match (kind, value) {
        (Kind::Flag, DeValue::Boolean(on)) => Some(Value::Flag(*on)),
        (Kind::Count, DeValue::Integer(integer)) => {
            u64::from_str_radix(integer.as_str(), integer.radix()).ok().map(Value::Count)
        }
        (Kind::Float, DeValue::Integer(integer)) => Value::parse(kind, integer.as_str()),
        (Kind::Float, DeValue::Float(float)) => Value::parse(kind, float.as_str()),
        (Kind::Flag | Kind::Count | Kind::Float, _) => None,
        (_, DeValue::String(text)) => return Raw::Text(text.to_string()),
        _ => None,
    };
    typed.map_or_else(|| Raw::Wrong(found(value)), Raw::Typed)
}

fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{}\"", text.escape_debug()),
        DeValue::Integer(integer) => integer.as_str().to_owned(),
        DeValue::Float(float) => float.as_str().to_owned(),
        DeValue::Boolean(on) => on.to_string(),
        other => format!("a TOML {}", other.type_str()),
    }
}

/// `[[key]]` or `[key.NAME]` as a whole; the daemon reads it again, with places.
fn tables(key: &'static str, path: &str, text: &str, value: &Spanned<DeValue<'_>>) -> Raw {
    let is_table = |item: &Spanned<DeValue<'_>>| matches!(item.get_ref(), DeValue::Table(_));
    let are_tables = match value.get_ref() {
        DeValue::Array(items) => items.iter().all(is_table),
        DeValue::Table(items) => items.values().all(is_table),
        _ => false,
    };
    match plain(value.get_ref()).filter(|_| are_tables) {
        Some(content) => Raw::Typed(Value::Tables(Document::new(key, path, text, content))),
        None => Raw::Wrong(found(value.get_ref())),
    }
}

/// The value without its spans; none for a number that TOML can write and Rust cannot hold.
fn plain(value: &DeValue<'_>) -> Option<toml::Value> {
    Some(match value {
        DeValue::String(text) => toml::Value::String(text.to_string()),
        DeValue::Integer(integer) => {
            toml::Value::Integer(i64::from_str_radix(integer.as_str(), integer.radix()).ok()?)
        }
        DeValue::Float(float) => toml::Value::Float(float.as_str().parse().ok()?),
        DeValue::Boolean(on) => toml::Value::Boolean(*on),
        DeValue::Datetime(time) => toml::Value::Datetime(*time),
        DeValue::Array(items) => toml::Value::Array(
            items.iter().map(|item| plain(item.get_ref())).collect::<Option<_>>()?,
        ),
        DeValue::Table(table) => toml::Value::Table(
            table
                .iter()
                .map(|(key, item)| Some((key.get_ref().to_string(), plain(item.get_ref())?)))
                .collect::<Option<_>>()?,
        ),
    })
}
