//! The terms of `seriesByTag`: which tagged series a query means.
//!
//! A term is `key=value`, `key!=value`, `key=~regex` or `key!=~regex`. A missing tag counts as the
//! empty text, so a term that the empty text satisfies also holds for series without the tag, and a
//! query needs at least one term that does not.

use regex::{Regex, RegexBuilder};

use crate::tags::TaggedName;

/// Most terms of one query.
pub const TERMS_MAX: usize = 128;

/// Largest compiled size of one regular expression, in bytes.
pub const REGEX_BYTES_MAX: usize = 1 << 20;

/// Why a tag query could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TagExprError {
    /// Not of the form `key`, operator, value.
    #[error(
        "invalid tag expression `{expr}`, expected key=value, key!=value, key=~regex or key!=~regex"
    )]
    Malformed {
        /// The term as given.
        expr: String,
    },
    /// A regular expression that does not compile or grows too large.
    #[error("invalid regular expression in tag expression `{expr}`: {source}")]
    Regex {
        /// The term as given.
        expr: String,
        /// What is wrong with it.
        source: regex::Error,
    },
    /// No term at all.
    #[error("no tag expressions specified")]
    NoTerms,
    /// Every term also holds for series without the tag, which would be nearly all series.
    #[error("at least one tag expression must require a non-empty value")]
    AllMatchEmpty,
    /// More terms than [`TERMS_MAX`].
    #[error("{count} tag expressions, at most {TERMS_MAX} are allowed")]
    TooManyTerms {
        /// How many were given.
        count: usize,
    },
    /// Not of the form `seriesByTag('..', "..")`.
    #[error("invalid seriesByTag call at column {position}, expected {expected}")]
    Call {
        /// Byte offset in the text.
        position: usize,
        /// What should have stood there.
        expected: &'static str,
    },
}

/// How a term compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Match,
    /// `!=~`
    NotMatch,
}

impl Operator {
    /// Whether the term names what a value must not be.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        matches!(self, Self::NotEqual | Self::NotMatch)
    }
}

/// One term, ready to be held against series.
#[derive(Debug, Clone)]
pub struct TagExpr {
    key: String,
    operator: Operator,
    value: String,
    regex: Option<Regex>,
}

impl TagExpr {
    /// Reads one term.
    ///
    /// # Errors
    /// [`TagExprError::Malformed`] and [`TagExprError::Regex`].
    pub fn parse(expr: &str) -> Result<Self, TagExprError> {
        let (key, operator, value) =
            split(expr).ok_or_else(|| TagExprError::Malformed { expr: expr.to_owned() })?;
        let regex = match operator {
            Operator::Equal | Operator::NotEqual => None,
            Operator::Match | Operator::NotMatch => Some(
                anchored(value)
                    .map_err(|source| TagExprError::Regex { expr: expr.to_owned(), source })?,
            ),
        };
        Ok(Self { key: key.to_owned(), operator, value: value.to_owned(), regex })
    }

    /// The tag that the term is about; `name` is the series' own name.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How the term compares.
    #[must_use]
    pub const fn operator(&self) -> Operator {
        self.operator
    }

    /// The value or regular expression as given.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a tag with this value satisfies the term; the empty text stands for a missing tag.
    #[must_use]
    pub fn matches_value(&self, value: &str) -> bool {
        let hit = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => self.value == value,
        };
        hit != self.operator.is_negative()
    }

    /// Whether series without the tag satisfy the term.
    #[must_use]
    pub fn matches_empty(&self) -> bool {
        self.matches_value("")
    }

    /// Whether the series satisfies the term.
    #[must_use]
    pub fn matches(&self, series: &TaggedName<'_>) -> bool {
        self.matches_value(series.get(&self.key).unwrap_or_default())
    }
}

/// `^([^;!=]+)(!?=~?)([^;]*)$` by hand.
fn split(expr: &str) -> Option<(&str, Operator, &str)> {
    let (key, rest) = expr.split_at(expr.find([';', '!', '='])?);
    // Longest operators first: `=~` is never `=` with a value that begins with `~`.
    let (operator, value) = [
        ("!=~", Operator::NotMatch),
        ("!=", Operator::NotEqual),
        ("=~", Operator::Match),
        ("=", Operator::Equal),
    ]
    .into_iter()
    .find_map(|(text, operator)| Some((operator, rest.strip_prefix(text)?)))?;
    (!key.is_empty() && !value.contains(';')).then_some((key, operator, value))
}

/// The expression tied to the start of the value, and to its start only.
fn anchored(expression: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&format!("^(?:{expression})")).size_limit(REGEX_BYTES_MAX).build()
}

/// All terms of one query.
#[derive(Debug, Clone)]
pub struct TagQuery {
    terms: Vec<TagExpr>,
}

