//! Client of a daemon's admin address: health, metrics, and what the tools ask of storage nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::refusal;
use crate::connections::{ClientSettings, Connections};
use crate::endpoint::Endpoint;
use crate::error::{RemoteError, RemoteErrorKind as Kind, causes};

/// A client of one admin address.
#[derive(Debug, Clone)]
pub struct AdminClient {
    endpoint: Endpoint,
    http: Connections,
    reply_bytes_max: usize,
    traffic: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    exchanges: AtomicU64,
    bytes: AtomicU64,
}

/// What a client has asked so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Requests, those included that were not answered.
    pub exchanges: u64,
    /// Bytes of the bodies of requests and answers.
    pub bytes: u64,
}

impl std::iter::Sum for Traffic {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            exchanges: sum.exchanges + one.exchanges,
            bytes: sum.bytes + one.bytes,
        })
    }
}

impl AdminClient {
    /// A client that has not connected yet.
    #[must_use]
    pub fn new(endpoint: Endpoint, settings: ClientSettings) -> Self {
        let http = Connections::new(&settings);
        let reply_bytes_max = settings.reply.bytes_max;
        Self { endpoint, http, reply_bytes_max, traffic: Arc::default() }
    }

    /// What it and its clones have asked so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        Traffic {
            exchanges: self.traffic.exchanges.load(Ordering::Relaxed),
            bytes: self.traffic.bytes.load(Ordering::Relaxed),
        }
    }

    /// Whom it asks.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The body of a GET.
    ///
    /// # Errors
    /// No connection, no answer within `wait`, another status than 200, or a reply that is too large.
    pub async fn get(&self, path_and_query: &str, wait: Duration) -> Result<Bytes, RemoteError> {
        self.named(self.ask(Method::GET, path_and_query, Bytes::new(), wait).await)
    }

    /// What a GET answers as JSON.
    ///
    /// # Errors
    /// As [`AdminClient::get`], and a reply of another shape.
    pub async fn get_json<T: DeserializeOwned>(
        &self,
        path_and_query: &str,
        wait: Duration,
    ) -> Result<T, RemoteError> {
        let bytes = self.get(path_and_query, wait).await?;
        self.named(decoded(&bytes))
    }

    /// The body of the answer to a POST of JSON.
    ///
    /// # Errors
    /// As [`AdminClient::get`].
    pub async fn post(
        &self,
        path: &str,
        body: &impl Serialize,
        wait: Duration,
    ) -> Result<Bytes, RemoteError> {
        let body = serde_json::to_vec(body).map_err(|error| Kind::Decode(error.to_string()));
        let body = self.named(body)?;
        self.named(self.ask(Method::POST, path, body.into(), wait).await)
    }

    /// What a POST of bytes answers as JSON.
    ///
    /// # Errors
    /// As [`AdminClient::get_json`].
    pub async fn post_bytes<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Bytes,
        wait: Duration,
    ) -> Result<T, RemoteError> {
        let bytes = self.named(self.ask(Method::POST, path, body, wait).await)?;
        self.named(decoded(&bytes))
    }

    /// What a POST of JSON answers as JSON.
    ///
    /// # Errors
    /// As [`AdminClient::get_json`].
    pub async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        wait: Duration,
    ) -> Result<T, RemoteError> {
        let bytes = self.post(path, body, wait).await?;
        self.named(decoded(&bytes))
    }

    async fn ask(
        &self,
        method: Method,
        path_and_query: &str,
        body: Bytes,
        wait: Duration,
    ) -> Result<Bytes, Kind> {
        let asked_bytes = body.len();
        let exchange = self.exchange(method, path_and_query, body);
        let answer = tokio::time::timeout(wait, exchange).await.unwrap_or(Err(Kind::Timeout));
        let bytes = asked_bytes + answer.as_ref().map_or(0, Bytes::len);
        self.traffic.exchanges.fetch_add(1, Ordering::Relaxed);
        self.traffic.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        answer
    }

    async fn exchange(
        &self,
        method: Method,
        path_and_query: &str,
        body: Bytes,
    ) -> Result<Bytes, Kind> {
        let malformed = |error: http::Error| Kind::Decode(format!("request: {error}"));
        let mut request = Request::builder()
            .method(method)
            .uri(self.endpoint.uri(path_and_query).map_err(malformed)?);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::from(body)).map_err(malformed)?;
        let response = self.http.here().request(request).await.map_err(|error| {
            let is_connect = error.is_connect();
            if is_connect { Kind::Connect(causes(&error)) } else { Kind::Broken(causes(&error)) }
        })?;
        if response.status() != StatusCode::OK {
            return Err(refusal(response.status(), response.into_body()).await);
        }
        let whole = Limited::new(response.into_body(), self.reply_bytes_max).collect().await;
        whole.map(|whole| whole.to_bytes()).map_err(|error| Kind::Broken(error.to_string()))
    }

    fn named<T>(&self, result: Result<T, Kind>) -> Result<T, RemoteError> {
        result.map_err(|kind| RemoteError { endpoint: self.endpoint.clone(), kind })
    }
}

fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Kind> {
    serde_json::from_slice(bytes)
        .map_err(|error| Kind::Decode(format!("unexpected reply: {error}")))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::{get, post};

    use super::*;

    const WAIT: Duration = Duration::from_secs(20);

    async fn client(router: Router, reply_bytes_max: usize) -> AdminClient {
        let listener = daemon::listen::tcp("admin", testkit::ANY_PORT).unwrap();
        let endpoint = listener.local_addr().unwrap().to_string().parse().unwrap();
        let (shutdown, limits) = (daemon::Shutdown::new(), daemon::http::Limits::default());
        tokio::spawn(daemon::http::serve(listener, router, shutdown, limits));
        let mut settings = ClientSettings::default();
        settings.reply.bytes_max = reply_bytes_max;
        AdminClient::new(endpoint, settings)
    }

    #[tokio::test]
    async fn json_goes_there_and_back_and_a_refusal_keeps_its_line() {
        let refuse = || async { (StatusCode::CONFLICT, "the lease is held by x\nmore\n") };
        let router = Router::new()
            .route("/echo", post(|body: Bytes| async move { body }))
            .route("/refuse", get(refuse));
        let client = client(router, 1 << 20).await;
        let echoed: Vec<u32> = client.post_json("/echo", &[1, 2], WAIT).await.unwrap();
        assert_eq!(echoed, [1, 2]);
        assert!(client.post_json::<String>("/echo", &[1], WAIT).await.is_err());
        let error = client.get("/refuse", WAIT).await.unwrap_err();
        let line = "the lease is held by x".to_owned();
        assert_eq!(error.kind, Kind::Status { code: 409, line });
    }

    #[tokio::test]
    async fn a_reply_is_not_held_beyond_its_limit() {
        let router = Router::new().route("/large", get(|| async { "x".repeat(100) }));
        let client = client(router, 99).await;
        assert!(client.get("/large", WAIT).await.is_err());
    }
}
