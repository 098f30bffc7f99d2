//! Requests over kept connections.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use daemon::Clock;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use parking_lot::Mutex;
use wire::birth::{BORN_HEADER, Birth};
use wire::pb_v3::{self, CapabilityResponse, Meta};
use wire::reply::{self, FindReply, Format, InfoReply, RenderDecoder};

use crate::allowance::Allowance;
use crate::connections::{ClientSettings, Connections};
use crate::deadline::{DEADLINE_HEADER, Deadline, OnBehalf, WITHIN_HEADER, in_time};
use crate::endpoint::Endpoint;
use crate::error::{RemoteError, RemoteErrorKind as Kind, causes};
use crate::protocol;
use crate::query_string::encode_pairs;
use crate::request::{FetchRequest, FindRequest};
use crate::stream::{FetchReply, FetchStream, Received, Rest, shown};

/// How much of a failing server's words is read.
const ERROR_BYTES_MAX: usize = 4096;

/// A client of one read API.
#[derive(Debug)]
pub struct Client {
    endpoint: Endpoint,
    settings: ClientSettings,
    http: Connections,
    /// What the endpoint speaks, once it has said so.
    protocol: Mutex<Option<Format>>,
    clock: Arc<dyn Clock>,
    received: Received,
    /// What the last reply said of it; none before there was one.
    birth: Mutex<Option<Birth>>,
}

/// One request before it has an address.
struct Call<'a> {
    method: Method,
    path_and_query: &'a str,
    format: Format,
    content_type: &'static str,
    body: Vec<u8>,
}

impl<'a> Call<'a> {
    fn get(path_and_query: &'a str, format: Format) -> Self {
        let content_type = "";
        let (method, body) = (Method::GET, Vec::new());
        Self { method, path_and_query, format, content_type, body }
    }

    /// carbonapi sends its messages as the body of a GET, and go-carbon wants them there.
    fn message(path_and_query: &'a str, message: &impl prost::Message) -> Self {
        let content_type = Format::V3.content_type();
        let body = message.encode_to_vec();
        Self { content_type, body, ..Self::get(path_and_query, Format::V3) }
    }

    fn form(path_and_query: &'a str, format: Format, form: String) -> Self {
        let content_type = "application/x-www-form-urlencoded";
        let call = Self::get(path_and_query, format);
        Self { method: Method::POST, content_type, body: form.into_bytes(), ..call }
    }
}

/// A reply with status 200 whose body is still to come.
struct Answer {
    head: HeaderMap,
    /// As its content type says, or else as asked for.
    format: Format,
    body: Incoming,
}

/// The whole of it.
struct Reply {
    format: Format,
    bytes: Vec<u8>,
}

impl Client {
    /// A client that has not connected yet.
    #[must_use]
    pub fn new(endpoint: Endpoint, settings: ClientSettings, clock: Arc<dyn Clock>) -> Self {
        let http = Connections::new(&settings);
        let (protocol, received, birth) = (Mutex::default(), Received::default(), Mutex::default());
        Self { endpoint, settings, http, protocol, clock, received, birth }
    }

    /// Whom it asks.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The clock that its deadlines are on.
    #[must_use]
    pub const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Bytes of all replies so far.
    #[must_use]
    pub fn received(&self) -> Received {
        Arc::clone(&self.received)
    }

    /// Since when the other side has what it has, by its last reply; none if there was none yet.
    #[must_use]
    pub fn birth(&self) -> Option<Birth> {
        *self.birth.lock()
    }

    /// Fetches series. Nothing found is an empty reply.
    ///
    /// # Errors
    /// No connection, no answer in time, another status than 200 and 404, or an unreadable reply.
    pub async fn fetch(
        &self,
        request: &FetchRequest,
        deadline: &Deadline,
    ) -> Result<FetchReply, RemoteError> {
        let allowance = Allowance::new(u64::MAX);
        self.fetch_within(request, deadline, &allowance).await
    }

