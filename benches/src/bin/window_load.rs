//! Has a relay hold a window for each of many series, and prints what memory that takes.
//!
//! `window-load [SERIES] [MINUTES]` sends a point of each series for one minute after the other, as fast as they are taken: at each
//! minute the data's time jumps, and all windows of the minute before are due at once. The rule sums each series by the minute; its
//! results go to a sink that reads them. It starts the `plumbago-relay` that was built beside it. What the numbers mean:
//! docs/operate/speed.md.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::env;
use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::thread;

use anyhow::{Context, Result, bail};
use daemon::clock::{Clock, System};
use plumbago_benches::relay::Relay;

const SERIES: usize = 1_000_000;
/// One more than points may be late: from then on as many windows close as open.
const MINUTES: i64 = 7;
const MINUTE_S: i64 = 60;
/// Series that are sent on one connection.
const BATCH: usize = 100_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] => load(SERIES, MINUTES),
        [series] => load(series.parse()?, MINUTES),
        [series, minutes] => load(series.parse()?, minutes.parse()?),
        _ => bail!("use: window-load [SERIES] [MINUTES]"),
    }
}

/// A port whose connections are read and forgotten.
fn sink() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let read = |mut stream: TcpStream| io::copy(&mut stream, &mut io::sink());
    thread::spawn(move || {
        listener.incoming().flatten().try_for_each(|stream| read(stream).map(drop))
    });
    Ok(port)
}

/// A point of each of the series for the minute that begins at `timestamp`.
fn lines(series: Range<usize>, timestamp: i64) -> Vec<u8> {
    let line = |number: usize| {
        let (host, cpu) = (number / 20, number % 20);
        format!("app.production.service.host{host:05}.cpu{cpu}.user_pct {number}.25 {timestamp}\n")
    };
    series.map(line).collect::<String>().into_bytes()
}

fn load(series: usize, minutes: i64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("relay.toml");
    let rule = "[[rule]]\nname = 'minutes'\nmatch = { regex = '^(app\\..*)$' }\n\
        aggregate = { into = 'sum.\\1', window = '1m', method = ['sum'] }\nstop = true\n";
    fs::write(&config, format!("node = ['127.0.0.1:{}=a']\n{rule}", sink()?))?;
    let config = config.to_str().context("a folder whose name is no text")?;
    let relay = Relay::start(folder.path(), &["--config", config])?;
    let now = System::new().now_unix_seconds();
    let first = now - now % MINUTE_S - minutes * MINUTE_S;
    for minute in 0..minutes {
        for start in (0..series).step_by(BATCH) {
            let batch = start..series.min(start + BATCH);
            relay.send(&lines(batch, first + minute * MINUTE_S))?;
        }
        println!(
            "minute {minute}: {} series, windows of {:.0} MB by the relay's count, {} results sent, at most {:.0} MB resident",
            relay.sum("plumbago_relay_aggregate_series")?,
            relay.sum("plumbago_relay_aggregate_bytes")? / 1e6,
            relay.sum("plumbago_relay_aggregate_points_sent_total")?,
            relay.most_resident_mb()?
        );
    }
    Ok(())
}
