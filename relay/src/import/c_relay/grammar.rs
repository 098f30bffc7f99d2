//! carbon-c-relay's configuration language, as its manual describes it.
//!
//! Statements end with `;`, `#` begins a comment even inside a word, words are bare or in double
//! quotes. Which words are keywords depends on the place, so each rule asks for those it expects.

use nom::branch::alt;
use nom::bytes::complete::{is_not, take_while1};
use nom::character::complete::{anychar, char, multispace1, none_of};
use nom::combinator::{map, map_opt, not, opt, recognize, value, verify};
use nom::multi::{fold_many0, many0, many1};
use nom::sequence::{delimited, pair, preceded, terminated};
use nom::{IResult, Parser};

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Statement {
    Cluster {
        name: String,
        kind: ClusterKind,
        hosts: Vec<Host>,
    },
    Files {
        name: String,
        with_address: bool,
        paths: Vec<String>,
    },
    Match(Match),
    Rewrite {
        expression: String,
        into: String,
    },
    Aggregate(Aggregate),
    /// Where and how often it sends its own numbers.
    Statistics(Vec<String>),
    Listen {
        transport: Vec<String>,
        receivers: Vec<(String, String)>,
    },
    Include(String),
}

/// What stands between a cluster's name and its hosts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ClusterKind {
    pub(super) word: String,
    pub(super) replication: Option<usize>,
    pub(super) dynamic: bool,
    pub(super) use_all: bool,
}

/// One host of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Host {
    pub(super) address: String,
    pub(super) instance: Option<String>,
    /// Anything but lines over plain TCP.
    pub(super) options: Vec<String>,
}

/// A match statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Match {
    /// None for `*`.
    pub(super) expressions: Option<Vec<String>>,
    pub(super) validate: Option<(String, String)>,
    pub(super) route_using: Option<String>,
    pub(super) send: Option<Send>,
    pub(super) stop: bool,
}

/// Where matched lines go.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Send {
    Blackhole,
    Clusters(Vec<String>),
}

/// An aggregate statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Aggregate {
    pub(super) expressions: Vec<String>,
    pub(super) every_s: u64,
    pub(super) expire_s: u64,
    pub(super) stamp: Option<String>,
    pub(super) computes: Vec<(String, String)>,
    pub(super) send: Option<Send>,
    pub(super) stop: bool,
}

/// Reads a file; an error is the byte from which on it cannot be understood.
pub(super) fn parse(text: &str) -> Result<Vec<Statement>, usize> {
    let mut rest = text;
    let mut statements = Vec::new();
    loop {
        let after = blanks(rest).map_or(rest, |(after, _)| after);
        if after.is_empty() {
            return Ok(statements);
        }
        // A lone `;` ends nothing.
        if let Some(next) = after.strip_prefix(';') {
            rest = next;
            continue;
        }
        match terminated(statement, symbol(';')).parse(after) {
            Ok((next, statement)) => {
                statements.push(statement);
                rest = next;
            }
            Err(nom::Err::Error(error) | nom::Err::Failure(error)) => {
                let at = blanks(error.input).map_or(error.input, |(after, ())| after);
                return Err(text.len() - at.len());
            }
            Err(nom::Err::Incomplete(_)) => return Err(text.len()),
        }
    }
}

type Read<'t, T> = IResult<&'t str, T>;

fn statement(text: &str) -> Read<'_, Statement> {
    let (rest, word) = bare(text)?;
    match word.as_str() {
        "cluster" => cluster(rest),
        "match" => map(matching, Statement::Match).parse(rest),
        "rewrite" => rewrite(rest),
        "aggregate" => map(aggregate, Statement::Aggregate).parse(rest),
        "statistics" => map(many0(word_), Statement::Statistics).parse(rest),
        "send" => {
            map(preceded(keyword("statistics"), many0(word_)), Statement::Statistics).parse(rest)
        }
        "listen" => listen(rest),
        "include" => map(word_, Statement::Include).parse(rest),
        _ => Err(nom::Err::Error(nom::error::Error::new(text, nom::error::ErrorKind::Tag))),
    }
}

