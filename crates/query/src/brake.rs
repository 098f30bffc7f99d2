//! The word that ends an evaluation from outside: its asker has left, or its time is over.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::EvalError;

/// Shared by who evaluates and who may want it to end. Evaluation looks at it at every call, and
/// within functions that take more than a moment for each point.
#[derive(Debug, Default)]
pub struct Brake(AtomicBool);

impl Brake {
    /// Ends the evaluation soon, for good.
    pub fn pull(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was pulled.
    pub fn is_pulled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error once it was pulled.
    pub fn check(&self) -> Result<(), EvalError> {
        if self.is_pulled() { Err(EvalError::Stopped) } else { Ok(()) }
    }
}