    /// As [`Client::fetch`]; `allowance` counts the reply while it arrives: what it takes as series is
    /// about as much.
    ///
    /// # Errors
    /// As [`Client::fetch`], and when the allowance is used up.
    pub async fn fetch_within(
        &self,
        request: &FetchRequest,
        deadline: &Deadline,
        allowance: &Allowance,
    ) -> Result<FetchReply, RemoteError> {
        self.named(self.fetch_any(request, deadline, allowance).await)
    }

    async fn fetch_any(
        &self,
        request: &FetchRequest,
        deadline: &Deadline,
        allowance: &Allowance,
    ) -> Result<FetchReply, Kind> {
        let format = self.protocol(deadline).await?;
        let call = render_call(request, format, deadline);
        let series = async {
            match self.exchange(call, deadline).await? {
                None => Ok(FetchReply::default()),
                Some(answer) => self.series(request, answer, allowance, deadline).await,
            }
        };
        in_time(deadline, series).await
    }

    /// Reads series as they arrive.
    async fn series(
        &self,
        request: &FetchRequest,
        Answer { format, body, .. }: Answer,
        allowance: &Allowance,
        deadline: &Deadline,
    ) -> Result<FetchReply, Kind> {
        let mut decoder = RenderDecoder::new(format, self.settings.reply);
        self.each_frame(body, |bytes| {
            take(allowance, bytes.len() as u64)?;
            self.judged(decoder.push(bytes))
        })
        .await?;
        let decoded = self.judged(decoder.finish())?;
        let series = shown(decoded.series, deadline);
        let series = match format {
            Format::V2 | Format::Json => protocol::with_expressions(request, series),
            _ => series,
        };
        Ok(FetchReply { series, meta: decoded.meta, folded: decoded.folded })
    }

    /// Begins to fetch series. A reply that is sent in pieces is read in pieces, a short one at once.
    ///
    /// # Errors
    /// As [`Client::fetch`].
    pub async fn fetch_stream(
        &self,
        request: &FetchRequest,
        deadline: &Deadline,
    ) -> Result<FetchStream, RemoteError> {
        self.named(self.begin_fetch(request, deadline).await)
    }

    async fn begin_fetch(
        &self,
        request: &FetchRequest,
        deadline: &Deadline,
    ) -> Result<FetchStream, Kind> {
        let format = self.protocol(deadline).await?;
        let call = render_call(request, format, deadline);
        let begun = async {
            let endpoint = self.endpoint.clone();
            let Some(answer) = self.exchange(call, deadline).await? else {
                let nothing = FetchReply::default();
                return Ok(FetchStream::new(endpoint, &HeaderMap::new(), nothing, None));
            };
            let head = answer.head.clone();
            if answer.format != Format::V3 || answer.body.size_hint().exact().is_some() {
                let whole =
                    self.series(request, answer, &Allowance::new(u64::MAX), deadline).await?;
                return Ok(FetchStream::new(endpoint, &head, whole, None));
            }
            let decoder = RenderDecoder::new(answer.format, self.settings.reply);
            let (deadline, received) = (deadline.clone(), self.received());
            let rest = Rest { body: answer.body, decoder, deadline, received };
            Ok(FetchStream::new(endpoint, &head, FetchReply::default(), Some(rest)))
        };
        in_time(deadline, begun).await
    }

    /// Finds names: one reply per pattern, in the order asked.
    ///
    /// # Errors
    /// As [`Client::fetch`].
    pub async fn find(
        &self,
        request: &FindRequest,
        deadline: &Deadline,
    ) -> Result<(Vec<FindReply>, Option<Meta>), RemoteError> {
        self.named(self.find_any(request, deadline).await)
    }

    async fn find_any(
        &self,
        request: &FindRequest,
        deadline: &Deadline,
    ) -> Result<(Vec<FindReply>, Option<Meta>), Kind> {
        let format = self.protocol(deadline).await?;
        if format == Format::V3 {
            let message = request.to_v3(deadline);
            let call = Call::message("/metrics/find/?format=carbonapi_v3_pb", &message);
            return self.find_call(call, &request.patterns, deadline).await;
        }
        // The older protocols answer the first pattern alone.
        let mut replies = Vec::with_capacity(request.patterns.len());
        for pattern in &request.patterns {
            let path = find_path(pattern, request, format);
            let pattern = std::slice::from_ref(pattern);
            replies.extend(self.find_call(Call::get(&path, format), pattern, deadline).await?.0);
        }
        Ok((replies, None))
    }

