//! carbon-relay-ng's configuration, TOML.

use toml::{Table as Toml, Value};

use super::draft::{Draft, Table, array, inline, list, quoted};
use super::expression::{groups, of_go_or_python};

const HEAD: &str = "Imported from carbon-relay-ng. What differs everywhere:
- Lines wait for a node that is away or slow instead of being dropped; `spool` and all sizes of buffers have no counterpart. Set `log` to keep them over a stop.
- Results of aggregations go through all rules, blocklist and rewriters too, and not only to the routes.
- Names are cleaned and lines judged as docs/formats/wire.md says, at one level of strictness.";

/// The matchers that entries, routes and destinations have, and what each is here.
const MATCHERS: &[(&str, &str, bool)] = &[
    ("prefix", "prefix", true),
    ("notPrefix", "prefix", false),
    ("sub", "contains", true),
    ("notSub", "contains", false),
    ("regex", "regex", true),
    ("notRegex", "regex", false),
];

/// Keys at the top that say how the program runs; ours are in docs/settings/relay.md.
const SILENT_KEYS: &[&str] = &[
    "instance",
    "max_procs",
    "pid_file",
    "log_level",
    "spool_dir",
    "validation_level_legacy",
    "validation_level_m20",
    "validate_order",
    "bad_metrics_max_age",
    "admin_addr",
    "http_addr",
    "instrumentation",
    "listen_addr",
    "pickle_addr",
    "blocklist",
    "blacklist",
    "aggregation",
    "rewriter",
    "route",
    "init",
];

/// Converts the whole table.
pub(super) fn convert(config: &Toml) -> Draft {
    let mut draft = Draft::default();
    draft.notes.push(HEAD.to_owned());
    for (key, theirs) in [("line", "listen_addr"), ("pickle", "pickle_addr")] {
        match text(config, theirs) {
            "" => draft.settings.set(key, "[]"),
            address => draft.settings.set_texts(key, &[address.trim_start_matches("tcp://")]),
        }
    }
    for entry in texts(config, "blocklist").into_iter().chain(texts(config, "blacklist")) {
        blocked(&mut draft, entry);
    }
    tables(config, "rewriter").for_each(|rewriter| rewrite(&mut draft, rewriter));
    tables(config, "aggregation").for_each(|aggregation| aggregate(&mut draft, aggregation));
    tables(config, "route").for_each(|found| route(&mut draft, found));
    let commands = config.get("init").and_then(Value::as_table);
    for command in commands.map(|init| texts(init, "cmds")).unwrap_or_default() {
        draft.left_out.push(format!("init command, to be written by hand: {command}"));
    }
    for key in config.keys().filter(|key| !SILENT_KEYS.contains(&key.as_str())) {
        draft.left_out.push(format!("`{key}` has no counterpart."));
    }
    draft
}

fn text<'a>(table: &'a Toml, key: &str) -> &'a str {
    table.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn texts<'a>(table: &'a Toml, key: &str) -> Vec<&'a str> {
    let items = table.get(key).and_then(Value::as_array);
    items.map(|items| items.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

fn tables<'a>(table: &'a Toml, key: &str) -> impl Iterator<Item = &'a Toml> {
    let items = table.get(key).and_then(Value::as_array).map(Vec::as_slice);
    items.unwrap_or_default().iter().filter_map(Value::as_table)
}

/// `match = …` of what has these matchers; nothing if they take everything.
fn condition<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Option<String>, String> {
    let (mut pairs, mut not) = (Vec::new(), Vec::new());
    for (theirs, ours, is_positive) in MATCHERS {
        let Some(text) = get(theirs).filter(|text| !text.is_empty()) else { continue };
        if *ours == "regex" {
            groups(text)
                .map_err(|problem| format!("{theirs} {text}: cannot be used here: {problem}"))?;
        }
        if *is_positive { &mut pairs } else { &mut not }.push((*ours, quoted(text)));
    }
    if !not.is_empty() {
        pairs.push(("not", inline(&not)));
    }
    Ok((!pairs.is_empty()).then(|| inline(&pairs)))
}

fn condition_of(table: &Toml) -> Result<Option<String>, String> {
    // Some versions write `substr` for `sub`.
    condition(|key| {
        let value = table.get(key).or_else(|| table.get("substr").filter(|_| key == "sub"));
        value.and_then(Value::as_str)
    })
}

