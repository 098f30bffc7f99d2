//! carbonpb: points over go-carbon's protobuf listener and its HTTP receiver.
//!
//! `Payload { repeated Metric metrics = 1 }`, `Metric { string metric = 1; repeated Point points
//! = 2 }`, `Point { uint32 timestamp = 1; double value = 2 }`.

use crate::RefusalReason;
use crate::line::{Line, Rules};
use crate::pb_fields::{FieldValue, Fields, Malformed};

impl From<Malformed> for RefusalReason {
    fn from(_: Malformed) -> Self {
        Self::BadFrame
    }
}

/// The points of one payload, each judged alone.
pub fn points<'b, 'r>(
    payload: &'b [u8],
    rules: &'r Rules,
) -> impl Iterator<Item = Result<Line<'b>, RefusalReason>> + use<'b, 'r> {
    Fields::new(payload).flat_map(move |field| match field {
        Ok((1, FieldValue::Bytes(metric))) => series(metric, rules),
        Ok(_) => Series::Skipped,
        Err(error) => Series::Refused(error.into()),
    })
}

/// The points of one series, as an iterator.
enum Series<'b, 'r> {
    Skipped,
    Refused(RefusalReason),
    Read { name: &'b [u8], fields: Fields<'b>, rules: &'r Rules },
}

fn series<'b, 'r>(metric: &'b [u8], rules: &'r Rules) -> Series<'b, 'r> {
    let name = Fields::new(metric).find_map(|field| match field {
        Ok((1, FieldValue::Bytes(name))) => Some(name),
        _ => None,
    });
    match name {
        Some(name) if !name.is_empty() => Series::Read { name, fields: Fields::new(metric), rules },
        _ => Series::Refused(RefusalReason::EmptyName),
    }
}

impl<'b> Iterator for Series<'b, '_> {
    type Item = Result<Line<'b>, RefusalReason>;

    fn next(&mut self) -> Option<Self::Item> {
        let (name, fields, rules) = match self {
            Self::Skipped => return None,
            Self::Refused(reason) => {
                let reason = *reason;
                *self = Self::Skipped;
                return Some(Err(reason));
            }
            Self::Read { name, fields, rules } => (*name, fields, *rules),
        };
        fields.find_map(|field| match field {
            Ok((2, FieldValue::Bytes(fields))) => Some(point(name, fields, rules)),
            Ok(_) => None,
            Err(error) => Some(Err(error.into())),
        })
    }
}

fn point<'b>(name: &'b [u8], fields: &[u8], rules: &Rules) -> Result<Line<'b>, RefusalReason> {
    // Protobuf leaves zeroes out.
    let (mut seconds, mut value) = (0, 0.0);
    for field in Fields::new(fields) {
        match field? {
            (1, FieldValue::Varint(varint)) => seconds = varint,
            (2, FieldValue::Fixed64(bytes)) => value = f64::from_le_bytes(bytes),
            _ => {}
        }
    }
    let value = rules.admit_value(value)?;
    Ok(Line { name, value, timestamp: rules.admit_seconds(seconds)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    struct Point {
        #[prost(uint32, tag = "1")]
        timestamp: u32,
        #[prost(double, tag = "2")]
        value: f64,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Metric {
        #[prost(string, tag = "1")]
        metric: String,
        #[prost(message, repeated, tag = "2")]
        points: Vec<Point>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Payload {
        #[prost(message, repeated, tag = "1")]
        metrics: Vec<Metric>,
    }

    fn payload() -> Vec<u8> {
        let point = |timestamp, value| Point { timestamp, value };
        let metrics = vec![
            Metric { metric: String::new(), points: vec![point(1, 1.0)] },
            Metric { metric: "a".to_owned(), points: vec![point(1, f64::NAN), point(2, 3.0)] },
        ];
        Payload { metrics }.encode_to_vec()
    }

    #[test]
    fn bad_points_do_not_void_the_good_ones() {
        let (bytes, rules) = (payload(), Rules::at(100));
        let read: Vec<_> = points(&bytes, &rules).collect();
        let good = Line { name: b"a", value: 3.0, timestamp: 2 };
        let wanted = [Err(RefusalReason::EmptyName), Err(RefusalReason::NotFinite), Ok(good)];
        assert_eq!(read, wanted);
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_points_or_reasons(
            flips in proptest::collection::vec((0_usize..40, any::<u8>()), 0..6),
        ) {
            let mut bytes = payload();
            for (at, byte) in flips {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            prop_assert!(points(&bytes, &Rules::at(100)).count() <= bytes.len());
        }
    }
}
