//! Storage node: takes points in, writes Whisper files, answers reads.
