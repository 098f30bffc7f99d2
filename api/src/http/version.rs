//! Who this is and whether it can answer.

use axum::response::Response;
use prost::Message as _;
use serde_json::json;
use wire::pb_v3::CapabilityResponse;
use wire::reply::Format;

use super::{Api, Call, with_type};
use crate::errors::Refusal;

/// The version of graphite-web that this API is like; clients compare it with 1.1.
const GRAPHITE_VERSION: &str = "1.1.10";

/// What programs may speak with `/render` and `/metrics/find`, best first.
const PROTOCOLS: [&str; 5] = [
    "carbonapi_v3_pb",
    "carbonapi_v2_pb",
    "msgpack",
    "graphite-web-pickle-1.1",
    "graphite-web-pickle",
];

pub(super) fn version() -> Response {
    with_type("text/plain; charset=utf-8", GRAPHITE_VERSION)
}

/// Fit to take requests from a balancer: only if the backend answers.
pub(super) async fn health(api: &Api) -> Result<Response, Refusal> {
    let asking = api.backend.begin(api.clock.now_unix_seconds());
    api.backend.check(&asking).await?;
    Ok(with_type("text/plain; charset=utf-8", "Ok\n"))
}

pub(super) fn capabilities(call: &Call) -> Result<Response, Refusal> {
    let format = call.params.given("format").unwrap_or("json");
    let name = format!("plumbago-api {}", env!("CARGO_PKG_VERSION"));
    match Format::parse(format) {
        Some(Format::Json) => call.json(&json!({ "supportedProtocols": PROTOCOLS, "name": name })),
        Some(format @ Format::V3) => {
            let supported_protocols = PROTOCOLS.map(str::to_owned).to_vec();
            let message = CapabilityResponse { supported_protocols, name, ..Default::default() };
            Ok(with_type(format.content_type(), message.encode_to_vec()))
        }
        _ => Err(Refusal::parameter("format", "expected json or carbonapi_v3_pb")),
    }
}
