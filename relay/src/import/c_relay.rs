//! carbon-c-relay's configuration.

mod grammar;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use daemon::Fault;
use metric::Glob;

use super::draft::{Draft, Table, array, inline, list, quoted};
use super::expression::{groups, of_c_relay};
use super::{fault, read};
use crate::clusters::DEFAULT;
use grammar::{Aggregate, ClusterKind, Host, Match, Send, Statement};

/// Files that include files deeper than this are taken for a circle.
const INCLUDE_DEPTH_MAX: usize = 8;

/// What is listened on if nothing is said.
const PORT: &str = "2003";

/// Whose signature carbon-c-relay asks of clients if its command line names no file.
const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

const HEAD: &str = "Imported from carbon-c-relay. What differs everywhere:
- Listeners refuse and count what is no metric line, and clean names as docs/formats/wire.md says.
- A line that several expressions of one statement match is sent, or counted, once.
- Nothing is dropped because a queue is full: lines wait, in the relay's log if `log` is set.";

/// Reads the file and those that it includes.
pub(super) fn convert(path: &Path, text: &str) -> Result<Draft, Vec<Fault>> {
    let mut converter = Converter::default();
    converter.draft.notes.push(HEAD.to_owned());
    converter.file(path, text, 0)?;
    let mut draft = converter.draft;
    if draft.rules.is_empty() {
        draft.notes.push("There is no match, so every line was dropped: add a rule.".to_owned());
    }
    draft
        .settings
        .set_texts("line", &converter.lines.unwrap_or_else(|| vec![format!("0.0.0.0:{PORT}")]));
    draft.settings.set("pickle", "[]");
    draft.settings.set("routing_key", "'name'");
    Ok(draft)
}

/// A listener whose stream is as the words behind `transport` say: how it is packed, and how sealed.
fn listener(address: &str, transport: &[String]) -> Table {
    let mut table = Table::default();
    table.set("address", quoted(address));
    let mut words = transport.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match (word, words.clone().next()) {
            ("plain", _) => {}
            ("gzip" | "lz4" | "snappy", _) => table.set("compression", quoted(word)),
            ("ssl" | "mtls", Some(certificate)) => {
                table.set("tls_cert", quoted(certificate));
                table.set("tls_key", quoted(certificate));
                if word == "mtls" {
                    table.note("mtls: name the file of -C, if there was one, as tls_client_ca.");
                    table.set("tls_client_ca", quoted(SYSTEM_CA));
                }
                words.next();
            }
            (word, Some(of_it)) => {
                table.note(format!("{word} {of_it}: here TLS 1.2 and 1.3 with rustls' ciphers."));
                words.next();
            }
            (word, None) => table.note(format!("transport {word}: not known here.")),
        }
    }
    table
}

#[derive(Debug, Default)]
struct Converter {
    draft: Draft,
    /// Addresses for plain lines; none while nothing is said about listeners.
    lines: Option<Vec<String>>,
}

impl Converter {
    fn file(&mut self, path: &Path, text: &str, depth: usize) -> Result<(), Vec<Fault>> {
        let statements = grammar::parse(text).map_err(|offset| {
            let problem = "from here on this is no statement of carbon-c-relay's configuration";
            vec![fault(path, text, offset, problem)]
        })?;
        for statement in statements {
            match statement {
                Statement::Include(pattern) if depth < INCLUDE_DEPTH_MAX => {
                    for included in included(path, &pattern)? {
                        let text = read(&included)?;
                        self.file(&included, &text, depth + 1)?;
                    }
                }
                Statement::Include(pattern) => {
                    let problem = format!("`{pattern}` is included {INCLUDE_DEPTH_MAX} files deep");
                    return Err(vec![fault(path, text, 0, problem)]);
                }
                other => {
                    self.statement(other).map_err(|problem| vec![fault(path, text, 0, problem)])?
                }
            }
        }
        Ok(())
    }

    fn statement(&mut self, statement: Statement) -> Result<(), String> {
        match statement {
            Statement::Cluster { name, kind, hosts } => self.cluster(&name, &kind, &hosts)?,
            Statement::Files { name, with_address, paths } => {
                self.files(&name, with_address, &paths)
            }
            Statement::Match(found) => self.matching(found),
            Statement::Rewrite { expression, into } => self.rewrite(&expression, &into),
            Statement::Aggregate(found) => self.aggregate(found),
            Statement::Statistics(words) => self.draft.left_out.push(format!(
                "statistics {}: our own numbers are at /metrics of `admin` and are not routed.",
                words.join(" ")
            )),
            Statement::Listen { transport, receivers } => self.listen(&transport, receivers),
            Statement::Include(_) => {}
        }
        Ok(())
    }

