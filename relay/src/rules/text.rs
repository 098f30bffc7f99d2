//! A rule as the settings file has it.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// One `[[rule]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleText {
    pub(super) name: Option<Spanned<String>>,
    #[serde(default, rename = "match")]
    pub(super) condition: ConditionText,
    pub(super) rewrite: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) rewrite_all: bool,
    pub(super) hash_by: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) aggregate: Aggregates,
    #[serde(default)]
    pub(super) send: Texts,
    #[serde(default)]
    pub(super) drop: bool,
    #[serde(default)]
    pub(super) stop: bool,
}

/// `match = { … }`: one of each list must match, every tag term must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConditionText {
    #[serde(default)]
    pub(super) regex: Texts,
    /// A file of expressions, one a line.
    pub(super) regex_file: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) equals: Texts,
    #[serde(default)]
    pub(super) prefix: Texts,
    #[serde(default)]
    pub(super) suffix: Texts,
    #[serde(default)]
    pub(super) contains: Texts,
    #[serde(default)]
    pub(super) tag: Texts,
    /// The share of the series, or points, that the rule is for.
    pub(super) sample: Option<Spanned<f64>>,
    #[serde(default)]
    pub(super) sample_by: SampleBy,
    /// None of what stands here may match.
    pub(super) not: Option<Box<ConditionText>>,
}

/// One `aggregate = { … }`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AggregateText {
    pub(super) into: Spanned<String>,
    pub(super) window: Texts,
    pub(super) method: Texts,
    pub(super) wait: Option<Spanned<String>>,
    pub(super) late: Option<Spanned<String>>,
    pub(super) splay: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) stamp: StampText,
    #[serde(default)]
    pub(super) send: Texts,
}

/// Which moment of a window its points carry.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum StampText {
    #[default]
    Start,
    Middle,
    End,
}

/// One table or a list of tables.
#[derive(Debug, Default)]
pub(super) struct Aggregates(pub(super) Vec<AggregateText>);

impl<'de> Deserialize<'de> for Aggregates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AggregatesVisitor)
    }
}

struct AggregatesVisitor;

impl<'de> Visitor<'de> for AggregatesVisitor {
    type Value = Aggregates;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table or a list of tables")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Aggregates, A::Error> {
        let one = AggregateText::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Aggregates(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Aggregates, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(Aggregates(all))
    }
}

/// What a sample is of.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SampleBy {
    #[default]
    Series,
    Point,
}

/// One text or a list of texts, each with its place.
#[derive(Debug, Default)]
pub(super) struct Texts(pub(super) Vec<Spanned<String>>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Spanned::<OneOrMany>::deserialize(deserializer)?;
        let span = value.span();
        Ok(match value.into_inner() {
            OneOrMany::One(text) => Self(vec![Spanned::new(span, text)]),
            OneOrMany::Many(texts) => Self(texts),
        })
    }
}

enum OneOrMany {
    One(String),
    Many(Vec<Spanned<String>>),
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor)
    }
}

struct OneOrManyVisitor;

impl<'de> Visitor<'de> for OneOrManyVisitor {
    type Value = OneOrMany;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_str<E>(self, text: &str) -> Result<OneOrMany, E> {
        Ok(OneOrMany::One(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OneOrMany, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = items.next_element()? {
            texts.push(text);
        }
        if texts.is_empty() {
            return Err(serde::de::Error::custom("an empty list means nothing; leave the key out"));
        }
        Ok(OneOrMany::Many(texts))
    }
}
