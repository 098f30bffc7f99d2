//! Names, tags, globs, points and windows: what a series is called and where its points lie in time.
#![forbid(unsafe_code)]
