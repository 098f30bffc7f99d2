//! What becomes of one name, told step by step by the rules that the router uses.

use std::io::{self, Write};

use metric::{Limits, canonicalise};

use crate::clusters::Place;
use crate::routes::Routes;
use crate::rules::{End, Follower, Point, Scratch};

/// The way of one name.
#[derive(Debug, Default)]
pub(crate) struct Account {
    name: String,
    steps: Vec<String>,
    /// Where the line ends up, as addresses and paths; with its name where that has changed.
    pub(crate) receivers: Vec<String>,
}

impl Account {
    /// Writes the name and, indented, what becomes of it.
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}", self.name)?;
        self.steps.iter().try_for_each(|step| writeln!(out, "  {step}"))
    }
}

/// Takes a name through the live rules. Samples are taken as for a point at time 0.
pub(crate) fn explain(routes: &Routes, raw_name: &str) -> Account {
    let mut account = Account { name: raw_name.to_owned(), ..Account::default() };
    let name = match canonicalise(raw_name.as_bytes(), &Limits::default()) {
        Ok(name) => name,
        Err(error) => {
            account.steps.push(format!("refused: {error}"));
            return account;
        }
    };
    if name != raw_name {
        account.steps.push(format!("received as {name}"));
    }
    let mut narrator = Narrator { routes, account: &mut account, renamed: false };
    let point = Point { name: &name, timestamp: 0, result_of: None };
    let end = routes.rules.walk(point, &mut Scratch::default(), &mut narrator);
    let rule = |index: usize| &routes.rules.rules()[index].name;
    match end {
        End::Sent => {}
        End::Dropped(_) => account.steps.push("dropped".to_owned()),
        End::Unrouted => account.steps.push("dropped: no rule sends it anywhere".to_owned()),
        End::BadName(index, error) => {
            account
                .steps
                .push(format!("dropped: what {} makes of it is no name: {error}", rule(index)));
        }
    }
    account
}

struct Narrator<'a> {
    routes: &'a Routes,
    account: &'a mut Account,
    renamed: bool,
}

impl Follower for Narrator<'_> {
    fn hit(&mut self, rule: usize) {
        let rule = &self.routes.rules.rules()[rule];
        self.account.steps.push(format!("{} ({})", rule.name, rule.place));
    }

    fn renamed(&mut self, name: &str) {
        self.renamed = true;
        self.account.steps.push(format!("  rewritten to {name}"));
    }

    fn aggregate(&mut self, aggregate: usize, output: &str) {
        let aggregate = &self.routes.rules.aggregates()[aggregate];
        let clusters = self.routes.clusters.clusters();
        let mut to = String::new();
        for &cluster in &aggregate.send {
            to += &format!(" to {}", clusters[cluster].name);
        }
        self.account.steps.push(format!("  aggregated into {output}{to}"));
    }

    fn send(&mut self, cluster: usize, name: &str, key: &str) {
        let clusters = &self.routes.clusters;
        let mut receivers = Vec::new();
        clusters.place(cluster, key, |place| match place {
            Place::Set(set) => {
                let members = clusters.members(set);
                receivers.extend(
                    members.iter().map(|&node| clusters.destinations()[node].addresses.join("|")),
                );
            }
            Place::File(file) => receivers.push(clusters.files()[file].display().to_string()),
        });
        let kind = clusters.clusters()[cluster].kind;
        let mut by = String::new();
        if key != name {
            by = format!(", by {key}");
        }
        if let Some(position) = clusters.position(cluster, key) {
            by += &format!(", position {position}");
        }
        let cluster = &clusters.clusters()[cluster].name;
        self.account.steps.push(format!("  to {cluster} ({kind}{by}): {}", receivers.join(" ")));
        let shown = |receiver: String| match self.renamed {
            true => format!("{receiver}:{name}"),
            false => receiver,
        };
        self.account.receivers.extend(receivers.into_iter().map(shown));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::tests::routes;

    fn told(routes: &Routes, name: &str) -> String {
        let mut out = Vec::new();
        explain(routes, name).write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        // The settings file of a test lies in a folder of its own.
        text.lines().map(|line| line.split(" (/").next().unwrap().to_owned() + "\n").collect()
    }

    #[test]
    fn an_account_names_rules_new_names_and_nodes() {
        let routes = routes(
            "node = ['a:1', 'b:1']
[clusters.spare]
type = 'failover'
node = ['c:1', 'd:1']
[[rule]]
name = 'strip the domain'
match = { regex = '\\.example\\.' }
rewrite = '.'
[[rule]]
match = { prefix = 'tmp.' }
drop = true
[[rule]]
match = { suffix = '.idle' }
send = 'spare'
stop = true
",
        )
        .unwrap();
        assert_eq!(
            told(&routes, "web.example.cpu.idle"),
            "web.example.cpu.idle\n  strip the domain\n    rewritten to web.cpu.idle\n  rule-3\n    to spare (failover): c:1|d:1\n"
        );
        assert_eq!(told(&routes, "tmp.x"), "tmp.x\n  rule-2\n  dropped\n");
        assert_eq!(
            told(&routes, "web..cpu"),
            "web..cpu\n  received as web.cpu\n    to default (carbon_ch, position 10890): b:1\n"
        );
        assert_eq!(
            told(&routes, "a b"),
            "a b\n  refused: name holds a character that is not allowed\n"
        );
    }

    #[test]
    fn whoever_gets_a_line_is_known_by_address_and_by_a_new_name() {
        let routes = routes("[clusters.default]\ntype = 'forward'\nnode = ['a:1']\n[[rule]]\nmatch = { prefix = 'x.' }\nrewrite = 'y.'\n").unwrap();
        assert_eq!(explain(&routes, "web.cpu").receivers, ["a:1"]);
        assert_eq!(explain(&routes, "x.cpu").receivers, ["a:1:y.cpu"]);
    }
}
