//! Measurements as JSON: a list of objects, or an object that says once what they share.
//!
//! ```json
//! {"time": 1700000000, "tags": {"dc": "eu"},
//!  "measurements": [{"name": "cpu.idle", "value": 98.5, "tags": {"host": "web1"}}]}
//! ```
//!
//! The list is cut into items first and each item is read by itself, so that one malformed item
//! costs no other.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::RefusalReason;
use crate::line::{self, Rules};
use crate::named::{NamedPoint, tagged_name};

/// Why a whole document could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasurementsError {
    /// Neither a list nor an object with a list, or no JSON at all.
    #[error("measurements malformed: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Tags by key; the later of two equal keys wins, as JSON has it.
type Tags = BTreeMap<String, String>;

/// A document cut into its items.
#[derive(Debug)]
pub struct Measurements<'b> {
    time: Option<&'b RawValue>,
    tags: Tags,
    items: Items<'b>,
}

#[derive(Debug, Deserialize)]
struct Document<'b> {
    #[serde(borrow, alias = "timestamp")]
    time: Option<&'b RawValue>,
    #[serde(default)]
    tags: Tags,
    #[serde(borrow)]
    measurements: Items<'b>,
}

#[derive(Debug, Deserialize)]
struct Item<'b> {
    #[serde(alias = "metric")]
    name: Option<String>,
    #[serde(borrow)]
    value: Option<&'b RawValue>,
    #[serde(borrow, alias = "timestamp")]
    time: Option<&'b RawValue>,
    #[serde(default)]
    tags: Tags,
}

/// The texts of the items. An item takes two bytes at least and sixteen here.
#[derive(Debug, Default)]
struct Items<'b>(Vec<&'b RawValue>);

impl<'de: 'b, 'b> Deserialize<'de> for Items<'b> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ItemsVisitor)
    }
}

/// Refuses a list of more items than a request may hold before all of them are looked at.
struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {ITEMS_MAX} measurements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            if items.len() == ITEMS_MAX {
                return Err(serde::de::Error::invalid_length(ITEMS_MAX + 1, &self));
            }
            items.push(item);
        }
        Ok(Items(items))
    }
}

/// Most items in one document.
pub const ITEMS_MAX: usize = 1_000_000;

impl<'b> Measurements<'b> {
    /// Cuts a document into items.
    ///
    /// # Errors
    /// The document as a whole is not of this shape; the message says where.
    pub fn read(document: &'b [u8]) -> Result<Self, MeasurementsError> {
        if document.trim_ascii_start().starts_with(b"[") {
            let items = serde_json::from_slice(document)?;
            return Ok(Self { time: None, tags: Tags::new(), items });
        }
        let Document { time, tags, measurements } = serde_json::from_slice(document)?;
        Ok(Self { time, tags, items: measurements })
    }

    /// The points, in the order of the items, each judged alone.
    pub fn points<'m>(
        &'m self,
        rules: &'m Rules,
    ) -> impl Iterator<Item = Result<NamedPoint, RefusalReason>> {
        self.items.0.iter().map(move |item| self.point(item, rules))
    }

    fn point(&self, item: &RawValue, rules: &Rules) -> Result<NamedPoint, RefusalReason> {
        let item: Item<'_> = serde_json::from_str(item.get()).or(Err(RefusalReason::BadEntry))?;
        let tags = self.tags.iter().filter(|(key, _)| !item.tags.contains_key(*key));
        let tags = tags.chain(&item.tags).map(|(key, value)| (key.as_str(), value.as_str()));
        let name = tagged_name(item.name.as_deref().unwrap_or_default(), tags)?;
        let value = item.value.ok_or(RefusalReason::BadValue)?;
        let value = line::parse_value(value.get().as_bytes(), rules)?;
        let timestamp = match item.time.or(self.time) {
            Some(time) => line::parse_timestamp(time.get().as_bytes(), rules)?,
            None => rules.now,
        };
        Ok(NamedPoint { name, value, timestamp })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_700_000_000;

    fn read(text: &str) -> Vec<Result<(String, f64, i64), RefusalReason>> {
        let document = Measurements::read(text.as_bytes()).unwrap();
        let plain = |point: NamedPoint| (point.name, point.value, point.timestamp);
        document.points(&Rules::at(NOW)).map(|point| point.map(plain)).collect()
    }

    #[test]
    fn an_item_overrules_what_all_share() {
        let found = read(
            r#"{"time": 1699999000, "tags": {"dc": "eu", "rack": "a"}, "measurements": [
                {"name": "cpu", "value": 98.5},
                {"name": "cpu", "value": -1e-3, "time": 1699999990.7, "tags": {"rack": "b"}},
                {"metric": "mem", "value": 3, "timestamp": -1}
            ], "attributes": {"aggregate": true}}"#,
        );
        let wanted = [
            Ok(("cpu;dc=eu;rack=a".to_owned(), 98.5, 1_699_999_000)),
            Ok(("cpu;dc=eu;rack=b".to_owned(), -0.001, 1_699_999_990)),
            Ok(("mem;dc=eu;rack=a".to_owned(), 3.0, NOW)),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_bad_item_has_its_reason_and_voids_no_other() {
        let rows = [
            (r#"{"value": 1}"#, RefusalReason::EmptyName),
            (r#"{"name": "a"}"#, RefusalReason::BadValue),
            (r#"{"name": "a", "value": "1"}"#, RefusalReason::BadValue),
            (r#"{"name": "a", "value": null}"#, RefusalReason::BadValue),
            (r#"{"name": "a", "value": 1e400}"#, RefusalReason::BadValue),
            (
                r#"{"name": "a", "value": 1, "time": 1699999990000}"#,
                RefusalReason::LooksLikeMilliseconds,
            ),
            (r#"{"name": "a", "value": 1, "time": "noon"}"#, RefusalReason::BadTimestamp),
            (r#"{"name": 5, "value": 1}"#, RefusalReason::BadEntry),
            (r#"{"name": "a", "value": 1, "tags": {"k": "v;l=w"}}"#, RefusalReason::BadTags),
            (r#"{"name": "a", "value": 1, "tags": ["k"]}"#, RefusalReason::BadEntry),
            ("17", RefusalReason::BadEntry),
            ("null", RefusalReason::BadEntry),
        ];
        for (item, reason) in rows {
            let found = read(&format!(r#"[{item}, {{"name": "good", "value": 1}}]"#));
            assert_eq!(found, [Err(reason), Ok(("good".to_owned(), 1.0, NOW))], "{item}");
        }
    }

    #[test]
    fn a_document_of_another_shape_is_refused_with_the_place() {
        for text in ["", "{", "17", r#"{"gauges": []}"#, r#"{"measurements": {}}"#, "[1] [2]"] {
            let error = Measurements::read(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(" at line 1 column "), "{text}: {error}");
        }
    }

    #[test]
    fn nesting_without_end_is_refused_and_not_followed() {
        let deep = "[".repeat(100_000);
        assert!(Measurements::read(deep.as_bytes()).is_err());
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let document = Measurements::read(deep.as_bytes()).unwrap();
        let read: Vec<_> = document.points(&Rules::at(NOW)).collect();
        assert_eq!(read, [Err(RefusalReason::BadEntry)]);
    }

    proptest! {
        #[test]
        fn any_text_ends_in_points_or_reasons(text in r#"[\[\]{}":, a-z0-9.\-+eE\\]{0,120}"#) {
            if let Ok(document) = Measurements::read(text.as_bytes()) {
                prop_assert!(document.points(&Rules::at(NOW)).count() <= text.len());
            }
        }
    }
}
