//! `[[listener]]`: one more port or socket, with all that can be said about it; `line`, `pickle` and
//! `http` are the short forms.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::settings::parse_address;
pub use daemon::tls::TlsFiles as Tls;
use daemon::{Fault, Kind, Setting, Values};

use super::size;

/// What a path is marked with where an address is expected.
const UNIX: &str = "unix:";

/// What a `[[listener]]` table may say.
pub const OPTIONS: &[Setting] = &[
    Setting::new("address", Kind::Text, "", "`HOST:PORT`, or `unix:` and the path of a socket.")
        .value_name("ADDR")
        .required(),
    Setting::new(
        "protocol",
        Kind::Choice(&["line", "pickle", "protobuf", "http"]),
        "line",
        "What is spoken there; pickle and protobuf in frames after four bytes of length.",
    ),
    Setting::new(
        "transport",
        Kind::Choice(&["tcp", "udp"]),
        "tcp",
        "How it travels; udp for lines only. A unix socket is a stream.",
    ),
    Setting::new(
        "tls_cert",
        Kind::Path,
        "",
        "Certificate chain (PEM); with it, the listener speaks TLS 1.2 and 1.3.",
    )
    .value_name("FILE"),
    Setting::new("tls_key", Kind::Path, "", "The certificate's private key (PEM).")
        .value_name("FILE"),
    Setting::new(
        "tls_client_ca",
        Kind::Path,
        "",
        "Certificates (PEM) by which a client's own certificate must be signed: mutual TLS.",
    )
    .value_name("FILE"),
    Setting::new(
        "compression",
        Kind::Choice(&["none", "gzip", "zstd", "lz4", "snappy"]),
        "none",
        "How the whole stream is packed; requests by HTTP say it themselves.",
    ),
    Setting::new(
        "proxy_protocol",
        Kind::Flag,
        "false",
        "Every connection begins with a PROXY header, version 2, that names the sender: for \
         listeners that only a balancer can reach.",
    ),
    Setting::new(
        "connections_max",
        Kind::Count,
        "0",
        "Most connections at a time; 0: as many as all listeners may have together.",
    ),
    Setting::new(
        "bytes_per_second_max",
        Kind::Bytes,
        "0B",
        "What is read in a second, over all connections; senders beyond it wait. 0B: any number.",
    ),
    Setting::new(
        "lines_per_second_max",
        Kind::Count,
        "0",
        "Points read in a second, over all connections; senders beyond it wait. 0: any number.",
    ),
    Setting::new(
        "idle_timeout",
        Kind::Duration,
        "0s",
        "A connection that sends nothing for so long is closed. 0s: never, because collectd and \
         statsd keep theirs for hours; one whose sender is gone is found by TCP keep-alive.",
    ),
    Setting::new(
        "reuse_port",
        Kind::Flag,
        "false",
        "Several processes may listen here, and the kernel spreads connections over them \
         (SO_REUSEPORT).",
    ),
];

/// What is spoken at a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Carbon lines.
    Line,
    /// Python pickles in frames.
    Pickle,
    /// carbonpb in frames.
    Protobuf,
    /// Requests.
    Http,
}

/// How a stream is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878 frames.
    Zstd,
    /// lz4 frames.
    Lz4,
    /// Framed snappy.
    Snappy,
}

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A TCP port.
    Tcp(String),
    /// A UDP port.
    Udp(String),
    /// The same port by TCP and UDP, with the UDP listener's settings otherwise at their defaults.
    TcpAndUdp(String),
    /// The path of a stream socket.
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) | Self::TcpAndUdp(address) => f.write_str(address),
            Self::Udp(address) => write!(f, "udp:{address}"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// One listener.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// The setting it came from, for messages.
    pub setting: &'static str,
    /// Where it listens.
    pub place: Place,
    /// What it takes.
    pub protocol: Protocol,
    /// Whether it speaks TLS.
    pub tls: Option<Tls>,
    /// How streams are packed.
    pub compression: Option<Compression>,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Most connections; none for as many as all listeners may have.
    pub connections_max: Option<usize>,
    /// Bytes a second; none for any number.
    pub bytes_per_second_max: Option<u64>,
    /// Points a second; none for any number.
    pub lines_per_second_max: Option<u64>,
    /// How long a connection may say nothing; none for ever.
    pub idle_timeout: Option<Duration>,
    /// Whether other processes may listen there too.
    pub reuse_port: bool,
}

