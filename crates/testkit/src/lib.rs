//! Fakes, fixtures and waits for tests.
#![forbid(unsafe_code)]
