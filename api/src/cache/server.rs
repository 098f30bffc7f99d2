//! A server that keeps replies for several apis: Redis or memcached, spoken as plainly as both allow.
//!
//! It is never waited for longer than its timeout, and after a failure it is left alone for a
//! while: without it, and with a broken one, everything is answered all the same.

use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use daemon::{Clock, Counter, Registry};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;

/// How long the server is left alone after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// Largest value that is asked for or sent.
const VALUE_BYTES_MAX: usize = 4 << 20;

/// Longest line of an answer.
const LINE_BYTES_MAX: u64 = 512;

/// Connections that are kept open.
const IDLE_MAX: usize = 16;

/// memcached takes longer times for a date.
const MEMCACHED_SECONDS_MAX: u64 = 30 * 86_400;

/// What a cache server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheProtocol {
    /// RESP, as Redis and its kin have it.
    Redis,
    /// memcached's text protocol.
    Memcached,
}

/// A cache server as a setting names it: `redis://HOST:PORT`, `memcached://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheServer {
    /// What it speaks.
    pub protocol: CacheProtocol,
    /// Host and port.
    pub address: String,
}

impl FromStr for CacheServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let protocols = [("redis", CacheProtocol::Redis), ("memcached", CacheProtocol::Memcached)];
        let (scheme, address) = text.split_once("://").unwrap_or_default();
        let known = protocols.iter().find(|(name, _)| *name == scheme);
        let has_port =
            address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        match known {
            Some((_, protocol)) if has_port => {
                Ok(Self { protocol: *protocol, address: address.to_owned() })
            }
            _ => Err("expected redis://HOST:PORT or memcached://HOST:PORT".to_owned()),
        }
    }
}

/// A client of one cache server.
#[derive(Debug)]
pub(crate) struct Server {
    server: CacheServer,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    idle: Mutex<Vec<BufStream<TcpStream>>>,
    left_alone_until: Mutex<Duration>,
    failures: Counter,
}

impl Server {
    pub(crate) fn new(
        server: CacheServer,
        timeout: Duration,
        clock: &Arc<dyn Clock>,
        metrics: &Registry,
    ) -> Self {
        Self {
            server,
            timeout,
            clock: Arc::clone(clock),
            idle: Mutex::default(),
            left_alone_until: Mutex::default(),
            failures: metrics.counter("plumbago_api_cache_server_failures_total"),
        }
    }

    /// The value of a key, which has to be short and without blanks.
    pub(crate) async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let protocol = self.server.protocol;
        self.call(async |stream| match protocol {
            CacheProtocol::Redis => redis_get(stream, key).await,
            CacheProtocol::Memcached => memcached_get(stream, key).await,
        })
        .await
        .flatten()
    }

    /// Keeps a value for a time.
    pub(crate) async fn put(&self, key: &str, value: &[u8], good_for: Duration) {
        if value.len() > VALUE_BYTES_MAX {
            return;
        }
        let protocol = self.server.protocol;
        // Nobody waits for this, and who did could do nothing about a failure, which is counted.
        let _kept: Option<()> = self
            .call(async |stream| match protocol {
                CacheProtocol::Redis => redis_put(stream, key, value, good_for).await,
                CacheProtocol::Memcached => memcached_put(stream, key, value, good_for).await,
            })
            .await;
    }

    /// One exchange on one connection, which is kept only if all went well.
    async fn call<T>(
        &self,
        exchange: impl AsyncFnOnce(&mut BufStream<TcpStream>) -> io::Result<T>,
    ) -> Option<T> {
        if self.clock.monotonic() < *self.left_alone_until.lock() {
            return None;
        }
        let idle = self.idle.lock().pop();
        let talk = async {
            let mut stream = match idle {
                Some(stream) => stream,
                None => {
                    let stream = TcpStream::connect(&self.server.address).await?;
                    stream.set_nodelay(true)?;
                    BufStream::new(stream)
                }
            };
            let answer = exchange(&mut stream).await?;
            Ok::<_, io::Error>((stream, answer))
        };
        let failed = |error: io::Error| {
            self.failures.inc();
            *self.left_alone_until.lock() = self.clock.monotonic().saturating_add(PAUSE);
            tracing::warn!(server = self.server.address, %error, "cache server not used");
        };
        match tokio::time::timeout(self.timeout, talk).await {
            Ok(Ok((stream, answer))) => {
                let mut idle = self.idle.lock();
                if idle.len() < IDLE_MAX {
                    idle.push(stream);
                }
                Some(answer)
            }
            Ok(Err(error)) => {
                // Other kept connections have most likely ended with this one.
                self.idle.lock().clear();
                failed(error);
                None
            }
            Err(_elapsed) => {
                failed(io::ErrorKind::TimedOut.into());
                None
            }
        }
    }
}

