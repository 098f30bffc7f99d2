//! The Whisper file format: create, update, fetch, merge, fill, resize and check.
