//! Python carbon's configuration: carbon.conf with the files of rules beside it.

use std::path::Path;

use daemon::Fault;
use regex::Regex;
use schema::ini::Section;

use super::draft::{Draft, Table, array, inline, quoted};
use super::expression::groups;
use super::read;

const HEAD: &str = "Imported from Python carbon. What differs everywhere:
- Nodes get carbon lines, not pickles: where DESTINATIONS names the port of the pickle receiver, give that of the line receiver.
- A node that is away makes nobody wait and loses nothing: its lines wait, in the relay's log if `log` is set.
- Names are cleaned and tags put in order before anything else.";

/// What a relay uses to choose nodes, by RELAY_METHOD.
const METHODS: &[(&str, &str)] = &[
    ("consistent-hashing", "carbon_ch"),
    ("aggregated-consistent-hashing", "carbon_ch"),
    ("constant", "forward"),
    ("rules", "forward"),
];

/// Reads carbon.conf and whatever it refers to.
pub(super) fn convert(path: &Path, text: &str) -> Result<Draft, Vec<Fault>> {
    let sections = sections(path, text)?;
    let relay = sections.iter().find(|section| section.name.starts_with("relay"));
    let aggregator = sections.iter().find(|section| section.name.starts_with("aggregator"));
    let Some(section) = relay.or(aggregator) else {
        let problem = "there is no section [relay] or [aggregator] in it";
        return Err(vec![Fault::new(path.display().to_string(), "", problem)]);
    };
    let mut draft = Draft::default();
    draft.notes.push(HEAD.to_owned());
    listeners(&mut draft, section);
    let folder = path.parent().unwrap_or(Path::new(""));
    lists(&mut draft, section, folder);
    let method = get(section, "relay_method").unwrap_or("rules");
    rewrites(&mut draft, folder, "[pre]")?;
    let aggregates = aggregator.is_some() || method.starts_with("aggregated");
    if aggregates {
        aggregations(&mut draft, folder)?;
    }
    rewrites(&mut draft, folder, "[post]")?;
    match method {
        "rules" if relay.is_some() => rules(&mut draft, folder)?,
        _ => destinations(&mut draft, section, method),
    }
    Ok(draft)
}

fn sections(path: &Path, text: &str) -> Result<Vec<Section>, Vec<Fault>> {
    schema::ini::sections(&path.display().to_string(), text).map_err(|faults| {
        let fault = |fault: &schema::SchemaFault| {
            let place = format!("{}:{}", fault.file, fault.line);
            Fault::new(
                place,
                fault.key.clone(),
                format!("expected {}, found {}", fault.expected, fault.found),
            )
        };
        faults.iter().map(fault).collect()
    })
}

fn get<'a>(section: &'a Section, key: &str) -> Option<&'a str> {
    section.get(key).map(|entry| entry.value.trim()).filter(|value| !value.is_empty())
}