async fn line(stream: &mut BufStream<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    stream.take(LINE_BYTES_MAX).read_line(&mut line).await?;
    match line.strip_suffix("\r\n") {
        Some(whole) => Ok(whole.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A value of the length announced, and the line end after it.
async fn value(stream: &mut BufStream<TcpStream>, length: &str) -> io::Result<Vec<u8>> {
    let length = length.parse().ok().filter(|length| *length <= VALUE_BYTES_MAX);
    let length: usize = length.ok_or_else(|| unexpected("a length"))?;
    let mut value = vec![0; length + 2];
    stream.read_exact(&mut value).await?;
    value.truncate(length);
    Ok(value)
}

fn unexpected(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not understood: {what}"))
}

async fn redis_send(stream: &mut BufStream<TcpStream>, words: &[&[u8]]) -> io::Result<()> {
    stream.write_all(format!("*{}\r\n", words.len()).as_bytes()).await?;
    for word in words {
        stream.write_all(format!("${}\r\n", word.len()).as_bytes()).await?;
        stream.write_all(word).await?;
        stream.write_all(b"\r\n").await?;
    }
    stream.flush().await
}

async fn redis_get(stream: &mut BufStream<TcpStream>, key: &str) -> io::Result<Option<Vec<u8>>> {
    redis_send(stream, &[b"GET", key.as_bytes()]).await?;
    let answer = line(stream).await?;
    match answer.strip_prefix('$') {
        Some("-1") => Ok(None),
        Some(length) => value(stream, length).await.map(Some),
        None => Err(unexpected(&answer)),
    }
}

async fn redis_put(
    stream: &mut BufStream<TcpStream>,
    key: &str,
    value: &[u8],
    good_for: Duration,
) -> io::Result<()> {
    let ms = good_for.as_millis().max(1).to_string();
    redis_send(stream, &[b"SET", key.as_bytes(), value, b"PX", ms.as_bytes()]).await?;
    let answer = line(stream).await?;
    if answer == "+OK" { Ok(()) } else { Err(unexpected(&answer)) }
}

async fn memcached_get(
    stream: &mut BufStream<TcpStream>,
    key: &str,
) -> io::Result<Option<Vec<u8>>> {
    stream.write_all(format!("get {key}\r\n").as_bytes()).await?;
    stream.flush().await?;
    let answer = line(stream).await?;
    if answer == "END" {
        return Ok(None);
    }
    let length = answer.strip_prefix("VALUE ").and_then(|rest| rest.rsplit(' ').next());
    let value = value(stream, length.ok_or_else(|| unexpected(&answer))?).await?;
    match line(stream).await?.as_str() {
        "END" => Ok(Some(value)),
        other => Err(unexpected(other)),
    }
}

async fn memcached_put(
    stream: &mut BufStream<TcpStream>,
    key: &str,
    value: &[u8],
    good_for: Duration,
) -> io::Result<()> {
    let seconds = good_for.as_secs().clamp(1, MEMCACHED_SECONDS_MAX);
    let head = format!("set {key} 0 {seconds} {}\r\n", value.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(value).await?;
    stream.write_all(b"\r\n").await?;
    stream.flush().await?;
    match line(stream).await?.as_str() {
        // A value larger than the server takes is none of ours to mend.
        "STORED" | "SERVER_ERROR object too large for cache" => Ok(()),
        other => Err(unexpected(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daemon::clock::Manual;
    use tokio::net::TcpListener;

    #[test]
    fn servers_are_named_by_url() {
        let redis: CacheServer = "redis://127.0.0.1:6379".parse().unwrap();
        assert_eq!((redis.protocol, &redis.address[..]), (CacheProtocol::Redis, "127.0.0.1:6379"));
        for wrong in ["127.0.0.1:6379", "redis://host", "http://host:1", "memcached://h:x"] {
            assert!(wrong.parse::<CacheServer>().is_err(), "{wrong}");
        }
    }

    async fn play(mut stream: TcpStream, script: &[(&str, &str)]) {
        for (expected, answer) in script {
            let mut read = vec![0; expected.len()];
            if stream.read_exact(&mut read).await.is_err() {
                return;
            }
            assert_eq!(String::from_utf8(read).unwrap(), *expected);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    /// A server that expects these words, one connection after the other, and answers each.
    async fn scripted(protocol: CacheProtocol, script: &'static [(&str, &str)]) -> Server {
        let listener = TcpListener::bind(testkit::ANY_PORT).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                play(stream, script).await;
            }
        });
        let clock: Arc<dyn Clock> = Arc::new(Manual::at(1000));
        let server = CacheServer { protocol, address };
        Server::new(server, Duration::from_secs(30), &clock, &Registry::new(crate::METRICS))
    }

    #[tokio::test]
    async fn redis_gets_what_was_put() {
        let server = scripted(
            CacheProtocol::Redis,
            &[
                ("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "$-1\r\n"),
                (
                    "*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\na\r\n\r\n$2\r\nPX\r\n$4\r\n1500\r\n",
                    "+OK\r\n",
                ),
                ("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "$3\r\na\r\n\r\n"),
            ],
        )
        .await;
        assert_eq!(server.get("k").await, None);
        server.put("k", b"a\r\n", Duration::from_millis(1500)).await;
        assert_eq!(server.get("k").await.as_deref(), Some(&b"a\r\n"[..]));
        assert_eq!(server.failures.get(), 0);
    }

    #[tokio::test]
    async fn memcached_gets_what_was_put() {
        let server = scripted(
            CacheProtocol::Memcached,
            &[
                ("get k\r\n", "END\r\n"),
                ("set k 0 1 3\r\nabc\r\n", "STORED\r\n"),
                ("get k\r\n", "VALUE k 0 3\r\nabc\r\nEND\r\n"),
            ],
        )
        .await;
        assert_eq!(server.get("k").await, None);
        server.put("k", b"abc", Duration::from_millis(900)).await;
        assert_eq!(server.get("k").await.as_deref(), Some(&b"abc"[..]));
        assert_eq!(server.failures.get(), 0);
    }

    #[tokio::test]
    async fn what_cannot_be_understood_is_a_failure_and_the_server_is_left_alone_for_a_while() {
        for answer in ["$99999999999\r\n", "-ERR no\r\n", "no line end"] {
            let script: &'static [(&str, &str)] =
                Box::leak(Box::new([("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", answer)]));
            let server = scripted(CacheProtocol::Redis, script).await;
            assert_eq!(server.get("k").await, None, "{answer}");
            assert_eq!(server.get("k").await, None);
            assert_eq!(server.failures.get(), 1, "{answer}");
        }
    }
}
