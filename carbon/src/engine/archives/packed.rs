//! Archives in few bytes: a series keeps them from one write to the next, which is long.

use whisper::Point;

use super::{Archives, Known};
use crate::tail::{Points, Tail};

impl Archives {
    /// The bytes, for [`Archives::unpack`].
    pub(in crate::engine) fn pack(&self) -> Box<[u8]> {
        let mut bytes = Vec::with_capacity(64);
        put(&mut bytes, self.newest);
        let mut tail = Tail::default();
        for known in &self.known {
            put(&mut bytes, known.base);
            put(&mut bytes, u32::try_from(known.points.len()).expect("at most all slots"));
            put(&mut bytes, u32::try_from(known.unwritten).expect("at most all slots"));
            if known.unwritten > 0 {
                put(&mut bytes, known.since_s);
            }
            for point in &known.points {
                tail.push(point.interval, point.value);
            }
        }
        bytes.extend_from_slice(tail.encoded());
        bytes.into_boxed_slice()
    }

    /// The archives of a file that has `count` of them.
    pub(in crate::engine) fn unpack(mut bytes: &[u8], count: usize) -> Option<Self> {
        let newest = take(&mut bytes)?;
        let mut known = Vec::with_capacity(count);
        let mut lens = Vec::with_capacity(count);
        for _ in 0..count {
            let base = take(&mut bytes)?;
            let len = take(&mut bytes)?;
            let unwritten = take(&mut bytes)? as usize;
            let since_s = if unwritten > 0 { take(&mut bytes)? } else { 0 };
            known.push(Known { base, since_s, unwritten, points: Vec::new() });
            lens.push(len);
        }
        let mut points = Points::new(bytes, lens.iter().sum());
        for (known, len) in known.iter_mut().zip(lens) {
            known.points.reserve_exact(len as usize);
            let point = |(interval, value)| Point { interval, value };
            known.points.extend(points.by_ref().take(len as usize).map(point));
        }
        Some(Self { newest, known })
    }
}

fn put(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push(0x80 | value.to_le_bytes()[0]);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

fn take(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0;
    for shift in (0..32).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known() -> impl Strategy<Value = Known> {
        let point = (any::<u32>(), -9..9_i32)
            .prop_map(|(interval, value)| Point { interval, value: f64::from(value) });
        let points = prop::collection::vec(point, 0..20);
        (any::<u32>(), any::<u32>(), points, 0..20_usize).prop_map(
            |(base, since_s, points, unwritten)| {
                let unwritten = unwritten.min(points.len());
                let since_s = if unwritten > 0 { since_s } else { 0 };
                Known { base, since_s, unwritten, points }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_known_comes_back(
            newest in any::<u32>(),
            known in prop::collection::vec(known(), 1..5),
        ) {
            let archives = Archives { newest, known };
            let again = Archives::unpack(&archives.pack(), archives.known.len());
            prop_assert_eq!(again, Some(archives));
        }
    }
}
