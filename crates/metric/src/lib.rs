//! Names, tags, globs, points and windows: what a series is called and where its points lie in time.
#![forbid(unsafe_code)]

mod error;
pub mod glob;
pub mod map;
pub mod name;
pub mod number;
pub mod path;
pub mod point;
pub mod series;
pub mod tag_expr;
pub mod tags;
pub mod window;
pub mod within;

pub use error::NameError;
pub use glob::{Glob, GlobError, NodeMatcher};
pub use map::{Map, Set};
pub use name::{Limits, canonicalise, canonicalise_text};
pub use point::Point;
pub use series::{Consolidation, SeriesData};
pub use tag_expr::{TagExpr, TagExprError, TagQuery};
pub use tags::TaggedName;
pub use window::Window;
pub use within::Within;
