//! Python's pickle, the part that is data: protocols 0 to 5 in, protocol 2 out.
//!
//! A pickle is a program for a small stack machine. The decoder runs only the instructions that
//! build lists, tuples, dicts, strings and numbers; every instruction that names a class, calls
//! something or refers to the outside is refused, so no input can run code. Work and memory are
//! bounded by the frame: one node per instruction, nesting at most
//! [`NESTING_MAX`](crate::tree::NESTING_MAX), and shared objects cannot be multiplied past the
//! frame's own size.

mod decode;
mod encode;
mod points;
#[cfg(test)]
mod tests;

pub use decode::Document;
pub use encode::Pickler;
pub use points::Points;

use thiserror::Error;

/// Why a pickle could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PickleError {
    /// The bytes end within an instruction, or before STOP.
    #[error("pickle ends early at byte {at}")]
    Truncated {
        /// Offset in the frame.
        at: usize,
    },
    /// An instruction outside the list of those that only build data.
    #[error("pickle instruction 0x{opcode:02x} at byte {at} is not allowed")]
    Forbidden {
        /// The instruction.
        opcode: u8,
        /// Offset in the frame.
        at: usize,
    },
    /// An operand that is not what its instruction demands.
    #[error("pickle operand before byte {at} is malformed")]
    BadOperand {
        /// Offset in the frame.
        at: usize,
    },
    /// An instruction finds the stack too short, or the wrong thing on it.
    #[error("pickle stack does not fit the instruction before byte {at}")]
    BadStack {
        /// Offset in the frame.
        at: usize,
    },
    /// Containers within containers beyond the limit.
    #[error("pickle nested deeper than {}", crate::tree::NESTING_MAX)]
    TooDeep,
    /// Shared objects would unfold to more than the frame's size.
    #[error("pickle unfolds to more values than it has bytes")]
    TooLarge,
}
