//! go-carbon's configuration as that of a storage node.

use std::path::Path;

use serde_json::Value;

use super::draft::{Draft, Fate, File, Rule};
use Fate::{Becomes, Missing, Needless, Taken};

const ALWAYS: &str = "always so here";
const NO_CACHES: &str = "there is no such cache: an answer is never older than the last point";
const INDEX: &str = "there is one index, kept as names come and searched where it lies";
const BY_HAND: &str = "set it up as a [[listener]], see docs/operate/listeners.md";

/// What becomes of each key; those of a section that is off are not looked at.
const RULES: &[Rule] = &[
    ("common.user", Needless("the service manager chooses the user")),
    ("common.graph-prefix", Needless("the node's own series are called carbon.agents.HOST")),
    ("common.metric-interval", Becomes("self_metrics_interval")),
    ("common.metric-endpoint", Taken),
    ("common.max-cpu", Becomes("worker_threads")),
    ("whisper.data-dir", Taken),
    ("whisper.schemas-file", Becomes("schemas")),
    ("whisper.aggregation-file", Becomes("aggregation")),
    ("whisper.quotas-file", Missing("quotas have another form here, see docs/operate/quotas.md")),
    ("whisper.workers", Becomes("writer_threads")),
    ("whisper.max-updates-per-second", Becomes("max_updates_per_second")),
    ("whisper.sparse-create", Needless("files are always sparse")),
    ("whisper.physical-size-factor", Needless("quotas count bytes on disk")),
    ("whisper.flock", Missing("files are not locked: no other program may write them")),
    (
        "whisper.compressed",
        Missing("compressed Whisper files cannot be read: write them anew as plain ones first"),
    ),
    ("whisper.enabled", Needless(ALWAYS)),
    ("whisper.hash-filenames", Taken),
    ("whisper.remove-empty-file", Needless("empty files are set aside")),
    ("whisper.online-migration", Missing("`plumbago schemas apply` resizes files to the rules")),
    ("whisper.online-migration-rate", Needless("belongs to online-migration")),
    ("whisper.online-migration-global-scope", Needless("belongs to online-migration")),
    ("cache.max-size", Needless("memory is limited in bytes, and senders wait: pending_bytes_max")),
    ("cache.write-strategy", Needless("points are written by age, see `lag`")),
    ("cache.bloom-size", Needless(INDEX)),
    ("udp.listen", Taken),
    ("udp.enabled", Taken),
    ("udp.buffer-size", Needless("senders wait when memory is full")),
    ("tcp.listen", Taken),
    ("tcp.enabled", Taken),
    ("tcp.buffer-size", Needless("senders wait when memory is full")),
    ("tcp.compression", Missing(BY_HAND)),
    ("pickle.listen", Taken),
    ("pickle.enabled", Taken),
    ("pickle.max-message-size", Needless("frames are refused beyond frame_bytes_max")),
    ("pickle.buffer-size", Needless("senders wait when memory is full")),
    ("receiver.", Missing(BY_HAND)),
    ("carbonlink.listen", Taken),
    ("carbonlink.enabled", Taken),
    ("carbonlink.read-timeout", Needless("idle connections cost nothing")),
    ("grpc.enabled", Taken),
    ("grpc.", Missing("there is no gRPC; carbonlink and the read API know the waiting points")),
    ("tags.", Missing("tags are indexed by the node itself; nothing is sent to a tagdb")),
    ("carbonserver.listen", Becomes("read")),
    ("carbonserver.enabled", Taken),
    ("carbonserver.read-timeout", Becomes("request_timeout")),
    ("carbonserver.idle-timeout", Needless("idle connections cost nothing")),
    ("carbonserver.write-timeout", Needless("request_timeout holds for the whole request")),
    ("carbonserver.scan-frequency", Becomes("scan_interval")),
    ("carbonserver.query-cache-enabled", Needless(NO_CACHES)),
    ("carbonserver.streaming-query-cache-enabled", Needless(NO_CACHES)),
    ("carbonserver.query-cache-size-mb", Needless(NO_CACHES)),
    ("carbonserver.find-cache-enabled", Needless(NO_CACHES)),
    ("carbonserver.find-cache-size-mb", Needless(NO_CACHES)),
    ("carbonserver.glob-cache-enabled", Needless(NO_CACHES)),
    ("carbonserver.glob-cache-size-mb", Needless(NO_CACHES)),
    ("carbonserver.buckets", Needless("/metrics has histograms")),
    (
        "carbonserver.max-globs",
        Needless("find_nodes_max and find_series_max limit a pattern's cost"),
    ),
    ("carbonserver.fail-on-max-globs", Needless("a limit always refuses")),
    ("carbonserver.empty-result-ok", Needless(ALWAYS)),
    ("carbonserver.do-not-log-404s", Needless("nothing found is no error")),
    ("carbonserver.metrics-as-counters", Needless("/metrics has counters")),
    ("carbonserver.trigram-index", Needless(INDEX)),
    ("carbonserver.trie-index", Needless(INDEX)),
    ("carbonserver.concurrent-index", Needless(INDEX)),
    ("carbonserver.realtime-index", Needless(INDEX)),
    ("carbonserver.cache-scan", Needless(INDEX)),
    ("carbonserver.file-list-cache", Needless(INDEX)),
    ("carbonserver.file-list-cache-version", Needless(INDEX)),
    ("carbonserver.no-service-when-index-is-not-ready", Needless("/ready says when all is there")),
    ("carbonserver.internal-stats-dir", Missing("the node keeps no times of reads")),
    ("carbonserver.max-metrics-globbed", Becomes("find_nodes_max")),
    ("carbonserver.max-metrics-rendered", Becomes("find_series_max")),
    ("carbonserver.max-fetch-data-goroutines", Becomes("read_threads")),
    ("carbonserver.max-creates-per-second", Taken),
    ("carbonserver.max-inflight-requests", Becomes("read_queue_max")),
    (
        "carbonserver.quota-usage-report-frequency",
        Needless("/admin/quotas and /metrics tell at any time"),
    ),
    ("carbonserver.render-trace-logging-enabled", Missing("slow requests are logged by the api")),
    ("carbonserver.request-timeout", Becomes("request_timeout")),
    ("carbonserver.grpc.", Missing("there is no gRPC")),
    ("carbonserver.", Missing("it has no counterpart")),
    ("dump.", Needless("the journal keeps what is not in the files")),
    ("pprof.", Missing("/admin and /metrics are at `admin`")),
    ("prometheus.", Needless("/metrics is at `admin`")),
    ("tracing.", Missing("there are no traces")),
    ("logging.logger", Needless("there is one log, on standard error")),
    ("logging.file", Needless("logs go to standard error")),
    ("logging.level", Taken),
    ("logging.encoding", Taken),
    ("logging.", Needless("there is one log, on standard error")),
];

