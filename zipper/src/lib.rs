//! One view over all storage nodes: fan out, merge, mark what is missing.
#![forbid(unsafe_code)]