impl TagQuery {
    /// Reads the terms of a query.
    ///
    /// # Errors
    /// A malformed term, no term, too many, or none that needs a value.
    pub fn parse<S: AsRef<str>>(exprs: &[S]) -> Result<Self, TagExprError> {
        if exprs.is_empty() {
            return Err(TagExprError::NoTerms);
        }
        if exprs.len() > TERMS_MAX {
            return Err(TagExprError::TooManyTerms { count: exprs.len() });
        }
        let terms = exprs
            .iter()
            .map(|expr| TagExpr::parse(expr.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        if terms.iter().all(TagExpr::matches_empty) {
            return Err(TagExprError::AllMatchEmpty);
        }
        Ok(Self { terms })
    }

    /// Reads a whole call, `seriesByTag('a=b', "c!=d")`.
    ///
    /// # Errors
    /// As [`TagQuery::parse`], and [`TagExprError::Call`].
    pub fn parse_call(text: &str) -> Result<Self, TagExprError> {
        Self::parse(&call_arguments(text)?)
    }

    /// The terms in the order given.
    #[must_use]
    pub fn terms(&self) -> &[TagExpr] {
        &self.terms
    }

    /// Whether the series satisfies every term.
    #[must_use]
    pub fn matches(&self, series: &TaggedName<'_>) -> bool {
        self.terms.iter().all(|term| term.matches(series))
    }
}

/// The quoted arguments of a `seriesByTag` call, without their quotes. Quotes know no escapes.
fn call_arguments(text: &str) -> Result<Vec<&str>, TagExprError> {
    let trimmed = text.trim();
    let offset = |rest: &str| rest.as_ptr().addr() - text.as_ptr().addr();
    let fail = |rest: &str, expected| TagExprError::Call { position: offset(rest), expected };
    let Some(mut rest) = trimmed.strip_prefix("seriesByTag").map(str::trim_start) else {
        return Err(fail(trimmed, "seriesByTag"));
    };
    rest = rest.strip_prefix('(').ok_or_else(|| fail(rest, "("))?.trim_start();
    let mut arguments = Vec::new();
    loop {
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let Some(quote) = quote else { return Err(fail(rest, "a quoted tag expression")) };
        let Some((argument, after)) = rest[1..].split_once(quote) else {
            return Err(fail(rest, "a closing quote"));
        };
        arguments.push(argument);
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None if rest == ")" => return Ok(arguments),
            None => return Err(fail(rest, ", or a closing parenthesis at the end")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(expr: &str, series: &str) -> bool {
        TagExpr::parse(expr).unwrap().matches(&TaggedName::parse(series).unwrap())
    }

    #[test]
    fn each_operator_compares_its_way() {
        let series = "disk.used;dc=dc1;rack=a1";
        assert!(matches("dc=dc1", series) && !matches("dc=dc", series));
        assert!(matches("dc!=dc2", series) && !matches("dc!=dc1", series));
        assert!(matches("rack=~a[12]", series) && !matches("rack=~b", series));
        assert!(matches("rack!=~b", series) && !matches("rack!=~a", series));
        assert!(matches("name=disk.used", series) && matches("name=~disk", series));
    }

    #[test]
    fn a_regex_is_tied_to_the_start_only() {
        assert!(matches("rack=~a", "m;rack=a12"));
        assert!(!matches("rack=~a", "m;rack=ba"));
        assert!(!matches("rack=~x|a", "m;rack=ba"), "every branch is anchored");
        assert!(matches("rack=~^a", "m;rack=a12"));
        assert!(!matches("rack=~a$", "m;rack=a12"));
    }

    #[test]
    fn a_missing_tag_counts_as_empty_text() {
        for expr in ["rack=", "rack!=a1", "rack=~.*", "rack=~a?", "rack!=~a"] {
            assert!(matches(expr, "m;dc=x"), "{expr}");
            assert!(TagExpr::parse(expr).unwrap().matches_empty(), "{expr}");
        }
        for expr in ["rack=a1", "rack!=", "rack=~.+", "rack!=~.*"] {
            assert!(!matches(expr, "m;dc=x"), "{expr}");
        }
    }

    #[test]
    fn the_term_pattern_is_graphite_webs() {
        for expr in ["", "dc", "=x", "!=x", "dc!x", "dc;=x", "dc=a;b", "d;c=a"] {
            assert!(matches!(TagExpr::parse(expr), Err(TagExprError::Malformed { .. })), "{expr}");
        }
        let term = TagExpr::parse("dc==x").unwrap();
        assert_eq!((term.operator(), term.value()), (Operator::Equal, "=x"));
        assert!(matches!(TagExpr::parse("dc=~("), Err(TagExprError::Regex { .. })));
        assert!(matches!(TagExpr::parse("dc=~(\\w{99}){99}"), Err(TagExprError::Regex { .. })));
    }

    #[test]
    fn a_query_needs_a_term_that_needs_a_value() {
        assert!(TagQuery::parse(&["dc!=x", "rack=a"]).is_ok());
        assert!(matches!(
            TagQuery::parse(&["dc!=x", "rack=~.*"]),
            Err(TagExprError::AllMatchEmpty)
        ));
        assert!(matches!(TagQuery::parse::<&str>(&[]), Err(TagExprError::NoTerms)));
        let many = vec!["a=b"; TERMS_MAX + 1];
        assert!(matches!(TagQuery::parse(&many), Err(TagExprError::TooManyTerms { .. })));
    }

    #[test]
    fn a_call_is_read_with_either_quote_and_loose_spaces() {
        let query = TagQuery::parse_call("seriesByTag('a=b', \"c!=d\" , 'e=~(x,y)\"')").unwrap();
        let values: Vec<_> = query.terms().iter().map(TagExpr::value).collect();
        assert_eq!(values, ["b", "d", "(x,y)\""]);
        assert!(query.matches(&TaggedName::parse("m;a=b;e=x,y\"").unwrap()));
        assert!(!query.matches(&TaggedName::parse("m;a=b;c=d;e=x,y\"").unwrap()));
    }

    #[test]
    fn a_broken_call_names_the_column() {
        for (call, column) in [
            ("sumSeries('a=b')", 0),
            ("seriesByTag'a=b'", 11),
            ("seriesByTag()", 12),
            ("seriesByTag('a=b)", 12),
            ("seriesByTag('a=b' 'c=d')", 18),
            ("seriesByTag('a=b',)", 18),
            ("seriesByTag('a=b') x", 17),
        ] {
            let Err(TagExprError::Call { position, .. }) = TagQuery::parse_call(call) else {
                panic!("{call} was read")
            };
            assert_eq!(position, column, "{call}");
        }
    }
}
