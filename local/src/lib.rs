//! All four daemons in one process over loopback sockets.
#![forbid(unsafe_code)]
