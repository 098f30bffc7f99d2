//! Which nodes own a series: the hash rings of the field, and nothing else.
#![forbid(unsafe_code)]
