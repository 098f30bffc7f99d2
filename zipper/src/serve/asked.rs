//! A request as it came: parameters of the URL and of the form, or a message.

use std::net::SocketAddr;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Form, FromRequest as _, Query, Request};
use axum::http::{HeaderMap, Method, Uri, header};
use bytes::Bytes;
use remote::access::Caller;
use remote::{DEADLINE_HEADER, Deadline, FetchPlan, OnBehalf};
use wire::pb::{self, Caps, PbError};
use wire::pb_v3;
use wire::reply::Format;

use crate::failure::Failure;
use crate::node::Kind;
use crate::view::View;

/// Names who asks, so that no one of them takes all of the nodes' time.
const TENANT_HEADER: &str = "x-plumbago-tenant";

type Pairs = Vec<(String, String)>;

/// What a request says.
#[derive(Debug)]
pub(super) struct Asked {
    /// The path, for what is passed on.
    pub(super) path: String,
    /// The parameters, in the order given.
    pub(super) pairs: Pairs,
    /// A message; empty where there is none or a form.
    pub(super) message: Bytes,
    /// The format of the answer.
    pub(super) format: Format,
    pub(super) deadline: Deadline,
    pub(super) partial_allowed: bool,
    pub(super) may_delete: bool,
    /// Who asks.
    pub(super) tenant: String,
}

impl Asked {
    /// Reads all of a request.
    pub(super) async fn read(view: &View, kind: Kind, request: Request) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let left = parts.headers.get(DEADLINE_HEADER).and_then(|text| text.to_str().ok());
        let Caller { name: reader, within, may_delete, passed: headers } =
            Caller::of(&parts.extensions);
        let deadline = view.deadline(kind, left.and_then(|text| text.parse().ok()));
        let deadline = deadline.of(OnBehalf { within, headers });
        let mut pairs = query_pairs(&parts.uri)?;
        let bytes_max = view.limits.request_bytes_max;
        let Ok(message) = to_bytes(body, bytes_max).await else {
            let problem = format!("body not read whole; request_bytes_max allows {bytes_max}");
            return Err(Failure::BadRequest(problem));
        };
        let mut message = message;
        // A message needs its format in the URL; a form may bring the format along.
        let is_message = format(kind, &pairs, &parts.headers)? == Format::V3;
        if !is_message && !message.is_empty() {
            pairs.extend(form_pairs(std::mem::take(&mut message)).await?);
        }
        let format = format(kind, &pairs, &parts.headers)?;
        let partial_allowed = match last(&pairs, "partial") {
            None => view.partial_allowed,
            Some("allow") => true,
            Some("deny") => false,
            Some(other) => {
                let problem = format!("partial={other}: expected allow or deny");
                return Err(Failure::BadRequest(problem));
            }
        };
        let path = parts.uri.path().to_owned();
        let named = parts.headers.get(TENANT_HEADER).and_then(|text| text.to_str().ok());
        let client = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let tenant = match (&reader, named, client) {
            (Some(reader), ..) => reader.to_string(),
            (None, Some(named), _) => named.to_owned(),
            (None, None, Some(ConnectInfo(client))) => client.ip().to_string(),
            (None, None, None) => String::new(),
        };
        Ok(Self { path, pairs, message, format, deadline, partial_allowed, may_delete, tenant })
    }

    /// The message.
    pub(super) fn decode<M: prost::Message + Default>(&self, view: &View) -> Result<M, Failure> {
        // A few fields beside the targets.
        let items_max = view.limits.targets_max.saturating_add(8);
        let caps = Caps { bytes_max: view.limits.request_bytes_max, items_max };
        pb::decode(&self.message, caps).map_err(|error| match error {
            PbError::TooMany { .. } => {
                let allowed = view.limits.targets_max;
                let refused = view.within("targets_max", items_max.saturating_add(1), allowed);
                refused.err().unwrap_or_else(|| Failure::BadRequest(error.to_string()))
            }
            error => Failure::BadRequest(error.to_string()),
        })
    }

    /// The last value of a parameter.
    pub(super) fn one(&self, key: &str) -> Option<&str> {
        last(&self.pairs, key)
    }

    /// All values of a parameter, also of its form `key[]`.
    pub(super) fn all(&self, key: &str) -> Vec<String> {
        let named =
            |(given, _): &&(String, String)| given.strip_suffix("[]").unwrap_or(given) == key;
        self.pairs.iter().filter(named).map(|(_, value)| value.clone()).collect()
    }

    /// A whole number, if it is given.
    pub(super) fn number(&self, key: &str) -> Result<Option<i64>, Failure> {
        let number = |text: &str| {
            let problem = || format!("{key}={text}: expected whole seconds since 1970");
            text.parse().ok().ok_or_else(|| Failure::BadRequest(problem()))
        };
        self.one(key).filter(|text| !text.is_empty()).map(number).transpose()
    }
}

/// The plan that came along, or a new one that begins now.
pub(super) fn plan_of(view: &View, plan: Option<pb_v3::Plan>) -> FetchPlan {
    let mut plan = plan.map(FetchPlan::from_wire).unwrap_or_default();
    if plan.now == 0 {
        plan.now = view.context.clock.now_unix_seconds();
    }
    plan
}

fn last<'p>(pairs: &'p Pairs, key: &str) -> Option<&'p str> {
    pairs.iter().rev().find(|(given, _)| given == key).map(|(_, value)| value.as_str())
}

fn query_pairs(uri: &Uri) -> Result<Pairs, Failure> {
    let Query(pairs) = Query::try_from_uri(uri)
        .map_err(|error| Failure::BadRequest(format!("parameters of the URL: {error}")))?;
    Ok(pairs)
}

async fn form_pairs(body: Bytes) -> Result<Pairs, Failure> {
    let request = Request::builder()
        .method(Method::POST)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body))
        .expect("a request of constants");
    let Form(pairs) = Form::from_request(request, &())
        .await
        .map_err(|error| Failure::BadRequest(format!("parameters of the form: {error}")))?;
    Ok(pairs)
}

/// What `format=` names; carbonapi's Accept header wins, as with go-carbon. Tags are always JSON.
fn format(kind: Kind, pairs: &Pairs, headers: &HeaderMap) -> Result<Format, Failure> {
    if kind == Kind::Tags {
        return Ok(Format::Json);
    }
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if accept.and_then(Format::from_content_type) == Some(Format::V3) {
        return Ok(Format::V3);
    }
    match last(pairs, "format") {
        None | Some("") => Ok(Format::default()),
        Some(name) => Format::parse(name)
            .ok_or_else(|| Failure::BadRequest(format!("format={name}: no such format"))),
    }
}
