//! Evaluation: targets over series made from their patterns.
//!
//! The input is text: a line of options, each a letter with a number behind it, then one target a
//! line. The series behind a pattern follow from the pattern alone, so that an input is a whole case.

use metric::SeriesData;
use query::{Data, Fetch, Limits, Outcome, ROUNDS_MAX, Request, Series, prepare};

use crate::grammar::NOW;

/// A store with more points than this behind a window has none older.
const POINTS_MAX: i64 = 120;
const STEPS: [i64; 4] = [60, 10, 300, 3600];
const TEXT_BYTES_MAX: usize = 4096;

/// So little that a whole case takes milliseconds.
fn limits() -> Limits {
    Limits {
        targets_max: 8,
        series_max: 500,
        points_max: 100_000,
        generated_points_max: 20_000,
        brace_expansions_max: 100,
        fetches_max: 50,
        calls_max: 300,
        windows_max: 50,
        window_points_max: 100_000,
        memory_bytes_max: 64 << 20,
        ..Limits::default()
    }
}

/// Evaluates twice: no panic, no more than the limits allow, and the same bits both times.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if text.len() > TEXT_BYTES_MAX {
        return;
    }
    let (options, targets) = text.split_once('\n').unwrap_or(("", text));
    let request = request(options, targets);
    let Some(first) = evaluate(&request) else { return };
    first.iter().for_each(check);
    let second = evaluate(&request).unwrap_or_default();
    assert_eq!(first.len(), second.len());
    for (one, other) in first.iter().zip(&second) {
        assert_eq!((&one.name, one.start, one.step), (&other.name, other.start, other.step));
        let random = text.contains("random");
        let same = one.values.iter().zip(other.values.iter());
        let same = same.filter(|(a, b)| a.to_bits() != b.to_bits()).count() == 0;
        assert!(same || random, "{} comes out differently", one.name);
    }
}

/// What the letters mean: `w` minutes of window, `a` minutes it ended before now, `p` maxDataPoints,
/// `x` xFilesFactor in percent, `n` noNullPoints, `s` maxStep, `z` a zone with summer time.
fn request(options: &str, targets: &str) -> Request {
    let number = |letter: char| -> Option<i64> {
        let digits = options.split_once(letter)?.1;
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        Some(digits[..end.min(9)].parse().unwrap_or(0))
    };
    let until = NOW - number('a').unwrap_or(0) * 60;
    let from = until - number('w').unwrap_or(30).max(1) * 60;
    let targets = targets.split('\n').map(str::to_owned).collect();
    let mut request = Request::new(targets, from, until, NOW);
    request.max_data_points = number('p').and_then(|points| usize::try_from(points).ok());
    request.x_files_factor = number('x').unwrap_or(0) as f64 / 100.0;
    request.no_null_points = number('n').is_some();
    request.max_step = number('s');
    if number('z').is_some() {
        request.tz = jiff::tz::TimeZone::get("Europe/Berlin").expect("the zones are bundled");
    }
    request.template = vec![("host".to_owned(), "web1".to_owned())];
    request.limits = limits();
    request
}

fn evaluate(request: &Request) -> Option<Vec<Series>> {
    let prepared = prepare(request).ok()?;
    let mut data = Data::default();
    let mut fetches = prepared.fetches().to_vec();
    for _ in 0..ROUNDS_MAX {
        for fetch in &fetches {
            data.insert(fetch.clone(), series(fetch));
        }
        match prepared.evaluate(&data).ok()? {
            Outcome::Done(series) => return Some(series),
            Outcome::Need(more) => fetches = more,
        }
    }
    None
}

fn check(series: &Series) {
    assert!(series.values.len() <= 2_000_000, "{}: {} points", series.name, series.values.len());
    assert!(series.step >= 0, "{}: step {}", series.name, series.step);
}

/// The series behind a pattern: none to four, of steps, gaps and values that follow from its text.
fn series(fetch: &Fetch) -> Vec<SeriesData> {
    let seed = fetch.pattern.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let has_wildcards = fetch.is_tag_query() || fetch.pattern.contains(['*', '?', '[', '{']);
    let count = if has_wildcards { 1 + seed % 4 } else { u64::from(!seed.is_multiple_of(16)) };
    (0..count).map(|number| one(fetch, seed, number)).collect()
}

fn one(fetch: &Fetch, seed: u64, number: u64) -> SeriesData {
    let kind = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9)) >> 7;
    // Mostly of one step, as in real stores.
    let step = STEPS[if kind.is_multiple_of(5) { (kind / 5 % 4) as usize } else { 0 }];
    let name = if fetch.is_tag_query() {
        format!("disk.used;host=web{number};rack=a{}", number % 2)
    } else {
        let word = ["user", "system", "web1", "web2"][(number % 4) as usize];
        fetch.pattern.replace(['*', '?'], word).replace(['[', ']', '{', '}'], "")
    };
    let last = fetch.window.until.div_euclid(step).saturating_mul(step);
    let oldest = last.saturating_sub((POINTS_MAX - 1) * step);
    let wanted = fetch.window.from.div_euclid(step).saturating_add(1).saturating_mul(step);
    let start = wanted.max(oldest).min(last);
    let points = (last.saturating_sub(start)) / step + 1;
    let values = (0..points).map(|at| value(kind, (start / step).wrapping_add(at))).collect();
    SeriesData::new(name, start, step, values)
}

/// Gauges, counters with resets, nulls in between, and what overflows.
fn value(kind: u64, slot: i64) -> f64 {
    let wave = (slot.wrapping_mul(37) % 101) as f64;
    match (kind / 20 % 8, slot.rem_euclid(7)) {
        (0, _) => f64::NAN,
        (1, 3) | (2, 0..=2) => f64::NAN,
        (3, _) => slot.rem_euclid(40) as f64 * 1000.0,
        (4, 5) => f64::INFINITY,
        (5, 5) => f64::MAX,
        (6, _) => 0.0,
        _ => wave / 4.0 - 3.0,
    }
}
