//! storage-schemas.conf and storage-aggregation.conf as carbon reads them, and quotas.conf.
//!
//! Both files are lists of sections with a `pattern`; the first section whose pattern is found
//! anywhere in a series' name decides. What carbon only skips with a log line is skipped here with a
//! warning; what stops carbon, or would quietly do something else than meant, is a fault.
#![forbid(unsafe_code)]

mod aggregation;
mod fault;
mod file;
pub mod ini;
mod keys;
mod quota;
mod retention;
mod rules;

pub use aggregation::{Aggregation, Aggregations};
pub use fault::{LoadError, SchemaFault};
pub use file::FILE_BYTES_MAX;
pub use ini::SECTIONS_MAX;
pub use quota::{Quota, Quotas};
pub use retention::{Schema, Schemas};
