//! `plumbago migrate`: other programs' configurations as ours, with a report of what differs.

mod carbonapi;
mod draft;
mod go_carbon;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use yaml_rust2::YamlLoader;

use crate::invocation::{Context, Failure, Run};
use draft::{Draft, File};

/// Sections that a file of go-carbon has, one of them at least.
const GO_CARBON_SECTIONS: [&str; 3] = ["whisper", "cache", "carbonserver"];

/// Keys that a file of carbonapi has, one of them at least.
const CARBONAPI_KEYS: [&str; 4] = ["upstreams", "listeners", "backends", "zipper"];

#[derive(clap::Args)]
pub(crate) struct Migrate {
    /// Configuration of go-carbon, carbonapi, carbon-c-relay, carbon-relay-ng or Python carbon;
    /// which one, it tells itself.
    file: PathBuf,
    /// Folder to write the settings files into, none of which may be there; without it they are
    /// printed.
    folder: Option<PathBuf>,
}

impl Run for Migrate {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let draft = draft(&self.file)?;
        if let Some(folder) = &self.folder {
            for file in &draft.files {
                write_new(&folder.join(file.name()), &file.text())?;
            }
        }
        if context.json {
            let files = draft.files.iter();
            let files: Vec<Value> = files
                .map(|file| json!({"program": file.program, "file": file.name(), "settings": file.text()}))
                .collect();
            writeln!(context.out, "{}", json!({"files": files, "report": draft.report()}))?;
            return Ok(());
        }
        if self.folder.is_none() {
            for file in &draft.files {
                writeln!(context.out, "# ---- {}, for {}", file.name(), file.program)?;
                writeln!(context.out, "{}", file.text())?;
            }
        }
        context.say_plainly(&draft.summary());
        Ok(())
    }
}

fn draft(path: &Path) -> Result<Draft, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::of(path, &error))?;
    let has = |value: &Value, keys: &[&str]| keys.iter().any(|key| value.get(key).is_some());
    if let Ok(table) = text.parse::<toml::Table>() {
        let value = serde_json::to_value(table).map_err(|error| Failure::of(path, &error))?;
        if has(&value, &GO_CARBON_SECTIONS) {
            return Ok(go_carbon::convert(&value));
        }
    }
    let yaml = YamlLoader::load_from_str(&text);
    if let (Err(error), Some("yaml" | "yml")) = (&yaml, path.extension().and_then(OsStr::to_str)) {
        return Err(Failure::of(path, error));
    }
    if let Ok(documents) = yaml {
        let value = documents.first().map_or(Value::Null, draft::of_yaml);
        if has(&value, &CARBONAPI_KEYS) {
            return Ok(carbonapi::convert(&value));
        }
    }
    let relay = relay::import(path).map_err(|faults| {
        let first = faults.first().map(ToString::to_string).unwrap_or_default();
        Failure::new(format!(
            "{first} (no file of go-carbon, carbonapi, carbon-relay-ng or Python carbon either)"
        ))
    })?;
    let mut draft = Draft::default();
    draft.files.push(File::whole("plumbago-relay", relay));
    Ok(draft)
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let written = fs::create_dir_all(folder)
        .and_then(|()| fs::File::create_new(path))
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::of(path, &error))
}

#[cfg(test)]
mod tests;