/// Spaces, line ends and comments.
fn blanks(text: &str) -> Read<'_, ()> {
    let comment = recognize(pair(char('#'), opt(is_not("\n"))));
    value((), many0(alt((multispace1, comment)))).parse(text)
}

fn symbol<'t>(
    symbol: char,
) -> impl Parser<&'t str, Output = char, Error = nom::error::Error<&'t str>> {
    preceded(blanks, char(symbol))
}

/// A word without quotes. A backslash takes a following space in.
fn bare(text: &str) -> Read<'_, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || r"[](){}|^?*$&%<>:/,._+-".contains(c);
    let escape = recognize(pair(char('\\'), opt(char(' '))));
    let word = recognize(many1(alt((take_while1(plain), escape))));
    map(preceded(blanks, word), |text: &str| text.to_owned()).parse(text)
}

/// A word in quotes, in which a backslash takes the next character as it is.
fn in_quotes(text: &str) -> Read<'_, String> {
    let piece = alt((preceded(char('\\'), anychar), none_of("\\\"\n")));
    let content = fold_many0(piece, String::new, |mut text, c| {
        text.push(c);
        text
    });
    preceded(
        blanks,
        delimited(char('"'), verify(content, |text: &str| !text.is_empty()), char('"')),
    )
    .parse(text)
}

fn word_(text: &str) -> Read<'_, String> {
    alt((in_quotes, bare)).parse(text)
}

fn keyword<'t>(
    word: &'static str,
) -> impl Parser<&'t str, Output = String, Error = nom::error::Error<&'t str>> {
    verify(bare, move |text: &str| text == word)
}

/// A word that is none of these keywords.
fn word_but<'t>(
    words: &'static [&'static str],
) -> impl Parser<&'t str, Output = String, Error = nom::error::Error<&'t str>> {
    preceded(not(verify(bare, move |text: &str| words.contains(&text))), word_)
}

fn number(text: &str) -> Read<'_, u64> {
    map_opt(bare, |text| text.parse().ok()).parse(text)
}

fn cluster(text: &str) -> Read<'_, Statement> {
    let (rest, name) = word_(text)?;
    let (rest, word) = bare(rest)?;
    if word == "file" {
        let (rest, ip) = opt(keyword("ip")).parse(rest)?;
        let (rest, paths) = many1(word_).parse(rest)?;
        return Ok((rest, Statement::Files { name, with_address: ip.is_some(), paths }));
    }
    const KINDS: &[&str] =
        &["forward", "any_of", "failover", "carbon_ch", "fnv1a_ch", "jump_fnv1a_ch"];
    if !KINDS.contains(&word.as_str()) {
        return Err(nom::Err::Error(nom::error::Error::new(rest, nom::error::ErrorKind::OneOf)));
    }
    let (rest, use_all) = opt(keyword("useall")).parse(rest)?;
    let (rest, replication) = opt(preceded(keyword("replication"), number)).parse(rest)?;
    let (rest, dynamic) = opt(keyword("dynamic")).parse(rest)?;
    let (rest, hosts) = many1(host).parse(rest)?;
    let replication = replication.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    let (dynamic, use_all) = (dynamic.is_some(), use_all.is_some());
    let kind = ClusterKind { word, replication, dynamic, use_all };
    Ok((rest, Statement::Cluster { name, kind, hosts }))
}

