//! `plumbago send`: points by hand, with the receiver's word that it keeps them.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use metric::Limits;
use serde_json::json;
use wire::line::{Rules, parse, write_line};

use crate::invocation::{Context, Failure, Run, printable};

/// Where a relay listens unless told.
const RELAY: &str = "127.0.0.1:2003";

/// Lines that are gathered before they are sent.
const BATCH_BYTES: usize = 64 * 1024;

/// Stands for the time at which the command works.
const NOW_WORD: &str = "-1";

#[derive(clap::Args)]
pub(crate) struct Send {
    /// Where to: the carbon line listener of a relay or node.
    #[arg(long, value_name = "HOST:PORT", default_value = RELAY)]
    to: String,
    /// How long to wait for the receiver, to take points and to confirm them.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    wait: u64,
    /// Points as `NAME VALUE [TIMESTAMP]`, without a timestamp (or with -1) of now; without any
    /// point here, the lines of standard input.
    #[arg(value_name = "POINT")]
    points: Vec<String>,
}

/// Lines on their way.
pub(super) struct Sender<'a> {
    to: &'a str,
    stream: TcpStream,
    rules: Rules,
    batch: Vec<u8>,
    sent: u64,
    refused: u64,
}

impl Run for Send {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let mut sender = Sender::new(context, &self.to, Duration::from_secs(self.wait))?;
        for point in &self.points {
            sender.line(context, point.as_bytes())?;
        }
        if self.points.is_empty() {
            sender.lines(context, &mut io::stdin().lock())?;
        }
        let (sent, refused) = sender.confirm()?;
        if context.json {
            writeln!(context.out, "{}", json!({"sent": sent, "refused": refused}))?;
        } else {
            let all_taken = "the receiver keeps them";
            context.say(&format!("{sent} points sent to {}, {all_taken}", self.to));
        }
        Ok(())
    }
}

fn connect(to: &str, wait: Duration) -> Result<TcpStream, Failure> {
    let fault = |error: io::Error| Failure::new(format!("{to}: {error}"));
    let mut tried = Err(ErrorKind::AddrNotAvailable.into());
    for address in to.to_socket_addrs().map_err(fault)? {
        tried = TcpStream::connect_timeout(&address, wait);
        if tried.is_ok() {
            break;
        }
    }
    let stream = tried.map_err(fault)?;
    stream.set_read_timeout(Some(wait)).map_err(fault)?;
    stream.set_write_timeout(Some(wait)).map_err(fault)?;
    Ok(stream)
}

impl<'a> Sender<'a> {
    pub(super) fn new(context: &Context<'_>, to: &'a str, wait: Duration) -> Result<Self, Failure> {
        let rules = Rules::at(context.now.floor());
        let stream = connect(to, wait)?;
        Ok(Self { to, stream, rules, batch: Vec::new(), sent: 0, refused: 0 })
    }

    fn lines(&mut self, context: &mut Context<'_>, input: &mut dyn BufRead) -> Result<(), Failure> {
        let mut line = Vec::new();
        loop {
            let read = input.read_until(b'\n', &mut line);
            if read.map_err(|error| Failure::new(format!("standard input: {error}")))? == 0 {
                return Ok(());
            }
            self.line(context, &line)?;
            line.clear();
        }
    }

    /// Takes a line, or names what a listener would only count.
    fn line(&mut self, context: &mut Context<'_>, line: &[u8]) -> Result<(), Failure> {
        match self.add_line(line) {
            Ok(()) => {}
            Err(why) => {
                self.refused += 1;
                let line = String::from_utf8_lossy(line);
                context.skip(&format!("point `{}`", printable(line.trim())), &why);
            }
        }
        self.flush_if_full()
    }

    /// Sends what is waiting if that is enough to be worth it.
    pub(super) fn flush_if_full(&mut self) -> Result<(), Failure> {
        if self.batch.len() < BATCH_BYTES { Ok(()) } else { self.flush() }
    }

    fn add_line(&mut self, line: &[u8]) -> Result<(), String> {
        let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let mut line = line.to_vec();
        if words.count() == 2 {
            line.truncate(line.trim_ascii_end().len());
            line.push(b' ');
            line.extend_from_slice(NOW_WORD.as_bytes());
        }
        let parsed = parse(&line, &self.rules).map_err(|reason| reason.to_string())?;
        let Some(point) = parsed else { return Ok(()) };
        self.add(point.name, point.value, point.timestamp)
    }

    /// Takes a point, unless a listener would refuse it.
    pub(super) fn add(&mut self, name: &[u8], value: f64, timestamp: i64) -> Result<(), String> {
        let name = metric::canonicalise(name, &Limits::default());
        let name = name.map_err(|error| error.to_string())?;
        write_line(&mut self.batch, name.as_bytes(), value, timestamp)
            .map_err(|reason| reason.to_string())?;
        self.sent += 1;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let written = self.stream.write_all(&self.batch);
        self.batch.clear();
        written.map_err(|error| self.broken(&error))
    }

    /// Ends the stream and waits for the other end to close it, which it does once it keeps all
    /// that it was sent.
    pub(super) fn confirm(mut self) -> Result<(u64, u64), Failure> {
        self.flush()?;
        let ended = self.stream.shutdown(std::net::Shutdown::Write);
        ended.map_err(|error| self.broken(&error))?;
        let closed = io::copy(&mut Read::by_ref(&mut self.stream), &mut io::sink());
        closed.map_err(|error| self.broken(&error))?;
        Ok((self.sent, self.refused))
    }

    fn broken(&self, error: &io::Error) -> Failure {
        let why = match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => "no sign of it in time".to_owned(),
            _ => error.to_string(),
        };
        let sent = self.sent;
        Failure::new(format!("{}: {why}; of {sent} points it is not known which are kept", self.to))
    }
}
