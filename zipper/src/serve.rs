//! The read API, in the shape of a storage node's, so that whoever can sit on a node can sit here.
//!
//! Every path answers with and without its last slash, by GET and POST. Nothing found is 200 with
//! an empty list, given that nothing is missing; go-carbon's 404 would hide the difference.

mod asked;
mod names;
mod nodes;
mod render;
mod tags;
mod usage;

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};

use crate::failure::Failure;
use crate::node::Kind;
use crate::view::{Tally, View, Views};

use asked::Asked;

/// Response header that marks an incomplete answer and names the nodes whose share is missing.
const PARTIAL_HEADER: &str = "x-plumbago-partial";

/// An answer before its headers.
struct Answer {
    content_type: &'static str,
    body: Body,
    tally: Tally,
}

/// All routes.
pub(crate) fn router(views: Arc<Views>) -> Router {
    // One row per path. GET and POST alike: long requests come as forms.
    macro_rules! route {
        ($kind:expr, $work:path) => {{
            let handler = |State(views): State<Arc<Views>>, request: Request| {
                respond(views.current(), $kind, request, async |view, asked| {
                    $work(view, asked).await
                })
            };
            get(handler).post(handler)
        }};
    }
    let routes: [(&str, MethodRouter<Arc<Views>>); 14] = [
        ("/render", route!(Kind::Render, render::render)),
        ("/metrics/find", route!(Kind::Find, names::find)),
        ("/metrics/list", route!(Kind::List, names::list)),
        ("/metrics/details", route!(Kind::List, usage::details)),
        ("/metrics/list_query", route!(Kind::List, usage::list_query)),
        ("/info", route!(Kind::Info, names::info)),
        ("/tags/autoComplete/tags", route!(Kind::Tags, tags::complete)),
        ("/tags/autoComplete/values", route!(Kind::Tags, tags::complete)),
        ("/tags/findSeries", route!(Kind::Tags, tags::find_series)),
        ("/tags", route!(Kind::Tags, tags::all)),
        ("/tags/{tag}", route!(Kind::Tags, tags::one)),
        ("/_internal/capabilities", get(names::capabilities).post(names::capabilities)),
        ("/_internal/nodes", get(nodes::nodes)),
        ("/lb_check", get(async || "Ok\n")),
    ];
    let delete = |State(views): State<Arc<Views>>, request: Request| {
        let work = async |view, asked| tags::delete(view, asked).await;
        respond(views.current(), Kind::Tags, request, work)
    };
    let mut router = Router::new().route("/tags/delSeries", post(delete));
    for (path, methods) in routes {
        router = router.route(path, methods.clone()).route(&format!("{path}/"), methods);
    }
    router.with_state(views)
}

/// What the zipper adds to the admin address.
pub(crate) fn admin(views: Arc<Views>) -> Router {
    let divergence = async |State(views): State<Arc<Views>>| {
        let report = views.current().divergences.report();
        ([(header::CONTENT_TYPE, "application/json")], report.to_string())
    };
    let shadow = async |State(views): State<Arc<Views>>| {
        let report = views.current().shadow.as_ref().map(|shadow| shadow.report());
        let report = report.unwrap_or_else(|| serde_json::json!({"endpoint": null}));
        ([(header::CONTENT_TYPE, "application/json")], report.to_string())
    };
    Router::new()
        .route("/admin/divergence", get(divergence))
        .route("/admin/shadow", get(shadow))
        .with_state(views)
}

/// Reads a request, has it worked on, and answers; counted and timed.
async fn respond<F>(
    view: Arc<View>,
    kind: Kind,
    request: Request,
    work: impl FnOnce(Arc<View>, Asked) -> F,
) -> Response
where
    F: Future<Output = Result<Answer, Failure>>,
{
    let metrics = &view.context.metrics;
    let labels = [kind.label()];
    metrics.counter_with("plumbago_zipper_requests_total", &labels).inc();
    let began = view.context.clock.monotonic();
    let result = answer(&view, kind, request, work).await;
    let took = view.context.clock.monotonic().saturating_sub(began);
    let durations = metrics.histogram_with("plumbago_zipper_request_duration_seconds", &labels);
    durations.observe(took.as_secs_f64());
    result.unwrap_or_else(|failure| {
        let status = failure.status();
        let labels = [kind.label(), status.as_str()];
        metrics.counter_with("plumbago_zipper_requests_failed_total", &labels).inc();
        failure.into_response()
    })
}

async fn answer<F>(
    view: &Arc<View>,
    kind: Kind,
    request: Request,
    work: impl FnOnce(Arc<View>, Asked) -> F,
) -> Result<Response, Failure>
where
    F: Future<Output = Result<Answer, Failure>>,
{
    let asked = Asked::read(view, kind, request).await?;
    let partial_allowed = asked.partial_allowed;
    let Answer { content_type, body, tally } = work(Arc::clone(view), asked).await?;
    let mut response = ([(header::CONTENT_TYPE, content_type)], body).into_response();
    if !tally.is_partial() {
        return Ok(response);
    }
    let nodes = tally.missing_nodes(view);
    if !partial_allowed {
        return Err(Failure::Partial(nodes));
    }
    let metrics = &view.context.metrics;
    metrics.counter_with("plumbago_zipper_partial_answers_total", &[kind.label()]).inc();
    let printable = |c: char| if c.is_ascii_graphic() { c } else { '?' };
    let nodes: String = nodes.chars().map(printable).collect();
    let value = HeaderValue::try_from(nodes).expect("printable text is a header's value");
    response.headers_mut().insert(PARTIAL_HEADER, value);
    Ok(response)
}
