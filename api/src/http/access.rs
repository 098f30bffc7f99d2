//! Who asked for what: the access log, and the log of slow queries.
//!
//! A request ends when its body has been sent, or when its client has left before that.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderMap;
use axum::response::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::Api;
use crate::errors::Refusal;
use crate::queries::{About, Ticket};

/// Request headers that say for whom a request is made, each with its field in logs and lists.
const ORIGIN: [(&str, &str); 7] = [
    ("x-dashboard-id", "dashboard"),
    ("x-dashboard-uid", "dashboard"),
    ("x-panel-id", "panel"),
    ("x-grafana-org-id", "org"),
    ("x-grafana-user", "user"),
    ("x-forwarded-for", "forwarded_for"),
    ("traceparent", "trace"),
];

/// Characters of such a header, and of a request in the access log.
const SHOWN_CHARS_MAX: usize = 200;

/// What is known of a request before it is read.
pub(super) fn about(request: &Request, path: &str) -> About {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    About {
        client: peer.map(|peer| peer.0.ip()),
        method: request.method().to_string(),
        path: path.to_owned(),
        origin: origin(request.headers()),
    }
}

fn origin(headers: &HeaderMap) -> Vec<(&'static str, String)> {
    let mut origin: Vec<(&'static str, String)> = Vec::new();
    for (header, field) in ORIGIN {
        let value = headers.get(header).and_then(|value| value.to_str().ok());
        if let Some(value) = value
            && !origin.iter().any(|(known, _)| *known == field)
        {
            origin.push((field, value.chars().take(SHOWN_CHARS_MAX).collect()));
        }
    }
    origin
}

/// The response, with its request in the list and not yet logged until it has been sent.
pub(super) fn watched(
    api: Arc<Api>,
    response: Response,
    ticket: Ticket,
    began: Duration,
) -> Response {
    ticket.query.enter("sending");
    let (parts, body) = response.into_parts();
    let status = parts.status.as_u16();
    let head = api.clock.monotonic();
    // Without a body, or where only its head was asked for, nothing is left to be sent.
    let is_whole = body.is_end_stream() || ticket.query.about().method == "HEAD";
    let watch = Watch { api, ticket, began, head, status, bytes: 0, is_whole };
    Response::from_parts(parts, Body::new(Watched { body, watch }))
}

/// Logs a request when it is dropped.
struct Watch {
    api: Arc<Api>,
    ticket: Ticket,
    began: Duration,
    head: Duration,
    status: u16,
    bytes: u64,
    is_whole: bool,
}

impl Watch {
    /// One line: fields that are not there are left out.
    fn line(&self, shown_chars_max: usize) -> String {
        let query = &self.ticket.query;
        let about = query.about();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let asked: String = query.asked().chars().take(shown_chars_max).collect();
        let client = about.client.map_or_else(|| "-".to_owned(), |ip| ip.to_string());
        let mut line = format!(
            "{client} {} {} {} bytes={} head_ms={:.1} total_ms={:.1} evaluated_ms={:.1}",
            about.method,
            about.path,
            self.status,
            self.bytes,
            ms(self.head.saturating_sub(self.began)),
            ms(self.api.clock.monotonic().saturating_sub(self.began)),
            ms(query.evaluated()),
        );
        if !self.is_whole {
            line.push_str(" cut_off=true");
        }
        for (field, value) in &about.origin {
            line.push_str(&format!(" {field}={value:?}"));
        }
        line.push_str(&format!(" asked={asked:?}"));
        line
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let serving = &self.api.config.serving;
        if self.head.saturating_sub(self.began) >= serving.slow_query {
            self.api.metrics.counter("plumbago_api_slow_queries_total").inc();
            tracing::warn!("slow query: {}", self.line(usize::MAX));
        } else if serving.access_log && tracing::enabled!(tracing::Level::INFO) {
            tracing::info!("{}", self.line(SHOWN_CHARS_MAX));
        }
    }
}

/// A body that knows when it has been sent.
struct Watched {
    body: Body,
    watch: Watch,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        // The answer that says so is let out.
        if this.watch.status < 400 && this.watch.ticket.query.is_cancelled() {
            return Poll::Ready(Some(Err(axum::Error::new(Refusal::Cancelled))));
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(task));
        match &frame {
            Some(Ok(frame)) => {
                this.watch.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                this.watch.is_whole |= this.body.is_end_stream();
            }
            Some(Err(_)) => {}
            None => this.watch.is_whole = true,
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
    fn who_asks_is_what_grafana_and_proxies_say_each_once() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-dashboard-uid", "uid"),
            ("x-dashboard-id", "12"),
            ("x-panel-id", "3"),
            ("x-forwarded-for", "192.0.2.7"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("authorization", "Basic Z3JhZmFuYTpzZWNyZXQ="),
        ] {
            headers.insert(name, value.parse().expect("a header"));
        }
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let known =
            [("dashboard", "12"), ("panel", "3"), ("forwarded_for", "192.0.2.7"), ("trace", trace)];
        let known = known.map(|(field, value)| (field, value.to_owned()));
        assert_eq!(origin(&headers), known, "and no password");
    }
}
