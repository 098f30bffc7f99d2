//! The Graphite query language: parse, plan, evaluate. Pure: no sockets, no clock.
#![forbid(unsafe_code)]
