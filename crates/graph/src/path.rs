//! Outlines of what is painted.

/// A step of a path, in pixels from the top left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step {
    Move(f64, f64),
    Line(f64, f64),
    /// Two control points and the end.
    Curve([(f64, f64); 3]),
    Close,
}

/// Outlines, open or closed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Path(pub(crate) Vec<Step>);

impl Path {
    pub(crate) fn rectangle(x: f64, y: f64, width: f64, height: f64) -> Self {
        let corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)];
        let mut path = Self::through(corners);
        path.0.push(Step::Close);
        path
    }

    /// Straight from each point to the next.
    pub(crate) fn through(points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let step = |(index, (x, y))| if index == 0 { Step::Move(x, y) } else { Step::Line(x, y) };
        Self(points.into_iter().enumerate().map(step).collect())
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}
