//! The lines themselves, and the areas below them.

use std::borrow::Cow;

use crate::chart::{Chart, Plot, Scales};
use crate::color::Color;
use crate::params::{AreaMode, LineMode};
use crate::path::{Path, Step};
use crate::scene::{ClipId, Item, Pen};

/// Beyond this many areas that shine through, the rest is painted over the others: each one that
/// keeps clear of all before it costs a pass over the whole picture.
const CLIPS_MAX: usize = 64;

/// A stretch of a line without a gap.
type Run = Vec<(f64, f64)>;

/// What a line comes to in pixels.
#[derive(Default)]
struct Trace {
    runs: Vec<Run>,
    /// Where a line stands over the whole height.
    marks: Vec<f64>,
}

impl<'a> Chart<'a> {
    /// Draws areas first, then lines over them.
    pub(crate) fn lines(&mut self, scales: &Scales) {
        self.sheet.scene.section("lines");
        // Areas come first; among themselves, series keep their order.
        self.plots.sort_by_key(|plot| !plot.is_filled);
        self.fill_by_mode(matches!(scales, Scales::Two { .. }));
        let outlines = self.outlines();
        let area = self.sheet.area;
        let clip = self.sheet.scene.clip(area.path(), None);
        let (filled, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.plots).into_iter().partition(|plot| plot.is_filled);
        self.areas(&filled, scales, clip);
        for plot in open.iter().chain(&outlines) {
            self.stroke(plot, scales, clip);
        }
    }

    /// Which series `areaMode` fills, and what they stand on.
    fn fill_by_mode(&mut self, has_two_axes: bool) {
        match self.sheet.params.area_mode {
            AreaMode::Stacked if !has_two_axes => self.stack(),
            AreaMode::First => self.plots.iter_mut().take(1).for_each(|plot| plot.is_filled = true),
            AreaMode::All => {
                let all = self.plots.iter_mut().filter(|plot| !plot.line.draw_as_infinite);
                all.for_each(|plot| plot.is_filled = true);
            }
            _ => {}
        }
    }

    fn stack(&mut self) {
        let mut totals: Vec<f64> = Vec::new();
        for plot in self.plots.iter_mut().filter(|plot| !plot.line.draw_as_infinite) {
            plot.is_filled = true;
            if totals.len() < plot.values.len() {
                totals.resize(plot.values.len(), 0.0);
            }
            let mut stacked = plot.values.to_vec();
            for (value, total) in stacked.iter_mut().zip(&mut totals) {
                if !value.is_nan() {
                    *total += *value;
                    *value = *total;
                }
            }
            plot.values = Cow::Owned(stacked);
            plot.remake_points();
        }
    }

