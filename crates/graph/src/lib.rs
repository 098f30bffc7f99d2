//! Pictures from series: one scene, printed as PNG, SVG or PDF.
//!
//! Options, colours, ticks, legends and their labels are graphite-web's. What is read from a request
//! are [`Params`]; [`draw`] lays lines out on a [`Scene`] and [`pie`] slices; the scene is what all
//! printers print, so that the formats agree. Knows nothing of HTTP and nothing of targets.
//!
//! ```
//! let params = plumbago_graph::Params::read(&|name| (name == "title").then(|| "Load".to_owned()))?;
//! let average = |values: &[f64], per_point: usize| {
//!     values.chunks(per_point).map(|c| c.iter().sum::<f64>() / c.len() as f64).collect()
//! };
//! let line = plumbago_graph::Line::new("load.one", 0, 60, &[0.5, 0.7, 0.6], &average);
//! let scene = plumbago_graph::draw(&params, &[line], &jiff::tz::TimeZone::UTC)?;
//! assert!(scene.svg().contains("load.one"));
//! # Ok::<(), plumbago_graph::GraphError>(())
//! ```
#![forbid(unsafe_code)]

mod area;
mod chart;
mod color;
mod error;
mod grid;
mod labels;
mod legend;
mod lines;
mod numbers;
mod params;
mod path;
mod pdf;
mod pie;
mod png;
mod print;
mod scale;
mod scene;
mod sheet;
mod svg;
#[cfg(test)]
mod tests;
mod text;
mod times;

pub use chart::{Line, Merge, draw};
pub use error::GraphError;
pub use params::Params;
pub use pie::{Slice, pie};
pub use scene::Scene;
