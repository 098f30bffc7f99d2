//! Whole replies, kept for those who ask for the same again.
//!
//! The key is the canonical plan: the targets as they were understood, the window in seconds, and
//! every other parameter. A partial or refused answer is not kept, and neither is an empty one:
//! what it lacks may come at any moment.

use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use query::Request;
use query::ast::Expr;
use remote::OnBehalf;
use remote::access::Caller;
use sha2::{Digest as _, Sha256};

use super::{Api, Call, PARTIAL, QUERY_RANGE};
use crate::errors::Refusal;
use crate::turns::Turn;

const CACHED: HeaderName = HeaderName::from_static("x-plumbago-cached");

/// Larger replies are not kept.
const REPLY_BYTES_MAX: usize = 4 << 20;

/// Parameters that the key holds in another form, or that change nothing in the answer.
const NOT_IN_KEY: [&str; 8] =
    ["target", "target[]", "from", "until", "noCache", "cacheTimeout", "partial", "local"];

/// A reply that was kept.
#[derive(Debug)]
pub(super) struct Answer {
    content_type: HeaderValue,
    range: HeaderValue,
    body: Bytes,
}

/// How long answers to a call are good for, from the request or the settings; zero for no caches.
pub(super) fn good_for(api: &Api, call: &Call) -> Result<Duration, Refusal> {
    let caching = &api.config.caching;
    let asked = call.params.integer("cacheTimeout")?;
    if call.params.is_on("noCache") || call.params.is_on("meta") {
        return Ok(Duration::ZERO);
    }
    let seconds = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    Ok(asked.map_or(caching.time, seconds).min(caching.time_max))
}

/// What a request finds at its place.
pub(super) enum Found {
    /// Its reply.
    Kept(Response),
    /// The turn to read for it, or none if another one has just done so.
    Turn(Option<Turn>),
}

/// The place of one reply in the caches.
pub(super) struct Place {
    key: String,
    good_for: Duration,
}

impl Place {
    /// Where the reply to a call belongs; nowhere if nothing is to be kept.
    pub(super) fn of(
        api: &Api,
        call: &Call,
        request: &Request,
        targets: &[Arc<Expr>],
        good_for: Duration,
    ) -> Option<Self> {
        let is_on = api.replies.is_on() || api.cache_server.is_some();
        if good_for.is_zero() || !is_on {
            return None;
        }
        let mut key = format!("{} {} {}", api.config.backend, request.from, request.until);
        let Caller { within, passed: headers, .. } = call.caller.clone();
        key += &OnBehalf { within, headers }.key();
        let zone = request.tz.iana_name().unwrap_or_default();
        let mut add = |text: std::fmt::Arguments<'_>| {
            key.write_fmt(text).expect("a text takes what is written to it");
        };
        add(format_args!(" {zone}"));
        for target in targets {
            add(format_args!("\n{target}"));
        }
        for (name, value) in call.params.sorted() {
            if !NOT_IN_KEY.contains(&name) && !name.starts_with('_') {
                add(format_args!("\n{name:?}={value:?}"));
            }
        }
        Some(Self { key, good_for })
    }

    /// Keys of a server are short and without blanks.
    fn server_key(&self) -> String {
        let digest = Sha256::digest(format!("{}\n{}", env!("CARGO_PKG_VERSION"), self.key));
        let hex = digest.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        format!("plumbago:{hex}")
    }

    /// The reply, if it is kept; or else the turn to make it, after who is making it just now.
    pub(super) async fn find_or_wait(&self, api: &Api) -> Found {
        match self.find(api).await {
            Some(kept) => Found::Kept(kept),
            None => Found::Turn(api.turns.take(&self.key).await),
        }
    }

    async fn find(&self, api: &Api) -> Option<Response> {
        if let Some((answer, age)) = api.replies.get(&self.key) {
            return Some(response(&answer, age));
        }
        let server = api.cache_server.as_ref()?;
        let found = server.get(&self.server_key()).await.and_then(Answer::read);
        let name = if found.is_some() { "hits" } else { "misses" };
        let name = format!("plumbago_api_cache_{name}_total");
        api.metrics.counter_with(&name, &["server"]).inc();
        Some(response(&found?, Duration::ZERO))
    }

    /// The response, which is kept once all of it has gone out.
    pub(super) fn keep(self, api: &Arc<Api>, response: Response) -> Response {
        let headers = response.headers();
        let kept = (headers.get(header::CONTENT_TYPE), headers.get(QUERY_RANGE));
        let (Some(content_type), Some(range)) = kept else { return response };
        if headers.contains_key(PARTIAL) || !response.status().is_success() {
            return response;
        }
        let (content_type, range) = (content_type.clone(), range.clone());
        let keeping = Keeping { api: Arc::clone(api), place: self, content_type, range };
        let (parts, body) = response.into_parts();
        let body = Kept { body, bytes: Vec::new(), keeping: Some(keeping) };
        Response::from_parts(parts, Body::new(body))
    }
}

