//! Bytes on sockets: carbon lines, pickle, carbonapi protobuf, msgpack, carbonlink.
#![forbid(unsafe_code)]