impl ListenerSettings {
    /// A listener without options.
    #[must_use]
    pub const fn plain(setting: &'static str, place: Place, protocol: Protocol) -> Self {
        Self {
            setting,
            place,
            protocol,
            tls: None,
            compression: None,
            proxy_protocol: false,
            connections_max: None,
            bytes_per_second_max: None,
            lines_per_second_max: None,
            idle_timeout: None,
            reuse_port: false,
        }
    }

    /// Reads one table.
    fn of_table(own: &Values) -> Result<Self, Fault> {
        let protocol = match own.text("protocol") {
            "pickle" => Protocol::Pickle,
            "protobuf" => Protocol::Protobuf,
            "http" => Protocol::Http,
            _ => Protocol::Line,
        };
        let compression = match own.text("compression") {
            "gzip" => Some(Compression::Gzip),
            "zstd" => Some(Compression::Zstd),
            "lz4" => Some(Compression::Lz4),
            "snappy" => Some(Compression::Snappy),
            _ => None,
        };
        let duration = own.duration("idle_timeout");
        let listener = Self {
            tls: Tls::from_values(own, "tls")?,
            compression,
            proxy_protocol: own.flag("proxy_protocol"),
            connections_max: limit(own.count("connections_max")).map(size),
            bytes_per_second_max: limit(own.bytes("bytes_per_second_max")),
            lines_per_second_max: limit(own.count("lines_per_second_max")),
            idle_timeout: (!duration.is_zero()).then_some(duration),
            reuse_port: own.flag("reuse_port"),
            ..Self::plain("listener", place(own)?, protocol)
        };
        listener.check(own)?;
        Ok(listener)
    }

    /// Refuses options that have no meaning together.
    fn check(&self, own: &Values) -> Result<(), Fault> {
        let is_udp = matches!(self.place, Place::Udp(_));
        let is_unix = matches!(self.place, Place::Unix(_));
        let is_http = self.protocol == Protocol::Http;
        let is_paced = self.bytes_per_second_max.or(self.lines_per_second_max).is_some();
        let streams_only = "needs a stream, and `transport` is udp";
        let rules = [
            (is_udp && self.protocol != Protocol::Line, "transport", "udp carries lines only"),
            (is_udp && self.tls.is_some(), "tls_cert", streams_only),
            (is_udp && self.compression.is_some(), "compression", streams_only),
            (is_udp && self.proxy_protocol, "proxy_protocol", streams_only),
            (is_udp && self.connections_max.is_some(), "connections_max", streams_only),
            (is_udp && self.idle_timeout.is_some(), "idle_timeout", streams_only),
            (is_unix && self.reuse_port, "reuse_port", "is for ports, not for unix sockets"),
            (
                is_http && self.compression.is_some(),
                "compression",
                "requests say themselves how they are packed (Content-Encoding)",
            ),
            (
                is_http && is_paced,
                "protocol",
                "requests are limited for each tenant (http_requests_per_second_max and others)",
            ),
        ];
        match rules.into_iter().find(|(breaks, ..)| *breaks) {
            Some((_, key, problem)) => Err(own.fault(key, problem)),
            None => Ok(()),
        }
    }
}

/// A limit where zero means none.
fn limit(number: u64) -> Option<u64> {
    (number > 0).then_some(number)
}

fn place(own: &Values) -> Result<Place, Fault> {
    let (address, is_udp) = (own.text("address"), own.text("transport") == "udp");
    if let Some(path) = address.strip_prefix(UNIX) {
        return match (path, is_udp) {
            ("", _) => Err(own.fault("address", "expected a path after `unix:`")),
            (_, true) => Err(own.fault("transport", "a unix socket is a stream, not udp")),
            _ => Ok(Place::Unix(Path::new(path).to_path_buf())),
        };
    }
    if parse_address(address).is_none() {
        let problem = format!("expected HOST:PORT or unix:PATH, found \"{address}\"");
        return Err(own.fault("address", problem));
    }
    let place = if is_udp { Place::Udp } else { Place::Tcp };
    Ok(place(address.to_owned()))
}

