//! Threads with a runtime each, to which connections are dealt.
//!
//! On a runtime of several threads, the thread that sees bytes come in wakes another one to look for work, and that one mostly finds
//! that there is none: system calls and changes of threads that cost more than a small request does. What one lane
//! began stays on it: reading, answering, and what is asked of others meanwhile.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle, RuntimeFlavor};
use tokio::sync::oneshot;
use tracing::error;

use crate::lifecycle::StartError;
use crate::threads;

/// Shorter than the time-outs of requests, long enough to cost nothing.
const TICK: Duration = Duration::from_secs(1);

/// Some threads; they end when this is dropped, and what still runs on them is cut off. Without any, connections are
/// served by the runtime that accepts them.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: Vec<Lane>,
}

#[derive(Debug)]
struct Lane {
    runtime: Handle,
    /// A clone for each task on it.
    tasks: Arc<()>,
    /// Its thread ends when this is dropped.
    _end: oneshot::Sender<()>,
}

impl Lanes {
    /// As many as the runtime that this is called on has threads, called `name-0`, `name-1` …, which give way to other
    /// threads as nice(1) counts; none for a runtime of one thread, which is a lane itself.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn beside_this_runtime(name: &str, niceness: u8) -> Result<Self, StartError> {
        let here = Handle::current();
        let count = match here.runtime_flavor() {
            RuntimeFlavor::CurrentThread => 0,
            _ => here.metrics().num_workers(),
        };
        let lanes = (0..count).map(|number| Lane::start(&format!("{name}-{number}"), niceness));
        let lanes: io::Result<_> = lanes.collect();
        Ok(Self { lanes: lanes.map_err(|error| StartError::io(format!("thread {name}"), error))? })
    }

    /// Runs what `work` makes of the connection on the lane with the fewest of them.
    pub(super) fn spawn<F: Future<Output = ()> + Send + 'static>(
        &self,
        stream: TcpStream,
        work: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) {
        let Some(lane) = self.lanes.iter().min_by_key(|lane| Arc::strong_count(&lane.tasks)) else {
            tokio::spawn(work(stream));
            return;
        };
        let task = Arc::clone(&lane.tasks);
        // A connection belongs to the runtime that waits for its bytes.
        let moved = stream.into_std();
        lane.runtime.spawn(async move {
            match moved.and_then(TcpStream::from_std) {
                Ok(stream) => work(stream).await,
                Err(error) => error!(%error, "connection not served"),
            }
            drop(task);
        });
    }
}

impl Lane {
    fn start(name: &str, niceness: u8) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        threads::spawn(name, move || {
            threads::give_way(niceness);
            runtime.block_on(tick_until(ended));
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, tasks: Arc::default(), _end: end })
    }
}

/// A timer that is due before all others has the runtime wake the thread that sets it, in vain. With one that is always
/// nearer than those of requests, most of which stand for their whole time and never go off, that does not happen.
async fn tick_until(mut ended: oneshot::Receiver<()>) {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            // Nothing is ever sent: the channel closes.
            _ = &mut ended => return,
            _ = ticks.tick() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    /// The thread on which a connection is served, told once its client has closed it.
    async fn served_on(mut stream: TcpStream, name: oneshot::Sender<String>) {
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        name.send(std::thread::current().name().unwrap_or_default().to_owned()).unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn connections_are_dealt_evenly() {
        let lanes = Lanes::beside_this_runtime("lane", 0).unwrap();
        let (mut clients, mut names) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let (client, server) = pair().await;
            let (name, told) = oneshot::channel();
            lanes.spawn(server, move |stream| served_on(stream, name));
            clients.push(client);
            names.push(told);
        }
        drop(clients);
        let mut got = Vec::new();
        for name in names {
            got.push(name.await.unwrap());
        }
        got.sort();
        assert_eq!(got, ["lane-0", "lane-0", "lane-1", "lane-1"]);
    }

    #[tokio::test]
    async fn a_runtime_of_one_thread_serves_by_itself() {
        let lanes = Lanes::beside_this_runtime("lane", 0).unwrap();
        let (client, server) = pair().await;
        let (name, told) = oneshot::channel();
        lanes.spawn(server, move |stream| served_on(stream, name));
        drop(client);
        assert_eq!(told.await.ok().as_deref(), std::thread::current().name());
    }
}
