//! From the tables of the settings file to compiled rules, or to every fault in them.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use daemon::Fault;
use daemon::settings::{Document, Placed, parse_duration};
use metric::TagExpr;
use metric::tag_expr::{Operator, REGEX_BYTES_MAX};
use regex::{Regex, RegexBuilder};
use toml::Spanned;

use super::condition::{Condition, Pattern, Sample};
use super::prefilter::Prefilter;
use super::template::Template;
use super::text::{AggregateText, Aggregates, ConditionText, RuleText, SampleBy, StampText, Texts};
use super::{Aggregate, Key, Rewrite, Rule, Rules};
use crate::aggregate::{Spec, Stamp};

/// Compiles the rules of a file. `clusters` are the names that rules may send to.
///
/// # Errors
/// Every fault in any rule.
pub(crate) fn build(
    document: Option<&Document>,
    key: Key,
    clusters: &[String],
    default_cluster: Option<usize>,
) -> Result<Rules, Vec<Fault>> {
    let mut table = Rules { key, default_cluster, ..Rules::default() };
    let Some(document) = document else { return Ok(table) };
    let mut faults = Vec::new();
    let rules: Vec<Placed<RuleText>> = document.read(&mut faults);
    let mut builder =
        Builder { document, clusters, table: &mut table, faults, names: HashSet::new() };
    for (number, rule) in rules.into_iter().enumerate() {
        builder.rule(number, rule);
    }
    if !builder.faults.is_empty() {
        return Err(builder.faults);
    }
    for (number, aggregate) in table.aggregates.iter().enumerate() {
        table.rules[aggregate.rule].aggregates.push(number);
    }
    table.prefilter = Prefilter::new(table.patterns.iter().map(Pattern::required).collect());
    Ok(table)
}

struct Builder<'a> {
    document: &'a Document,
    clusters: &'a [String],
    table: &'a mut Rules,
    faults: Vec<Fault>,
    names: HashSet<String>,
}

