//! `--import`: other relays' configurations as a settings file of ours, with a comment for
//! everything that differs.

mod c_relay;
mod carbon;
mod draft;
mod expression;
mod relay_ng;

use std::path::Path;

use daemon::Fault;

/// Reads a configuration of carbon-c-relay, of carbon-relay-ng (TOML) or of Python carbon
/// (`carbon.conf` with the files beside it), whichever it is, and gives our settings file.
///
/// # Errors
/// A file that cannot be read or understood, with the place.
pub fn import(path: &Path) -> Result<String, Vec<Fault>> {
    let text = read(path)?;
    let draft = match text.parse::<toml::Table>() {
        Ok(table) if !table.is_empty() => relay_ng::convert(&table),
        _ if is_carbon_conf(&text) => carbon::convert(path, &text)?,
        _ => c_relay::convert(path, &text)?,
    };
    Ok(draft.to_toml())
}

fn read(path: &Path) -> Result<String, Vec<Fault>> {
    std::fs::read_to_string(path)
        .map_err(|error| vec![Fault::new(path.display().to_string(), "", error.to_string())])
}

/// Whether the text has one of the sections of carbon.conf.
fn is_carbon_conf(text: &str) -> bool {
    text.lines().map(str::trim).any(|line| {
        let section = line.strip_prefix('[').and_then(|rest| rest.split([':', ']']).next());
        matches!(section, Some("relay" | "aggregator" | "cache"))
    })
}

/// A fault at a byte of a file.
fn fault(path: &Path, text: &str, offset: usize, problem: impl Into<String>) -> Fault {
    let place = daemon::settings::Place::of(&path.display().to_string(), text, offset);
    Fault::new(place.to_string(), "", problem)
}

#[cfg(test)]
mod tests;
