//! How wide and how high a text is, and the outlines of its letters: DejaVu Sans, which graphite-web
//! draws with on most systems.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, OutlineCurve, Point};

use crate::path::{Path, Step};

static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("../fonts/DejaVuSans.ttf"))
        .expect("the bundled font is whole")
});

/// How far the top of slanted letters leans over, as a share of their height.
pub(crate) const SLANT: f64 = 0.2;
/// What bold letters gain around their outlines, as a share of their size.
pub(crate) const BOLD_STROKE: f64 = 0.05;

/// Size and weight of letters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Style {
    /// Pixels per em.
    pub(crate) size: f64,
    pub(crate) bold: bool,
    pub(crate) italic: bool,
}

impl Style {
    /// The same at another size.
    pub(crate) fn sized(self, size: f64) -> Self {
        Self { size, ..self }
    }

    fn scale(self) -> f64 {
        self.size / f64::from(FONT.units_per_em().unwrap_or(2048.0))
    }

    /// Pixels from the top of a line to the baseline; whole ones, as graphite-web lays out.
    pub(crate) fn ascent(self) -> f64 {
        (f64::from(FONT.ascent_unscaled()) * self.scale()).ceil()
    }

    /// Pixels from the baseline to the foot of a line.
    pub(crate) fn descent(self) -> f64 {
        (-f64::from(FONT.descent_unscaled()) * self.scale()).ceil()
    }

    /// Pixels from one baseline to the next.
    pub(crate) fn line_height(self) -> f64 {
        (f64::from(FONT.height_unscaled()) * self.scale()).round()
    }

    /// Pixels from the beginning of a text to its end.
    pub(crate) fn width(self, text: &str) -> f64 {
        text.chars().map(|c| self.advance(c)).sum()
    }

    fn advance(self, c: char) -> f64 {
        let plain = f64::from(FONT.h_advance_unscaled(FONT.glyph_id(c))) * self.scale();
        plain + if self.bold { self.size * BOLD_STROKE } else { 0.0 }
    }

    /// The letters with their baseline beginning at 0, 0.
    pub(crate) fn outline(self, text: &str) -> Path {
        let scale = self.scale();
        let slant = if self.italic { SLANT } else { 0.0 };
        let mut steps = Vec::new();
        let mut left = 0.0;
        for c in text.chars() {
            let place = |point: Point| {
                let (x, y) = (f64::from(point.x) * scale, f64::from(point.y) * scale);
                (left + x + y * slant, -y)
            };
            let outline = FONT.outline(FONT.glyph_id(c));
            append(&mut steps, outline.iter().flat_map(|outline| &outline.curves), place);
            left += self.advance(c);
        }
        Path(steps)
    }
}

fn append<'a>(
    steps: &mut Vec<Step>,
    curves: impl Iterator<Item = &'a OutlineCurve>,
    place: impl Fn(Point) -> (f64, f64),
) {
    let mut end = None;
    for curve in curves {
        let (OutlineCurve::Line(from, to)
        | OutlineCurve::Quad(from, _, to)
        | OutlineCurve::Cubic(from, _, _, to)) = *curve;
        if end != Some(from) {
            let (x, y) = place(from);
            steps.push(Step::Move(x, y));
        }
        steps.push(match *curve {
            OutlineCurve::Line(..) => {
                let (x, y) = place(to);
                Step::Line(x, y)
            }
            OutlineCurve::Quad(_, by, _) => {
                let (from, by, to) = (place(from), place(by), place(to));
                let near = |a: (f64, f64)| (a.0 + (by.0 - a.0) / 1.5, a.1 + (by.1 - a.1) / 1.5);
                Step::Curve([near(from), near(to), to])
            }
            OutlineCurve::Cubic(_, one, two, _) => Step::Curve([place(one), place(two), place(to)]),
        });
        end = Some(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style { size: 10.0, bold: false, italic: false };

    #[test]
    fn lines_are_as_high_as_graphite_webs() {
        for (size, ascent, descent, height) in
            [(8.0, 8.0, 2.0, 9.0), (10.0, 10.0, 3.0, 12.0), (14.0, 13.0, 4.0, 16.0)]
        {
            let style = PLAIN.sized(size);
            let found = (style.ascent(), style.descent(), style.line_height());
            assert_eq!(found, (ascent, descent, height), "{size}");
        }
    }

    #[test]
    fn widths_are_the_fonts_own() {
        assert!((PLAIN.width("00") - 2.0 * 6.3623).abs() < 0.01);
        assert_eq!(PLAIN.width(""), 0.0);
        assert!(Style { bold: true, ..PLAIN }.width("a") > PLAIN.width("a"));
    }

    #[test]
    fn letters_have_outlines_and_spaces_none() {
        assert!(PLAIN.outline("a").0.len() > 10);
        assert!(PLAIN.outline(" ").0.is_empty());
        let unknown = PLAIN.outline("\u{1f600}\u{0}");
        assert!(unknown.0.iter().all(|step| !matches!(step, Step::Move(x, _) if !x.is_finite())));
    }
}