/// All listeners: those of `line`, `pickle` and `http`, then the tables.
pub(super) fn from_values(values: &Values, faults: &mut Vec<Fault>) -> Vec<ListenerSettings> {
    let mut listeners = Vec::new();
    let mut add = |setting, place: fn(String) -> Place, protocol| {
        let addresses = values.list(setting).into_iter().map(str::to_owned);
        let plain = |address| ListenerSettings::plain(setting, place(address), protocol);
        listeners.extend(addresses.map(plain));
    };
    add("line", Place::TcpAndUdp, Protocol::Line);
    add("pickle", Place::Tcp, Protocol::Pickle);
    add("http", Place::Tcp, Protocol::Http);
    let tables = values.document("listener").map(|tables| tables.values(OPTIONS, faults));
    for own in tables.unwrap_or_default() {
        match ListenerSettings::of_table(&own) {
            Ok(listener) => listeners.push(listener),
            Err(fault) => faults.push(fault),
        }
    }
    listeners
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One option that does not fit the others, and the setting that is complained about.
    const UNFIT: &[(&str, &str)] = &[
        ("address = 'here'", "`address`: expected HOST:PORT or unix:PATH, found \"here\""),
        ("address = 'unix:'", "`address`: expected a path"),
        ("address = 'unix:/a'\ntransport = 'udp'", "`transport`: a unix socket"),
        ("address = 'unix:/a'\nreuse_port = true", "`reuse_port`: is for ports"),
        ("address = 'a:1'\ntransport = 'udp'\nprotocol = 'pickle'", "`transport`: udp carries"),
        (
            "address = 'a:1'\ntransport = 'udp'\nidle_timeout = '1s'",
            "`idle_timeout`: needs a stream",
        ),
        ("address = 'a:1'\ntls_cert = 'c'", "`tls_cert`: needs `tls_key`"),
        ("address = 'a:1'\ntls_client_ca = 'c'", "`tls_client_ca`: needs `tls_cert`"),
        ("address = 'a:1'\nprotocol = 'http'\ncompression = 'gzip'", "`compression`: requests say"),
        (
            "address = 'a:1'\nprotocol = 'http'\nlines_per_second_max = 1",
            "`protocol`: requests are",
        ),
        ("address = 'a:1'\nprotocol = 'carbon'", "`protocol`: expected one of line, pickle"),
        ("protocol = 'line'", "`address`: must be set"),
    ];

    const TABLE: &[Setting] = &[
        Setting::new("line", Kind::Address, "0.0.0.0:2003", "Lines.").list(),
        Setting::new("pickle", Kind::Address, "", "Pickles.").list(),
        super::super::HTTP,
        super::super::LISTENER,
    ];

    fn read(text: &str) -> Result<Vec<ListenerSettings>, Vec<Fault>> {
        let folder = testkit::folder();
        let path = folder.path().join("relay.toml");
        std::fs::write(&path, text).unwrap();
        let arguments = ["--config".to_owned(), path.display().to_string()];
        let sources = daemon::settings::Sources {
            daemon: "relay",
            table: TABLE,
            arguments: &arguments,
            environment: &[],
        };
        let values = match daemon::settings::load(sources)? {
            daemon::settings::Command::Run(values) => values,
            other => panic!("{other:?}"),
        };
        let mut faults = Vec::new();
        let listeners = from_values(&values, &mut faults);
        if faults.is_empty() { Ok(listeners) } else { Err(faults) }
    }

    #[test]
    fn options_that_do_not_fit_are_named_with_the_reason_and_the_line() {
        for (text, wanted) in UNFIT {
            let faults = read(&format!("[[listener]]\n{text}\n")).unwrap_err();
            let shown = faults[0].to_string();
            assert!(shown.contains("relay.toml:"), "{shown}");
            assert!(shown.contains(wanted), "{text}: {shown}");
        }
    }

    #[test]
    fn short_forms_come_first_and_tables_have_all_that_can_be_said() {
        let listeners = read(
            "http = ['0.0.0.0:2007']\n[[listener]]\naddress = 'unix:/run/p.sock'\nprotocol = 'pickle'\n\
             [[listener]]\naddress = '0.0.0.0:2013'\ntls_cert = 'c'\ntls_key = 'k'\n\
             compression = 'zstd'\nproxy_protocol = true\nconnections_max = 5\n\
             bytes_per_second_max = '10MiB'\nlines_per_second_max = 7\nidle_timeout = '10min'\n",
        );
        let listeners = listeners.unwrap();
        let places: Vec<String> = listeners.iter().map(|one| one.place.to_string()).collect();
        assert_eq!(places, ["0.0.0.0:2003", "0.0.0.0:2007", "unix:/run/p.sock", "0.0.0.0:2013"]);
        let last = &listeners[3];
        assert_eq!(last.tls.as_ref().unwrap().cert, Path::new("c"));
        assert_eq!((last.compression, last.proxy_protocol), (Some(Compression::Zstd), true));
        assert_eq!((last.connections_max, last.lines_per_second_max), (Some(5), Some(7)));
        assert_eq!(last.bytes_per_second_max, Some(10 << 20));
        assert_eq!(last.idle_timeout, Some(Duration::from_secs(600)));
    }
}
