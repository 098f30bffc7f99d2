//! Windows of time, and how functions move them.

/// From and until of a read, seconds. `until` itself is read where it lies on a step.
pub use metric::Window;

/// The same end, an earlier start.
#[must_use]
pub fn earlier(window: Window, seconds: i64) -> Window {
    Window::new(window.from.saturating_sub(seconds), window.until)
}

/// Moved as a whole; forward if positive.
#[must_use]
pub fn shifted(window: Window, seconds: i64) -> Window {
    Window::new(window.from.saturating_add(seconds), window.until.saturating_add(seconds))
}

/// Shifts without a sign go back.
pub fn back_by_default(text: &str, seconds: i64) -> i64 {
    if text.starts_with(|c: char| c.is_ascii_digit()) { -seconds } else { seconds }
}
