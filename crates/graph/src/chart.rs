//! A graph of lines over time: which values are drawn, on which axes, in which room.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use crate::color::Color;
use crate::error::GraphError;
use crate::legend::Entry;
use crate::params::{AreaMode, LineMode, Params, unquoted};
use crate::scale::{AxisWish, Scale};
use crate::scene::Scene;
use crate::sheet::Sheet;

/// Merges values: how many make a point, and out come the points.
pub type Merge<'a> = &'a dyn Fn(&[f64], usize) -> Vec<f64>;

/// Times the room for labels may change the labels before it is as it is.
const ROUNDS_MAX: usize = 8;

/// One series, and how it is drawn.
#[derive(Clone)]
pub struct Line<'a> {
    /// What the legend shows.
    pub name: &'a str,
    /// Time of the first value, seconds.
    pub start: i64,
    /// Time after the last value, seconds.
    pub end: i64,
    /// Seconds from one value to the next.
    pub step: i64,
    /// NaN is null.
    pub values: &'a [f64],
    /// Merges values where there are more of them than pixels.
    pub merge: Merge<'a>,
    /// A name or digits; the next of the list where there is none.
    pub color: Option<&'a str>,
    /// Opacity, 0 to 1.
    pub alpha: Option<f64>,
    /// Width in pixels.
    pub line_width: Option<f64>,
    /// Length of its dashes in pixels.
    pub dashed: Option<f64>,
    /// Filled down to zero, where no series before it is.
    pub stacked: bool,
    /// Its room is kept free instead of filled.
    pub invisible: bool,
    /// Values above zero are lines over the whole height.
    pub draw_as_infinite: bool,
    /// Drawn against the right-hand axis.
    pub second_y_axis: bool,
}

impl<'a> Line<'a> {
    /// A plain line.
    pub fn new(name: &'a str, start: i64, step: i64, values: &'a [f64], merge: Merge<'a>) -> Self {
        let count = i64::try_from(values.len()).unwrap_or(i64::MAX);
        Self {
            name,
            start,
            end: start.saturating_add(step.saturating_mul(count)),
            step,
            values,
            merge,
            color: None,
            alpha: None,
            line_width: None,
            dashed: None,
            stacked: false,
            invisible: false,
            draw_as_infinite: false,
            second_y_axis: false,
        }
    }
}

/// Draws lines over time.
///
/// # Errors
///
/// When a colour is none, or an axis cannot be drawn as it is wished for.
pub fn draw(params: &Params, lines: &[Line<'_>], zone: &TimeZone) -> Result<Scene, GraphError> {
    let sheet = Sheet::new(params);
    let lines: Vec<&Line<'_>> = lines.iter().filter(|line| line.step > 0).collect();
    let start = lines.iter().map(|line| line.start).min();
    let end = lines.iter().map(|line| line.end).max();
    if !matches!((start, end), (Some(start), Some(end)) if start < end) {
        return Ok(sheet.no_data());
    }
    let mut chart = Chart::new(sheet, &lines)?;
    chart.frame();
    let scales = chart.fit()?;
    chart.labels_and_grid(&scales, zone);
    chart.lines(&scales);
    Ok(chart.sheet.scene)
}

/// A line and what drawing makes of it.
#[derive(Clone)]
pub(crate) struct Plot<'a> {
    pub(crate) line: &'a Line<'a>,
    pub(crate) color: Color,
    /// All values, with what they stand on if they are stacked.
    pub(crate) values: Cow<'a, [f64]>,
    /// The values as drawn, one a step of pixels.
    pub(crate) points: Vec<f64>,
    /// Values per point.
    pub(crate) per_point: usize,
    /// Pixels per point.
    pub(crate) x_step: f64,
    pub(crate) is_filled: bool,
    pub(crate) is_invisible: bool,
    pub(crate) alpha: f64,
    pub(crate) line_width: f64,
    pub(crate) dash: Option<f64>,
}

/// The y axes of a graph.
pub(crate) enum Scales {
    One(Scale),
    Two { left: Scale, right: Scale },
}

impl Scales {
    /// The axis that a line is drawn against.
    pub(crate) fn of(&self, line: &Line<'_>) -> &Scale {
        match self {
            Self::One(scale) => scale,
            Self::Two { right, .. } if line.second_y_axis => right,
            Self::Two { left, .. } => left,
        }
    }

