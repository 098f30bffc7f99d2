//! Aggregation: many points become one per window of the data's own time.
//!
//! One [`Aggregator`] holds the open windows of one rule. It is told of points and of the time, and
//! hands out what is due; it has no sockets, no clock and no lock.
//!
//! Time is the data's: the *watermark* is the newest timestamp that the rule has seen, and a point
//! is as late as it lies behind it. So a replay of an old hour gives what the hour itself gave.
//! The wall clock is only a limit: a point from the future does not move the watermark past now,
//! and a rule whose data has ended still sends its last windows.
//!
//! A window is sent once it has ended and the rule has waited, then again whenever a late point
//! changed it. Whisper overwrites a slot, so a correction is sent as the same slot again. A window
//! is forgotten once no point can be in time for it; its figures then go into the window of the
//! next coarser size. So each point is held once, and coarse windows cost next to nothing.

mod figures;
mod layout;
mod method;
mod rows;
mod series;
mod spec;
mod values;
mod watermark;
mod windows;

#[cfg(test)]
mod tests;

pub use figures::Figures;
pub use method::{METHODS, Method, MethodKind, UnknownMethod};
pub use spec::{Limits, Spec, SpecError, Stamp, Window};
pub use windows::{Aggregator, Emission, Refusal, Tally};
