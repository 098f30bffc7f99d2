//! Prometheus remote write 1.0: `WriteRequest` after snappy, as tagged series.
//!
//! `WriteRequest { repeated TimeSeries timeseries = 1 }`, `TimeSeries { repeated Label labels = 1;
//! repeated Sample samples = 2 }`, `Label { string name = 1; string value = 2 }`,
//! `Sample { double value = 1; int64 timestamp_ms = 2 }`. Metadata, exemplars and native histograms
//! are skipped.

use crate::RefusalReason;
use crate::line::Rules;
use crate::named::NamedPoint;
use crate::pb_fields::{FieldValue, Fields};

/// The label that holds a series' name.
const NAME_LABEL: &[u8] = b"__name__";

/// Graphite keeps this key for the series' own name, so a label of that name gets another one.
const RESERVED_KEY: &str = "name";
const RESERVED_KEY_BECOMES: &str = "name_";

/// The NaN by which Prometheus says that a series has ended: no point, and no fault either.
const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The points of one request, each judged alone. A series is `name;label=value;…`; in values, what
/// cannot stand in a carbon line (blanks, `;`, a leading `~`) becomes `_`.
pub fn points<'b>(
    request: &'b [u8],
    rules: &'b Rules,
) -> impl Iterator<Item = Result<NamedPoint, RefusalReason>> {
    Fields::new(request).flat_map(move |field| match field {
        Ok((1, FieldValue::Bytes(series))) => Series::read(series, rules),
        Ok(_) => Series::Skipped,
        Err(error) => Series::Refused(error.into()),
    })
}

/// The samples of one series, as an iterator.
enum Series<'b> {
    Skipped,
    Refused(RefusalReason),
    Read { name: String, fields: Fields<'b>, rules: &'b Rules },
}

impl<'b> Series<'b> {
    fn read(series: &'b [u8], rules: &'b Rules) -> Self {
        match name_of(series) {
            Ok(name) => Self::Read { name, fields: Fields::new(series), rules },
            Err(reason) => Self::Refused(reason),
        }
    }
}

impl Iterator for Series<'_> {
    type Item = Result<NamedPoint, RefusalReason>;

    fn next(&mut self) -> Option<Self::Item> {
        let (name, fields, rules) = match self {
            Self::Skipped => return None,
            Self::Refused(reason) => {
                let reason = *reason;
                *self = Self::Skipped;
                return Some(Err(reason));
            }
            Self::Read { name, fields, rules } => (name, fields, *rules),
        };
        fields.find_map(|field| match field {
            Ok((2, FieldValue::Bytes(fields))) => sample(fields, rules)
                .map(|sample| {
                    sample.map(|(value, timestamp)| NamedPoint {
                        name: name.clone(),
                        value,
                        timestamp,
                    })
                })
                .transpose(),
            Ok(_) => None,
            Err(error) => Some(Err(error.into())),
        })
    }
}

/// The series' name with its labels as tags.
fn name_of(series: &[u8]) -> Result<String, RefusalReason> {
    let mut name = None;
    let mut tags = String::new();
    for field in Fields::new(series) {
        let (1, FieldValue::Bytes(label)) = field? else { continue };
        match label_of(label)? {
            (NAME_LABEL, value) => name = Some(text(value)?),
            // To Prometheus an empty label is one that is not there.
            (_, b"") => {}
            (key, value) => push_tag(&mut tags, text(key)?, text(value)?),
        }
    }
    let name = name.filter(|name| !name.is_empty()).ok_or(RefusalReason::EmptyName)?;
    if name.contains(';') {
        return Err(RefusalReason::InvalidChar);
    }
    Ok(name.to_owned() + &tags)
}

