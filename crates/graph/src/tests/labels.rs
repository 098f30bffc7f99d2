//! The words on our pictures are graphite-web's, for every recorded set of options.

use std::io::Read;

use crate::{Line, Params, Scene, Slice};
use flate2::read::GzDecoder;
use jiff::tz::TimeZone;
use serde_json::Value;

pub(super) fn recorded() -> Vec<Value> {
    let packed = include_bytes!("../../testdata/labels.json.gz");
    let mut text = String::new();
    GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn average(values: &[f64], per_point: usize) -> Vec<f64> {
    let mean = |bucket: &[f64]| {
        let known: Vec<f64> = bucket.iter().copied().filter(|v| !v.is_nan()).collect();
        known.iter().sum::<f64>() / known.len() as f64
    };
    values.chunks(per_point).map(mean).collect()
}

fn largest(values: &[f64], per_point: usize) -> Vec<f64> {
    values.chunks(per_point).map(|bucket| bucket.iter().copied().fold(f64::NAN, f64::max)).collect()
}

fn line<'a>(row: &'a Value, values: &'a [f64]) -> Line<'a> {
    let number = |name: &str| row[name].as_i64().unwrap();
    let name = row["name"].as_str().unwrap();
    let merge = if row["consolidate"] == "max" { &largest as crate::Merge<'_> } else { &average };
    let options = &row["options"];
    Line {
        color: row["color"].as_str(),
        dashed: options["dashed"].as_f64(),
        stacked: options["stacked"] == true,
        invisible: options["invisible"] == true,
        draw_as_infinite: options["drawAsInfinite"] == true,
        second_y_axis: options["secondYAxis"] == true,
        ..Line::new(name, number("start"), number("step"), values, merge)
    }
}

pub(super) fn drawn(case: &Value) -> Scene {
    let option = |name: &str| case["options"][name].as_str().map(str::to_owned);
    let params = Params::read(&option).unwrap();
    let rows = case["data"].as_array().unwrap();
    if case["kind"] == "PieGraph" {
        let slice = |row: &Value| Slice {
            name: row[0].as_str().unwrap().to_owned(),
            value: row[1].as_f64().unwrap(),
        };
        return crate::pie(&params, &rows.iter().map(slice).collect::<Vec<_>>()).unwrap();
    }
    let values = |row: &Value| -> Vec<f64> {
        row["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
    };
    let columns: Vec<Vec<f64>> = rows.iter().map(values).collect();
    let lines: Vec<_> = rows.iter().zip(&columns).map(|(row, column)| line(row, column)).collect();
    let zone = option("tz").map_or(TimeZone::UTC, |name| TimeZone::get(&name).unwrap());
    crate::draw(&params, &lines, &zone).unwrap()
}

#[test]
fn labels_are_graphite_webs() {
    let cases = recorded();
    let mut different = Vec::new();
    for case in &cases {
        let theirs: Vec<&str> =
            case["texts"].as_array().unwrap().iter().map(|t| t[1].as_str().unwrap()).collect();
        let scene = drawn(case);
        let ours: Vec<&str> = scene.texts().collect();
        if ours != theirs {
            different.push(format!("{}\n  theirs {theirs:?}\n  ours   {ours:?}", case["name"]));
        }
    }
    assert!(cases.len() >= 30);
    assert!(
        different.is_empty(),
        "{} of {}:\n{}",
        different.len(),
        cases.len(),
        different.join("\n")
    );
}

#[test]
fn every_set_prints_in_every_format() {
    let folder = std::env::var_os("PLUMBAGO_PICTURES");
    for case in recorded() {
        let scene = drawn(&case);
        let (png, svg) = (scene.png().unwrap(), scene.svg());
        assert_eq!(png[..4], *b"\x89PNG");
        let size = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        assert!(svg.contains(&format!("width=\"{}\" height=\"{}\"", size(16), size(20))));
        let pdf = scene.pdf().unwrap();
        assert!(pdf.starts_with(b"%PDF-1.4") && pdf.ends_with(b"%%EOF\n"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{}", case["name"]);
        if let Some(folder) = &folder {
            let stem = case["name"].as_str().unwrap().replace(' ', "-");
            let path = std::path::Path::new(folder).join(stem);
            std::fs::write(path.with_extension("png"), &png).unwrap();
            std::fs::write(path.with_extension("svg"), &svg).unwrap();
            std::fs::write(path.with_extension("pdf"), &pdf).unwrap();
        }
    }
}

#[test]
fn places_are_graphite_webs_but_for_the_rounding_of_letters() {
    // Letters are measured here in parts of pixels, there in whole ones.
    const TOLERANCE: f64 = 9.0;
    for case in recorded() {
        let svg = drawn(&case).svg();
        let drawn: Vec<f64> = svg
            .lines()
            .filter(|line| line.starts_with("<text") && !line.contains("rotate"))
            .map(|line| line.split("y=\"").nth(1).unwrap().split('"').next().unwrap())
            .map(|y| y.parse().unwrap())
            .collect();
        let theirs = case["texts"].as_array().unwrap();
        if theirs.len() != drawn.len() {
            continue;
        }
        for (text, y) in theirs.iter().zip(drawn) {
            // Theirs is the place of the text, ours that of its baseline.
            let distance = y - text[3].as_f64().unwrap();
            assert!((0.0..=TOLERANCE + 6.0).contains(&distance), "{}: {text} {y}", case["name"]);
        }
    }
}
