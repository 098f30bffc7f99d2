//! `/metrics/find`, `/metrics/list`, `/info` and what the zipper can.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use metric::Window;
use prost::Message as _;
use remote::{FetchPlan, FindRequest};
use serde_json::json;
use wire::pb_v3;
use wire::reply::{Format, encode_find, encode_info};

use super::asked::plan_of;
use super::{Answer, Asked};
use crate::failure::Failure;
use crate::gate::weight_of;
use crate::view::{View, Views};

/// What the zipper speaks, best first: carbonapi looks at the first alone.
const PROTOCOLS: [&str; 6] = [
    "carbonapi_v3_pb",
    "carbonapi_v2_pb",
    "graphite-web-pickle",
    "graphite-web-pickle-1.1",
    "carbonapi_v2_json",
    "msgpack",
];

pub(super) async fn find(view: Arc<View>, asked: Asked) -> Result<Answer, Failure> {
    let request = if asked.message.is_empty() {
        let (from, until) = (asked.number("from")?, asked.number("until")?);
        let now = asked.number("now")?.unwrap_or_else(|| view.context.clock.now_unix_seconds());
        // graphite-web says -1 for no time.
        let (from, until) = (from.filter(|&t| t >= 0), until.filter(|&t| t >= 0));
        let window = (from.is_some() || until.is_some())
            .then(|| Window::new(from.unwrap_or(0), until.unwrap_or(now)));
        let plan = FetchPlan { now, ..FetchPlan::default() };
        FindRequest { patterns: asked.all("query"), window, plan }
    } else {
        let message: pb_v3::MultiGlobRequest = asked.decode(&view)?;
        let window = Window::new(message.start_time, message.stop_time);
        let plan = plan_of(&view, message.plan);
        let window = Some(window).filter(|window| window.until != 0);
        FindRequest { patterns: message.metrics, window, plan }
    };
    if request.patterns.is_empty() {
        return Err(Failure::BadRequest("no query is given".to_owned()));
    }
    view.within("targets_max", request.patterns.len(), view.limits.targets_max)?;
    let weight = weight_of(request.patterns.iter().map(String::as_str));
    let _pass = view.enter(&asked.tenant, weight, &asked.deadline).await?;
    let shadow = view.shadow.as_ref();
    let turn = shadow.and_then(|shadow| shadow.take_find(&request, &asked.deadline));
    let (replies, tally) = view.find(request, &asked.deadline).await?;
    if let Some(turn) = turn {
        turn.begin(&view);
    }
    let body = encode_find(asked.format, &replies, Some(tally.meta(&view)));
    Ok(Answer { content_type: asked.format.content_type(), body: body.into(), tally })
}

pub(super) async fn info(view: Arc<View>, asked: Asked) -> Result<Answer, Failure> {
    let names = if asked.message.is_empty() {
        asked.all("target")
    } else {
        asked.decode::<pb_v3::MultiMetricsInfoRequest>(&view)?.names
    };
    if names.is_empty() {
        return Err(Failure::BadRequest("no target is given".to_owned()));
    }
    view.within("targets_max", names.len(), view.limits.targets_max)?;
    let (infos, tally) = view.info(names, &asked.deadline).await?;
    let body = encode_info(asked.format, &infos)
        .map_err(|error| Failure::BadRequest(error.to_string()))?;
    Ok(Answer { content_type: asked.format.content_type(), body: body.into(), tally })
}

pub(super) async fn list(view: Arc<View>, asked: Asked) -> Result<Answer, Failure> {
    let (metrics, tally) = view.list(&asked.deadline).await?;
    let body = match asked.format {
        Format::Json => json!({ "Metrics": metrics }).to_string().into_bytes(),
        // The message is the same in both protocols.
        Format::V2 | Format::V3 => pb_v3::ListMetricsResponse { metrics }.encode_to_vec(),
        format @ (Format::Pickle | Format::Msgpack) => {
            let problem = format!("format={}: a list has no such format", format.name());
            return Err(Failure::BadRequest(problem));
        }
    };
    Ok(Answer { content_type: asked.format.content_type(), body: body.into(), tally })
}

/// Answers in v3 where that is asked for, with nothing where the old protocol is (which carbonapi
/// reads as just that), and otherwise in JSON.
pub(super) async fn capabilities(
    State(views): State<Arc<Views>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let supported_protocols = PROTOCOLS.map(str::to_owned).to_vec();
    let name = format!("plumbago-{}", views.current().context.name);
    let capabilities =
        pb_v3::CapabilityResponse { supported_protocols, name, ..Default::default() };
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let query = query.unwrap_or_default();
    let named = query.split('&').find_map(|pair| pair.strip_prefix("format="));
    let format = accept
        .and_then(Format::from_content_type)
        .filter(|format| *format == Format::V3)
        .or_else(|| named.and_then(Format::parse))
        .unwrap_or_default();
    let body = match format {
        Format::V3 => capabilities.encode_to_vec(),
        Format::V2 => Vec::new(),
        Format::Json | Format::Pickle | Format::Msgpack => {
            let kind = [(header::CONTENT_TYPE, Format::Json.content_type())];
            let protocols = &capabilities.supported_protocols;
            let text = json!({"supportedProtocols": protocols, "name": capabilities.name});
            return (kind, text.to_string()).into_response();
        }
    };
    ([(header::CONTENT_TYPE, format.content_type())], body).into_response()
}
