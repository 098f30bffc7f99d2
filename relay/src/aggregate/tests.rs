//! A whole rule against a plain model that keeps every value.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use metric::Point;

/// A moment that windows of a minute, five minutes, an hour and a day begin at.
const MIDNIGHT: i64 = 1_700_006_400;

const FIVE: [&str; 5] = ["count", "sum", "sumsq", "min", "max"];

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn value(&mut self) -> f64 {
        self.below(1_000_000) as f64 / 1e3 - 300.0
    }
}

/// What arrived under each name and timestamp, the latest only: what Whisper would hold.
#[derive(Debug, Default)]
struct Slots {
    values: BTreeMap<(String, i64), f64>,
    sent: u64,
}

impl Slots {
    fn take(&mut self, emission: Emission<'_>) {
        self.sent += 1;
        self.values
            .insert((emission.name.to_owned(), emission.point.timestamp), emission.point.value);
    }

    /// Whether all slots are the same, but for the digits that the order of adding costs.
    fn equals(&self, other: &Self) -> bool {
        let mut pairs = self.values.iter().zip(&other.values);
        self.values.len() == other.values.len()
            && pairs.all(|((slot, value), (other, wanted))| slot == other && near(*value, *wanted))
    }

    fn get(&self, name: &str, timestamp: i64) -> Option<f64> {
        self.values.get(&(name.to_owned(), timestamp)).copied()
    }
}

fn near(found: f64, wanted: f64) -> bool {
    (found - wanted).abs() <= 1e-9 * wanted.abs().max(1.0)
}