const HEAD: &str = "Imported from go-carbon. What differs everywhere:
- A point is in its file after `lag` (an hour) at the latest; reads through the node see it at once. Set lag = \"60s\" if other programs read the files.
- A name that no rule of the schemas matches is kept a minute for a week; go-carbon drops it.
- Nothing is dropped because memory is full: senders wait.";

/// Sections whose key `enabled` takes all others away.
const SWITCHED: [&str; 9] =
    ["udp", "tcp", "pickle", "carbonlink", "grpc", "tags", "carbonserver", "dump", "pprof"];

/// Writes the settings of a storage node.
pub(super) fn convert(theirs: &Value) -> Draft {
    let mut draft = Draft::default();
    let mut file = File::new("plumbago-carbon");
    file.note(HEAD);
    let theirs = without_what_is_off(theirs);
    draft.apply(RULES, &theirs, &mut file);
    listeners(&theirs, &mut file);
    folders(&theirs, &mut file);
    rest(&theirs, &mut file);
    draft.files.push(file);
    draft
}

fn text<'a>(theirs: &'a Value, section: &str, key: &str) -> Option<&'a str> {
    theirs.get(section)?.get(key)?.as_str().filter(|text| !text.is_empty())
}

fn is_on(theirs: &Value, section: &str) -> bool {
    theirs.get(section).is_some_and(|section| section.get("enabled") != Some(&Value::Bool(false)))
}

/// Sections that are off keep only their switch.
fn without_what_is_off(theirs: &Value) -> Value {
    let mut kept = theirs.clone();
    for section in SWITCHED.into_iter().chain(["prometheus", "tracing"]) {
        if is_on(theirs, section) {
            continue;
        }
        if let Some(section) = kept.get_mut(section).and_then(Value::as_object_mut) {
            section.retain(|key, _| key == "enabled");
        }
    }
    kept
}

fn listeners(theirs: &Value, file: &mut File) {
    let mut lines: Vec<&str> = Vec::new();
    for section in ["tcp", "udp"] {
        let address = text(theirs, section, "listen").filter(|_| is_on(theirs, section));
        lines.extend(address.filter(|address| !lines.contains(address)));
    }
    if is_on(theirs, "tcp") != is_on(theirs, "udp") {
        file.note("line: one of TCP and UDP was off; here each address takes both.");
    }
    file.set("line", lines.into_iter().map(toml::Value::from).collect::<Vec<_>>());
    if let Some(pickle) = text(theirs, "pickle", "listen") {
        file.set("pickle", vec![toml::Value::from(pickle)]);
    }
    file.set("carbonlink", text(theirs, "carbonlink", "listen").unwrap_or_default());
    if !is_on(theirs, "carbonserver") {
        file.note(
            "read: carbonserver was off; here the node always answers reads, at 0.0.0.0:8081.",
        );
    }
}

fn folders(theirs: &Value, file: &mut File) {
    let Some(tree) = text(theirs, "whisper", "data-dir") else {
        file.note("whisper.data-dir is not set: give `data`, and `whisper` if there is a tree.");
        return;
    };
    let beside = Path::new(tree).parent().unwrap_or(Path::new("/")).join("plumbago");
    file.set("data", beside.to_string_lossy().into_owned());
    file.set("whisper", tree);
    if theirs["whisper"]["hash-filenames"] == Value::Bool(false) {
        file.note("whisper.hash-filenames = false: here files of tagged series are found by their hashed names only.");
    }
}

fn rest(theirs: &Value, file: &mut File) {
    if let Some(creates) = theirs["carbonserver"]["max-creates-per-second"].as_i64() {
        file.set("max_creates_per_minute", creates.saturating_mul(60));
    }
    if let Some(elsewhere) = text(theirs, "common", "metric-endpoint").filter(|to| *to != "local") {
        file.note(format!(
            "common.metric-endpoint = {elsewhere:?}: the node's own series are stored by itself."
        ));
    }
    let log = theirs["logging"].get(0).unwrap_or(&Value::Null);
    if let Some(level @ ("debug" | "info" | "warn" | "error")) = log["level"].as_str() {
        file.set("log_level", level);
    }
    if log["encoding"] == "json" {
        file.set("log_format", "json");
    }
}
