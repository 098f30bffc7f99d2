//! What rules do to names, and what is said about rules that cannot be.

use proptest::prelude::*;

use super::*;
use crate::routes::tests::routes;

const CLUSTERS: &str = "
[clusters.a]
type = 'forward'
node = ['a:1']
[clusters.b]
type = 'forward'
node = ['b:1']
[clusters.default]
type = 'forward'
node = ['c:1']
";

/// Writes down all it is told.
#[derive(Default)]
struct Diary(Vec<String>);

impl Follower for Diary {
    fn hit(&mut self, rule: usize) {
        self.0.push(format!("{rule}"));
    }

    fn renamed(&mut self, name: &str) {
        self.0.push(format!("is {name}"));
    }

    fn send(&mut self, cluster: usize, name: &str, key: &str) {
        // Clusters come in the order of their names.
        let cluster = ["a", "b", "default"][cluster];
        let by = if key == name { String::new() } else { format!(" by {key}") };
        self.0.push(format!("{name} to {cluster}{by}"));
    }

    fn aggregate(&mut self, aggregate: usize, output: &str) {
        self.0.push(format!("in {aggregate} as {output}"));
    }
}

fn rules(text: &str) -> Rules {
    routes(&format!("{text}{CLUSTERS}")).unwrap().rules
}

fn walk(rules: &Rules, name: &str) -> (Vec<String>, End) {
    let mut diary = Diary::default();
    let end = rules.walk(
        Point { name, timestamp: 60, result_of: None },
        &mut Scratch::default(),
        &mut diary,
    );
    (diary.0, end)
}

/// The rules' account of a name, without its end.
fn told(text: &str, name: &str) -> Vec<String> {
    walk(&rules(text), name).0
}

fn holds(condition: &str, name: &str) -> bool {
    let text = format!("[[rule]]\nmatch = {{ {condition} }}\ndrop = true\n");
    walk(&rules(&text), name).1 == End::Dropped(0)
}

fn faults(text: &str) -> Vec<String> {
    routes(&format!("{text}{CLUSTERS}")).unwrap_err()
}

#[test]
fn without_rules_everything_goes_to_the_default_cluster() {
    assert_eq!(told("", "web.cpu"), ["web.cpu to default"]);
    assert!(rules("").is_empty());
}

#[test]
fn rules_are_taken_in_order_until_one_stops() {
    let text = "
[[rule]]
match = { prefix = 'web.' }
send = ['a', 'b']
[[rule]]
match = { suffix = '.idle' }
stop = true
[[rule]]
send = 'b'
";
    assert_eq!(
        walk(&rules(text), "web.cpu"),
        (
            ["0", "web.cpu to a", "web.cpu to b", "2", "web.cpu to b", "web.cpu to default"]
                .map(str::to_owned)
                .into(),
            End::Sent
        )
    );
    assert_eq!(told(text, "web.idle"), ["0", "web.idle to a", "web.idle to b", "1"]);
    assert_eq!(walk(&rules(text), "db.idle").1, End::Unrouted);
}

#[test]
fn what_stands_together_must_all_hold_and_of_a_list_one() {
    assert!(holds("prefix = ['web.', 'db.'], suffix = '.idle'", "db.cpu.idle"));
    assert!(!holds("prefix = ['web.', 'db.'], suffix = '.idle'", "db.cpu.user"));
    assert!(!holds("prefix = ['web.', 'db.'], suffix = '.idle'", "mq.cpu.idle"));
    assert!(holds("regex = '^web[0-9]+\\.', contains = 'cpu'", "web1.cpu"));
    assert!(!holds("regex = '^web[0-9]+\\.', contains = 'cpu'", "web1.mem"));
    assert!(holds("equals = 'web.cpu'", "web.cpu") && !holds("equals = 'web.cpu'", "web.cpu.x"));
}

#[test]
fn nothing_of_a_not_may_match() {
    let condition = "prefix = 'web.', not = { suffix = ['.idle', '.user'], regex = '[0-9]' }";
    assert!(holds(condition, "web.cpu.system"));
    assert!(!holds(condition, "web.cpu.idle"));
    assert!(!holds(condition, "web.cpu.user"));
    assert!(!holds(condition, "web.cpu1.system"));
    assert!(holds("not = { prefix = 'web.' }", "db.cpu"), "an allowlist");
    assert!(!holds("not = { prefix = 'web.' }", "web.cpu"));
}

#[test]
fn tags_match_by_their_values() {
    assert!(holds("tag = 'env=prod'", "cpu;env=prod;host=a"));
    assert!(!holds("tag = 'env=prod'", "cpu;env=production"));
    assert!(!holds("tag = 'env=prod'", "cpu"));
    assert!(holds("tag = ['env=~prod|test', 'host!=b']", "cpu;env=test;host=a"));
    assert!(!holds("tag = ['env=~prod|test', 'host!=b']", "cpu;env=test;host=b"));
    assert!(holds("tag = 'name=cpu'", "cpu;env=prod"));
    assert!(!holds("not = { tag = 'env=prod' }", "cpu;env=prod"));
    assert!(holds("not = { tag = 'env=prod' }", "cpu;env=test"));
}