fn host(text: &str) -> Read<'_, Host> {
    const KEYWORDS: &[&str] =
        &["useall", "replication", "dynamic", "proto", "type", "transport", "ssl", "mtls"];
    let (rest, address) = word_but(KEYWORDS).parse(text)?;
    let (rest, instance) = opt(preceded(symbol('='), word_)).parse(rest)?;
    let option = |name, values: &'static [&'static str]| {
        preceded(keyword(name), verify(bare, move |word: &str| values.contains(&word)))
    };
    let (rest, proto) = opt(option("proto", &["tcp", "udp"])).parse(rest)?;
    let (rest, kind) = opt(option("type", &["linemode", "syslog"])).parse(rest)?;
    let (rest, transport) =
        opt(option("transport", &["plain", "gzip", "lz4", "snappy"])).parse(rest)?;
    let (rest, ssl) = opt(keyword("ssl")).parse(rest)?;
    let (rest, mtls) = opt((keyword("mtls"), word_, word_)).parse(rest)?;
    let ordinary = ["tcp", "linemode", "plain"];
    let named = [proto, kind, transport, ssl, mtls.map(|(mtls, ..)| mtls)];
    let options =
        named.into_iter().flatten().filter(|word| !ordinary.contains(&word.as_str())).collect();
    Ok((rest, Host { address, instance, options }))
}

fn matching(text: &str) -> Read<'_, Match> {
    const AFTER: &[&str] = &["validate", "route", "send", "stop"];
    let (rest, expressions) = many1(word_but(AFTER)).parse(text)?;
    let (rest, validate) = opt((
        preceded(keyword("validate"), word_),
        preceded(keyword("else"), alt((keyword("log"), keyword("drop")))),
    ))
    .parse(rest)?;
    let (rest, route_using) =
        opt(preceded((keyword("route"), keyword("using")), word_)).parse(rest)?;
    let (rest, send) = opt(send).parse(rest)?;
    let (rest, stop) = opt(keyword("stop")).parse(rest)?;
    let expressions = Some(expressions).filter(|words| words != &["*"]);
    Ok((rest, Match { expressions, validate, route_using, send, stop: stop.is_some() }))
}

fn send(text: &str) -> Read<'_, Send> {
    let (rest, names) =
        preceded((keyword("send"), keyword("to")), many1(word_but(&["stop"]))).parse(text)?;
    let is_blackhole = names == ["blackhole"];
    Ok((rest, if is_blackhole { Send::Blackhole } else { Send::Clusters(names) }))
}

fn rewrite(text: &str) -> Read<'_, Statement> {
    let (rest, (expression, into)) = (word_, preceded(keyword("into"), word_)).parse(text)?;
    Ok((rest, Statement::Rewrite { expression, into }))
}

fn aggregate(text: &str) -> Read<'_, Aggregate> {
    let (rest, expressions) = many1(word_but(&["every"])).parse(text)?;
    let (rest, every_s) = delimited(keyword("every"), number, keyword("seconds")).parse(rest)?;
    let (rest, expire_s) =
        delimited((keyword("expire"), keyword("after")), number, keyword("seconds")).parse(rest)?;
    let (rest, stamp) = opt(delimited(
        (keyword("timestamp"), keyword("at")),
        alt((keyword("start"), keyword("middle"), keyword("end"))),
        (keyword("of"), keyword("bucket")),
    ))
    .parse(rest)?;
    let compute =
        (preceded(keyword("compute"), bare), preceded((keyword("write"), keyword("to")), word_));
    let (rest, computes) = many1(compute).parse(rest)?;
    let (rest, send) = opt(send).parse(rest)?;
    let (rest, stop) = opt(keyword("stop")).parse(rest)?;
    let stop = stop.is_some();
    Ok((rest, Aggregate { expressions, every_s, expire_s, stamp, computes, send, stop }))
}