    /// Ports for plain lines go into `line`; what is packed, sealed or a socket's path is a table.
    fn listen(&mut self, transport: &[String], receivers: Vec<(String, String)>) {
        let is_plain = transport.iter().all(|word| word == "plain");
        let lines = self.lines.get_or_insert_default();
        for (address, proto) in receivers {
            let address = match (&proto[..], address.parse::<u16>()) {
                ("unix", _) => format!("unix:{address}"),
                (_, Ok(port)) => format!("0.0.0.0:{port}"),
                _ => with_port(&address),
            };
            if !is_plain || proto == "unix" {
                self.draft.listeners.push(listener(&address, transport));
            } else if !lines.contains(&address) {
                lines.push(address);
            }
        }
    }

    fn cluster(&mut self, name: &str, kind: &ClusterKind, hosts: &[Host]) -> Result<(), String> {
        let mut table = Table::default();
        let is_ring = kind.word.ends_with("_ch");
        let copies = kind.replication.unwrap_or(1);
        if copies > hosts.len() {
            let count = hosts.len();
            return Err(format!(
                "cluster `{name}`: replication {copies} is more than its {count} servers"
            ));
        }
        table.set("type", quoted(&kind.word));
        if is_ring {
            table.set("collision", "'first'");
            table.set("replicas", "'ring'");
            table.set("copies", copies.to_string());
        }
        if kind.dynamic {
            table.note("dynamic: here a line waits for its own node, however long that is away.");
        }
        if kind.use_all {
            table.note("useall: here one address of a name is used, the first that answers.");
        }
        let nodes = self.nodes(&kind.word, hosts, &mut table);
        table.set("node", array(&nodes));
        self.draft.clusters.push((our_name(name), table));
        Ok(())
    }

    /// The nodes with what tells them apart on the ring where the address does not do that here.
    fn nodes(&mut self, kind: &str, hosts: &[Host], table: &mut Table) -> Vec<String> {
        let mut nodes = Vec::new();
        let mut seen = BTreeSet::new();
        let addresses: Vec<String> = hosts.iter().map(|host| with_port(&host.address)).collect();
        let bare = |address: &str| address.rsplit_once(':').map_or("", |(host, _)| host).to_owned();
        let all_bare: BTreeSet<String> = addresses.iter().map(|address| bare(address)).collect();
        let shares_hosts =
            all_bare.len() < hosts.len() && hosts.iter().all(|host| host.instance.is_none());
        for (index, (host, address)) in hosts.iter().zip(&addresses).enumerate() {
            if !host.options.is_empty() {
                let options = host.options.join(" ");
                table
                    .note(format!("{address} had `{options}`; here it gets plain lines over TCP."));
            }
            let instance = match (&host.instance, kind) {
                (Some(instance), _) => Some(instance.clone()),
                (None, "fnv1a_ch") if shares_hosts => Some(address.clone()),
                (None, "jump_fnv1a_ch") if shares_hosts => Some(index.to_string()),
                _ => None,
            };
            let is_hashed = kind.ends_with("_ch");
            if is_hashed && !seen.insert((bare(address), instance.clone())) {
                table.note(format!(
                    "{address} is left out: the hash knows it as another node, so it got nothing."
                ));
                continue;
            }
            nodes.push(match instance {
                Some(instance) => format!("{address}={instance}"),
                None => address.clone(),
            });
        }
        nodes
    }

    fn files(&mut self, name: &str, with_address: bool, paths: &[String]) {
        let mut table = Table::default();
        if with_address {
            table.note("file ip: here the sender's address is not written before the line.");
        }
        table.set("type", "'file'");
        table.set("path", array(paths));
        self.draft.clusters.push((our_name(name), table));
    }

    /// The expressions that can be used here with a template that needs groups; the others are noted.
    fn usable(&mut self, expressions: &[String], what: &str) -> Vec<String> {
        let mut usable: Vec<String> = Vec::new();
        for expression in expressions {
            match groups(expression) {
                Ok(_) if usable.contains(expression) => {}
                Ok(_) => usable.push(expression.clone()),
                Err(problem) => self.draft.left_out.push(format!(
                    "{what} {expression}: the expression cannot be used here: {problem}."
                )),
            }
        }
        usable
    }

    fn matching(&mut self, found: Match) {
        let Match { expressions, validate, route_using, send, stop } = found;
        let shown = expressions.as_ref().map_or_else(|| "*".to_owned(), |all| all.join(" "));
        if let Some((expression, _)) = &validate {
            self.draft.left_out.push(format!(
                "match {shown} validate {expression}: listeners refuse what is no metric line; nothing else is validated."
            ));
        }
        let Some(send) = send else {
            if validate.is_none() {
                self.draft
                    .left_out
                    .push(format!("match {shown}: it does nothing without `send to`."));
            }
            return;
        };
        let mut rule = Table::default();
        let mut groups_least = 0;
        if let Some(expressions) = expressions {
            let usable = self.usable(&expressions, "match");
            if usable.is_empty() {
                return;
            }
            groups_least =
                usable.iter().filter_map(|one| groups(one).ok()).min().unwrap_or_default();
            rule.set("match", inline(&[("regex", list(&usable))]));
        }
        if let Some(template) = route_using {
            rule.set("hash_by", quoted(&of_c_relay(&template, groups_least)));
        }
        match send {
            Send::Blackhole => rule.set("drop", "true"),
            Send::Clusters(names) => {
                rule.set_texts(
                    "send",
                    &names.iter().map(|name| our_name(name)).collect::<Vec<_>>(),
                );
                if stop {
                    rule.set("stop", "true");
                }
            }
        }
        self.draft.rules.push(rule);
    }

