//! carbonapi's configuration as that of the api, and of the zipper where it has many backends.

use serde_json::Value;

use super::draft::{Draft, Fate, File, Rule};
use Fate::{Becomes, Missing, Needless, Taken};

/// Where the zipper is that the api asks.
const ZIPPER: &str = "http://127.0.0.1:8082";

const TLS: &str = "TLS is the business of a proxy before the api";
const SIZE: &str = "connections and requests have limits of their own";

/// What becomes of each key.
const RULES: &[Rule] = &[
    ("listen", Taken),
    ("listeners.address", Taken),
    ("listeners.", Missing(TLS)),
    ("prefix", Becomes("url_prefix")),
    ("useCachingDNSResolver", Needless("names are looked up when a connection is made")),
    ("cachingDNSRefreshTime", Needless("names are looked up when a connection is made")),
    ("expvar.", Needless("/metrics is at `admin`")),
    ("unicodeRangeTables", Needless("names may have any letters")),
    ("headersToPass", Missing("no headers of requests are passed on to the nodes")),
    ("headersToLog", Needless("the access log has client, target, time, dashboard and panel")),
    ("define.", Missing("there are no aliases of functions: write the calls out")),
    ("define", Missing("there are no aliases of functions: write the calls out")),
    ("notFoundStatusCode", Needless("nothing found is 200 and empty")),
    ("concurency", Needless(SIZE)),
    ("cache.type", Taken),
    ("cache.size_mb", Taken),
    ("cache.defaultTimeoutSec", Taken),
    ("cache.shortTimeoutSec", Needless("cache_time holds for all windows")),
    ("cache.memcachedServers", Taken),
    ("cache.", Missing("one cache of replies is kept, see reply_cache_bytes_max")),
    ("backendCache.", Needless("series that were read are kept too, see fetch_cache_bytes_max")),
    ("cpus", Becomes("worker_threads")),
    ("tz", Taken),
    ("extractTagsFromArgs", Missing("tags come from the series")),
    ("functionsConfig.", Missing("functions have no files of their own")),
    ("maxBatchSize", Needless("requests are not cut into batches")),
    ("graphite.host", Missing("the api's own numbers are at /metrics of `admin`")),
    ("graphite.", Needless("belongs to graphite.host")),
    ("graphite09compat", Missing("graphite-web 0.9 is not known")),
    ("combineMultipleTargetsInOne", Needless("all reads of a request go out together")),
    ("idleConnections", Needless(SIZE)),
    ("pidFile", Needless("the service manager knows the process")),
    ("graphTemplates", Missing("there are no templates of graphs")),
    ("defaultColors.", Missing("colours are graphite-web's; requests may say others")),
    ("expireDelaySec", Needless("finds are not cached apart")),
    ("sendGlobsAsIs", Needless("patterns are always sent as they are")),
    ("alwaysSendGlobsAsIs", Needless("patterns are always sent as they are")),
    ("upstreams.timeouts.", Taken),
    ("upstreams.backends", Taken),
    ("upstreams.backendsv2.backends.servers", Taken),
    ("upstreams.backendsv2.backends.protocol", Needless("the zipper finds out what a node speaks")),
    (
        "upstreams.backendsv2.backends.groupName",
        Needless("the zipper knows nodes by their address"),
    ),
    ("upstreams.backendsv2.backends.lbMethod", Taken),
    ("upstreams.backendsv2.", Needless(SIZE)),
    ("upstreams.carbonsearch", Missing("there is no carbonsearch")),
    ("upstreams.carbonsearchv2.", Missing("there is no carbonsearch")),
    ("upstreams.carbonsearch.", Missing("there is no carbonsearch")),
    ("upstreams.graphite09compat", Missing("graphite-web 0.9 is not known")),
    ("upstreams.slowLogThreshold", Becomes("slow_query")),
    ("upstreams.", Needless(SIZE)),
    ("logger.level", Taken),
    ("logger.encoding", Taken),
    ("logger.", Needless("there is one log, on standard error")),
];

const HEAD: &str = "Imported from carbonapi. What differs everywhere:
- Windows, functions and formats are graphite-web's; docs/compat/carbonapi.md lists where carbonapi's differ.
- A limit that is met refuses the request and names the setting; an answer that lacks a node's part says so.";