fn plain(method: &str, values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let sum: f64 = values.iter().sum();
    let mean = sum / count;
    match method {
        "count" => count,
        "sum" => sum,
        "sumsq" => values.iter().map(|value| value * value).sum(),
        "min" => values.iter().copied().fold(f64::INFINITY, f64::min),
        "max" => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        "avg" => mean,
        "stddev" => (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt(),
        other => panic!("no model of {other}"),
    }
}

fn sample(timestamp: i64, value: f64) -> Point {
    Point::new(timestamp, value)
}

#[test]
fn a_million_points_up_to_ten_minutes_late_are_exact_within_five_and_counted_beyond() {
    const POINTS: i64 = 1_000_000;
    const POINTS_A_SECOND: i64 = 60;
    const SERIES: u64 = 40;
    let methods = ["count", "sum", "sumsq", "min", "max", "avg", "stddev"];
    let windows = [("1m", 60), ("5m", 300), ("1h", 3_600), ("1d", 86_400)];
    let texts: Vec<&str> = windows.iter().map(|(text, _)| *text).collect();
    let mut rule = Aggregator::new(Spec::new(&texts, &methods, "{window}.x.{method}").unwrap());
    let mut numbers = Numbers(88_172_645_463_325_252);
    let mut slots = Slots::default();
    let mut model = BTreeMap::<(u64, &str, i64), Vec<f64>>::new();
    let (mut newest, mut too_late) = (i64::MIN, 0);
    for index in 0..POINTS {
        let now = MIDNIGHT + index / POINTS_A_SECOND;
        let delay = if numbers.below(2) == 0 { 0 } else { numbers.below(601).cast_signed() };
        let (series, value) = (numbers.below(SERIES), numbers.value());
        let point = sample(now - delay, value);
        newest = newest.max(point.timestamp);
        let output = format!("{{window}}.x{series}.{{method}}");
        let taken = rule.add(&output, point, now);
        if point.timestamp < newest - 300 {
            assert!(delay > 300);
            assert_eq!(taken, Err(Refusal::TooLate));
            too_late += 1;
        } else {
            assert_eq!(taken, Ok(()), "{delay} s late");
            for (text, seconds) in windows {
                let start = point.timestamp - point.timestamp.rem_euclid(seconds);
                model.entry((series, text, start)).or_default().push(value);
            }
        }
        if index % POINTS_A_SECOND == 0 {
            rule.advance(now, |emission| slots.take(emission));
        }
    }
    assert!(too_late > POINTS / 5, "{too_late}");
    rule.advance(MIDNIGHT + 3 * 86_400, |emission| slots.take(emission));
    for ((series, text, start), values) in &model {
        for method in methods {
            let found = slots.get(&format!("{text}.x{series}.{method}"), *start).unwrap();
            let wanted = plain(method, values);
            assert!(near(found, wanted), "{method} of {text} at {start}: {found}, not {wanted}");
        }
    }
    assert_eq!(slots.values.len(), model.len() * methods.len());
    assert!(rule.tally().corrected > 0);
}

#[test]
fn percentiles_go_through_coarser_windows_unharmed() {
    let spec = Spec::new(&["10s", "1m"], &["median", "p90"], "{window}.{method}").unwrap();
    let mut rule = Aggregator::new(spec);
    let mut slots = Slots::default();
    let mut values = Vec::new();
    let mut numbers = Numbers(7);
    for index in 0..600 {
        let now = MIDNIGHT + index;
        let value = numbers.value();
        rule.add("{window}.{method}", sample(now, value), now).unwrap();
        rule.advance(now, |emission| slots.take(emission));
        values.push(value);
    }
    rule.advance(MIDNIGHT + 2_000, |emission| slots.take(emission));
    for (text, length) in [("10s", 10), ("1m", 60)] {
        for (number, chunk) in values.chunks(length).enumerate() {
            let start = MIDNIGHT + (number * length) as i64;
            let mut sorted = chunk.to_vec();
            sorted.sort_unstable_by(f64::total_cmp);
            let middle = (sorted[length / 2 - 1] + sorted[length / 2]) / 2.0;
            assert!(near(slots.get(&format!("{text}.median"), start).unwrap(), middle));
            assert!(slots.get(&format!("{text}.p90"), start).unwrap() > middle);
        }
    }
}

#[test]
fn a_late_point_sends_its_slot_again_and_only_once_for_a_burst() {
    let mut rule = Aggregator::new(Spec::new(&["1m"], &["sum"], "a").unwrap());
    let mut slots = Slots::default();
    for second in 0..123 {
        let now = MIDNIGHT + second;
        rule.add("a", sample(now, 1.0), now).unwrap();
        rule.advance(now, |emission| slots.take(emission));
    }
    assert_eq!((slots.get("a", MIDNIGHT), slots.sent), (Some(60.0), 2));
    let now = MIDNIGHT + 123;
    for second in 0..5 {
        rule.add("a", sample(MIDNIGHT + second, 10.0), now).unwrap();
        rule.advance(now + second, |emission| slots.take(emission));
    }
    assert_eq!(slots.sent, 2, "no correction yet");
    rule.advance(now + 30, |emission| slots.take(emission));
    assert_eq!((slots.get("a", MIDNIGHT), slots.sent), (Some(110.0), 3));
}

#[test]
fn data_that_has_ended_still_sends_its_last_windows() {
    let mut rule = Aggregator::new(Spec::new(&["1m"], &["count"], "a").unwrap());
    let mut slots = Slots::default();
    rule.add("a", sample(MIDNIGHT + 5, 1.0), MIDNIGHT + 5).unwrap();
    rule.advance(MIDNIGHT + 59, |emission| slots.take(emission));
    assert_eq!(slots.sent, 0);
    rule.advance(MIDNIGHT + 60, |emission| slots.take(emission));
    assert_eq!(slots.get("a", MIDNIGHT), Some(1.0));
}

#[test]
fn a_replay_of_an_old_hour_gives_what_the_hour_gave() {
    let mut live = Slots::default();
    let mut replayed = Slots::default();
    for (slots, years_later) in [(&mut live, 0), (&mut replayed, 7 * 365 * 86_400)] {
        let spec = Spec::new(&["1m", "5m"], &FIVE, "{window}.{method}").unwrap();
        let mut rule = Aggregator::new(spec);
        let mut numbers = Numbers(3);
        for second in 0..3_600 {
            let delay = numbers.below(200).cast_signed();
            let point = sample(MIDNIGHT + second - delay, numbers.value());
            // The replay pours a minute of data in each second.
            let now = if years_later == 0 { second } else { years_later + second / 60 };
            rule.add("{window}.{method}", point, MIDNIGHT + now).unwrap();
            rule.advance(MIDNIGHT + now, |emission| slots.take(emission));
        }
        rule.advance(MIDNIGHT + years_later + 9_000, |emission| slots.take(emission));
        assert_eq!(rule.series(), 1, "the data's time stands still, so late points may still come");
    }
    assert!(live.equals(&replayed));
}

#[test]
fn a_sender_whose_clock_is_ahead_shuts_nobody_out() {
    let mut rule = Aggregator::new(Spec::new(&["1m"], &["sum"], "a").unwrap());
    assert_eq!(rule.add("a", sample(MIDNIGHT + 599, 1.0), MIDNIGHT), Ok(()));
    assert_eq!(rule.add("a", sample(MIDNIGHT + 601, 1.0), MIDNIGHT), Err(Refusal::TooFarAhead));
    assert_eq!(rule.add("a", sample(-1, 1.0), MIDNIGHT), Err(Refusal::TooFarAhead));
    assert_eq!(rule.add("a", sample(MIDNIGHT - 300, 1.0), MIDNIGHT), Ok(()));
    assert_eq!(rule.add("a", sample(MIDNIGHT - 301, 1.0), MIDNIGHT), Err(Refusal::TooLate));
}

#[test]
fn the_stamp_is_where_the_peers_have_it() {
    for (stamp, second) in [(Stamp::Start, 0), (Stamp::Middle, 30), (Stamp::End, 60)] {
        let spec = Spec::new(&["1m"], &["sum"], "a").unwrap().stamp(stamp);
        let mut rule = Aggregator::new(spec);
        rule.add("a", sample(MIDNIGHT + 7, 1.0), MIDNIGHT + 7).unwrap();
        let mut slots = Slots::default();
        rule.flush(|emission| slots.take(emission));
        assert_eq!(slots.get("a", MIDNIGHT + second), Some(1.0), "{stamp:?}");
    }
}

#[test]
fn a_splay_makes_one_burst_an_even_stream() {
    let splay = Duration::from_secs(300);
    let spec = Spec::new(&["5m"], &["sum"], "a").unwrap().splay(splay);
    let mut rule = Aggregator::new(spec);
    for series in 0..3_000 {
        rule.add(&format!("a{series}"), sample(MIDNIGHT, 1.0), MIDNIGHT).unwrap();
    }
    let mut seconds = Vec::new();
    for second in 0..=600 {
        let mut sent = 0;
        rule.advance(MIDNIGHT + second, |_| sent += 1);
        seconds.push(sent);
    }
    assert_eq!(seconds.iter().sum::<u32>(), 3_000);
    let mean = 3_000.0 / 300.0;
    let peak = f64::from(*seconds.iter().max().unwrap());
    assert!(peak <= 1.5 * mean, "peak {peak}, mean {mean}");
}

#[test]
fn what_a_rule_holds_is_bounded_and_what_is_refused_has_a_reason() {
    let limits = Limits { series_max: 2, values_max: 3, bytes_max: 1 << 20 };
    let spec = Spec::new(&["1m"], &["median"], "a").unwrap().limits(limits);
    let mut rule = Aggregator::new(spec);
    for _ in 0..5 {
        assert_eq!(rule.add("a", sample(MIDNIGHT, 1.0), MIDNIGHT), Ok(()));
    }
    assert_eq!(rule.tally().values_over_limit, 2);
    assert_eq!(rule.add("b", sample(MIDNIGHT, 1.0), MIDNIGHT), Ok(()));
    assert_eq!(rule.add("c", sample(MIDNIGHT, 1.0), MIDNIGHT), Err(Refusal::SeriesLimit));

    let limits = Limits { bytes_max: 1_000, ..Limits::default() };
    let mut rule = Aggregator::new(Spec::new(&["1m"], &["sum"], "a").unwrap().limits(limits));
    let taken: Vec<_> = (0..100)
        .map(|series| rule.add(&format!("a{series}"), sample(MIDNIGHT, 1.0), MIDNIGHT))
        .collect();
    assert_eq!(taken[99], Err(Refusal::BytesLimit));
    assert!(rule.bytes() < 1_200, "{}", rule.bytes());
    assert_eq!(rule.add("a0", sample(MIDNIGHT, 1.0), MIDNIGHT), Ok(()), "an open window goes on");
}

#[test]
fn closed_series_leave_nothing_behind_and_their_places_are_used_again() {
    let mut rule = Aggregator::new(Spec::new(&["1m"], &["sum"], "a").unwrap());
    for hour in 0..20 {
        for series in 0..50 {
            let now = MIDNIGHT + hour * 3_600;
            rule.add(&format!("a{hour}.{series}"), sample(now, 1.0), now).unwrap();
        }
        rule.advance(MIDNIGHT + hour * 3_600, |_| ());
        rule.advance(MIDNIGHT + hour * 3_600 + 1_800, |_| ());
        assert!(rule.series() <= 100, "{}", rule.series());
    }
    rule.add("end", sample(MIDNIGHT + 90_000, 1.0), MIDNIGHT + 90_000).unwrap();
    rule.advance(MIDNIGHT + 90_000, |_| ());
    assert_eq!(rule.series(), 1);
    assert!(rule.bytes() < 1_000, "{}", rule.bytes());
}

#[test]
fn a_replayed_log_gives_the_same_slots_as_a_run_without_a_stop() {
    let spec = || Spec::new(&["1m", "5m", "1h"], &FIVE, "{window}.{method}").unwrap();
    let mut numbers = Numbers(11);
    let points: Vec<(i64, Point)> = (0..7_200)
        .map(|second| {
            let delay = numbers.below(250).cast_signed();
            (MIDNIGHT + second, sample(MIDNIGHT + second - delay, numbers.value()))
        })
        .collect();
    let name = "{window}.{method}";
    let mut wanted = Slots::default();
    let mut steady = Aggregator::new(spec());
    for (now, point) in &points {
        steady.add(name, *point, *now).unwrap();
        steady.advance(*now, |emission| wanted.take(emission));
    }
    steady.flush(|emission| wanted.take(emission));

    let mut found = Slots::default();
    let stops = [0, 1_000, 3_700, 5_100, points.len()];
    for stop in stops.windows(2) {
        let mut rule = Aggregator::new(spec());
        for (now, point) in &points[..stop[0]] {
            rule.add(name, *point, *now).unwrap();
            rule.advance(*now, |_| ());
        }
        rule.end_replay(MIDNIGHT - 250, MIDNIGHT + stop[0] as i64);
        for (now, point) in &points[stop[0]..stop[1]] {
            rule.add(name, *point, *now).unwrap();
            rule.advance(*now, |emission| found.take(emission));
        }
        if stop[1] == points.len() {
            rule.flush(|emission| found.take(emission));
        }
    }
    assert!(found.equals(&wanted));
}

#[test]
fn a_log_that_begins_in_the_middle_overwrites_nothing_that_was_whole() {
    let mut rule = Aggregator::new(Spec::new(&["1m", "1h"], &["count"], "{window}").unwrap());
    let begin = MIDNIGHT + 1_830;
    for now in begin..begin + 120 {
        rule.add("{window}", sample(now, 1.0), now).unwrap();
        rule.advance(now, |_| ());
    }
    rule.end_replay(begin, begin + 120);
    let mut slots = Slots::default();
    rule.advance(begin + 3_600, |emission| slots.take(emission));
    let names: BTreeSet<(&str, i64)> =
        slots.values.keys().map(|(name, start)| (name.as_str(), *start - MIDNIGHT)).collect();
    let minutes = [("1m", 1_860), ("1m", 1_920)];
    assert_eq!(names, minutes.into_iter().chain([("1h", 0)]).collect());
    assert_eq!(rule.tally().incomplete, 1, "the hour lacks its first half");
}
