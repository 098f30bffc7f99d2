//! A request as its handlers want it: parameters from URL and form, the protobuf body, the format, the time it may take.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Form, FromRequest, Query, Request};
use axum::http::{HeaderMap, Method, Uri, header};
use metric::Window;
use prost::Message;
use remote::DEADLINE_HEADER;
use remote::access::Caller;
use wire::pb;
use wire::reply::Format;

use crate::config::ReadLimits;
use crate::read::ReadFault;

/// Parameters of one request: names and patterns have their own, lower limit.
const PARAMETERS_MAX: usize = 100_000;

const FORM_TYPE: &str = "application/x-www-form-urlencoded";

type Pairs = Vec<(String, String)>;

/// One request, read whole.
#[derive(Debug)]
pub(super) struct Params {
    pairs: Pairs,
    /// A body that is no form.
    body: Bytes,
    pub(super) path: String,
    pub(super) format: Format,
    /// Who asks.
    pub(super) caller: Caller,
    /// How long the asker waits.
    pub(super) wait: Option<Duration>,
    limits: ReadLimits,
}

impl Params {
    /// Reads the request; a form's parameters join those of the URL.
    pub(super) async fn read(request: Request, limits: ReadLimits) -> Result<Self, ReadFault> {
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, limits.request_bytes_max);
        let bytes = tokio::time::timeout(limits.request_timeout, bytes).await;
        let mut body = bytes.map_err(|_elapsed| ReadFault::Late)?.map_err(|_unread| {
            let allowed = limits.request_bytes_max;
            ReadFault::limit("the body is larger or was cut off", allowed, "request_bytes_max")
        })?;
        let mut pairs = query_pairs(&parts.uri)?;
        if is_form(&parts.headers) {
            pairs.extend(form_pairs(std::mem::take(&mut body)).await?);
        }
        if pairs.len() > PARAMETERS_MAX {
            return Err(ReadFault::bad(format!("more than {PARAMETERS_MAX} parameters")));
        }
        let format = format(&pairs, &parts.headers)?;
        let wait = wait(&parts.headers)?;
        let path = parts.uri.path().to_owned();
        let caller = Caller::of(&parts.extensions);
        Ok(Self { pairs, body, path, format, caller, wait, limits })
    }

    /// All values of a parameter, also under its name with brackets, as PHP and Grafana send lists.
    pub(super) fn all(&self, key: &str) -> Vec<&str> {
        let is_key = |name: &str| name == key || name.strip_suffix("[]") == Some(key);
        let named = self.pairs.iter().filter(|(name, _)| is_key(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The last value of a parameter that is not empty.
    pub(super) fn one(&self, key: &str) -> Option<&str> {
        self.all(key).into_iter().rfind(|value| !value.is_empty())
    }

    /// A whole number.
    pub(super) fn int(&self, key: &str) -> Result<Option<i64>, ReadFault> {
        let Some(text) = self.one(key) else { return Ok(None) };
        let number = text.parse();
        number
            .map(Some)
            .map_err(|_not_one| ReadFault::bad(format!("{key}={text} is no whole number")))
    }

    /// A limit on answers; without one, or with a negative one, `default`.
    pub(super) fn limit(&self, default: usize) -> Result<usize, ReadFault> {
        let limit = self.int("limit")?;
        Ok(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(default))
    }

    /// The time asked for, if any: graphite-web says -1 for none.
    pub(super) fn window(&self) -> Result<Option<Window>, ReadFault> {
        let bound = |seconds: Option<i64>| seconds.filter(|&seconds| seconds >= 0).unwrap_or(0);
        Ok(window(bound(self.int("from")?), bound(self.int("until")?)))
    }

    /// The request as a protobuf message, if it was sent as one.
    pub(super) fn message<M: Message + Default>(&self) -> Result<Option<M>, ReadFault> {
        if self.format != Format::V3 || self.body.is_empty() {
            return Ok(None);
        }
        // Each target is one item, and there are a few others beside.
        let items_max = self.limits.targets_max.saturating_add(16);
        let caps = pb::Caps { bytes_max: self.limits.request_bytes_max, items_max };
        pb::decode(&self.body, caps)
            .map(Some)
            .map_err(|error| ReadFault::bad(format!("request body: {error}")))
    }
}

/// From two seconds to a window; zero stands for none, at either end.
pub(super) fn window(from: i64, until: i64) -> Option<Window> {
    match (from, until) {
        (0, 0) => None,
        (from, 0) => Some(Window::new(from, i64::MAX)),
        (from, until) => Some(Window::new(from, until)),
    }
}

fn query_pairs(uri: &Uri) -> Result<Pairs, ReadFault> {
    let pairs = Query::<Pairs>::try_from_uri(uri);
    pairs.map(|pairs| pairs.0).map_err(|error| ReadFault::bad(format!("URL: {error}")))
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with(FORM_TYPE))
}

async fn form_pairs(body: Bytes) -> Result<Pairs, ReadFault> {
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = Method::POST;
    let kind = axum::http::HeaderValue::from_static(FORM_TYPE);
    request.headers_mut().insert(header::CONTENT_TYPE, kind);
    let form = Form::<Pairs>::from_request(request, &()).await;
    form.map(|form| form.0).map_err(|error| ReadFault::bad(format!("form: {error}")))
}

/// The header of carbonapi comes before the parameter of everybody.
fn format(pairs: &Pairs, headers: &HeaderMap) -> Result<Format, ReadFault> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if accept == Some(Format::V3.content_type()) {
        return Ok(Format::V3);
    }
    let Some((_, name)) = pairs.iter().rfind(|(key, name)| key == "format" && !name.is_empty())
    else {
        return Ok(Format::default());
    };
    Format::parse(name).ok_or_else(|| {
        let known = "json, pickle, msgpack, carbonapi_v2_pb, carbonapi_v3_pb";
        ReadFault::bad(format!("format {name} is unknown, expected one of {known}"))
    })
}

fn wait(headers: &HeaderMap) -> Result<Option<Duration>, ReadFault> {
    let Some(value) = headers.get(DEADLINE_HEADER) else { return Ok(None) };
    let milliseconds = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let milliseconds = milliseconds
        .ok_or_else(|| ReadFault::bad("X-Plumbago-Deadline-Ms: expected milliseconds to wait"))?;
    Ok(Some(Duration::from_millis(milliseconds)))
}
