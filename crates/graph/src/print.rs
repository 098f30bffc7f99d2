//! One scene in each of the formats.

use crate::error::GraphError;
use crate::scene::Scene;
use crate::{pdf, png, svg};

impl Scene {
    /// As SVG.
    pub fn svg(&self) -> String {
        svg::print(self)
    }

    /// As PDF.
    ///
    /// # Errors
    ///
    /// When there is no memory for it.
    pub fn pdf(&self) -> Result<Vec<u8>, GraphError> {
        pdf::print(self)
    }

    /// As PNG.
    ///
    /// # Errors
    ///
    /// When there is no memory for the pixels.
    pub fn png(&self) -> Result<Vec<u8>, GraphError> {
        png::print(self)
    }
}