/// An entry such as `prefix collectd.localhost`.
fn blocked(draft: &mut Draft, entry: &str) {
    let (kind, pattern) = entry.split_once(' ').unwrap_or((entry, ""));
    match condition(|key| Some(pattern).filter(|_| key == kind)) {
        Ok(Some(condition)) => {
            let mut rule = Table::default();
            rule.set("match", condition);
            rule.set("drop", "true");
            draft.rules.push(rule);
        }
        Ok(None) => draft.left_out.push(format!("blocklist entry not understood: {entry}")),
        Err(problem) => draft.left_out.push(format!("blocklist {problem}")),
    }
}

fn rewrite(draft: &mut Draft, rewriter: &Toml) {
    let (old, new, not) = (text(rewriter, "old"), text(rewriter, "new"), text(rewriter, "not"));
    let is_regex = |text: &str| text.len() > 1 && text.starts_with('/') && text.ends_with('/');
    let bare = |text: &str| text[1..text.len() - 1].to_owned();
    let mut rule = Table::default();
    // A text is replaced wherever it stands, which is what an expression can do here.
    let expression = if is_regex(old) { bare(old) } else { regex::escape(old) };
    let template = if is_regex(old) { of_go_or_python(new) } else { new.replace('\\', r"\\") };
    if let Err(problem) = groups(&expression) {
        draft.left_out.push(format!("rewriter {old}: cannot be used here: {problem}"));
        return;
    }
    let mut pairs = vec![("regex", quoted(&expression))];
    if !not.is_empty() {
        let not = if is_regex(not) { ("regex", bare(not)) } else { ("contains", not.to_owned()) };
        pairs.push(("not", inline(&[(not.0, quoted(&not.1))])));
    }
    rule.set("match", inline(&pairs));
    rule.set("rewrite", quoted(&template));
    let max = rewriter.get("max").and_then(Value::as_integer).unwrap_or(-1);
    if max != 1 {
        rule.set("rewrite_all", "true");
    }
    if max > 1 {
        rule.note(format!("max = {max}: here every match is replaced."));
    }
    draft.rules.push(rule);
}

fn aggregate(draft: &mut Draft, aggregation: &Toml) {
    let format = text(aggregation, "format");
    let seconds = |key| aggregation.get(key).and_then(Value::as_integer).unwrap_or_default().max(0);
    let (interval, wait) = (seconds("interval"), seconds("wait"));
    let condition = match condition_of(aggregation) {
        Ok(condition) => condition,
        Err(problem) => {
            return draft.left_out.push(format!("aggregation into {format}: {problem}"));
        }
    };
    let mut rule = Table::default();
    if let Some(condition) = condition {
        rule.set("match", condition);
    }
    let function = text(aggregation, "function");
    let percentiles = ["p25", "p50", "p75", "p90", "p95", "p99"];
    let (method, into) = match function {
        "percentiles" => (list(&percentiles), format!("{format}.{{method}}")),
        "delta" => (quoted("range"), format.to_owned()),
        other => (quoted(other), format.to_owned()),
    };
    rule.note("The new name takes the place of what the regex matches; anchor it to replace all.");
    rule.set(
        "aggregate",
        inline(&[
            ("into", quoted(&of_go_or_python(&into))),
            ("window", quoted(&format!("{}s", interval.max(1)))),
            ("method", method),
            ("wait", quoted(&format!("{}s", (wait - interval).max(0)))),
            ("late", quoted(&format!("{wait}s"))),
        ]),
    );
    if aggregation.get("dropRaw").and_then(Value::as_bool) == Some(true) {
        rule.set("stop", "true");
    }
    draft.rules.push(rule);
}

/// One destination: `HOST:PORT[:INSTANCE] option=value …`.
struct Destination<'a> {
    node: String,
    options: Vec<(&'a str, &'a str)>,
}

impl<'a> Destination<'a> {
    fn read(text: &'a str) -> Self {
        let mut words = text.split_whitespace();
        let address = words.next().unwrap_or_default();
        let mut parts = address.splitn(3, ':');
        let (host, port) = (parts.next().unwrap_or_default(), parts.next().unwrap_or("2003"));
        let node = match parts.next() {
            Some(instance) => format!("{host}:{port}={instance}"),
            None => format!("{host}:{port}"),
        };
        Self { node, options: words.filter_map(|word| word.split_once('=')).collect() }
    }

