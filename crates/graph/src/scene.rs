//! What is on a picture: fills, strokes and texts in the order they are painted.

use crate::color::Color;
use crate::path::Path;
use crate::text::Style;

/// A picture, ready to be printed.
#[derive(Debug, Clone)]
pub struct Scene {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) items: Vec<Item>,
    pub(crate) clips: Vec<Clip>,
}

/// Where painting is allowed: inside this outline (even-odd) and inside the parent.
#[derive(Debug, Clone)]
pub(crate) struct Clip {
    pub(crate) path: Path,
    pub(crate) parent: Option<ClipId>,
}

/// Position in [`Scene::clips`].
pub(crate) type ClipId = usize;

/// A line drawn along a path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pen {
    pub(crate) color: Color,
    pub(crate) width: f64,
    /// Length of dashes and gaps.
    pub(crate) dash: Option<f64>,
}

/// One line of text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Text {
    pub(crate) text: String,
    /// Where its baseline begins.
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// Clockwise, degrees.
    pub(crate) angle: f64,
    pub(crate) style: Style,
    pub(crate) color: Color,
}

/// One thing to paint.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// What follows belongs to this part of the picture.
    Section(&'static str),
    Fill {
        path: Path,
        color: Color,
        clip: Option<ClipId>,
    },
    Stroke {
        path: Path,
        pen: Pen,
        clip: Option<ClipId>,
    },
    Text(Text),
}

impl Scene {
    pub(crate) fn new(width: u32, height: u32) -> Self {
        Self { width, height, items: Vec::new(), clips: Vec::new() }
    }

    pub(crate) fn section(&mut self, name: &'static str) {
        self.items.push(Item::Section(name));
    }

    pub(crate) fn fill(&mut self, path: Path, color: Color) {
        self.items.push(Item::Fill { path, color, clip: None });
    }

    pub(crate) fn stroke(&mut self, path: Path, pen: Pen) {
        self.items.push(Item::Stroke { path, pen, clip: None });
    }

    pub(crate) fn clip(&mut self, path: Path, parent: Option<ClipId>) -> ClipId {
        self.clips.push(Clip { path, parent });
        self.clips.len() - 1
    }

    /// Every text, in the order drawn.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.items.iter().filter_map(|item| match item {
            Item::Text(text) => Some(text.text.as_str()),
            _ => None,
        })
    }
}
