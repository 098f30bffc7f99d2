//! Waiting for a condition, with a deadline and words for when it does not come.

use std::thread::park_timeout;
use std::time::Duration;

use daemon::clock::{Clock, System};

/// The deadline for what takes milliseconds on an idle machine: ample, since CI machines stall.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often the condition is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Returns what `condition` gives as soon as it gives something; blocks the thread meanwhile.
///
/// # Panics
/// With `what` in the message, when the deadline passes first.
#[track_caller]
pub fn wait_until<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let clock = System::new();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(clock.monotonic() < deadline, "not within {deadline:?}: {what}");
        park_timeout(POLL_INTERVAL);
    }
}

/// The same on a runtime, for conditions that are themselves asked asynchronously.
///
/// # Panics
/// With `what` in the message, when the deadline passes first, also while a condition is asked.
pub async fn wait_until_async<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let wait = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    match tokio::time::timeout(deadline, wait).await {
        Ok(value) => value,
        Err(_elapsed) => panic!("not within {deadline:?}: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_value() {
        let mut asked = 0;
        let value = wait_until("the third answer", PATIENCE, || {
            asked += 1;
            (asked == 3).then_some("yes")
        });
        assert_eq!((value, asked), ("yes", 3));
    }

    #[test]
    #[should_panic(expected = "not within 0ns: the moon")]
    fn a_wait_in_vain_says_for_what() {
        wait_until("the moon", Duration::ZERO, || None)
    }

    #[tokio::test]
    #[should_panic(expected = "not within 1ms: an answer")]
    async fn a_condition_that_hangs_ends_at_the_deadline_too() {
        wait_until_async("an answer", Duration::from_millis(1), async || {
            std::future::pending::<Option<()>>().await
        })
        .await;
    }
}
