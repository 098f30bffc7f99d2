//! Pictures from series: one scene, printed as PNG or SVG.
#![forbid(unsafe_code)]