fn listen(text: &str) -> Read<'_, Statement> {
    let (rest, _) = (opt(keyword("type")), keyword("linemode")).parse(text)?;
    // Everything between `transport` and the first receiver: how the stream is packed or sealed.
    let receiver = || {
        (word_, preceded(keyword("proto"), alt((keyword("tcp"), keyword("udp"), keyword("unix")))))
    };
    let (rest, transport) =
        opt(preceded(keyword("transport"), many1(preceded(not(receiver()), word_)))).parse(rest)?;
    let (rest, receivers) = many1(receiver()).parse(rest)?;
    Ok((rest, Statement::Listen { transport: transport.unwrap_or_default(), receivers }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(text: &str) -> Statement {
        let (rest, statement) = super::statement(text).unwrap();
        assert_eq!(rest, "");
        statement
    }

    #[test]
    fn clusters_have_hosts_with_instances_and_options() {
        let text = "cluster store fnv1a_ch replication 2 dynamic\n  10.0.0.1:2003=a proto tcp # one\n  \"[::1]:2004\"=7 proto udp type syslog transport gzip ssl";
        let Statement::Cluster { name, kind, hosts } = statement(text) else { panic!("{text}") };
        assert_eq!((name.as_str(), kind.word.as_str()), ("store", "fnv1a_ch"));
        assert_eq!((kind.replication, kind.dynamic, kind.use_all), (Some(2), true, false));
        assert_eq!(hosts[0].instance.as_deref(), Some("a"));
        assert!(hosts[0].options.is_empty());
        assert_eq!(hosts[1].address, "[::1]:2004");
        assert_eq!(hosts[1].options, ["udp", "syslog", "gzip", "ssl"]);
    }

    #[test]
    fn words_end_at_comments_and_keep_escaped_spaces() {
        let text = r"rewrite ^a\ b\.c into x.y#z;";
        let statements = parse(text).unwrap_err();
        assert_eq!(statements, text.len(), "the semicolon is part of the comment");
        assert_eq!(
            statement(r#"rewrite ^a\ b\.c into "x \"y\" \\1#z""#),
            Statement::Rewrite { expression: r"^a\ b\.c".into(), into: r#"x "y" \1#z"#.into() }
        );
    }

    #[test]
    fn matches_send_validate_route_and_stop() {
        let Statement::Match(found) = statement(
            r"match ^a\. ^b validate ^[0-9]+ else drop route using \1 send to one two stop",
        ) else {
            panic!("a match")
        };
        assert_eq!(found.expressions, Some(vec![r"^a\.".to_owned(), "^b".to_owned()]));
        assert_eq!(found.validate, Some(("^[0-9]+".to_owned(), "drop".to_owned())));
        assert_eq!(found.route_using.as_deref(), Some(r"\1"));
        assert_eq!(found.send, Some(Send::Clusters(vec!["one".to_owned(), "two".to_owned()])));
        assert!(found.stop);
        let Statement::Match(all) = statement("match * send to blackhole") else {
            panic!("a match")
        };
        assert_eq!((all.expressions, all.send), (None, Some(Send::Blackhole)));
    }

    #[test]
    fn aggregates_compute_several_things() {
        let Statement::Aggregate(found) = statement(
            "aggregate a b every 10 seconds expire after 35 seconds timestamp at start of bucket \
             compute sum write to x compute percentile95 write to y send to z stop",
        ) else {
            panic!("an aggregate")
        };
        assert_eq!((found.every_s, found.expire_s), (10, 35));
        assert_eq!(found.stamp.as_deref(), Some("start"));
        assert_eq!(found.computes[1], ("percentile95".to_owned(), "y".to_owned()));
        assert!(found.stop && found.send.is_some());
    }

    #[test]
    fn listeners_have_transports_and_receivers() {
        let Statement::Listen { transport, receivers } = statement(
            "listen type linemode transport plain ssl cert.pem protomin tls1.2 2003 proto tcp /x proto unix",
        ) else {
            panic!("a listener")
        };
        assert_eq!(transport, ["plain", "ssl", "cert.pem", "protomin", "tls1.2"]);
        assert_eq!(receivers.len(), 2);
        assert_eq!(receivers[1], ("/x".to_owned(), "unix".to_owned()));
    }

    #[test]
    fn what_cannot_be_understood_is_told_by_its_place() {
        assert_eq!(parse("match a send to b;\n\nnonsense;\n"), Err(20));
        let text = "cluster a carbon_ch replication x;";
        assert_eq!(parse(text), Err(20), "there is no count after `replication`");
        assert_eq!(parse("# nothing\n\n;").unwrap(), []);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z*;#\"\\\\ =.\n0-9]{0,120}") {
            if let Err(place) = parse(&text) {
                proptest::prop_assert!(place <= text.len());
            }
        }
    }
}