fn response(answer: &Answer, age: Duration) -> Response {
    let headers = [
        (header::CONTENT_TYPE, answer.content_type.clone()),
        (QUERY_RANGE, answer.range.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CACHED, HeaderValue::from(age.as_secs())),
    ];
    (headers, answer.body.clone()).into_response()
}

impl Answer {
    /// As a server keeps it: a line each for content type and window, and the body.
    fn write(&self) -> Vec<u8> {
        let lines = [self.content_type.as_bytes(), b"\n", self.range.as_bytes(), b"\n"];
        [&lines.concat(), &self.body[..]].concat()
    }

    fn read(bytes: Vec<u8>) -> Option<Self> {
        let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
        let mut header = || HeaderValue::from_bytes(lines.next()?).ok();
        let (content_type, range) = (header()?, header()?);
        Some(Self { content_type, range, body: Bytes::copy_from_slice(lines.next()?) })
    }
}

struct Keeping {
    api: Arc<Api>,
    place: Place,
    content_type: HeaderValue,
    range: HeaderValue,
}

impl Keeping {
    fn keep(self, body: Vec<u8>) {
        let Self { api, place, content_type, range } = self;
        let answer = Arc::new(Answer { content_type, range, body: body.into() });
        let bytes = answer.body.len() as u64;
        api.replies.put(&place.key, Arc::clone(&answer), bytes, place.good_for);
        if let Some(server) = api.cache_server.clone() {
            // Nobody waits for it.
            tokio::spawn(async move {
                server.put(&place.server_key(), &answer.write(), place.good_for).await;
            });
        }
    }
}

/// A body that is gathered on its way out.
struct Kept {
    body: Body,
    bytes: Vec<u8>,
    /// Gone once it is kept, or too large.
    keeping: Option<Keeping>,
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(task));
        match &frame {
            Some(Ok(frame)) if this.keeping.is_some() => {
                let data = frame.data_ref().map_or(&[][..], |data| data);
                if this.bytes.len() + data.len() > REPLY_BYTES_MAX {
                    (this.keeping, this.bytes) = (None, Vec::new());
                } else {
                    this.bytes.extend_from_slice(data);
                }
            }
            Some(Err(_)) => this.keeping = None,
            _ => {}
        }
        // Who knows from a body that it is at its end does not ask for what comes after.
        if frame.is_none() || this.body.is_end_stream() {
            let bytes = std::mem::take(&mut this.bytes);
            if let Some(keeping) = this.keeping.take() {
                keeping.keep(bytes);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_from_a_server_as_it_went() {
        let answer = Answer {
            content_type: HeaderValue::from_static("application/json"),
            range: HeaderValue::from_static("from=1, until=2"),
            body: Bytes::from_static(b"[\n1]\n"),
        };
        let back = Answer::read(answer.write()).unwrap();
        assert_eq!((back.content_type, back.range), (answer.content_type, answer.range));
        assert_eq!(back.body, answer.body);
        assert!(Answer::read(b"text".to_vec()).is_none());
    }
}