    fn option(&self, key: &str) -> Option<&'a str> {
        self.options.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }
}

fn route(draft: &mut Draft, route: &Toml) {
    let (key, kind) = (text(route, "key"), text(route, "type"));
    let destinations: Vec<Destination<'_>> =
        texts(route, "destinations").into_iter().map(Destination::read).collect();
    let condition = match condition_of(route) {
        Ok(condition) => condition,
        Err(problem) => return draft.left_out.push(format!("route {key}: {problem}")),
    };
    let mut table = Table::default();
    let ring = |table: &mut Table, collision: &str| {
        table.set("type", "'carbon_ch'");
        table.set("collision", quoted(collision));
    };
    match kind {
        "consistentHashing" => ring(&mut table, "keep"),
        "consistentHashing-v2" => {
            table.note("consistentHashing-v2: `bump` is Python carbon's rule, which that hash nearly follows: check with `diff` and `plumbago ring lookup`.");
            ring(&mut table, "bump");
        }
        "sendFirstMatch" | "sendAllMatch" => {
            return by_destination(draft, route, &destinations, condition.as_deref());
        }
        other => {
            return draft.left_out.push(format!("route {key}: type {other} has no counterpart."));
        }
    }
    set_nodes(&mut table, &destinations);
    draft.clusters.push((our_name(key), table));
    send(draft, condition.as_deref(), &our_name(key), false);
}

/// Routes whose destinations have matchers of their own: each is a cluster.
fn by_destination(
    draft: &mut Draft,
    route: &Toml,
    destinations: &[Destination<'_>],
    condition: Option<&str>,
) {
    let key = our_name(text(route, "key"));
    let first_only = text(route, "type") == "sendFirstMatch";
    let has_matchers = |destination: &Destination<'_>| {
        MATCHERS
            .iter()
            .any(|(name, ..)| destination.option(name).is_some_and(|text| !text.is_empty()))
    };
    if !first_only && !destinations.iter().any(has_matchers) {
        let mut table = Table::default();
        table.set("type", "'forward'");
        set_nodes(&mut table, destinations);
        draft.clusters.push((key.clone(), table));
        return send(draft, condition, &key, false);
    }
    for (number, destination) in destinations.iter().enumerate() {
        let name = format!("{key}-{}", number + 1);
        let own = self::condition(|key| destination.option(key));
        let (condition, note) = match (condition, own) {
            (route, Ok(None)) => (route.map(str::to_owned), None),
            (None, Ok(own)) => (own, None),
            (Some(route), Ok(Some(own))) => {
                (Some(own), Some(format!("The route's own match must hold as well: {route}")))
            }
            (_, Err(problem)) => {
                draft.left_out.push(format!("route {key}: {problem}"));
                continue;
            }
        };
        let mut table = Table::default();
        table.set("type", "'forward'");
        set_nodes(&mut table, std::slice::from_ref(destination));
        draft.clusters.push((name.clone(), table));
        send(draft, condition.as_deref(), &name, false);
        if let (Some(rule), Some(note)) = (draft.rules.last_mut(), note) {
            rule.note(note);
        }
        if first_only && let Some(rule) = draft.rules.last_mut() {
            rule.note(
                "sendFirstMatch: routes after this one saw the line too; here `stop` ends its way.",
            );
            rule.set("stop", "true");
        }
    }
}

fn set_nodes(table: &mut Table, destinations: &[Destination<'_>]) {
    for destination in destinations {
        if destination.option("pickle") == Some("true") {
            let node = &destination.node;
            table.note(format!("{node} got pickles; here it gets lines: give its line port."));
        }
    }
    let nodes: Vec<&str> = destinations.iter().map(|one| one.node.as_str()).collect();
    table.set("node", array(&nodes));
}

fn send(draft: &mut Draft, condition: Option<&str>, cluster: &str, stop: bool) {
    let mut rule = Table::default();
    if let Some(condition) = condition {
        rule.set("match", condition);
    }
    rule.set("send", quoted(cluster));
    if stop {
        rule.set("stop", "true");
    }
    draft.rules.push(rule);
}

/// A route of theirs that is called as ours for the rest would get what no rule stopped.
fn our_name(key: &str) -> String {
    if key == crate::clusters::DEFAULT { "default-route".to_owned() } else { key.to_owned() }
}
