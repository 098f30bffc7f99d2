//! The rules: an ordered table that says of each name what becomes of it.
//!
//! This part is pure: a name goes in, and a [`Follower`] is told of every rule that holds and of
//! what it does. The router and `explain` are two followers of the same walk.

mod build;
mod condition;
mod literals;
mod prefilter;
mod template;
mod text;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use metric::{Limits, NameError, canonicalise};
use regex::Captures;

pub(crate) use build::build;
pub(crate) use condition::Point;

use condition::{Condition, Found, Pattern};
use prefilter::{Bits, Prefilter};
use template::Template;

use crate::aggregate::Spec;

/// In an output `{method}` and `{window}` are still to be filled in.
const OUTPUT_LIMITS: Limits = Limits { glob_chars_allowed: true, ..Limits::DEFAULT };

/// What rules match and rings hash of a tagged series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Key {
    /// The whole canonical name with its tags.
    #[default]
    Series,
    /// The name before the tags, as in carbon-c-relay.
    Name,
}

impl Key {
    /// The part of a canonical name that is meant.
    pub(crate) fn of(self, name: &str) -> &str {
        match self {
            Self::Series => name,
            Self::Name => name.split_once(';').map_or(name, |(name, _)| name),
        }
    }
}

/// One rule, ready.
#[derive(Debug)]
pub(crate) struct Rule {
    /// What it is called in metrics and by `explain`.
    pub(crate) name: String,
    /// `relay.toml:12:1`.
    pub(crate) place: String,
    condition: Condition,
    rewrite: Option<Rewrite>,
    /// What the rings of `send` hash in place of the name.
    hash_by: Option<Template>,
    /// What it aggregates, by the places in [`Rules::aggregates`].
    aggregates: Vec<usize>,
    /// The clusters that get the line, by their places.
    send: Vec<usize>,
    drop: bool,
    stop: bool,
}

#[derive(Debug)]
struct Rewrite {
    template: Template,
    /// Every match in the name, not only the first.
    all: bool,
}

/// Points that become one per window.
#[derive(Debug)]
pub(crate) struct Aggregate {
    /// The rule that it belongs to.
    pub(crate) rule: usize,
    into: Template,
    /// The clusters that get the results; without any they go through the rules.
    pub(crate) send: Vec<usize>,
    pub(crate) spec: Spec,
    /// The same for two states of the settings whose windows are the same.
    pub(crate) identity: String,
}

/// Where a name's way through the rules ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// A rule or the default cluster took it.
    Sent,
    /// The rule of this index drops it.
    Dropped(usize),
    /// No rule sent it anywhere.
    Unrouted,
    /// The rule of this index made a name of it that no series can have.
    BadName(usize, NameError),
}

/// Is told what happens to a name.
pub(crate) trait Follower {
    /// The rule holds for the name.
    fn hit(&mut self, rule: usize);
    /// From now on the line has this name.
    fn renamed(&mut self, _name: &str) {}
    /// The cluster gets the line under this name, placed by `key`.
    fn send(&mut self, cluster: usize, name: &str, key: &str);
    /// The point counts in this aggregate's series of this name.
    fn aggregate(&mut self, aggregate: usize, output: &str);
}

/// Memory that one walk leaves for the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    patterns: Bits,
    rules: Bits,
}

/// All rules, compiled together.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    aggregates: Vec<Aggregate>,
    key: Key,
    /// The cluster that gets what no rule stopped.
    default_cluster: Option<usize>,
    patterns: Vec<Pattern>,
    /// For each pattern the rule that it may make hold.
    rule_of: Vec<Option<usize>>,
    /// Rules that hold or not whatever patterns match.
    always: Bits,
    prefilter: Prefilter,
}

impl Rules {
    /// Whether every line simply goes to the default cluster.
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules in order.
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// All aggregates of all rules.
    pub(crate) fn aggregates(&self) -> &[Aggregate] {
        &self.aggregates
    }

    /// What is matched and hashed.
    pub(crate) fn key(&self) -> Key {
        self.key
    }

    /// The cluster that gets what no rule stopped.
    pub(crate) fn default_cluster(&self) -> Option<usize> {
        self.default_cluster
    }