    fn rewrite(&mut self, expression: &str, into: &str) {
        let usable = self.usable(&[expression.to_owned()], "rewrite");
        let [expression] = usable.as_slice() else { return };
        let mut rule = Table::default();
        rule.set("match", inline(&[("regex", quoted(expression))]));
        let count = groups(expression).unwrap_or_default();
        rule.set("rewrite", quoted(&of_c_relay(into, count)));
        self.draft.rules.push(rule);
    }

    fn aggregate(&mut self, found: Aggregate) {
        let needed =
            found.computes.iter().map(|(_, into)| highest_group(into)).max().unwrap_or_default();
        let mut usable = self.usable(&found.expressions, "aggregate");
        usable.retain(|expression| {
            let has_all = groups(expression).is_ok_and(|count| count >= needed);
            if !has_all {
                self.draft.left_out.push(format!(
                    "aggregate {expression}: it has no group \\{needed} for the name that is written to."
                ));
            }
            has_all
        });
        if usable.is_empty() {
            return;
        }
        let mut rule = Table::default();
        rule.set("match", inline(&[("regex", list(&usable))]));
        let tables: Vec<String> = found
            .computes
            .iter()
            .map(|(method, into)| one_aggregate(&found, method, into, needed))
            .collect();
        match tables.as_slice() {
            [one] => rule.set("aggregate", one.clone()),
            many => rule.set("aggregate", format!("[\n  {},\n]", many.join(",\n  "))),
        }
        if found.stop {
            rule.set("stop", "true");
        }
        self.draft.rules.push(rule);
    }
}

/// One `compute` as an inline table. A bucket that expires some time after its end is sent then.
fn one_aggregate(found: &Aggregate, method: &str, into: &str, groups: usize) -> String {
    let method = match method.strip_prefix("percentile") {
        Some(percent) => format!("p{percent}"),
        None => match method {
            "summary" => "sum",
            "maximum" => "max",
            "minimum" => "min",
            other => other,
        }
        .to_owned(),
    };
    let wait = found.expire_s.saturating_sub(found.every_s);
    let mut pairs = vec![
        ("into", quoted(&of_c_relay(into, groups))),
        ("window", quoted(&format!("{}s", found.every_s))),
        ("method", quoted(&method)),
        ("wait", quoted(&format!("{wait}s"))),
        ("late", quoted(&format!("{}s", found.expire_s))),
        ("stamp", quoted(found.stamp.as_deref().unwrap_or("end"))),
    ];
    if let Some(Send::Clusters(names)) = &found.send {
        pairs.push(("send", list(&names.iter().map(|name| our_name(name)).collect::<Vec<_>>())));
    }
    inline(&pairs)
}

/// The highest group that a template of theirs refers to.
fn highest_group(template: &str) -> usize {
    (1..=9)
        .rev()
        .find(|&n| of_c_relay(template, n) != of_c_relay(template, n - 1))
        .unwrap_or_default()
}

/// A cluster of theirs that is called as ours for the rest would get what no rule stopped.
fn our_name(name: &str) -> String {
    if name == DEFAULT { "default-cluster".to_owned() } else { name.to_owned() }
}

/// An address with its port; an IPv6 address in brackets may lack it.
fn with_port(address: &str) -> String {
    let has_port = !address.ends_with(']') && address.contains(':');
    if has_port { address.to_owned() } else { format!("{address}:{PORT}") }
}

/// The files that an include means: a path, or a pattern in the last part of one. They lie where
/// the relay was started, else beside the file that includes them.
fn included(path: &Path, pattern: &str) -> Result<Vec<PathBuf>, Vec<Fault>> {
    let beside = path.parent().unwrap_or(Path::new("")).join(pattern);
    let mut found = Vec::new();
    for candidate in [Path::new(pattern), &beside] {
        let folder = candidate.parent().filter(|folder| !folder.as_os_str().is_empty());
        let name = candidate.file_name().unwrap_or_default().to_string_lossy();
        let glob = Glob::compile(&name).map_err(|error| {
            vec![Fault::new(path.display().to_string(), "include", error.to_string())]
        })?;
        let entries =
            std::fs::read_dir(folder.unwrap_or(Path::new("."))).into_iter().flatten().flatten();
        found.extend(
            entries
                .filter(|entry| glob.matches(&entry.file_name().to_string_lossy()))
                .map(|entry| entry.path()),
        );
        if !found.is_empty() {
            found.sort();
            return Ok(found);
        }
    }
    Err(vec![Fault::new(
        path.display().to_string(),
        "include",
        format!("no file is called `{pattern}`"),
    )])
}
