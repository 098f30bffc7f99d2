//! What a JSON answer may be wrapped in, piece by piece.

mod pretty;

use axum::body::Body;
use daemon::pieces::{self, Source};

pub(crate) use self::pretty::Pretty;

/// What JSON answers are wrapped in.
#[derive(Debug, Default)]
pub(crate) struct Wrapping {
    /// The function to call.
    pub(crate) jsonp: Option<String>,
    /// Indented.
    pub(crate) pretty: bool,
}

/// A body whose next piece is written when it is asked for.
pub(crate) fn body(source: impl Source, wrapping: Wrapping) -> Body {
    let Wrapping { jsonp, pretty } = wrapping;
    if jsonp.is_none() && !pretty {
        return pieces::body(source);
    }
    let pretty = pretty.then(Pretty::default);
    let (prefix, is_called) = (jsonp.as_ref().map(|name| format!("{name}(")), jsonp.is_some());
    pieces::body(Wrapped { source, prefix, is_called, pretty, plain: Vec::new() })
}

/// What a source writes, with something round it.
struct Wrapped<S> {
    source: S,
    prefix: Option<String>,
    is_called: bool,
    pretty: Option<Pretty>,
    /// What is to be indented.
    plain: Vec<u8>,
}

impl<S: Source> Source for Wrapped<S> {
    fn write_more(&mut self, out: &mut Vec<u8>) -> bool {
        if let Some(prefix) = self.prefix.take() {
            out.extend_from_slice(prefix.as_bytes());
        }
        let is_more = match &mut self.pretty {
            None => self.source.write_more(out),
            Some(pretty) => {
                self.plain.clear();
                let is_more = self.source.write_more(&mut self.plain);
                out.extend_from_slice(&pretty.indent(&self.plain));
                is_more
            }
        };
        if !is_more && self.is_called {
            out.push(b')');
        }
        is_more
    }
}
