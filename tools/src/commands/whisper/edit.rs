//! The commands that change one file.

use std::path::PathBuf;

use ::whisper::{OnExisting, Spec};
use serde_json::json;

use super::{Context, Failure, open, open_to_write, text};

#[derive(clap::Args)]
pub(super) struct Create {
    /// The file to create.
    pub(super) path: PathBuf,
    /// Archives such as 60s:1d or 1m:1440; a comma list will do.
    #[arg(required = true)]
    retentions: Vec<String>,
    /// The share of finer points a coarser one needs (default 0.5).
    #[arg(long, allow_hyphen_values = true)]
    xff: Option<String>,
    /// How points are aggregated (default average).
    #[arg(long)]
    method: Option<String>,
    /// Replace a file that is there.
    #[arg(long)]
    overwrite: bool,
}

impl Create {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let spec = self.spec().map_err(|error| Failure::usage(&self.path, &error))?;
        let existing = if self.overwrite { OnExisting::Replace } else { OnExisting::Refuse };
        let size = spec.header().and_then(|header| {
            ::whisper::create(&self.path, &spec, existing)?;
            Ok(header.file_bytes())
        });
        let size = size.map_err(|error| Failure::of(&self.path, &error))?;
        let name = text::name(&self.path);
        if context.json {
            writeln!(context.out, "{}", json!({"path": name, "size": size}))?;
        } else {
            writeln!(context.out, "Created: {name} ({size} bytes)")?;
        }
        Ok(())
    }

    fn spec(&self) -> Result<Spec, String> {
        let mut spec = Spec::new(text::retentions(&self.retentions)?);
        if let Some(factor) = &self.xff {
            spec.x_files_factor = text::factor(factor)?;
        }
        if let Some(method) = &self.method {
            spec.method = text::method(method)?;
        }
        Ok(spec)
    }
}

#[derive(clap::Args)]
pub(super) struct Update {
    /// The file to write to.
    pub(super) path: PathBuf,
    /// Points, each TIME:VALUE.
    points: Vec<String>,
    /// Take exactly one point, and refuse one in the future or older than every archive.
    #[arg(long)]
    strict: bool,
}

impl Update {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let usage = |error: String| Failure::usage(&self.path, &error);
        let points = self.points.iter().map(|point| text::point(point));
        let points = points.collect::<Result<Vec<_>, _>>().map_err(usage)?;
        if self.strict && points.len() != 1 {
            return Err(usage("--strict takes exactly one point".to_owned()));
        }
        if points.is_empty() {
            return open(&self.path).map(|_sound| ());
        }
        let mut file = open_to_write(&self.path)?;
        let done = if self.strict {
            let (timestamp, value) = points[0];
            file.update(timestamp, value, context.now)
        } else {
            file.update_many_as_python(&points, context.now)
        };
        done.map_err(|error| Failure::of(&self.path, &error))
    }
}

#[derive(clap::Args)]
pub(super) struct Resize {
    /// The file to change.
    pub(super) path: PathBuf,
    /// The new archives; a comma list will do.
    #[arg(required = true)]
    retentions: Vec<String>,
    /// A new xFilesFactor (default: the old one).
    #[arg(long, allow_hyphen_values = true)]
    xff: Option<String>,
    /// A new aggregation method (default: the old one).
    #[arg(long)]
    method: Option<String>,
    /// Aggregate old points to the new steps.
    #[arg(long)]
    aggregate: bool,
    /// Keep no PATH.bak.
    #[arg(long)]
    nobackup: bool,
}

impl Resize {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let options = self.options().map_err(|error| Failure::usage(&self.path, &error))?;
        ::whisper::resize(&self.path, &options, context.now.truncate())
            .map_err(|error| Failure::of(&self.path, &error))
    }

    fn options(&self) -> Result<::whisper::Resize, String> {
        Ok(::whisper::Resize {
            archives: text::retentions(&self.retentions)?,
            x_files_factor: self.xff.as_deref().map(text::factor).transpose()?,
            method: self.method.as_deref().map(text::method).transpose()?,
            aggregate: self.aggregate,
            backup: !self.nobackup,
        })
    }
}

#[derive(clap::Args)]
pub(super) struct Set {
    /// The file to change.
    pub(super) path: PathBuf,
    /// The new aggregation method.
    #[arg(long)]
    method: Option<String>,
    /// The new xFilesFactor.
    #[arg(long, allow_hyphen_values = true)]
    xff: Option<String>,
}

impl Set {
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let usage = |error: String| Failure::usage(&self.path, &error);
        let method = self.method.as_deref().map(text::method).transpose().map_err(usage)?;
        let factor = self.xff.as_deref().map(text::factor).transpose().map_err(usage)?;
        if method.is_none() && factor.is_none() {
            return Err(usage("nothing to set: give --method or --xff".to_owned()));
        }
        let mut file = open_to_write(&self.path)?;
        let old = settings(file.header());
        file.set(method, factor).map_err(|error| Failure::of(&self.path, &error))?;
        let new = settings(file.header());
        if context.json {
            let side = |(method, factor): &(&str, f64)| json!({"aggregationMethod": method, "xFilesFactor": factor});
            writeln!(context.out, "{}", json!({"old": side(&old), "new": side(&new)}))?;
            return Ok(());
        }
        let name = text::name(&self.path);
        if method.is_some() {
            writeln!(context.out, "Updated aggregation method: {name} ({} -> {})", old.0, new.0)?;
        }
        if factor.is_some() {
            let [old, new] = [old.1, new.1].map(text::shortest);
            writeln!(context.out, "Updated xFilesFactor: {name} ({old} -> {new})")?;
        }
        Ok(())
    }
}

/// What `set` can change.
fn settings(header: &::whisper::Header) -> (&'static str, f64) {
    (header.method.name(), f64::from(header.x_files_factor))
}
