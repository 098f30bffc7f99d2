//! Zipper and api in front of a cluster, and somebody who asks them the same question again and again.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daemon::clock::{Clock, System};
use daemon::{Context, Running, Values};
use serde_json::Value;
use testkit::{ANY_PORT, ask, wait_until_async};
use tokio::task::JoinHandle;

use crate::cluster::patience;
use crate::load::{Load, STEP_S, value};

/// From one question to the next.
const PACE: Duration = Duration::from_secs(1);

const STOP: Duration = Duration::from_secs(30);

/// Slots so much older than the newest one are on all nodes.
const SETTLED_S: i64 = 60;

/// The names of all series.
const ALL: &str = "drill.*.*";

/// Zipper and api.
pub(crate) struct Readers {
    zipper: Running,
    zipper_settings: Values,
    api: Running,
}

impl Readers {
    /// Starts both over a cluster file. They keep no answers.
    pub(crate) async fn start(root: &Path, cluster: &Path) -> Self {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let zipper_settings = Values::defaults(zipper::SETTINGS)
            .with("listen", ANY_PORT)
            .with("admin", ANY_PORT)
            .with("cluster_check_interval", "0s")
            .with("cluster", &path(cluster));
        let context = Context::new("zipper", zipper::METRICS);
        let zipper = zipper::start(zipper_settings.clone(), context).await.unwrap();
        let listen = zipper.address("listen").unwrap();
        let settings = Values::defaults(api::SETTINGS)
            .with("listen", ANY_PORT)
            .with("admin", ANY_PORT)
            .with("events_path", &path(&root.join("events.sqlite")))
            .with("fetch_cache_bytes_max", "0B")
            .with("reply_cache_bytes_max", "0B")
            .with("backend", &format!("http://{listen}"));
        let api = api::start(settings, Context::new("api", api::METRICS)).await.unwrap();
        Self { zipper, zipper_settings, api }
    }

    /// What SIGHUP does.
    pub(crate) fn reload_zipper(&self) {
        self.zipper.reload(&self.zipper_settings).unwrap();
    }

    /// Asks for all series of the slots that were sent so far, from the first right answer until the watch ends.
    pub(crate) async fn watch(&self, load: &Load) -> Watch {
        let question = Question::new(self.api.address("listen").unwrap(), load);
        wait_until_async("all slots to be there", patience(), async || {
            matches!(question.ask().await, Answer::Whole).then_some(())
        })
        .await;
        let is_over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&is_over);
        let asker = tokio::spawn(async move {
            let (clock, mut answers) = (System::new(), Answers::default());
            let mut pace = tokio::time::interval(PACE);
            pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while !ended.load(Ordering::Relaxed) {
                pace.tick().await;
                let begun = clock.monotonic();
                let answer = question.ask().await;
                answers.took.push(clock.monotonic() - begun);
                match answer {
                    Answer::Whole => answers.whole += 1,
                    Answer::Marked => answers.marked += 1,
                    Answer::Wrong(what) => {
                        panic!("{what}, {} after {}", answers.marked, answers.whole)
                    }
                }
            }
            answers
        });
        Watch { is_over, asker }
    }

    pub(crate) async fn stop(self) {
        self.api.stop(STOP).await.unwrap();
        self.zipper.stop(STOP).await.unwrap();
    }
}

/// How many answers there were, how many others said that they lack something, and how long all of them took.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) whole: u64,
    pub(crate) marked: u64,
    pub(crate) took: Vec<Duration>,
}

/// What an answer was.
enum Answer {
    /// Right.
    Whole,
    /// It says that it lacks something.
    Marked,
    /// Neither.
    Wrong(String),
}

/// Somebody who asks, and fails at the first answer that is wrong and does not say so.
pub(crate) struct Watch {
    is_over: Arc<AtomicBool>,
    asker: JoinHandle<Answers>,
}

impl Watch {
    pub(crate) async fn end(self) -> Answers {
        self.is_over.store(true, Ordering::Relaxed);
        self.asker.await.unwrap()
    }
}

/// A question about the past, and what is right.
struct Question {
    api: SocketAddr,
    path: String,
    series: usize,
    /// Time and sum of every slot.
    sums: Vec<(i64, f64)>,
}

impl Question {
    fn new(api: SocketAddr, load: &Load) -> Self {
        let (sent, series) = (load.sent(), load.names.len());
        let newest = *sent.last().unwrap();
        let has_arrived = |interval: &i64| *interval <= newest - SETTLED_S;
        let sent: Vec<i64> = sent.into_iter().filter(has_arrived).collect();
        let (first, last) = (sent[0], *sent.last().unwrap());
        let sum = |interval| (0..series).map(|one| value(one, interval)).sum();
        let sums = sent.iter().map(|&interval| (interval, sum(interval))).collect();
        let targets = format!("target=sumSeries({ALL})&target=countSeries({ALL})");
        let path = format!("/render?{targets}&from={}&until={last}&format=json", first - STEP_S);
        Self { api, path, series, sums }
    }

    async fn ask(&self) -> Answer {
        let answer = ask(self.api, "GET", &self.path, "", b"").await;
        if answer.header("x-plumbago-partial").is_some() {
            return Answer::Marked;
        }
        if answer.status != 200 {
            return Answer::Wrong(answer.text().to_owned());
        }
        let reply: Value = serde_json::from_str(answer.text()).unwrap();
        let points = |at: usize| {
            let points = reply[at]["datapoints"].as_array().into_iter().flatten();
            points.filter_map(|point| Some((point[1].as_i64()?, point[0].as_f64()?)))
        };
        let are_all = points(1).all(|(_, count)| count == self.series as f64);
        match are_all && points(0).eq(self.sums.iter().copied()) {
            true => Answer::Whole,
            false => Answer::Wrong(format!("{reply}, but the sums are {:?}", self.sums)),
        }
    }
}