#[test]
fn a_rewrite_replaces_what_was_matched_and_later_rules_see_the_new_name() {
    let text = r"
[[rule]]
match = { regex = '^old\.([a-z]+)\.' }
rewrite = 'new.\^1.'
[[rule]]
match = { prefix = 'old.' }
send = 'a'
[[rule]]
match = { contains = '.WEB.' }
rewrite = '.w.'
[[rule]]
match = { prefix = 'new.w' }
send = 'b'
stop = true
";
    assert_eq!(
        told(text, "old.web.cpu"),
        ["0", "is new.WEB.cpu", "2", "is new.w.cpu", "3", "new.w.cpu to b"]
    );
}

#[test]
fn a_rewrite_can_replace_every_match_or_the_whole_name() {
    let every = "[[rule]]\nmatch = { regex = '_(.)' }\nrewrite = '-\\1'\nrewrite_all = true\n";
    let every = every.replace("'-\\1'", "'-\\^1'");
    assert_eq!(told(&every, "a_b_c.d_e")[1], "is a-B-C.d-E");
    let anchored = "[[rule]]\nmatch = { regex = '^a' }\nrewrite = 'b'\nrewrite_all = true\n";
    assert_eq!(told(anchored, "aaa")[1], "is baa");
    assert_eq!(told("[[rule]]\nrewrite = 'all'\n", "web.cpu")[1], "is all");
}

#[test]
fn a_rewritten_name_is_canonical_or_the_line_ends_with_a_reason() {
    let text = "[[rule]]\nmatch = { contains = 'x' }\nrewrite = '..'\n";
    assert_eq!(told(text, "axb")[1], "is a.b");
    assert_eq!(walk(&rules(text), "x").1, End::BadName(0, NameError::EmptyName));
    assert_eq!(
        told("[[rule]]\nmatch = { contains = ';b=1' }\nrewrite = ';z=1;b=2'\n", "m;b=1;c=3")[1],
        "is m;b=2;c=3;z=1"
    );
}

#[test]
fn points_count_in_aggregates_whose_results_take_part_in_no_circle() {
    let text = r"
[[rule]]
match = { regex = '^web[0-9]+\.(.*)$' }
aggregate = { into = 'web1.\1.{method}', window = '1m', method = ['sum', 'p95'] }
[[rule]]
match = { suffix = '.sum' }
aggregate = [
  { into = 'all', window = ['1m', '1h'], method = 'max', send = 'b' },
  { into = 'none.{window}', window = ['1m', '1h'], method = 'max', late = '1m', stamp = 'end' },
]
";
    let rules = rules(&text.replace("into = 'all'", "into = 'all.{window}'"));
    assert_eq!(
        walk(&rules, "web7.cpu").0,
        ["0", "in 0 as web1.cpu.{method}", "web7.cpu to default"]
    );
    let mut diary = Diary::default();
    let result = Point { name: "web1.cpu.sum", timestamp: 60, result_of: Some(0) };
    rules.walk(result, &mut Scratch::default(), &mut diary);
    let told = [
        "1",
        "in 1 as web1.cpuall.{window}",
        "in 2 as web1.cpunone.{window}",
        "web1.cpu.sum to default",
    ];
    assert_eq!(diary.0, told);
    let found = faults(
        "[[rule]]\naggregate = { into = 'x', window = ['1m', '1h'], method = 'max', wait = '3' }\n",
    );
    assert!(found[0].starts_with("relay.toml:2:73: `rule`: expected a duration"), "{found:?}");
    assert!(found[1].contains("need `{window}` in the output `x`"), "{found:?}");
}

#[test]
fn a_rule_can_hash_something_else_than_the_name() {
    let text = "[[rule]]\nmatch = { regex = '^[^.]+\\.([^.]+)\\..*$' }\nhash_by = '\\1'\nsend = 'a'\nstop = true\n";
    assert_eq!(told(text, "web.cpu.user"), ["0", "web.cpu.user to a by cpu"]);
}

#[test]
fn with_the_name_as_key_tags_are_neither_matched_nor_hashed_but_stay() {
    let text = "routing_key = 'name'\n[[rule]]\nmatch = { suffix = '.cpu' }\nrewrite = '.CPU'\n";
    assert_eq!(
        told(text, "web.cpu;host=a.cpu"),
        ["0", "is web.CPU;host=a.cpu", "web.CPU;host=a.cpu to default by web.CPU"]
    );
    assert!(holds("suffix = 'x'", "a;t=x"));
    let tags = "routing_key = 'name'\n[[rule]]\nmatch = { tag = 'host=a' }\ndrop = true\n";
    assert_eq!(walk(&rules(tags), "web.cpu;host=a").1, End::Dropped(0));
}

