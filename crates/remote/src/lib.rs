//! Client of a node's or zipper's read API.
#![forbid(unsafe_code)]