    async fn find_call(
        &self,
        call: Call<'_>,
        patterns: &[String],
        deadline: &Deadline,
    ) -> Result<(Vec<FindReply>, Option<Meta>), Kind> {
        let (replies, meta) = match self.call(call, deadline).await? {
            None => (Vec::new(), None),
            Some(Reply { format, bytes }) => {
                self.judged(reply::decode_find(format, &bytes, self.settings.reply))?
            }
        };
        let mut replies = replies;
        let within = &deadline.waiting().within;
        let is_seen = |found: &reply::FindMatch| match found.is_leaf {
            true => within.holds(&found.path),
            false => within.leads_through(&found.path),
        };
        replies.iter_mut().for_each(|reply| reply.matches.retain(is_seen));
        Ok((protocol::by_pattern(patterns, replies), meta))
    }

    /// The headers of the files of some series; those that do not exist are left out.
    ///
    /// # Errors
    /// As [`Client::fetch`].
    pub async fn info(
        &self,
        names: &[String],
        deadline: &Deadline,
    ) -> Result<Vec<InfoReply>, RemoteError> {
        let mut infos = Vec::new();
        let within = &deadline.waiting().within;
        for name in names.iter().filter(|name| within.holds(name)) {
            // One by one: go-carbon answers nothing at all when one of several is missing.
            infos.extend(self.named(self.info_one(name, deadline).await)?);
        }
        Ok(infos)
    }

    async fn info_one(&self, name: &str, deadline: &Deadline) -> Result<Vec<InfoReply>, Kind> {
        let format = match self.protocol(deadline).await? {
            Format::Pickle | Format::Msgpack => Format::Json,
            format => format,
        };
        let path;
        let call = if format == Format::V3 {
            let names = vec![name.to_owned()];
            let message = pb_v3::MultiMetricsInfoRequest { names };
            Call::message("/info/?format=carbonapi_v3_pb", &message)
        } else {
            let query = encode_pairs([("target", name), ("format", format.name())]);
            path = format!("/info/?{query}");
            Call::get(&path, format)
        };
        match self.call(call, deadline).await? {
            None => Ok(Vec::new()),
            Some(Reply { format, bytes }) => {
                self.judged(reply::decode_info(format, &bytes, self.settings.reply))
            }
        }
    }

    /// The names of all series.
    ///
    /// # Errors
    /// As [`Client::fetch`].
    pub async fn list(&self, deadline: &Deadline) -> Result<Vec<String>, RemoteError> {
        let call = Call::get("/metrics/list/?format=carbonapi_v3_pb", Format::V3);
        let Some(reply) = self.named(self.call(call, deadline).await)? else {
            return Ok(Vec::new());
        };
        let decoded = wire::pb::decode(&reply.bytes, self.settings.reply);
        let mut list: pb_v3::ListMetricsResponse =
            self.named(decoded.map_err(|error| Kind::Decode(error.to_string())))?;
        list.metrics.retain(|name| deadline.waiting().within.holds(name));
        Ok(list.metrics)
    }

    /// What a GET answers as JSON, for the tag endpoints; null where there is no such thing.
    ///
    /// # Errors
    /// As [`Client::fetch`].
    pub async fn json(
        &self,
        path_and_query: &str,
        deadline: &Deadline,
    ) -> Result<serde_json::Value, RemoteError> {
        let call = Call::get(path_and_query, Format::Json);
        let Some(reply) = self.named(self.call(call, deadline).await)? else {
            return Ok(serde_json::Value::Null);
        };
        let value = serde_json::from_slice(&reply.bytes);
        self.named(value.map_err(|error| Kind::Decode(error.to_string())))
    }

