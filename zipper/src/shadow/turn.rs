//! One question asked of both sides, and the two answers compared.

use std::sync::Arc;
use std::time::Duration;

use remote::{Deadline, FetchRequest, FindRequest, OnBehalf};

use super::compare::{self, Difference, Expected};
use super::{Question, Turn};
use crate::gate::weight_of;
use crate::view::{Tally, View};

/// Points of our own that one comparison reads at most.
const POINTS_MAX: usize = 2_000_000;

/// Comparisons wait for the nodes' time as one tenant.
const TENANT: &str = "shadow";

impl Turn {
    /// Asks and compares, aside from everything else.
    pub(crate) fn begin(self, view: &Arc<View>) {
        let view = Arc::clone(view);
        tokio::spawn(async move {
            let timeout = self.shadow.settings.timeout;
            let found = tokio::time::timeout(timeout, self.compare(&view, timeout)).await;
            let found = found.unwrap_or_else(|_| Err("no comparison within its time".to_owned()));
            self.shadow.note(found);
        });
    }

    async fn compare(
        &self,
        view: &Arc<View>,
        timeout: Duration,
    ) -> Result<Vec<Difference>, String> {
        let waiting = OnBehalf { within: self.within.clone(), ..OnBehalf::default() };
        let deadline = Deadline::after(&view.context.clock, timeout).of(waiting);
        match &self.question {
            Question::Find(request) => self.compare_find(view, request, &deadline).await,
            Question::Render(requests) => {
                let mut differences = Vec::new();
                for request in requests {
                    differences.extend(self.compare_render(view, request, &deadline).await?);
                }
                Ok(differences)
            }
        }
    }

    async fn compare_render(
        &self,
        view: &Arc<View>,
        request: &FetchRequest,
        deadline: &Deadline,
    ) -> Result<Vec<Difference>, String> {
        let _pass = view.enter(TENANT, weight(&request.targets), deadline).await.map_err(text)?;
        let ours = view.fetch(request.clone(), deadline);
        let (ours, theirs) = tokio::join!(ours, self.shadow.client.fetch(request, deadline));
        let (mut ours, mut tally) = ours.map_err(text)?;
        let mut expected = Expected::new(theirs.map_err(text)?.series, request.plan.now);
        let mut points = 0_usize;
        while let Some(series) = ours.next(&mut tally).await {
            points = points.saturating_add(series.values.len());
            if points > POINTS_MAX {
                return Err(format!("more than {POINTS_MAX} points to compare"));
            }
            expected.compare(&series);
        }
        whole(&tally, view)?;
        Ok(expected.finish())
    }

    async fn compare_find(
        &self,
        view: &Arc<View>,
        request: &FindRequest,
        deadline: &Deadline,
    ) -> Result<Vec<Difference>, String> {
        let _pass = view.enter(TENANT, 1, deadline).await.map_err(text)?;
        let ours = view.find(request.clone(), deadline);
        let (ours, theirs) = tokio::join!(ours, self.shadow.client.find(request, deadline));
        let (ours, tally) = ours.map_err(text)?;
        let (theirs, _) = theirs.map_err(text)?;
        whole(&tally, view)?;
        Ok(compare::finds(&ours, &theirs))
    }
}

/// What we know to be incomplete proves nothing of the other side.
fn whole(tally: &Tally, view: &View) -> Result<(), String> {
    if tally.is_partial() { Err(format!("partial: {}", tally.missing_nodes(view))) } else { Ok(()) }
}

fn weight(targets: &[remote::Target]) -> u64 {
    weight_of(targets.iter().map(|target| target.pattern.as_str()))
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
