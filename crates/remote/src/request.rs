//! What is asked, before any protocol gives it a form.

use metric::Window;
use wire::pb_v3;

use crate::deadline::Deadline;

/// What a reply may hold; 0 stands for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// Points.
    pub points_max: u64,
    /// Bytes.
    pub bytes_max: u64,
}

/// What all requests of one plan have in common. It travels in one extra field of the protobuf
/// messages, which peers skip.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FetchPlan {
    /// Same for all requests of one plan.
    pub plan_id: u64,
    /// The moment that the plan takes for now, in seconds since 1970.
    pub now: i64,
    /// The ring that the asker knows; 0 for none.
    pub ring_fingerprint: u64,
    /// What the reply may hold.
    pub budget: Budget,
    /// A combination that the nodes may begin.
    pub fold: Option<pb_v3::Fold>,
}

impl FetchPlan {
    /// The message.
    #[must_use]
    pub fn to_wire(&self, deadline: &Deadline) -> pb_v3::Plan {
        pb_v3::Plan {
            plan_id: self.plan_id,
            now: self.now,
            deadline_unix_ms: deadline.unix_ms(),
            ring_fingerprint: self.ring_fingerprint,
            budget_points: self.budget.points_max,
            budget_bytes: self.budget.bytes_max,
            fold: self.fold.clone(),
        }
    }

    /// From the message. Its deadline is a time of another machine's clock and is left out: the
    /// header says how much time is left.
    #[must_use]
    pub fn from_wire(plan: pb_v3::Plan) -> Self {
        Self {
            plan_id: plan.plan_id,
            now: plan.now,
            ring_fingerprint: plan.ring_fingerprint,
            budget: Budget { points_max: plan.budget_points, bytes_max: plan.budget_bytes },
            fold: plan.fold,
        }
    }
}

/// One name or pattern to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name or pattern.
    pub pattern: String,
    /// What the series found carry as their path expression; mostly the pattern itself.
    pub path_expression: String,
    /// Values wanted at most; 0 for all.
    pub max_data_points: i64,
}

impl Target {
    /// A pattern that is its own path expression.
    pub fn new(pattern: impl Into<String>) -> Self {
        let pattern = pattern.into();
        Self { path_expression: pattern.clone(), pattern, max_data_points: 0 }
    }
}

/// Series to fetch over one window. Replies do not repeat the window, so each window is its own
/// request; requests of one plan go out together.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchRequest {
    /// What to fetch.
    pub targets: Vec<Target>,
    /// The window asked for, as `from` and `until` of a render: whisper's slots follow from it.
    pub window: Window,
    /// What the request belongs to.
    pub plan: FetchPlan,
}

impl FetchRequest {
    pub(crate) fn to_v3(&self, deadline: &Deadline) -> pb_v3::MultiFetchRequest {
        let one = |target: &Target| pb_v3::FetchRequest {
            name: target.pattern.clone(),
            start_time: self.window.from,
            stop_time: self.window.until,
            high_precision_timestamps: false,
            path_expression: target.path_expression.clone(),
            filter_functions: Vec::new(),
            max_data_points: target.max_data_points,
        };
        let metrics = self.targets.iter().map(one).collect();
        pb_v3::MultiFetchRequest { metrics, plan: Some(self.plan.to_wire(deadline)) }
    }
}

/// Patterns to find.
#[derive(Debug, Clone, PartialEq)]
pub struct FindRequest {
    /// The patterns.
    pub patterns: Vec<String>,
    /// Only what had points in this window is wanted; none for everything.
    pub window: Option<Window>,
    /// What the request belongs to.
    pub plan: FetchPlan,
}

impl FindRequest {
    pub(crate) fn to_v3(&self, deadline: &Deadline) -> pb_v3::MultiGlobRequest {
        let window = self.window.unwrap_or(Window::new(0, 0));
        pb_v3::MultiGlobRequest {
            metrics: self.patterns.clone(),
            start_time: window.from,
            stop_time: window.until,
            plan: Some(self.plan.to_wire(deadline)),
        }
    }
}