    /// What a POST of a form answers as JSON; null where there is no such thing.
    ///
    /// # Errors
    /// As [`Client::fetch`].
    pub async fn post_json(
        &self,
        path: &str,
        form: String,
        deadline: &Deadline,
    ) -> Result<serde_json::Value, RemoteError> {
        let call = Call::form(path, Format::Json, form);
        let Some(reply) = self.named(self.call(call, deadline).await)? else {
            return Ok(serde_json::Value::Null);
        };
        let value = serde_json::from_slice(&reply.bytes);
        self.named(value.map_err(|error| Kind::Decode(error.to_string())))
    }

    /// What the other side speaks.
    ///
    /// # Errors
    /// As [`Client::fetch`].
    pub async fn capabilities(
        &self,
        deadline: &Deadline,
    ) -> Result<CapabilityResponse, RemoteError> {
        self.named(self.ask_capabilities(deadline).await)
    }

    async fn ask_capabilities(&self, deadline: &Deadline) -> Result<CapabilityResponse, Kind> {
        let path = "/_internal/capabilities/?format=carbonapi_v3_pb";
        match self.call(Call::get(path, Format::V3), deadline).await? {
            None => Ok(protocol::assumed("graphite-web-pickle")),
            Some(reply) if reply.bytes.is_empty() => Ok(protocol::assumed("carbonapi_v2_pb")),
            Some(reply) => wire::pb::decode(&reply.bytes, self.settings.reply)
                .map_err(|error| Kind::Decode(error.to_string())),
        }
    }

    /// The protocol to speak, asked for once; a failure to find out is asked again.
    async fn protocol(&self, deadline: &Deadline) -> Result<Format, Kind> {
        if let Some(format) = *self.protocol.lock() {
            return Ok(format);
        }
        let capabilities = self.ask_capabilities(deadline).await?;
        let Some(format) = protocol::best(&capabilities) else {
            let theirs = capabilities.supported_protocols.join(", ");
            return Err(Kind::Decode(format!("no protocol in common, it speaks `{theirs}`")));
        };
        *self.protocol.lock() = Some(format);
        Ok(format)
    }

    /// After an unreadable reply the protocol is asked for anew: another program may have taken
    /// the address.
    fn judged<T>(&self, decoded: Result<T, reply::ReplyError>) -> Result<T, Kind> {
        decoded.map_err(|error| {
            *self.protocol.lock() = None;
            Kind::from(error)
        })
    }

    fn named<T>(&self, result: Result<T, Kind>) -> Result<T, RemoteError> {
        result.map_err(|kind| RemoteError { endpoint: self.endpoint.clone(), kind })
    }

    /// One request and its whole reply; none for status 404.
    async fn call(&self, call: Call<'_>, deadline: &Deadline) -> Result<Option<Reply>, Kind> {
        let reply = async {
            let Some(Answer { format, body, .. }) = self.exchange(call, deadline).await? else {
                return Ok(None);
            };
            let mut bytes = Vec::new();
            self.each_frame(body, |frame| {
                bytes.extend_from_slice(frame);
                Ok(())
            })
            .await?;
            Ok(Some(Reply { format, bytes }))
        };
        in_time(deadline, reply).await
    }

