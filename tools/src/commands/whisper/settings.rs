//! The commands that change a file's header.

use std::path::{Path, PathBuf};

use ::whisper::{Header, Method};
use serde_json::{Value, json};

use super::{open_to_write, text};
use crate::invocation::{Context, Failure, Run};

/// What a file's header said, and says.
struct Change {
    old: Header,
    new: Header,
}

/// Sets what is given.
fn change(path: &Path, method: Option<Method>, factor: Option<f64>) -> Result<Change, Failure> {
    let mut file = open_to_write(path)?;
    let old = file.header().clone();
    file.set(method, factor).map_err(|error| Failure::of(path, &error))?;
    Ok(Change { old, new: file.header().clone() })
}

impl Change {
    fn json(&self) -> Value {
        let side = |header: &Header| {
            let factor = f64::from(header.x_files_factor);
            json!({"aggregationMethod": header.method.name(), "xFilesFactor": factor})
        };
        json!({"old": side(&self.old), "new": side(&self.new)})
    }

    fn method_text(&self, path: &Path) -> String {
        let (name, old, new) = (text::name(path), self.old.method, self.new.method);
        format!("Updated aggregation method: {name} ({old} -> {new})")
    }

    fn factor_text(&self, path: &Path, new: f64) -> String {
        let old = text::shortest(f64::from(self.old.x_files_factor));
        let (name, new) = (text::name(path), text::shortest(new));
        format!("Updated xFilesFactor: {name} ({old} -> {new})")
    }
}

#[derive(clap::Args)]
pub(crate) struct Set {
    /// The file to change.
    path: PathBuf,
    /// The new aggregation method.
    #[arg(long)]
    method: Option<String>,
    /// The new xFilesFactor.
    #[arg(long, allow_hyphen_values = true)]
    xff: Option<String>,
}

impl Run for Set {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let usage = |error: String| Failure::usage(&self.path, &error);
        let method = self.method.as_deref().map(text::method).transpose().map_err(usage)?;
        let factor = self.xff.as_deref().map(text::factor).transpose().map_err(usage)?;
        if method.is_none() && factor.is_none() {
            return Err(usage("nothing to set: give --method or --xff".to_owned()));
        }
        let change = change(&self.path, method, factor)?;
        if context.json {
            writeln!(context.out, "{}", change.json())?;
            return Ok(());
        }
        if method.is_some() {
            writeln!(context.out, "{}", change.method_text(&self.path))?;
        }
        if factor.is_some() {
            let stored = f64::from(change.new.x_files_factor);
            writeln!(context.out, "{}", change.factor_text(&self.path, stored))?;
        }
        Ok(())
    }
}

#[derive(clap::Args)]
pub(crate) struct SetMethod {
    /// The file to change.
    path: PathBuf,
    /// The new aggregation method.
    method: String,
    /// The new xFilesFactor (default: the old one).
    xff: Option<String>,
}

impl Run for SetMethod {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let usage = |error: String| Failure::usage(&self.path, &error);
        let method = text::method(&self.method).map_err(usage)?;
        let factor = self.xff.as_deref().map(text::factor).transpose().map_err(usage)?;
        let change = change(&self.path, Some(method), factor)?;
        let text =
            if context.json { change.json().to_string() } else { change.method_text(&self.path) };
        Ok(writeln!(context.out, "{text}")?)
    }
}

#[derive(clap::Args)]
pub(crate) struct SetFactor {
    /// The file to change.
    path: PathBuf,
    /// The new xFilesFactor, from 0 to 1.
    #[arg(allow_hyphen_values = true)]
    xff: String,
}

impl Run for SetFactor {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let factor = text::factor(&self.xff).map_err(|error| Failure::usage(&self.path, &error))?;
        let change = change(&self.path, None, Some(factor))?;
        // The script repeats the number it was given, not the single precision that is stored.
        let text = if context.json {
            change.json().to_string()
        } else {
            change.factor_text(&self.path, factor)
        };
        Ok(writeln!(context.out, "{text}")?)
    }
}