    /// The axis that the grid follows.
    pub(crate) fn of_grid(&self) -> &Scale {
        let (Self::One(scale) | Self::Two { left: scale, .. }) = self;
        scale
    }
}

/// A graph in the making.
pub(crate) struct Chart<'a> {
    pub(crate) sheet: Sheet<'a>,
    pub(crate) plots: Vec<Plot<'a>>,
    pub(crate) mode: LineMode,
    pub(crate) start: i64,
    pub(crate) end: i64,
    has_two_axes: bool,
}

impl<'a> Chart<'a> {
    fn new(sheet: Sheet<'a>, lines: &[&'a Line<'a>]) -> Result<Self, GraphError> {
        let params = sheet.params;
        let has_two_axes = lines.iter().any(|line| line.second_y_axis);
        // A slope needs two points; with one, every line becomes steps.
        let has_single = lines.iter().any(|line| line.values.len() == 1);
        let mode = match params.line_mode {
            LineMode::Slope if has_single => LineMode::Staircase,
            mode => mode,
        };
        let mut colors = params.colors.iter().map(String::as_str).cycle();
        let mut plots = Vec::with_capacity(lines.len());
        for line in lines {
            let side = match (has_two_axes, line.second_y_axis) {
                (false, _) => &params.single,
                (true, true) => &params.right,
                (true, false) => &params.left,
            };
            let color = side.color.as_deref().or(line.color).or_else(|| colors.next());
            let color = color.unwrap_or("black");
            let width = side.line_width.or(line.line_width).unwrap_or(params.line_width);
            plots.push(Plot {
                line,
                color: Color::parse(color).ok_or_else(|| GraphError::Color(color.to_owned()))?,
                values: Cow::Borrowed(line.values),
                points: Vec::new(),
                per_point: 0,
                x_step: 1.0,
                is_filled: line.stacked,
                is_invisible: line.invisible,
                alpha: line.alpha.filter(|alpha| *alpha != 0.0).unwrap_or(1.0),
                line_width: if width.is_finite() { width.max(0.0) } else { params.line_width },
                dash: side.dash.or(line.dashed).filter(|dash| *dash > 0.0 && dash.is_finite()),
            });
        }
        let start = lines.iter().map(|line| line.start).min().unwrap_or(0);
        let last = |line: &&&Line<'_>| match mode {
            LineMode::Staircase => line.end,
            _ => line.end.saturating_sub(line.step),
        };
        let end = lines.iter().map(|line| last(&line)).max().unwrap_or(start);
        Ok(Self { sheet, plots, mode, start, end: end.max(start), has_two_axes })
    }

    /// Titles, legend, and room for the labels of the time axis.
    fn frame(&mut self) {
        let params = self.sheet.params;
        self.sheet.title();
        self.sheet.vtitle_left();
        if self.has_two_axes {
            self.sheet.vtitle_right();
        }
        if !params.hides_legend(self.plots.len()) {
            let entries = self.plots.iter().filter(|plot| self.is_in_legend(plot));
            let entry = |plot: &Plot<'_>| Entry {
                name: unquoted(plot.line.name),
                color: plot.color,
                is_right: plot.line.second_y_axis,
            };
            let entries = entries.map(entry).collect();
            self.sheet.legend(entries, self.has_two_axes);
        }
        if !params.hide_axes && !params.hide_x_axis {
            self.sheet.area.bottom -= params.font.ascent() * 2.0;
        }
    }

    fn is_in_legend(&self, plot: &Plot<'_>) -> bool {
        let has_points = || plot.line.values.iter().any(|value| !value.is_nan());
        !plot.line.name.is_empty() && (!self.sheet.params.no_null_legend || has_points())
    }

    /// Points and axes: labels take room, with less room there are fewer points, and other labels.
    fn fit(&mut self) -> Result<Scales, GraphError> {
        let mut scales = None;
        for _ in 0..ROUNDS_MAX {
            self.merge_values();
            let before = self.sheet.area;
            let chosen = self.scales()?;
            self.make_room(&chosen);
            scales = Some(chosen);
            if self.sheet.area == before {
                break;
            }
        }
        scales.ok_or_else(|| GraphError::Axis("there is no room for it".to_owned()))
    }

    /// Pixels that the lines have.
    pub(crate) fn width(&self) -> f64 {
        (self.sheet.area.width() - (self.sheet.params.line_width + 1.0)).max(1.0)
    }

    /// Seconds that they span.
    pub(crate) fn seconds(&self) -> f64 {
        (self.end.saturating_sub(self.start)).max(1) as f64
    }

    /// Makes as many points as there are pixels for them.
    fn merge_values(&mut self) {
        let (pixels, seconds) = (self.width(), self.seconds());
        let least = self.sheet.params.x_step_min;
        for plot in &mut self.plots {
            let count = seconds / plot.line.step as f64;
            plot.x_step = pixels / count;
            let mut per_point = plot.per_point.max(1);
            if plot.x_step < least {
                let drawable = (pixels / least).floor().max(1.0);
                per_point = (count / drawable).ceil() as usize;
                plot.x_step = pixels * per_point as f64 / count;
            }
            if per_point != plot.per_point {
                plot.per_point = per_point;
                plot.remake_points();
            }
        }
    }

    fn scales(&self) -> Result<Scales, GraphError> {
        let params = self.sheet.params;
        if self.has_two_axes {
            let left = self.scale(&params.left.wish, Some(false))?;
            let right = self.scale(&params.right.wish, Some(true))?;
            return Ok(Scales::Two { left, right });
        }
        let scale = self.scale(&params.single.wish, None)?;
        Ok(Scales::One(if params.hide_axes { scale.without_labels() } else { scale }))
    }

    /// The axis of the lines on one side, or of all.
    fn scale(&self, wish: &AxisWish, side: Option<bool>) -> Result<Scale, GraphError> {
        let plots = self.plots.iter();
        let plots = plots.filter(|plot| side.is_none_or(|side| plot.line.second_y_axis == side));
        let is_stacked = self.sheet.params.area_mode == AreaMode::Stacked;
        let range = range(plots, self.sheet.params.null_as_zero, is_stacked);
        Scale::choose(range, wish, &self.sheet.params.ruler)
    }

    /// Moves the area's edges out of the way of the labels.
    fn make_room(&mut self, scales: &Scales) {
        let params = self.sheet.params;
        let room = |scale: &Scale| self.sheet.labels_width(scale) * 1.02;
        let page = self.sheet.width();
        let (left, right) = match scales {
            Scales::Two { left, right } => (params.margin + room(left), page - room(right)),
            Scales::One(_) if params.hide_axes || params.hide_y_axis => (0.0, page),
            Scales::One(scale) if params.y_axis_right => (0.0, page - room(scale)),
            Scales::One(scale) => (params.margin + room(scale), page),
        };
        let area = &mut self.sheet.area;
        (area.left, area.right) = (area.left.max(left), area.right.min(right));
    }
}

