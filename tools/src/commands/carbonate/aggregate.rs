//! `plumbago aggregate`, `whisper-aggregate`: sets aggregation methods from lines `NAME|MODE`.

use std::fs::OpenOptions;

use serde_json::json;
use whisper::{Error, Method, Whisper};

use super::files::{self, Tree};
use super::names::{NameList, lossy};
use crate::invocation::{Context, Failure, Run};

/// What the modes of statsd mean to a file; those without a method are left as graphite has them.
const MODES: [(&str, Option<Method>); 9] = [
    ("last", Some(Method::Last)),
    ("g", Some(Method::Last)),
    ("sum", Some(Method::Sum)),
    ("c", Some(Method::Sum)),
    ("C", Some(Method::Sum)),
    ("average", None),
    ("ms", None),
    ("h", None),
    ("internal", None),
];

#[derive(clap::Args)]
pub(crate) struct Aggregate {
    #[command(flatten)]
    names: NameList,
    #[command(flatten)]
    tree: Tree,
}

/// What one line asks for.
struct Order<'a> {
    name: &'a [u8],
    method: Option<Method>,
}

impl Run for Aggregate {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let (mut set, mut all) = (0_u64, 0_u64);
        self.names.for_each(|line| {
            all += 1;
            let done = parse(line).and_then(|order| self.set(context, &order));
            match done {
                Ok(changed) => set += u64::from(changed),
                Err(error) => context.skip(&format!("line {:?}", lossy(line)), &error),
            }
            Ok(())
        })?;
        context.say(&format!("set the aggregation method of {set} of {all} series"));
        Ok(())
    }
}

impl Aggregate {
    /// Whether the file has been set; one whose mode has no method is left alone.
    fn set(&self, context: &mut Context<'_>, order: &Order<'_>) -> Result<bool, String> {
        let Some(method) = order.method else { return Ok(false) };
        let path = files::path_of(order.name).map_err(|error| error.to_string())?;
        let path = self.tree.dir.join(path);
        let change = || -> Result<Method, Error> {
            let mut file = Whisper::open(OpenOptions::new().read(true).write(true).open(&path)?)?;
            let old = file.header().method;
            file.set(Some(method), None)?;
            Ok(old)
        };
        let old = change().map_err(|error| format!("{}: {error}", path.display()))?;
        if context.json {
            let (old, new) = (old.name(), method.name());
            let line = json!({"metric": lossy(order.name), "old": old, "new": new});
            writeln!(context.out, "{line}").map_err(|error| format!("standard output: {error}"))?;
        }
        Ok(true)
    }
}

fn parse(line: &[u8]) -> Result<Order<'_>, String> {
    let mut parts = line.split(|&byte| byte == b'|');
    let (Some(name), Some(mode), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err("expected NAME|MODE".to_owned());
    };
    let known = MODES.iter().find(|(word, _)| word.as_bytes() == mode);
    let &(_, method) = known.ok_or_else(|| {
        let words: Vec<&str> = MODES.iter().map(|(word, _)| *word).collect();
        format!("unknown mode {:?}, expected one of {}", lossy(mode), words.join(", "))
    })?;
    Ok(Order { name, method })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_a_known_mode() {
        assert_eq!(parse(b"a.b|C").unwrap().method, Some(Method::Sum));
        assert_eq!(parse(b"a.b|ms").unwrap().method, None);
        for line in [&b"a.b"[..], b"a|b|c", b"a.b|max", b"a.b| c"] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }
}
