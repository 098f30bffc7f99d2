//! Takes points in, places each series by the ring, forwards to the nodes.
#![forbid(unsafe_code)]
