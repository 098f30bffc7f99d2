//! Whatever is sent, there is a picture or one line that says why not.

use crate::{Line, Params};
use jiff::tz::TimeZone;

const NULL: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

fn first(values: &[f64], per_point: usize) -> Vec<f64> {
    values.chunks(per_point).map(|bucket| bucket[0]).collect()
}

fn params(text: &str) -> Params {
    let pairs: Vec<_> = text.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let find = |name: &str| pairs.iter().rev().find(|(key, _)| *key == name);
    Params::read(&|name| find(name).map(|(_, value)| (*value).to_owned())).unwrap()
}

#[test]
fn no_values_and_no_options_break_a_picture() {
    let columns: &[&[f64]] = &[
        &[],
        &[NULL],
        &[5.0],
        &[INF, -INF, 1.0],
        &[f64::MAX, f64::MIN, f64::MIN_POSITIVE],
        &[NULL, -1.0, NULL, 0.0, 3.0],
    ];
    for options in [
        "",
        "width=1&height=1",
        "width=40&height=2000&margin=4000",
        "areaMode=stacked&areaAlpha=0.5",
        "areaMode=all&lineMode=staircase&drawNullAsZero=1",
        "areaMode=first&lineMode=connected&connectedLimit=-1",
        "logBase=2",
        "yAxisSide=right&vtitle=a&title=b",
        "yStep=1e-300&yMin=-1e300&yMax=1e300",
        "fontSize=200&fontBold=1&fontItalic=1&lineWidth=0&minXStep=1e9",
        "graphOnly=1&width=3",
    ] {
        let params = params(&format!("width=90&height=60&{options}"));
        for (index, column) in columns.iter().enumerate() {
            for step in [60, if options.is_empty() && index == 1 { i64::MAX } else { 1 }] {
                let plain = Line::new("a<b>", -7, step, column, &first);
                let other = Line {
                    second_y_axis: index % 2 == 0,
                    draw_as_infinite: index % 3 == 0,
                    invisible: index == 5,
                    stacked: true,
                    dashed: Some(INF),
                    line_width: Some(NULL),
                    alpha: Some(-3.0),
                    ..Line::new("", 1_700_000_000, 7, &[1.0, NULL, -2.0], &first)
                };
                if let Ok(scene) = crate::draw(&params, &[plain, other], &TimeZone::UTC) {
                    scene.png().unwrap();
                    assert!(!scene.svg().contains("NaN"), "{options}");
                }
            }
        }
    }
}

#[test]
fn a_thousand_areas_that_shine_through_need_few_masks() {
    let values = [1.0, 2.0, 1.5];
    let lines: Vec<_> = (0..1000).map(|_| Line::new("x", 0, 60, &values, &first)).collect();
    let params = params("areaMode=stacked&areaAlpha=0.5");
    let scene = crate::draw(&params, &lines, &TimeZone::UTC).unwrap();
    assert!(scene.svg().matches("<clipPath").count() < 100);
}

#[test]
fn a_colour_that_is_none_is_named() {
    let line = Line { color: Some("blau"), ..Line::new("x", 0, 60, &[1.0, 2.0], &first) };
    let error = crate::draw(&params(""), &[line], &TimeZone::UTC).unwrap_err();
    assert!(error.to_string().contains("blau"));
}
