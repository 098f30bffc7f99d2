//! A sender that notes what it was told is kept, for the tests in which programs die.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use crate::PATIENCE;

/// Connections that send at a time.
const SENDERS: usize = 2;

/// Numbered batches of lines, some of which were confirmed.
#[derive(Debug, Default)]
pub struct Batches {
    next: AtomicI64,
    confirmed: Mutex<Vec<i64>>,
}

impl Batches {
    /// Sends batch after batch, `pace` apart, as long as `meanwhile` takes or somebody answers.
    /// `lines` gives the text of a batch.
    pub fn send_while<T>(
        &self,
        line: SocketAddr,
        pace: Duration,
        lines: impl Fn(i64) -> String + Sync,
        meanwhile: impl FnOnce() -> T,
    ) -> T {
        let stop = AtomicBool::new(false);
        thread::scope(|threads| {
            for _sender in 0..SENDERS {
                threads.spawn(|| self.send(line, pace, &lines, &stop));
            }
            let result = meanwhile();
            stop.store(true, Ordering::SeqCst);
            result
        })
    }

    fn send(
        &self,
        line: SocketAddr,
        pace: Duration,
        lines: &impl Fn(i64) -> String,
        stop: &AtomicBool,
    ) {
        while !stop.load(Ordering::SeqCst) {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if hand_over(line, &lines(number)).is_err() {
                return;
            }
            self.confirmed.lock().push(number);
            thread::park_timeout(pace);
        }
    }

    /// The batches that were confirmed since the last time.
    pub fn take_confirmed(&self) -> Vec<i64> {
        std::mem::take(&mut self.confirmed.lock())
    }

    /// How many batches were begun.
    #[must_use]
    pub fn begun(&self) -> i64 {
        self.next.load(Ordering::SeqCst)
    }
}

/// Sends a text and waits for the close; whether it came in order.
fn hand_over(line: SocketAddr, text: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(line)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(text.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new()).map(drop)
}