    /// Takes a point through the rules.
    pub(crate) fn walk(
        &self,
        point: Point<'_>,
        scratch: &mut Scratch,
        follower: &mut impl Follower,
    ) -> End {
        let mut name = Cow::Borrowed(point.name);
        let mut was_sent = false;
        let mut next = 0;
        self.mark(&name, scratch);
        while let Some(index) = scratch.rules.next(next) {
            next = index + 1;
            let rule = &self.rules[index];
            if point.result_of.is_some_and(|of| index <= of && !rule.aggregates.is_empty()) {
                continue;
            }
            let point = Point { name: &name, ..point };
            let Some(found) = self.find(&rule.condition, point, scratch) else { continue };
            follower.hit(index);
            if let Err(error) = self.aggregate(rule, &name, &found, follower) {
                return End::BadName(index, error);
            }
            self.send(rule, &name, &found, follower);
            was_sent |= !rule.send.is_empty() || !rule.aggregates.is_empty();
            if rule.drop {
                return End::Dropped(index);
            }
            if rule.stop {
                return if was_sent { End::Sent } else { End::Unrouted };
            }
            let Some(rewrite) = &rule.rewrite else { continue };
            match self.rewritten(rewrite, &name, &found) {
                Ok(new) => name = Cow::Owned(new),
                Err(error) => return End::BadName(index, error),
            }
            follower.renamed(&name);
            self.mark(&name, scratch);
        }
        if let Some(cluster) = self.default_cluster {
            follower.send(cluster, &name, self.key.of(&name));
            was_sent = true;
        }
        if was_sent { End::Sent } else { End::Unrouted }
    }

    /// Notes which patterns and rules are worth a try for a name.
    fn mark(&self, name: &str, scratch: &mut Scratch) {
        self.prefilter.candidates(self.key.of(name), &mut scratch.patterns);
        scratch.rules.clone_from(&self.always);
        let mut next = 0;
        while let Some(pattern) = scratch.patterns.next(next) {
            next = pattern + 1;
            if let Some(rule) = self.rule_of[pattern] {
                scratch.rules.insert(rule);
            }
        }
    }

    /// What of the name the condition is met by; nothing if it is not.
    fn find(&self, condition: &Condition, point: Point<'_>, scratch: &Scratch) -> Option<Found> {
        let key = self.key.of(point.name);
        condition.find(point, key, |among| {
            let mut next = among.start;
            while let Some(pattern) = scratch.patterns.next(next).filter(|p| among.contains(p)) {
                if let Some(range) = self.patterns[pattern].find(key) {
                    return Some(Found { pattern: Some(pattern), range });
                }
                next = pattern + 1;
            }
            None
        })
    }

    fn aggregate(
        &self,
        rule: &Rule,
        name: &str,
        found: &Found,
        follower: &mut impl Follower,
    ) -> Result<(), NameError> {
        for &aggregate in &rule.aggregates {
            let mut output = String::with_capacity(name.len());
            self.replace(&self.aggregates[aggregate].into, self.key.of(name), found, &mut output);
            follower.aggregate(aggregate, &canonicalise(output.as_bytes(), &OUTPUT_LIMITS)?);
        }
        Ok(())
    }

    fn send(&self, rule: &Rule, name: &str, found: &Found, follower: &mut impl Follower) {
        let Some(template) = rule.hash_by.as_ref().filter(|_| !rule.send.is_empty()) else {
            for &cluster in &rule.send {
                follower.send(cluster, name, self.key.of(name));
            }
            return;
        };
        let key = self.key.of(name);
        let mut hashed = String::with_capacity(key.len());
        self.replace(template, key, found, &mut hashed);
        for &cluster in &rule.send {
            follower.send(cluster, name, &hashed);
        }
    }

    /// The name with its matches replaced, canonical again.
    fn rewritten(&self, rewrite: &Rewrite, name: &str, found: &Found) -> Result<String, NameError> {
        let key = self.key.of(name);
        let mut new = String::with_capacity(name.len());
        match found.pattern.map(|pattern| &self.patterns[pattern]) {
            Some(Pattern::Regex(regex)) if rewrite.all => {
                let mut end = 0;
                for captures in regex.captures_iter(key) {
                    let range = captures.get_match().range();
                    new.push_str(&key[end..range.start]);
                    rewrite.template.expand(Some(&captures), &mut new);
                    end = range.end;
                }
                new.push_str(&key[end..]);
            }
            _ => self.replace(&rewrite.template, key, found, &mut new),
        }
        new.push_str(&name[key.len()..]);
        canonicalise(new.as_bytes(), &Limits::default()).map(Cow::into_owned)
    }

    /// Appends `key` with what was found replaced.
    fn replace(&self, template: &Template, key: &str, found: &Found, out: &mut String) {
        out.push_str(&key[..found.range.start]);
        let pattern = found.pattern.map(|pattern| &self.patterns[pattern]);
        let captures = pattern.filter(|_| template.has_groups()).and_then(|p| captures(p, key));
        template.expand(captures.as_ref(), out);
        out.push_str(&key[found.range.end..]);
    }
}

fn captures<'k>(pattern: &Pattern, key: &'k str) -> Option<Captures<'k>> {
    match pattern {
        Pattern::Regex(regex) => regex.captures(key),
        _ => None,
    }
}
