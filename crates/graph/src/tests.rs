//! Whole pictures.

mod labels;
mod odd;
mod pixels;
