//! `/metrics/index.json`: all series, sorted, written while they are sent.
//!
//! Tagged ones stand there by the path of their file, as graphite-web lists them, so that lists of old and new
//! stores can be compared; `tagged=1` shows their names.

use axum::response::Response;
use daemon::pieces::Source;
use metric::path::relative_path;

use super::{Api, Call, with_type};
use crate::errors::Refusal;
use crate::format::json;
use crate::pieces;

pub(super) async fn answer(api: &Api, call: &Call) -> Result<Response, Refusal> {
    let wrapping = call.wrapping()?;
    let asking = api.backend.begin(api.clock.now_unix_seconds()).of(&call.caller);
    let mut names = api.backend.list(&asking).await?;
    if !call.params.is_on("tagged") {
        let tagged = names.iter_mut().filter(|name| metric::tags::is_tagged(name));
        tagged.for_each(|name| *name = relative_path(name).replace('/', "."));
    }
    names.sort_unstable();
    names.dedup();
    let is_called = wrapping.jsonp.is_some();
    let body = pieces::body(Names { names: names.into_iter(), written: 0 }, wrapping);
    Ok(with_type(if is_called { "text/javascript" } else { "application/json" }, body))
}

/// The names that are still to be written.
struct Names {
    names: std::vec::IntoIter<String>,
    written: usize,
}

impl Source for Names {
    fn write_more(&mut self, out: &mut Vec<u8>) -> bool {
        let name = self.names.next();
        if self.written == 0 {
            out.push(b'[');
        } else if name.is_some() {
            out.extend_from_slice(b", ");
        }
        self.written += 1;
        match name {
            Some(name) => json::push(out, &name),
            None => {
                out.push(b']');
                return false;
            }
        }
        true
    }
}