    /// One request; none for status 404.
    async fn exchange(&self, call: Call<'_>, deadline: &Deadline) -> Result<Option<Answer>, Kind> {
        let malformed = |error: http::Error| Kind::Decode(format!("request: {error}"));
        let mut request = Request::builder()
            .method(call.method)
            .uri(self.endpoint.uri(call.path_and_query).map_err(malformed)?)
            .header(header::ACCEPT, call.format.content_type())
            .header(DEADLINE_HEADER, deadline.remaining_ms());
        let OnBehalf { within, headers } = deadline.waiting();
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if !headers.contains_key(header::AUTHORIZATION)
            && let Some(token) = self.settings.credentials.authorization()
        {
            request = request.header(header::AUTHORIZATION, token);
        }
        if let Some(within) = within.to_text() {
            request = request.header(WITHIN_HEADER, within);
        }
        if !call.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, call.content_type);
        }
        let request = request.body(Full::from(call.body)).map_err(malformed)?;
        let response = self.http.here().request(request).await.map_err(|error| {
            if error.is_connect() {
                Kind::Connect(causes(&error))
            } else {
                Kind::Broken(causes(&error))
            }
        })?;
        let status = response.status();
        if !matches!(status, StatusCode::OK | StatusCode::NOT_FOUND) {
            return Err(refusal(status, response.into_body()).await);
        }
        *self.birth.lock() = Some(birth_of(response.headers()));
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let format = content_format(&response).unwrap_or(call.format);
        let (head, body) = response.into_parts();
        Ok(Some(Answer { head: head.headers, format, body }))
    }

    /// Hands on a body as it comes, until it is longer than allowed.
    async fn each_frame(
        &self,
        mut body: Incoming,
        mut take: impl FnMut(&[u8]) -> Result<(), Kind>,
    ) -> Result<(), Kind> {
        let bytes_max = self.settings.reply.bytes_max;
        let too_large = || Kind::TooLarge(format!("reply of more than {bytes_max} bytes"));
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(too_large());
        }
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Kind::Broken(causes(&error)))?;
            let Ok(data) = frame.into_data() else { continue };
            bytes += data.len();
            self.received.fetch_add(data.len() as u64, Ordering::Relaxed);
            if bytes > bytes_max {
                return Err(too_large());
            }
            take(&data)?;
        }
        Ok(())
    }
}

fn take(allowance: &Allowance, bytes: u64) -> Result<(), Kind> {
    let allowed = allowance.bytes_max();
    allowance.take(bytes).map_err(|asked| Kind::Allowance { asked, allowed })
}

fn content_format(response: &Response<Incoming>) -> Option<Format> {
    Format::from_content_type(response.headers().get(header::CONTENT_TYPE)?.to_str().ok()?)
}

/// Peers say nothing of it.
fn birth_of(head: &HeaderMap) -> Birth {
    let text = head.get(BORN_HEADER).and_then(|text| text.to_str().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The status with the first line of the words that came along.
pub(crate) async fn refusal(status: StatusCode, mut body: Incoming) -> Kind {
    let mut words = Vec::new();
    while words.len() < ERROR_BYTES_MAX {
        let Some(Ok(frame)) = body.frame().await else { break };
        words.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
    }
    words.truncate(ERROR_BYTES_MAX);
    let words = String::from_utf8_lossy(&words);
    let line = words.trim().lines().next().unwrap_or_default().trim_end().to_owned();
    Kind::Status { code: status.as_u16(), line }
}

fn render_call(request: &FetchRequest, format: Format, deadline: &Deadline) -> Call<'static> {
    if format == Format::V3 {
        Call::message("/render/?format=carbonapi_v3_pb", &request.to_v3(deadline))
    } else {
        Call::form("/render/", format, render_form(request, format))
    }
}

fn render_form(request: &FetchRequest, format: Format) -> String {
    let (from, until) = (request.window.from.to_string(), request.window.until.to_string());
    let now = request.plan.now.to_string();
    let mut pairs: Vec<(&str, &str)> =
        request.targets.iter().map(|target| ("target", target.pattern.as_str())).collect();
    pairs.extend([("from", from.as_str()), ("until", &until), ("format", format.name())]);
    // For graphite-web: its own stores alone, no cache, our moment for now.
    pairs.extend([("local", "1"), ("noCache", "1"), ("now", &now)]);
    encode_pairs(pairs)
}

fn find_path(pattern: &str, request: &FindRequest, format: Format) -> String {
    let mut pairs = vec![("query", pattern), ("format", format.name()), ("local", "1")];
    let times = request.window.map(|window| (window.from.to_string(), window.until.to_string()));
    if let Some((from, until)) = &times {
        pairs.extend([("from", from.as_str()), ("until", until)]);
    }
    format!("/metrics/find/?{}", encode_pairs(pairs))
}