fn is_on(section: &Section, key: &str) -> bool {
    get(section, key).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn listeners(draft: &mut Draft, section: &Section) {
    for (key, theirs) in [("line", "line_receiver"), ("pickle", "pickle_receiver")] {
        let host = get(section, &format!("{theirs}_interface")).unwrap_or("0.0.0.0");
        match get(section, &format!("{theirs}_port")) {
            Some("0") => draft.settings.set(key, "[]"),
            Some(port) => draft.settings.set_texts(key, &[format!("{host}:{port}")]),
            None => {}
        }
    }
}

/// blacklist.conf and whitelist.conf stay where they are, one expression a line.
fn lists(draft: &mut Draft, section: &Section, folder: &Path) {
    if !is_on(section, "use_whitelist") {
        return;
    }
    for (name, is_allowlist) in [("blacklist.conf", false), ("whitelist.conf", true)] {
        let path = folder.join(name);
        if !path.exists() {
            continue;
        }
        let file = inline(&[("regex_file", quoted(&path.display().to_string()))]);
        let mut rule = Table::default();
        rule.set("match", if is_allowlist { format!("{{ not = {file} }}") } else { file });
        rule.set("drop", "true");
        draft.rules.push(rule);
    }
}

/// `HOST:PORT[:INSTANCE]` as ours.
fn node(text: &str) -> String {
    let mut parts = text.trim().splitn(3, ':');
    let (host, port) = (parts.next().unwrap_or_default(), parts.next().unwrap_or("2004"));
    match parts.next() {
        Some(instance) => format!("{host}:{port}={instance}"),
        None => format!("{host}:{port}"),
    }
}

fn nodes(text: &str) -> Vec<String> {
    text.split(',').filter(|text| !text.trim().is_empty()).map(node).collect()
}

/// One cluster of all destinations, which gets everything.
fn destinations(draft: &mut Draft, section: &Section, method: &str) {
    let nodes = nodes(get(section, "destinations").unwrap_or_default());
    let mut table = Table::default();
    let kind = METHODS.iter().find(|(name, _)| *name == method).map(|(_, kind)| *kind);
    if kind.is_none() {
        table.note(format!("RELAY_METHOD {method} has no counterpart: names go to other nodes."));
    }
    if method.starts_with("aggregated") {
        table.note("aggregated-consistent-hashing: here results are aggregated in this relay and placed by their own names.");
    }
    let kind = kind.unwrap_or("carbon_ch");
    table.set("type", quoted(kind));
    if kind == "carbon_ch" {
        let replicas = if is_on(section, "diverse_replicas") { "diverse" } else { "ring" };
        table.set("replicas", quoted(replicas));
        table.set("copies", get(section, "replication_factor").unwrap_or("1"));
    }
    table.set("node", array(&nodes));
    draft.clusters.push(("default".to_owned(), table));
}

/// relay-rules.conf: the first section that matches gets the line, unless it says to go on.
fn rules(draft: &mut Draft, folder: &Path) -> Result<(), Vec<Fault>> {
    let path = folder.join("relay-rules.conf");
    let text = read(&path)?;
    for section in sections(&path, &text)? {
        let name = section.name.clone();
        let is_default = is_on(&section, "default");
        let mut table = Table::default();
        table.set("type", "'forward'");
        table.set("node", array(&nodes(get(&section, "destinations").unwrap_or_default())));
        let cluster = if is_default { "default".to_owned() } else { format!("{name}-nodes") };
        if is_default {
            draft.clusters.push((cluster, table));
            continue;
        }
        let pattern = format!("(?i){}", get(&section, "pattern").unwrap_or_default());
        if let Err(problem) = groups(&pattern) {
            draft.left_out.push(format!("[{name}]: the pattern cannot be used here: {problem}"));
            continue;
        }
        draft.clusters.push((cluster.clone(), table));
        let mut rule = Table::default();
        rule.set("name", quoted(&name));
        rule.set("match", inline(&[("regex", quoted(&pattern))]));
        rule.set("send", quoted(&cluster));
        if !is_on(&section, "continue") {
            rule.set("stop", "true");
        }
        draft.rules.push(rule);
    }
    Ok(())
}

/// One section of rewrite-rules.conf: `pattern = replacement` for every match.
fn rewrites(draft: &mut Draft, folder: &Path, wanted: &str) -> Result<(), Vec<Fault>> {
    let path = folder.join("rewrite-rules.conf");
    if !path.exists() {
        return Ok(());
    }
    let text = read(&path)?;
    let mut section = "";
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            section = line;
        } else if let (true, Some((pattern, replacement))) =
            (section == wanted, line.split_once('='))
        {
            let (pattern, replacement) = (pattern.trim(), replacement.trim());
            if let Err(problem) = groups(pattern) {
                draft.left_out.push(format!("rewrite {pattern}: cannot be used here: {problem}"));
                continue;
            }
            let mut rule = Table::default();
            rule.set("match", inline(&[("regex", quoted(pattern))]));
            rule.set("rewrite", quoted(&super::expression::of_go_or_python(replacement)));
            rule.set("rewrite_all", "true");
            draft.rules.push(rule);
        }
    }
    Ok(())
}

/// aggregation-rules.conf: `output (seconds) = method input`.
fn aggregations(draft: &mut Draft, folder: &Path) -> Result<(), Vec<Fault>> {
    let path = folder.join("aggregation-rules.conf");
    if !path.exists() {
        return Ok(());
    }
    let form = Regex::new(r"^(\S+)\s*\((\d+)\)\s*=\s*(\w+)\s+(\S+)$").expect("a sound expression");
    let text = read(&path)?;
    for line in
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let Some(parts) = form.captures(line) else {
            draft.left_out.push(format!("aggregation not understood: {line}"));
            continue;
        };
        let (expression, names) = input(&parts[4]);
        let seconds = parts[2].parse::<u64>().unwrap_or(60);
        let mut rule = Table::default();
        rule.set("match", inline(&[("regex", quoted(&expression))]));
        rule.set(
            "aggregate",
            inline(&[
                ("into", quoted(&output(&parts[1], &names))),
                ("window", quoted(&format!("{seconds}s"))),
                ("method", quoted(&method(&parts[3]))),
                ("late", quoted(&format!("{}s", seconds * 5))),
            ]),
        );
        draft.rules.push(rule);
    }
    Ok(())
}

/// p999 is 99.9 percent.
fn method(name: &str) -> String {
    match name.strip_prefix('p').filter(|digits| digits.len() == 3) {
        Some(digits) => format!("p{}.{}", &digits[..2], &digits[2..]),
        None => name.to_owned(),
    }
}

/// An input pattern as an expression, with the names of its groups: `*` is one component,
/// `<name>` a part of one, `<<name>>` any text.
fn input(pattern: &str) -> (String, Vec<String>) {
    let field = Regex::new(r"<<([^<>]+)>>|<([^<>]+)>|\*").expect("a sound expression");
    let (mut expression, mut names, mut end) = ("^".to_owned(), Vec::new(), 0);
    for found in field.captures_iter(pattern) {
        let whole = found.get_match();
        expression += &regex::escape(&pattern[end..whole.start()]);
        end = whole.end();
        let (text, name) = match (found.get(1), found.get(2)) {
            (Some(name), _) => ("(.+?)", Some(name)),
            (_, Some(name)) => ("([^.]+?)", Some(name)),
            _ => ("[^.]*", None),
        };
        expression += text;
        names.extend(name.map(|name| name.as_str().to_owned()));
    }
    (expression + &regex::escape(&pattern[end..]) + "$", names)
}

/// An output's name with its fields as references to groups.
fn output(template: &str, names: &[String]) -> String {
    names.iter().enumerate().fold(template.to_owned(), |text, (index, name)| {
        let group = format!("\\g{{{}}}", index + 1);
        text.replace(&format!("<<{name}>>"), &group).replace(&format!("<{name}>"), &group)
    })
}