/// Writes the settings of the api, and of a zipper.
pub(super) fn convert(theirs: &Value) -> Draft {
    let mut draft = Draft::default();
    let mut api = File::new("plumbago-api");
    api.note(HEAD);
    draft.apply(RULES, theirs, &mut api);
    listen(theirs, &mut api);
    caching(&theirs["cache"], &mut api);
    logs_and_zone(theirs, &mut api);
    let upstreams = &theirs["upstreams"];
    let servers = servers(upstreams, &mut api);
    match servers.as_slice() {
        [] => api.note("upstreams: no backend is set; give `backend`."),
        [one] => api.set("backend", *one),
        many => {
            api.set("backend", ZIPPER);
            draft.files.push(zipper(upstreams, many));
        }
    }
    draft.files.insert(0, api);
    draft
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn listen(theirs: &Value, api: &mut File) {
    let listeners = theirs["listeners"].as_array().into_iter().flatten();
    let listeners = listeners.filter_map(|listener| listener["address"].as_str());
    let mut all: Vec<&str> = theirs["listen"].as_str().into_iter().chain(listeners).collect();
    all.dedup();
    if let Some((first, others)) = all.split_first() {
        api.set("listen", *first);
        if !others.is_empty() {
            api.note(format!("listeners: the api has one; left out: {}", others.join(", ")));
        }
    }
}

fn caching(cache: &Value, api: &mut File) {
    if let Some(seconds) = cache["defaultTimeoutSec"].as_u64() {
        api.set("cache_time", format!("{seconds}s"));
    }
    if let Some(megabytes) = cache["size_mb"].as_u64().filter(|&size| size > 0) {
        api.set("reply_cache_bytes_max", format!("{megabytes}MiB"));
    }
    match cache["type"].as_str() {
        Some("null") => api.set("reply_cache_bytes_max", "0B"),
        Some("memcache") => {
            let servers: Vec<&str> = texts(&cache["memcachedServers"]).collect();
            if let Some((first, others)) = servers.split_first() {
                api.set("cache_server", format!("memcached://{first}"));
                if !others.is_empty() {
                    let others = others.join(", ");
                    api.note(format!("cache.memcachedServers: one is used; left out: {others}"));
                }
            }
        }
        _ => {}
    }
}

fn logs_and_zone(theirs: &Value, api: &mut File) {
    // Theirs is NAME,OFFSET; a name of the zone database will do.
    let zone = theirs["tz"].as_str().map(|zone| zone.split(',').next().unwrap_or(zone));
    if let Some(zone) = zone.filter(|zone| !zone.is_empty()) {
        api.set("timezone", zone);
        api.note("tz: `timezone` must be a name of the zone database, such as Europe/Berlin.");
    }
    let log = theirs["logger"].get(0).unwrap_or(&Value::Null);
    if let Some(level @ ("debug" | "info" | "warn" | "error")) = log["level"].as_str() {
        api.set("log_level", level);
    }
    if log["encoding"] == "json" {
        api.set("log_format", "json");
    }
}

/// The base URLs of all backends: those of the groups, which overrule the plain list.
fn servers<'a>(upstreams: &'a Value, api: &mut File) -> Vec<&'a str> {
    let groups = upstreams["backendsv2"]["backends"].as_array();
    let mut servers = Vec::new();
    for group in groups.into_iter().flatten() {
        servers.extend(texts(&group["servers"]));
        let method = group["lbMethod"].as_str().unwrap_or("roundrobin");
        if !matches!(method, "broadcast" | "all") {
            let name = group["groupName"].as_str().unwrap_or_default();
            api.note(format!(
                "backendsv2 group {name:?} was asked one server at a time ({method}); the zipper asks all its servers. \
                 With a ring (`cluster` in zipper.toml) it asks only the owners."
            ));
        }
    }
    if servers.is_empty() {
        servers.extend(texts(&upstreams["backends"]));
    }
    servers.sort_unstable();
    servers.dedup();
    servers
}

fn zipper(upstreams: &Value, servers: &[&str]) -> File {
    let mut zipper = File::new("plumbago-zipper");
    zipper.note("Imported from carbonapi. Without a ring every node is asked for everything; name a cluster file with `cluster` instead of `node` to ask owners only.");
    zipper.set("node", servers.iter().copied().map(toml::Value::from).collect::<Vec<_>>());
    let timeouts =
        [("render", "timeout"), ("find", "find_timeout"), ("connect", "connect_timeout")];
    for (theirs, ours) in timeouts {
        if let Some(duration) = upstreams["timeouts"][theirs].as_str() {
            zipper.set(ours, duration);
        }
    }
    zipper
}