impl Plot<'_> {
    /// Merges the values anew, after either changed.
    pub(crate) fn remake_points(&mut self) {
        self.points = match self.per_point {
            0 | 1 => self.values.to_vec(),
            per_point => (self.line.merge)(&self.values, per_point),
        };
    }
}

impl Sheet<'_> {
    /// Pixels of the widest label.
    pub(crate) fn labels_width(&self, scale: &Scale) -> f64 {
        let widths = scale.labels.iter().map(|label| self.params.font.width(label));
        widths.fold(0.0, f64::max)
    }
}

/// Least and greatest of the values drawn; 0 to 1 if there are none.
fn range<'p, 'a: 'p>(
    plots: impl Iterator<Item = &'p Plot<'a>> + Clone,
    null_as_zero: bool,
    is_stacked: bool,
) -> (f64, f64) {
    let misses_some = plots.clone().any(|plot| plot.values.iter().any(|value| value.is_nan()));
    let finite = plots.filter(|plot| !plot.line.draw_as_infinite);
    let points = finite.clone().flat_map(|plot| &plot.points).copied();
    let Some((mut least, mut greatest)) = ends(points) else { return (0.0, 1.0) };
    if is_stacked {
        let columns: Vec<&[f64]> = finite.map(|plot| &*plot.values).collect();
        let count = columns.iter().map(|column| column.len()).min().unwrap_or(0);
        let known =
            |row| columns.iter().map(move |c| c[row]).filter(|value: &f64| value.is_finite());
        let sums = (0..count).map(|row| known(row).sum());
        greatest = ends(sums).map_or(least, |(_, greatest)| greatest);
    }
    if null_as_zero && misses_some {
        if least > 0.0 {
            least = 0.0;
        }
        if greatest < 0.0 {
            greatest = 0.0;
        }
    }
    (least, greatest)
}

fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.filter(|value| value.is_finite());
    finite.fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((least, greatest)) => Some((f64::min(least, value), f64::max(greatest, value))),
    })
}
