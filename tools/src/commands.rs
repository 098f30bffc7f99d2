//! One module a command of the CLI.

pub(crate) mod ring;
pub(crate) mod up;
pub(crate) mod whisper;
