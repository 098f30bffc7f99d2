//! Labels beside the axes and the lines behind the graph.

use jiff::tz::TimeZone;

use crate::chart::{Chart, Scales};
use crate::path::Path;
use crate::scale::Scale;
use crate::scene::Pen;
use crate::sheet::{Align, Place, Valign};
use crate::times::TimeAxis;

impl Chart<'_> {
    /// All of it, as far as it is not hidden.
    pub(crate) fn labels_and_grid(&mut self, scales: &Scales, zone: &TimeZone) {
        let params = self.sheet.params;
        if params.hide_axes {
            return;
        }
        self.sheet.scene.section("axes");
        if !params.hide_y_axis {
            self.y_labels(scales);
        }
        let axis = TimeAxis::new(self.start, self.end, self.width(), zone);
        if !params.hide_x_axis {
            self.x_labels(&axis);
        }
        if !params.hide_grid {
            self.sheet.scene.section("grid");
            self.horizontal_lines(scales.of_grid());
            self.vertical_lines(&axis);
        }
    }

    /// Where a value stands, pixels from the top; what is above the picture stands at its edge.
    pub(crate) fn y(&self, scale: &Scale, value: f64) -> Option<f64> {
        const FAR: f64 = 1e6;
        let area = self.sheet.area;
        let y = area.bottom - area.height() * scale.position(value)?;
        Some(y.clamp(0.0, FAR))
    }

    fn y_labels(&mut self, scales: &Scales) {
        let area = self.sheet.area;
        let gap = |scale| self.sheet.labels_width(scale) * 0.02;
        match scales {
            Scales::One(scale) if self.sheet.params.y_axis_right => {
                self.labels_at(scale, area.right + gap(scale), Align::Left);
            }
            Scales::One(scale) => self.labels_at(scale, area.left - gap(scale), Align::Right),
            Scales::Two { left, right } => {
                let (at_left, at_right) = (area.left - gap(left), area.right + gap(right) + 3.0);
                self.labels_at(left, at_left, Align::Right);
                self.labels_at(right, at_right, Align::Left);
            }
        }
    }

    fn labels_at(&mut self, scale: &Scale, x: f64, align: Align) {
        for (value, label) in scale.ticks.iter().zip(&scale.labels) {
            if let Some(y) = self.y(scale, *value) {
                self.sheet.text(label, Place::new(x, y, align, Valign::Middle));
            }
        }
    }

    fn x_labels(&mut self, axis: &TimeAxis) {
        let y = self.sheet.area.bottom + self.sheet.params.font.ascent();
        for (seconds, label) in axis.labels(self.sheet.params.x_format.as_deref()) {
            let x = self.x(seconds);
            self.sheet.text(&label, Place::new(x, y, Align::Center, Valign::Top));
        }
    }

    /// Pixels from the left edge, this many seconds after the start.
    fn x(&self, seconds: i64) -> f64 {
        self.sheet.area.left + seconds as f64 * self.width() / self.seconds()
    }

    fn horizontal_lines(&mut self, scale: &Scale) {
        let params = self.sheet.params;
        let minor_count = f64::from(params.minor_y);
        // With logarithms, lines beyond the highest label still count.
        let top = scale.top * params.ruler.log_base.map_or(1.0, |base| base * base);
        let (mut major, mut minor) = (Vec::new(), Vec::new());
        for (index, tick) in scale.ticks.iter().enumerate() {
            major.extend(self.y(scale, *tick));
            let Some(next) = scale.ticks.get(index + 1) else { continue };
            let distance = (next - tick) / (minor_count + 1.0);
            let between = (1..=params.minor_y).map(|i| tick + f64::from(i) * distance);
            minor.extend(between.filter(|at| *at < top).filter_map(|at| self.y(scale, at)));
        }
        let area = self.sheet.area;
        let across = |y: &f64| Path::through([(area.left, *y), (area.right, *y)]);
        let mut stroke = |lines: &[f64], color, width| {
            let mut path = Path::default();
            lines.iter().for_each(|y| path.extend(across(y)));
            self.sheet.scene.stroke(path, Pen { color, width, dash: None });
        };
        stroke(&minor, params.minor_line, 0.3);
        stroke(&major, params.major_line, 0.4);
    }

    fn vertical_lines(&mut self, axis: &TimeAxis) {
        let (params, area) = (self.sheet.params, self.sheet.area);
        let down = |x: f64| Path::through([(x, area.bottom), (x, area.top)]);
        for (every, color, width) in
            [(axis.minor(), params.minor_line, 0.25), (axis.major(), params.major_line, 0.33)]
        {
            let mut path = Path::default();
            let lines = axis.ticks(every).map(|seconds| self.x(seconds));
            lines.filter(|x| *x < area.right).for_each(|x| path.extend(down(x)));
            self.sheet.scene.stroke(path, Pen { color, width, dash: None });
        }
        let mut sides = down(area.right);
        sides.extend(down(area.left));
        self.sheet.scene.stroke(sides, Pen { color: params.major_line, width: 0.5, dash: None });
    }
}