impl Builder<'_> {
    fn fault(&mut self, offset: usize, problem: impl Into<String>) {
        self.faults.push(self.document.fault(offset, problem));
    }

    fn rule(&mut self, number: usize, rule: Placed<RuleText>) {
        let Placed { offset, value: text, .. } = rule;
        let name = self.name(number, &text);
        let condition = self.condition(&text.condition, number);
        let patterns = self.captured(&condition);
        let patterns_of_into = patterns.clone();
        let rewrite = self.template(text.rewrite.as_ref(), patterns.clone());
        let hash_by = self.template(text.hash_by.as_ref(), patterns);
        let send = self.clusters(&text.send);
        self.aggregates(number, &name, &text.aggregate, patterns_of_into);
        self.check(offset, &text);
        if condition.one_of_each.is_empty() {
            self.table.always.insert(number);
        }
        self.table.rules.push(Rule {
            name,
            place: self.document.place(offset).to_string(),
            condition,
            rewrite: rewrite.map(|template| Rewrite { template, all: text.rewrite_all }),
            hash_by,
            aggregates: Vec::new(),
            send,
            drop: text.drop,
            stop: text.stop,
        });
    }

    /// The name given, or the rule's number, from 1.
    fn name(&mut self, number: usize, text: &RuleText) -> String {
        let given = text.name.as_ref().map(|name| name.get_ref().clone());
        let name = given.unwrap_or_else(|| format!("rule-{}", number + 1));
        if !self.names.insert(name.clone()) {
            let offset = text.name.as_ref().map_or(0, |name| name.span().start);
            self.fault(offset, format!("two rules are called `{name}`"));
        }
        name
    }

    /// What contradicts itself or does nothing.
    fn check(&mut self, offset: usize, text: &RuleText) {
        let sends = !text.send.0.is_empty();
        let aggregates = !text.aggregate.0.is_empty();
        let problems = [
            (
                text.drop && (sends || aggregates || text.rewrite.is_some()),
                "a rule that drops does nothing else; give the rest a rule of its own before it",
            ),
            (
                text.stop && text.rewrite.is_some(),
                "a rule that rewrites cannot stop: nobody would see the new name; send it in a later rule",
            ),
            (text.rewrite_all && text.rewrite.is_none(), "`rewrite_all` needs `rewrite`"),
            (text.hash_by.is_some() && !sends, "`hash_by` needs `send`"),
            (
                !(sends || aggregates || text.drop || text.stop || text.rewrite.is_some()),
                "the rule does nothing: give it rewrite, aggregate, send, drop or stop",
            ),
        ];
        for (is_wrong, problem) in problems {
            if is_wrong {
                self.fault(offset, problem);
            }
        }
    }

    /// Adds what the rule aggregates to the table's list.
    fn aggregates(
        &mut self,
        rule: usize,
        name: &str,
        texts: &Aggregates,
        patterns: Option<Range<usize>>,
    ) {
        for text in &texts.0 {
            let into = self.template(Some(&text.into), patterns.clone());
            let send = self.clusters(&text.send);
            let spec = self.spec(text);
            if let (Some(into), Some(spec)) = (into, spec) {
                // Windows stay open over a reload, and come back after a restart, where all of this stays as it was.
                let identity = format!("{name} {} {}", text.into.get_ref(), spec.identity());
                self.table.aggregates.push(Aggregate { rule, into, send, spec, identity });
            }
        }
    }

    fn spec(&mut self, text: &AggregateText) -> Option<Spec> {
        let strs = |texts: &Texts| -> Vec<String> {
            texts.0.iter().map(|text| text.get_ref().clone()).collect()
        };
        let (windows, methods) = (strs(&text.window), strs(&text.method));
        let windows: Vec<&str> = windows.iter().map(String::as_str).collect();
        let methods: Vec<&str> = methods.iter().map(String::as_str).collect();
        let wait = self.duration(text.wait.as_ref());
        let late = self.duration(text.late.as_ref());
        let splay = self.duration(text.splay.as_ref());
        let stamp = match text.stamp {
            StampText::Start => Stamp::Start,
            StampText::Middle => Stamp::Middle,
            StampText::End => Stamp::End,
        };
        let spec = Spec::new(&windows, &methods, text.into.get_ref())
            .map(|spec| spec.stamp(stamp).wait(wait.unwrap_or_default()))
            .map(|spec| splay.map_or(spec.clone(), |splay| spec.splay(splay)))
            .and_then(|spec| match late {
                Some(late) => spec.late(late),
                None => Ok(spec),
            });
        spec.map_err(|error| self.fault(text.into.span().start, error.to_string())).ok()
    }

    fn duration(&mut self, text: Option<&Spanned<String>>) -> Option<Duration> {
        let text = text?;
        let duration = parse_duration(text.get_ref());
        if duration.is_none() {
            let problem = format!(
                "expected a duration with its unit, such as 30s, found \"{}\"",
                text.get_ref().escape_debug()
            );
            self.fault(text.span().start, problem);
        }
        duration
    }

    fn clusters(&mut self, names: &Texts) -> Vec<usize> {
        let mut found = Vec::new();
        for name in &names.0 {
            match self.clusters.iter().position(|cluster| cluster == name.get_ref()) {
                Some(cluster) => found.push(cluster),
                None => {
                    let known = self.clusters.iter().map(String::as_str);
                    let hint = daemon::settings::nearest(name.get_ref(), known)
                        .map(|near| format!("; did you mean `{near}`?"));
                    let problem = format!("no cluster is called `{}`", name.get_ref());
                    self.fault(name.span().start, problem + &hint.unwrap_or_default());
                }
            }
        }
        found
    }

    fn template(
        &mut self,
        text: Option<&Spanned<String>>,
        patterns: Option<Range<usize>>,
    ) -> Option<Template> {
        let text = text?;
        // A rule without patterns has the whole name as its match, and no groups.
        let patterns = patterns.map_or(&[][..], |range| &self.table.patterns[range]);
        let groups = patterns.iter().map(Pattern::groups).min().unwrap_or_default();
        let template = Template::parse(text.get_ref())
            .and_then(|template| template.check(groups).map(|()| template));
        template.map_err(|error| self.fault(text.span().start, error.to_string())).ok()
    }

    /// The patterns whose match a template refers to.
    fn captured(&self, condition: &Condition) -> Option<Range<usize>> {
        condition.one_of_each.first().cloned()
    }

    /// Regexes come first: what they match is what a template refers to.
    fn condition(&mut self, text: &ConditionText, rule: usize) -> Condition {
        let lists = self.lists(text);
        let one_of_each = lists.into_iter().map(|list| self.add(list, Some(rule))).collect();
        let mut condition = Condition { one_of_each, ..Condition::default() };
        condition.tags = self.tags(&text.tag);
        for term in &condition.tags {
            if term.operator() == Operator::Equal
                && term.key() != "name"
                && !term.value().is_empty()
                && self.table.key == Key::Series
            {
                let needed = Pattern::Contains(format!(";{}={}", term.key(), term.value()));
                condition.one_of_each.push(self.add(vec![needed], Some(rule)));
            }
        }
        condition.sample = self.sample(text);
        if let Some(not) = &text.not {
            if not.not.is_some() || not.sample.is_some() {
                let place = not.sample.as_ref().map_or(0, |sample| sample.span().start);
                self.fault(place, "`not` holds no `not` and no `sample`");
            }
            let lists = self.lists(not).into_iter().flatten().collect();
            condition.none_of = self.add(lists, None);
            condition.no_tags = self.tags(&not.tag);
        }
        condition
    }

    fn add(&mut self, patterns: Vec<Pattern>, rule: Option<usize>) -> Range<usize> {
        let from = self.table.patterns.len();
        self.table.rule_of.extend(patterns.iter().map(|_| rule));
        self.table.patterns.extend(patterns);
        from..self.table.patterns.len()
    }

    /// The lists of patterns that are given.
    fn lists(&mut self, text: &ConditionText) -> Vec<Vec<Pattern>> {
        let mut regexes: Vec<Pattern> =
            text.regex.0.iter().filter_map(|regex| self.regex(regex)).map(Pattern::Regex).collect();
        if let Some(file) = &text.regex_file {
            regexes.extend(self.regex_file(file).into_iter().map(Pattern::Regex));
        }
        let texts = |texts: &Texts, pattern: fn(String) -> Pattern| -> Vec<Pattern> {
            texts.0.iter().map(|text| pattern(text.get_ref().clone())).collect()
        };
        let mut lists = vec![
            regexes,
            texts(&text.prefix, Pattern::Prefix),
            texts(&text.suffix, Pattern::Suffix),
            texts(&text.contains, Pattern::Contains),
            texts(&text.equals, Pattern::Equals),
        ];
        lists.retain(|list| !list.is_empty());
        lists
    }

    fn regex(&mut self, text: &Spanned<String>) -> Option<Regex> {
        compile(text.get_ref()).map_err(|problem| self.fault(text.span().start, problem)).ok()
    }

    /// Expressions one a line; blank lines and those that begin with # aside.
    fn regex_file(&mut self, path: &Spanned<String>) -> Vec<Regex> {
        let text = match std::fs::read_to_string(path.get_ref()) {
            Ok(text) => text,
            Err(error) => {
                self.fault(
                    path.span().start,
                    format!("{}: cannot be read: {error}", path.get_ref()),
                );
                return Vec::new();
            }
        };
        let mut regexes = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match compile(line) {
                Ok(regex) => regexes.push(regex),
                Err(problem) => {
                    let problem = format!("{}:{}: {problem}", path.get_ref(), number + 1);
                    self.fault(path.span().start, problem);
                }
            }
        }
        regexes
    }

    fn tags(&mut self, terms: &Texts) -> Vec<TagExpr> {
        let mut tags = Vec::new();
        for term in &terms.0 {
            match TagExpr::parse(term.get_ref()) {
                Ok(tag) => tags.push(tag),
                Err(error) => self.fault(term.span().start, error.to_string()),
            }
        }
        tags
    }

    fn sample(&mut self, text: &ConditionText) -> Option<Sample> {
        let share = text.sample.as_ref()?;
        if !(0.0..=1.0).contains(share.get_ref()) {
            self.fault(
                share.span().start,
                format!("a share is from 0 to 1, found {}", share.get_ref()),
            );
        }
        Some(Sample { share: *share.get_ref(), by_point: text.sample_by == SampleBy::Point })
    }
}

/// Compiles one expression; a fault is one line.
fn compile(expression: &str) -> Result<Regex, String> {
    RegexBuilder::new(expression).size_limit(REGEX_BYTES_MAX).build().map_err(|error| {
        // The last line says what is wrong; those before draw an arrow under the place.
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("the regex `{expression}` cannot be used: {reason}")
    })
}
