//! zstd and gzip for clients that ask for them, piece by piece.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::{Body as HttpBody, Frame};

/// Smaller answers are sent as they are.
const BYTES_MIN: u64 = 1024;

/// zstd's fastest ordinary level.
const ZSTD_LEVEL: i32 = 1;

/// A coding that this server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Zstd,
    Gzip,
}

/// By name; where a client likes several as much, the first is taken.
const CODINGS: [(&str, Coding); 2] = [("zstd", Coding::Zstd), ("gzip", Coding::Gzip)];

/// Compresses the body if the client takes that and it is worth it.
pub(super) fn compress(response: Response, asked: &HeaderMap) -> Response {
    let (mut parts, body) = response.into_parts();
    parts.headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    let small = body.size_hint().upper().is_some_and(|bytes| bytes < BYTES_MIN);
    let Some(coding) = wanted(asked).filter(|_| !small) else {
        return Response::from_parts(parts, body);
    };
    // Without memory for an encoder the body goes as it is.
    let Ok(encoder) = Encoder::new(coding) else { return Response::from_parts(parts, body) };
    let (name, _) = CODINGS.iter().find(|row| row.1 == coding).expect("every coding has its row");
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::new(Compressed { body, encoder: Some(encoder) }))
}

/// The coding that the client gives the greatest weight, if not 0.
fn wanted(headers: &HeaderMap) -> Option<Coding> {
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
    let mut best: Option<(f32, Coding)> = None;
    let named: Vec<(&str, f32)> = lists.flat_map(|list| list.split(',')).map(weighed).collect();
    for (name, coding) in CODINGS {
        let weight = named.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let weight = weight.map_or(0.0, |(_, weight)| *weight);
        if weight > best.map_or(0.0, |(weight, _)| weight) {
            best = Some((weight, coding));
        }
    }
    best.map(|(_, coding)| coding)
}

fn weighed(coding: &str) -> (&str, f32) {
    let mut parts = coding.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    (name, parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0))
}

enum Encoder {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Gzip(GzEncoder<Vec<u8>>),
}

impl Encoder {
    fn new(coding: Coding) -> io::Result<Self> {
        Ok(match coding {
            Coding::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?),
            Coding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
        })
    }

    /// Takes a piece in; gives back what is ready, which may be nothing.
    fn push(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd(encoder) => {
                encoder.write_all(piece)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Self::Gzip(encoder) => {
                encoder.write_all(piece)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd(encoder) => encoder.finish(),
            Self::Gzip(encoder) => encoder.finish(),
        }
    }
}

/// A body on its way through the encoder, which is gone once the last bytes are out.
struct Compressed {
    body: Body,
    encoder: Option<Encoder>,
}

impl HttpBody for Compressed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        loop {
            let Some(encoder) = &mut this.encoder else { return Poll::Ready(None) };
            let out = match ready!(Pin::new(&mut this.body).poll_frame(task)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => encoder.push(&piece),
                    Err(_trailers) => continue,
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => this.encoder.take().map_or_else(|| Ok(Vec::new()), Encoder::finish),
            };
            match out {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes.into())))),
                Err(error) => return Poll::Ready(Some(Err(axum::Error::new(error)))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_is_taken_only_where_it_is_wanted() {
        for (list, coding) in [
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("zstd;q=0.4, GZIP;q=0.5", Some(Coding::Gzip)),
            ("gzip;q=0", None),
            ("br", None),
            ("zstd; q=x", Some(Coding::Zstd)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(list));
            assert_eq!(wanted(&headers), coding, "{list}");
        }
    }
}