    /// Areas that shine through get their upper edge drawn once more.
    fn outlines(&mut self) -> Vec<Plot<'a>> {
        let params = self.sheet.params;
        let Some(alpha) = params.area_alpha else { return Vec::new() };
        let mut outlines = Vec::new();
        for plot in self.plots.iter_mut().filter(|plot| plot.is_filled) {
            let mut outline = plot.clone();
            (outline.is_filled, outline.is_invisible, outline.dash) = (false, false, None);
            (outline.alpha, outline.line_width) = (1.0, params.line_width);
            outlines.push(outline);
            plot.alpha = alpha;
        }
        outlines
    }

    /// Each area shows where no area before it is.
    fn areas(&mut self, plots: &[Plot<'a>], scales: &Scales, clip: ClipId) {
        let fills: Vec<_> =
            plots.iter().map(|plot| (self.area_of(plot, scales), plot.paint())).collect();
        // Where nothing shines through, the first area painted last covers the others.
        if fills.iter().all(|(_, color)| color.alpha >= 1.0) {
            for (path, color) in fills.into_iter().rev() {
                self.sheet.scene.items.push(Item::Fill { path, color, clip: Some(clip) });
            }
            return;
        }
        let (mut clip, area, last) = (clip, self.sheet.area, fills.len().saturating_sub(1));
        for (index, (path, color)) in fills.into_iter().enumerate() {
            let is_followed = index < last && index < CLIPS_MAX;
            let taken = is_followed.then(|| path.clone());
            if color.alpha > 0.0 {
                self.sheet.scene.items.push(Item::Fill { path, color, clip: Some(clip) });
            }
            if let Some(taken) = taken {
                // The whole area, and once more what is taken: even and odd.
                let mut free = area.path();
                free.extend(taken);
                clip = self.sheet.scene.clip(free, Some(clip));
            }
        }
    }

    /// The outline of what is between a line and zero.
    fn area_of(&self, plot: &Plot<'_>, scales: &Scales) -> Path {
        let ground = self.y(scales.of(plot.line), 0.0).unwrap_or(self.sheet.area.bottom);
        let mut path = Path::default();
        for run in self.trace(plot, scales).runs {
            let (Some(first), Some(last)) = (run.first().copied(), run.last().copied()) else {
                continue;
            };
            path.extend(Path::through(
                run.into_iter().chain([(last.0, ground), (first.0, ground)]),
            ));
            path.0.push(Step::Close);
        }
        path
    }

    fn stroke(&mut self, plot: &Plot<'_>, scales: &Scales, clip: ClipId) {
        let trace = self.trace(plot, scales);
        let mut path = Path::default();
        let area = self.sheet.area;
        for x in trace.marks {
            path.extend(Path::through([(x, area.bottom), (x, area.top)]));
        }
        trace.runs.into_iter().for_each(|run| path.extend(Path::through(run)));
        let color = plot.paint();
        if path.0.is_empty() || color.alpha <= 0.0 || plot.line_width <= 0.0 {
            return;
        }
        let pen = Pen { color, width: plot.line_width, dash: plot.dash };
        self.sheet.scene.items.push(Item::Stroke { path, pen, clip: Some(clip) });
    }

    /// Follows a line from point to point.
    fn trace(&self, plot: &Plot<'_>, scales: &Scales) -> Trace {
        let params = self.sheet.params;
        let scale = scales.of(plot.line);
        let before = plot.line.start.saturating_sub(self.start) as f64 / plot.line.step as f64;
        let shift = plot.x_step * before / plot.per_point.max(1) as f64;
        let mut x = self.sheet.area.left + shift + params.line_width / 2.0;
        let (mut trace, mut run, mut y, mut nulls) = (Trace::default(), Run::new(), 0.0, 0_usize);
        for (index, value) in plot.points.iter().enumerate() {
            let value = if value.is_nan() && params.null_as_zero { 0.0 } else { *value };
            let place = if value.is_nan() { None } else { self.y(scale, value) };
            let Some(place) = place else {
                // A line goes on to where its first null stands.
                if nulls == 0 && !run.is_empty() {
                    run.push((x, y));
                }
                if plot.is_filled {
                    trace.end(&mut run);
                }
                (x, nulls) = (x + plot.x_step, nulls + 1);
                continue;
            };
            y = place;
            if plot.line.draw_as_infinite && value > 0.0 {
                trace.end(&mut run);
                trace.marks.push(x);
                x += plot.x_step;
                continue;
            }
            let is_apart = match self.mode {
                LineMode::Connected => nulls as f64 > params.connected_limit || nulls == index,
                _ => nulls > 0,
            };
            if is_apart {
                trace.end(&mut run);
            }
            run.push((x, y));
            x += plot.x_step;
            if self.mode == LineMode::Staircase {
                run.push((x, y));
            }
            nulls = 0;
        }
        trace.end(&mut run);
        trace
    }
}

impl Plot<'_> {
    fn paint(&self) -> Color {
        if self.is_invisible { self.color.with_alpha(0.0) } else { self.color.or_alpha(self.alpha) }
    }
}

impl Trace {
    fn end(&mut self, run: &mut Run) {
        if !run.is_empty() {
            self.runs.push(std::mem::take(run));
        }
    }
}
