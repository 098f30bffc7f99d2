//! A pie: one slice a series.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use crate::color::Color;
use crate::error::GraphError;
use crate::legend::Entry;
use crate::params::{Params, ValueLabels};
use crate::path::{Path, Step};
use crate::scene::Scene;
use crate::sheet::{Align, Place, Sheet, Valign};

/// A name and its share.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// What the legend shows.
    pub name: String,
    /// Its size; what is not above zero has none.
    pub value: f64,
}

/// Where the first slice begins: at the top.
const BEGIN: f64 = 3.0 * FRAC_PI_2;
/// What a pie leaves free of its square.
const FILLING: f64 = 0.95;
/// Curves of at most this angle look round.
const ARC_MAX: f64 = PI / 8.0;

/// Draws a pie.
///
/// # Errors
///
/// When a colour of the list is none.
pub fn pie(params: &Params, slices: &[Slice]) -> Result<Scene, GraphError> {
    let mut sheet = Sheet::new(params);
    let size = |slice: &Slice| if slice.value.is_finite() { slice.value.max(0.0) } else { 0.0 };
    let total: f64 = slices.iter().map(size).sum();
    if !(total > 0.0 && total.is_finite()) {
        return Ok(sheet.no_data());
    }
    let colors = params
        .colors
        .iter()
        .cycle()
        .map(|color| Color::parse(color).ok_or_else(|| GraphError::Color(color.clone())));
    let colors: Vec<Color> = colors.take(slices.len()).collect::<Result<_, _>>()?;
    sheet.title();
    if !params.hides_legend(0) {
        let entry = |(slice, color): (&Slice, &Color)| Entry {
            name: slice.name.clone(),
            color: *color,
            is_right: false,
        };
        sheet.legend(slices.iter().zip(&colors).map(entry).collect(), false);
    }
    let area = sheet.area;
    let round = Round {
        x: area.left + area.width() / 2.0,
        y: area.top + area.height() / 2.0,
        radius: area.width().min(area.height()) / 2.0 * FILLING,
    };
    sheet.scene.section("slices");
    let mut angle = BEGIN;
    let mut labels = Vec::new();
    for (slice, color) in slices.iter().zip(&colors) {
        let share = size(slice) / total;
        let end = angle + TAU * share;
        let color = color.or_alpha(params.area_alpha.unwrap_or(1.0));
        sheet.scene.fill(round.slice(angle, end), color);
        labels.extend(label(params, slice.value, share).map(|text| (text, (angle + end) / 2.0)));
        angle = end;
    }
    sheet.scene.section("labels");
    for (text, angle) in labels {
        let (x, y) = round.at(angle, 0.5);
        let place = Place::new(x, y, Align::Center, Valign::Middle);
        let turned = if params.rotated_pie_labels { upright(angle).to_degrees() } else { 0.0 };
        sheet.styled_text(&text, place.turned(turned), params.font, params.value_labels_color);
    }
    Ok(sheet.scene)
}

/// What is written on a slice, if it is large enough.
fn label(params: &Params, value: f64, share: f64) -> Option<String> {
    let percent = share * 100.0;
    match params.value_labels {
        ValueLabels::None => None,
        // The sign stands before the number in graphite-web, too.
        ValueLabels::Percent => {
            (percent >= params.value_labels_min).then(|| format!("%{percent:.2}"))
        }
        ValueLabels::Number if value.is_nan() || value < params.value_labels_min => None,
        ValueLabels::Number if value < 10.0 && value.fract() != 0.0 => Some(format!("{value:.2}")),
        ValueLabels::Number => Some(format!("{:.0}", value.trunc())),
    }
}

/// An angle at which text does not stand on its head.
fn upright(angle: f64) -> f64 {
    let angle = angle.rem_euclid(TAU);
    if angle > FRAC_PI_2 && angle <= BEGIN { angle - PI } else { angle }
}

/// The whole pie.
struct Round {
    x: f64,
    y: f64,
    radius: f64,
}

impl Round {
    /// A point at an angle, clockwise from the right, at a share of the radius.
    fn at(&self, angle: f64, share: f64) -> (f64, f64) {
        let length = self.radius * share;
        (self.x + length * angle.cos(), self.y + length * angle.sin())
    }

    fn slice(&self, from: f64, to: f64) -> Path {
        let count = ((to - from) / ARC_MAX).ceil().clamp(1.0, 32.0) as u32;
        let part = (to - from) / f64::from(count);
        // Control points of a circle's arc stand on its tangents.
        let reach = self.radius * 4.0 / 3.0 * (part / 4.0).tan();
        let beside = |angle: f64, reach: f64| {
            let (x, y) = self.at(angle, 1.0);
            (x - reach * angle.sin(), y + reach * angle.cos())
        };
        let begin = self.at(from, 1.0);
        let mut steps = vec![Step::Move(self.x, self.y), Step::Line(begin.0, begin.1)];
        for index in 0..count {
            let (from, to) = (from + f64::from(index) * part, from + f64::from(index + 1) * part);
            steps.push(Step::Curve([beside(from, reach), beside(to, -reach), self.at(to, 1.0)]));
        }
        steps.push(Step::Close);
        Path(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pairs: &[(&str, &str)], values: &[f64]) -> Vec<String> {
        let find = |name: &str| pairs.iter().find(|(key, _)| *key == name);
        let params = Params::read(&|name| find(name).map(|(_, v)| (*v).to_owned())).unwrap();
        let slices: Vec<_> =
            values.iter().map(|value| Slice { name: "n".to_owned(), value: *value }).collect();
        let scene = pie(&params, &slices).unwrap();
        assert!(!scene.png().unwrap().is_empty());
        scene.texts().map(str::to_owned).collect()
    }

    #[test]
    fn any_values_make_a_picture() {
        for values in [&[] as &[f64], &[0.0], &[f64::NAN, f64::INFINITY], &[-1.0, -2.0]] {
            assert_eq!(texts(&[], values), ["No Data"]);
        }
        assert_eq!(texts(&[("hideLegend", "1")], &[1.0, f64::NAN, -5.0]), ["%100.00"]);
    }

    #[test]
    fn numbers_are_whole_unless_small() {
        let options = [("valueLabels", "number"), ("hideLegend", "1"), ("valueLabelsMin", "1")];
        assert_eq!(texts(&options, &[0.5, 1.25, 9.0, 12.75]), ["1.25", "9", "12"]);
    }
}