/// Key and value of one label.
fn label_of(label: &[u8]) -> Result<(&[u8], &[u8]), RefusalReason> {
    let (mut key, mut value) = (&b""[..], &b""[..]);
    for field in Fields::new(label) {
        match field? {
            (1, FieldValue::Bytes(bytes)) => key = bytes,
            (2, FieldValue::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((key, value))
}

fn text(bytes: &[u8]) -> Result<&str, RefusalReason> {
    str::from_utf8(bytes).or(Err(RefusalReason::InvalidUtf8))
}

fn push_tag(out: &mut String, key: &str, value: &str) {
    let key = if key == RESERVED_KEY { RESERVED_KEY_BECOMES } else { key };
    out.push(';');
    // A `;` in a key would begin another tag; without it the key is refused as the name is cleaned.
    out.extend(key.chars().map(|c| if c == ';' { '=' } else { c }));
    out.push('=');
    let refused = |c: char| c == ';' || c.is_whitespace() || c.is_control();
    let clean = |(at, c)| if refused(c) || (at == 0 && c == '~') { '_' } else { c };
    out.extend(value.chars().enumerate().map(clean));
}

/// Value and second of one sample; none for the mark of an ended series.
fn sample(sample: &[u8], rules: &Rules) -> Result<Option<(f64, i64)>, RefusalReason> {
    let (mut value, mut milliseconds) = (0.0_f64, 0_u64);
    for field in Fields::new(sample) {
        match field? {
            (1, FieldValue::Fixed64(bytes)) => value = f64::from_le_bytes(bytes),
            (2, FieldValue::Varint(varint)) => milliseconds = varint,
            _ => {}
        }
    }
    if value.to_bits() == STALE_BITS {
        return Ok(None);
    }
    let value = rules.admit_value(value)?;
    // A moment before 1970 is a negative number, which is sent as a huge one.
    let milliseconds = i64::try_from(milliseconds).or(Err(RefusalReason::BadTimestamp))?;
    let timestamp = rules.admit_seconds(milliseconds.unsigned_abs() / 1000)?;
    Ok(Some((value, timestamp)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    struct Label {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(string, tag = "2")]
        value: String,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Sample {
        #[prost(double, tag = "1")]
        value: f64,
        #[prost(int64, tag = "2")]
        timestamp_ms: i64,
    }

    #[derive(Clone, PartialEq, Message)]
    struct TimeSeries {
        #[prost(message, repeated, tag = "1")]
        labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        samples: Vec<Sample>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct WriteRequest {
        #[prost(message, repeated, tag = "1")]
        timeseries: Vec<TimeSeries>,
    }

    fn series(labels: &[(&str, &str)], samples: &[(f64, i64)]) -> TimeSeries {
        let label =
            |&(name, value): &(&str, &str)| Label { name: name.into(), value: value.into() };
        let sample = |&(value, timestamp_ms): &(f64, i64)| Sample { value, timestamp_ms };
        TimeSeries {
            labels: labels.iter().map(label).collect(),
            samples: samples.iter().map(sample).collect(),
        }
    }

    fn read(timeseries: Vec<TimeSeries>) -> Vec<Result<(String, f64, i64), RefusalReason>> {
        let bytes = WriteRequest { timeseries }.encode_to_vec();
        let rules = Rules::at(1_700_000_000);
        let plain = |point: NamedPoint| (point.name, point.value, point.timestamp);
        points(&bytes, &rules).map(|point| point.map(plain)).collect()
    }

    #[test]
    fn labels_become_tags_that_a_carbon_line_can_hold() {
        let labels = [
            ("__name__", "node_filesystem_free_bytes"),
            ("device", "/dev/sda1"),
            ("empty", ""),
            ("instance", "localhost:9100"),
            ("model", "WD Blue;1"),
            ("name", "~root"),
        ];
        let wanted = "node_filesystem_free_bytes;device=/dev/sda1;instance=localhost:9100;\
                      model=WD_Blue_1;name_=_root";
        let found = read(vec![series(&labels, &[(1.5, 1_699_999_990_999)])]);
        assert_eq!(found, [Ok((wanted.to_owned(), 1.5, 1_699_999_990))]);
    }

    #[test]
    fn one_bad_series_or_sample_does_not_void_the_others() {
        let stale = f64::from_bits(STALE_BITS);
        let found = read(vec![
            series(&[("job", "x")], &[(1.0, 1)]),
            series(
                &[("__name__", "up")],
                &[(f64::NAN, 1000), (stale, 1000), (1.0, -5), (2.0, 61_000)],
            ),
        ]);
        let wanted = [
            Err(RefusalReason::EmptyName),
            Err(RefusalReason::NotFinite),
            Err(RefusalReason::BadTimestamp),
            Ok(("up".to_owned(), 2.0, 61)),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_key_cannot_smuggle_a_second_tag_in() {
        let found = read(vec![series(&[("__name__", "up"), ("a;b", "c")], &[(1.0, 1000)])]);
        let name = found[0].as_ref().unwrap().0.clone();
        assert_eq!(name.matches(';').count(), 1, "{name}");
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_points_or_reasons(
            flips in proptest::collection::vec((0_usize..80, any::<u8>()), 0..8),
        ) {
            let one = series(&[("__name__", "up"), ("job", "x")], &[(1.0, 1000), (2.0, 2000)]);
            let mut bytes = WriteRequest { timeseries: vec![one] }.encode_to_vec();
            for (at, byte) in flips {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            prop_assert!(points(&bytes, &Rules::at(100)).count() <= bytes.len());
        }
    }
}
