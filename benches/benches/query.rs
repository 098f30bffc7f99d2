//! The query language: parsing, a function of every family over 1,000 series of a day, the numbers of
//! a JSON answer, and a picture.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use metric::SeriesData;
use metric::number::push_python_repr;
use query::{Data, Outcome, Request, parse::parse, prepare};

const SERIES: usize = 1000;
const MINUTES: usize = 1440;
const UNTIL: i64 = 1_700_006_400;

/// A function of each family, over the series `all.*.*`.
const TARGETS: &[(&str, &str)] = &[
    ("alias", "aliasByNode(all.*.*,1)"),
    ("arithmetic", "scale(all.*.*,8)"),
    ("baseline", "baseline(all.*.*,'1d',0,1)"),
    ("bound", "removeAboveValue(all.*.*,500)"),
    ("calendar", "integralByInterval(all.*.*,'1h')"),
    ("combine", "sumSeries(all.*.*)"),
    ("combine, by rows", "aggregate(all.*.*,'median')"),
    ("correlation", "pearsonClosest(all.h0.m0,all.*.*,5)"),
    ("curve", "linearRegression(all.*.*)"),
    ("distribution", "removeAbovePercentile(all.*.*,95)"),
    ("divide", "asPercent(all.*.*)"),
    ("fill", "keepLastValue(all.*.*)"),
    ("filter", "highestAverage(all.*.*,10)"),
    ("forecast", "exponentialMovingAverage(all.*.*,10)"),
    ("group", "groupByNode(all.*.*,1,'avg')"),
    ("legend", "legendValue(all.*.*,'avg')"),
    ("moving", "movingAverage(all.*.*,10)"),
    ("moving, median", "movingMedian(all.*.*,10)"),
    ("objective", "slo(all.*.*,'1h','above',100)"),
    ("rate", "nonNegativeDerivative(all.*.*)"),
    ("shift", "timeShift(all.*.*,'1d')"),
    ("signal", "lowPass(all.h0.*,40)"),
    ("sort", "sortByMaxima(all.*.*)"),
    ("statistics", "stdev(all.*.*,10)"),
    ("summarize", "summarize(all.*.*,'1h','max')"),
];

/// What is measured: two digits after the point, now and then nothing.
fn column(seed: usize) -> Vec<f64> {
    let value = |at: usize| match (seed * 31 + at * 7919) % 10_007 {
        odd if odd % 97 == 0 => f64::NAN,
        odd => odd as f64 / 100.0,
    };
    (0..MINUTES).map(value).collect()
}

fn series(from: i64) -> Vec<SeriesData> {
    let name = |at: usize| format!("all.h{}.m{}", at / 10, at % 10);
    (0..SERIES).map(|at| SeriesData::new(name(at), from, 60, column(at))).collect()
}

fn request(target: &str) -> Request {
    let from = UNTIL - 60 * MINUTES as i64;
    Request::new(vec![target.to_owned()], from, UNTIL, UNTIL)
}

/// Everything that a target reads, whatever its windows.
fn data(request: &Request) -> Data {
    let prepared = prepare(request).expect("a target that can be planned");
    let (mut data, mut fetches) = (Data::default(), prepared.fetches().to_vec());
    loop {
        for fetch in fetches {
            let mut found = series(fetch.window.from);
            match fetch.pattern.as_str() {
                "all.h0.*" => found.truncate(10),
                "all.h0.m0" => found.truncate(1),
                _ => {}
            }
            data.insert(fetch, found);
        }
        match prepared.evaluate(&data).expect("a target that can be evaluated") {
            Outcome::Done(_) => return data,
            Outcome::Need(more) => fetches = more,
        }
    }
}

fn parsing(c: &mut Criterion) {
    let target = "highestAverage(movingAverage(scaleToSeconds(nonNegativeDerivative(\
        servers.*.net.{eth0,eth1}.rx),60),'5min'),10)";
    let mut group = c.benchmark_group("query");
    group.throughput(Throughput::Bytes(target.len() as u64));
    group.bench_function("parse", |b| b.iter(|| parse(black_box(target))));
    group.finish();
}

fn functions(c: &mut Criterion) {
    let mut group = c.benchmark_group("query, 1,000 series of 1,440 points");
    group.sample_size(10).throughput(Throughput::Elements((SERIES * MINUTES) as u64));
    for (family, target) in TARGETS {
        let request = request(target);
        let data = data(&request);
        let prepared = prepare(&request).expect("a target that can be planned");
        group.bench_function(*family, |b| {
            b.iter_batched(|| (), |()| prepared.evaluate(&data), BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn numbers(c: &mut Criterion) {
    let columns: Vec<Vec<f64>> = (0..SERIES).map(column).collect();
    let averages: Vec<Vec<f64>> =
        columns.iter().map(|column| column.iter().map(|value| value / 3.0).collect()).collect();
    let mut group = c.benchmark_group("numbers of 1,000 series as text");
    group.sample_size(10).throughput(Throughput::Elements((SERIES * MINUTES) as u64));
    for (kind, columns) in [("two digits", &columns), ("all digits", &averages)] {
        let mut text = Vec::new();
        group.bench_function(kind, |b| {
            b.iter(|| {
                text.clear();
                columns.iter().flatten().for_each(|value| push_python_repr(&mut text, *value));
                text.len()
            });
        });
    }
    group.finish();
}

fn picture(c: &mut Criterion) {
    let options = graph::Params::read(&|_| None).expect("the defaults are sound");
    let columns: Vec<Vec<f64>> = (0..20).map(column).collect();
    let merge = |values: &[f64], per_point: usize| -> Vec<f64> {
        values.chunks(per_point).map(|some| some[0]).collect()
    };
    let names: Vec<String> = (0..20).map(|at| format!("all.h{at}")).collect();
    let lines: Vec<_> = names
        .iter()
        .zip(&columns)
        .map(|(name, column)| graph::Line::new(name, UNTIL - 86_400, 60, column, &merge))
        .collect();
    c.bench_function("png of 20 series of 1,440 points", |b| {
        b.iter(|| {
            let scene = graph::draw(&options, &lines, &jiff::tz::TimeZone::UTC);
            scene.and_then(|scene| scene.png())
        });
    });
}

criterion_group!(benches, parsing, functions, numbers, picture);
criterion_main!(benches);
