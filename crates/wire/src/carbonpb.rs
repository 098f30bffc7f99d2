//! The messages of carbonpb: points over the protobuf listener, and of go-carbon's cache query.

use crate::RefusalReason;
use crate::line::{Line, Rules};
use prost::Message;

/// One measurement.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Point {
    /// Seconds since 1970.
    #[prost(uint32, tag = "1")]
    pub timestamp: u32,
    /// Its value.
    #[prost(double, tag = "2")]
    pub value: f64,
}

/// One series' points.
#[derive(Clone, PartialEq, Message)]
pub struct Metric {
    /// Name of the series.
    #[prost(string, tag = "1")]
    pub metric: String,
    /// Its points.
    #[prost(message, repeated, tag = "2")]
    pub points: Vec<Point>,
}

/// What one frame holds.
#[derive(Clone, PartialEq, Message)]
pub struct Payload {
    /// The series.
    #[prost(message, repeated, tag = "1")]
    pub metrics: Vec<Metric>,
}

/// Which series' unwritten points are wanted.
#[derive(Clone, PartialEq, Message)]
pub struct CacheRequest {
    /// Names of the series.
    #[prost(string, repeated, tag = "1")]
    pub metrics: Vec<String>,
}

impl Payload {
    /// The points, each judged alone.
    pub fn points<'p>(
        &'p self,
        rules: &'p Rules,
    ) -> impl Iterator<Item = Result<Line<'p>, RefusalReason>> {
        self.metrics.iter().flat_map(move |metric| {
            let name = metric.metric.as_bytes();
            metric.points.iter().map(move |point| {
                if name.is_empty() {
                    return Err(RefusalReason::EmptyName);
                }
                let value = rules.admit_value(point.value)?;
                let timestamp = rules.admit_seconds(point.timestamp.into())?;
                Ok(Line { name, value, timestamp })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_points_do_not_void_the_good_ones() {
        let point = |timestamp, value| Point { timestamp, value };
        let payload = Payload {
            metrics: vec![
                Metric { metric: String::new(), points: vec![point(1, 1.0)] },
                Metric { metric: "a".to_owned(), points: vec![point(1, f64::NAN), point(2, 3.0)] },
            ],
        };
        let bytes = payload.encode_to_vec();
        let decoded = Payload::decode(&bytes[..]).unwrap();
        let rules = Rules::at(100);
        let points: Vec<_> = decoded.points(&rules).collect();
        let good = Line { name: b"a", value: 3.0, timestamp: 2 };
        let want = [Err(RefusalReason::EmptyName), Err(RefusalReason::NotFinite), Ok(good)];
        assert_eq!(points, want);
    }
}
