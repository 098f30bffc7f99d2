//! The rectangle that is left for the lines once titles, legend and labels have their room.

use crate::path::Path;

/// Edges in pixels from the top left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Area {
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
}

impl Area {
    /// Pixels across, at least one.
    pub(crate) fn width(&self) -> f64 {
        (self.right - self.left).max(1.0)
    }

    /// Pixels down, at least one.
    pub(crate) fn height(&self) -> f64 {
        (self.bottom - self.top).max(1.0)
    }

    /// Its outline.
    pub(crate) fn path(&self) -> Path {
        Path::rectangle(self.left, self.top, self.width(), self.height())
    }
}
