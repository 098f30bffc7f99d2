//! Whole pictures.

mod labels;
mod odd;
