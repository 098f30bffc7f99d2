//! storage-schemas.conf and storage-aggregation.conf as carbon reads them.
#![forbid(unsafe_code)]
