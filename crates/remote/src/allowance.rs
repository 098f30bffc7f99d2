//! What the replies of one request may take in memory, all together and as they arrive.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes in use, and how many there may be.
#[derive(Debug)]
pub struct Allowance {
    used: AtomicU64,
    bytes_max: u64,
}

impl Allowance {
    /// Nothing used yet.
    #[must_use]
    pub const fn new(bytes_max: u64) -> Self {
        Self { used: AtomicU64::new(0), bytes_max }
    }

    /// Takes some more.
    ///
    /// # Errors
    /// What would be in use, if that is too much; then nothing is taken.
    pub fn take(&self, bytes: u64) -> Result<(), u64> {
        let asked = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if asked <= self.bytes_max {
            return Ok(());
        }
        self.give_back(bytes);
        Err(asked)
    }

    /// Some are in use no more.
    pub fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// What is in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// How much may be.
    #[must_use]
    pub const fn bytes_max(&self) -> u64 {
        self.bytes_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_too_much_is_not_taken() {
        let allowance = Allowance::new(10);
        assert_eq!((allowance.take(7), allowance.take(4)), (Ok(()), Err(11)));
        assert_eq!(allowance.used(), 7);
        allowance.give_back(4);
        assert_eq!((allowance.take(7), allowance.used()), (Ok(()), 10));
    }
}
