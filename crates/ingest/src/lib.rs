//! Every listener that takes points in, for relay and storage node alike.
#![forbid(unsafe_code)]
