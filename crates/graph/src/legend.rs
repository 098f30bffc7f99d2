//! The legend: a box and a name for every series, in columns at the foot of the picture.

use crate::color::{Color, DARK_GREY};
use crate::path::Path;
use crate::scene::Pen;
use crate::sheet::{Align, Place, Sheet, Valign};

/// Pixels between a box and its name.
const PADDING: f64 = 5.0;
/// Below this many pixels beside two columns, both axes share the columns.
const ROOM_MIN: f64 = 50.0;

/// One name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) color: Color,
    /// It belongs to the right-hand axis.
    pub(crate) is_right: bool,
}

/// Sizes that follow from the longest name.
struct Grid {
    side: f64,
    line_height: f64,
    label_width: f64,
}

impl Sheet<'_> {
    /// Draws the legend and takes its room from the area.
    pub(crate) fn legend(&mut self, mut entries: Vec<Entry>, has_two_axes: bool) {
        if self.params.unique_legend {
            let mut seen = std::collections::HashSet::new();
            entries.retain(|entry| seen.insert(entry.name.clone()));
        }
        // Of equally long names the last one counts, as its sort leaves them.
        let Some(longest) = entries.iter().max_by_key(|entry| entry.name.chars().count()) else {
            return;
        };
        self.scene.section("legend");
        let font = self.params.font;
        let side = font.line_height() - 1.0;
        let label_width = font.width(&longest.name) + 2.0 * (side + PADDING);
        let doubled = font.width(&format!("{0} {0}", longest.name)) + 2.0 * (side + PADDING);
        let grid = Grid { side, line_height: font.line_height() + 1.0, label_width };
        if has_two_axes && doubled + ROOM_MIN < self.width() {
            self.legend_of_two(&entries, &grid);
        } else {
            self.legend_of_one(&entries, &grid);
        }
    }

    fn legend_of_one(&mut self, entries: &[Entry], grid: &Grid) {
        let columns = (self.width() / grid.label_width).floor().max(1.0);
        let lines = (entries.len() as f64 / columns).ceil();
        self.area.bottom -= lines * grid.line_height + PADDING;
        let (mut x, mut y) = (self.area.left, self.area.bottom + 2.0 * PADDING);
        for (index, entry) in entries.iter().enumerate() {
            if entry.is_right {
                self.swatch(entry, x + grid.label_width + PADDING, y, grid);
                self.text(
                    &entry.name,
                    Place::new(x + grid.label_width, y, Align::Right, Valign::Top),
                );
            } else {
                self.left_entry(entry, x, y, grid);
            }
            x += grid.label_width;
            if (index + 1) % columns as usize == 0 {
                (x, y) = (self.area.left, y + grid.line_height);
            }
        }
    }

    /// Names of the left axis from the left, those of the right axis from the right.
    fn legend_of_two(&mut self, entries: &[Entry], grid: &Grid) {
        let columns = ((self.width() - self.area.left) / grid.label_width).floor().max(1.0);
        let columns = (columns / 2.0).floor().max(1.0);
        let on_right = entries.iter().filter(|entry| entry.is_right).count();
        let lines = on_right.max(entries.len() - on_right) as f64;
        self.area.bottom -= (lines / columns).max(1.0) * grid.line_height + PADDING;
        let begin = (self.area.left, self.area.bottom + 2.0 * PADDING);
        let begin_right = (self.area.right - self.area.left, begin.1);
        let (mut left, mut right) = (begin, begin_right);
        let mut counts = [0_usize; 2];
        for entry in entries {
            let count = &mut counts[usize::from(entry.is_right)];
            *count += 1;
            let is_full = *count % columns as usize == 0;
            if entry.is_right {
                self.swatch(entry, right.0 - PADDING, right.1, grid);
                let place = Place::new(right.0 - grid.side, right.1, Align::Right, Valign::Top);
                self.text(&entry.name, place);
                right.0 -= grid.label_width;
                right = if is_full { (begin_right.0, right.1 + grid.line_height) } else { right };
            } else {
                self.left_entry(entry, left.0, left.1, grid);
                left.0 += grid.label_width;
                left = if is_full { (begin.0, left.1 + grid.line_height) } else { left };
            }
        }
    }

    fn left_entry(&mut self, entry: &Entry, x: f64, y: f64, grid: &Grid) {
        self.swatch(entry, x, y, grid);
        let place = Place::new(x + grid.side + PADDING, y, Align::Left, Valign::Top);
        self.text(&entry.name, place);
    }

    fn swatch(&mut self, entry: &Entry, x: f64, y: f64, grid: &Grid) {
        let side = grid.side;
        self.scene.fill(Path::rectangle(x, y, side, side), entry.color);
        let frame = Path::rectangle(x + 0.5, y + 0.5, side - 1.0, side - 1.0);
        self.scene.stroke(frame, Pen { color: DARK_GREY, width: 1.0, dash: None });
    }
}