#[test]
fn expressions_may_stand_in_a_file_of_their_own() {
    let folder = testkit::folder();
    let path = folder.path().join("blocklist.conf");
    std::fs::write(&path, "# what nobody reads\n^test\\.\n\n\\.tmp$\n").unwrap();
    let condition = format!("regex_file = '{}'", path.display());
    assert!(holds(&condition, "test.a") && holds(&condition, "a.tmp") && !holds(&condition, "a.b"));
    std::fs::write(&path, "ok\n(open\n").unwrap();
    let text = format!("[[rule]]\nmatch = {{ {condition} }}\ndrop = true\n");
    assert!(faults(&text)[0].contains("blocklist.conf:2: the regex `(open` cannot be used"));
}

#[test]
fn of_a_thousand_rules_those_and_only_those_that_match_hold() {
    let rule =
        |i: usize| format!("[[rule]]\nmatch = {{ regex = '^web{i}\\.[a-z]+$' }}\nsend = 'a'\n");
    let rules = rules(&(0..1_000).map(rule).collect::<String>());
    for (name, hits) in
        [("web999.cpu", vec!["999"]), ("web99.cpu", vec!["99"]), ("web9.cpu.x", vec![])]
    {
        let told = walk(&rules, name).0;
        let numbers: Vec<&String> = told.iter().filter(|word| !word.contains(' ')).collect();
        assert_eq!(numbers, hits, "{name}");
    }
}

#[test]
fn every_fault_is_told_with_its_place_and_a_hint() {
    let text = r"[[rule]]
match = { prefx = 'a' }
drop = true
[[rule]]
match = { regex = '(a' }
send = 'stroe'
[[rule]]
match = { regex = 'a(b)' }
rewrite = '\2'
[[rule]]
match = { prefix = 'a' }
[[rule]]
drop = true
send = 'b'
[[rule]]
match = { tag = 'x', sample = 2 }
stop = true
[[rule]]
match = { prefix = [] }
stop = true
";
    let found = faults(text);
    let starts = [
        "relay.toml:2:11: `rule`: unknown field `prefx`, expected one of",
        "relay.toml:19:20: `rule`: an empty list means nothing; leave the key out",
        "relay.toml:5:19: `rule`: the regex `(a` cannot be used: unclosed group",
        "relay.toml:6:8: `rule`: no cluster is called `stroe`",
        "relay.toml:9:11: `rule`: `\\2` refers to a group that not every regex of the rule has (1 groups)",
        "relay.toml:10:1: `rule`: the rule does nothing",
        "relay.toml:12:1: `rule`: a rule that drops does nothing else",
        "relay.toml:16:17: `rule`: invalid tag expression `x`",
        "relay.toml:16:31: `rule`: a share is from 0 to 1, found 2",
    ];
    for start in starts {
        assert!(found.iter().any(|fault| fault.starts_with(start)), "{start} not in {found:#?}");
    }
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    assert!(found[0].ends_with("; did you mean `prefix`?"), "{}", found[0]);
}

/// Patterns of the kinds that people write, and some that have no literal to look for.
fn pattern() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("a".to_owned()),
        Just("web".to_owned()),
        Just("[0-9]+".to_owned()),
        Just("(cpu|mem)".to_owned()),
        Just("(?i:Disk)".to_owned()),
        Just("(ab)?".to_owned()),
        Just("\\.".to_owned()),
        Just(".*".to_owned()),
    ];
    (any::<bool>(), proptest::collection::vec(piece, 1..5), any::<bool>()).prop_map(
        |(start, pieces, end)| {
            let (start, end) = (if start { "^" } else { "" }, if end { "$" } else { "" });
            format!("{start}{}{end}", pieces.concat())
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn compiled_together_rules_hold_as_they_do_alone(
        patterns in proptest::collection::vec(pattern(), 1..12),
        names in proptest::collection::vec("(web|a|ab|cpu|mem|DISK|di\u{17f}k|[0-9]|\\.){1,6}", 8),
    ) {
        let rule = |pattern: &String| format!("[[rule]]\nmatch = {{ regex = '{pattern}' }}\nsend = 'a'\n");
        let rules = rules(&patterns.iter().map(rule).collect::<String>());
        for name in &names {
            let told = walk(&rules, name).0;
            let hits: Vec<String> = told.into_iter().filter(|word| !word.contains(' ')).collect();
            let alone = |pattern: &String| regex::Regex::new(pattern).unwrap().is_match(name);
            let expected: Vec<String> = patterns
                .iter()
                .enumerate()
                .filter(|(_, pattern)| alone(pattern))
                .map(|(number, _)| number.to_string())
                .collect();
            prop_assert_eq!(hits, expected, "{} by {:?}", name, patterns);
        }
    }
}
