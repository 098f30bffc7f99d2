//! Questions that all nodes are asked: names, headers of files, tags, and to delete series.

use std::future::Future;
use std::sync::Arc;

use metric::Window;
use remote::{Deadline, FindRequest, RemoteError};
use serde_json::Value;
use wire::pb_v3::Hole;
use wire::reply::{FindReply, InfoReply};

use super::{Tally, View};
use crate::failure::Failure;
use crate::fan_out::{Breadth, Gathered, gather};
use crate::merge::{merge_finds, merge_infos, merge_names};
use crate::node::{Kind, Node};

impl View {
    /// Asks all nodes.
    async fn everyone<T, F>(
        &self,
        kind: Kind,
        deadline: &Deadline,
        ask: impl Fn(Arc<Node>, Deadline) -> F,
    ) -> Gathered<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, RemoteError>> + Send + 'static,
    {
        let manner = self.manner(kind, Breadth::Everyone, deadline);
        gather(&self.nodes, self.topology.everything(), manner, |_, _| false, ask).await
    }

    /// What an answer of all nodes about names rests on; without a window, about all that there ever were.
    ///
    /// # Errors
    /// As [`Tally::add`].
    fn tally<T>(&self, gathered: &Gathered<T>, window: Option<Window>) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        tally.add(self, gathered)?;
        let now = self.context.clock.now_unix_seconds();
        let births = self.births(window.unwrap_or(Window::new(0, now)), now);
        let answered: Vec<(usize, &[Hole])> =
            gathered.answers.iter().map(|(node, _)| (*node, &[][..])).collect();
        tally.add_unproven(self.topology.everything(), &answered, births.as_ref(), now);
        Ok(tally)
    }

    /// Finds names. An exact path too goes to all: it may be a branch, which no node owns.
    pub(crate) async fn find(
        &self,
        mut request: FindRequest,
        deadline: &Deadline,
    ) -> Result<(Vec<FindReply>, Tally), Failure> {
        request.plan.ring_fingerprint = self.topology.fingerprint();
        let request = Arc::new(request);
        let gathered = self
            .everyone(Kind::Find, deadline, |node, deadline| {
                let request = Arc::clone(&request);
                async move { node.client.find(&request, &deadline).await }
            })
            .await;
        let mut tally = self.tally(&gathered, request.window)?;
        let mut replies = Vec::with_capacity(gathered.answers.len());
        for (node, (found, meta)) in gathered.answers {
            tally.add_meta(self, node, meta.as_ref());
            replies.push(found);
        }
        let merged = merge_finds(&request.patterns, replies);
        let matches = merged.iter().map(|reply| reply.matches.len()).sum();
        self.within("matches_max", matches, self.limits.matches_max)?;
        Ok((merged, tally))
    }

    /// The headers of some files, the first owner's where owners differ.
    pub(crate) async fn info(
        &self,
        names: Vec<String>,
        deadline: &Deadline,
    ) -> Result<(Vec<InfoReply>, Tally), Failure> {
        let names = Arc::new(names);
        let gathered = self
            .everyone(Kind::Info, deadline, |node, deadline| {
                let names = Arc::clone(&names);
                async move { node.client.info(&names, &deadline).await }
            })
            .await;
        let tally = self.tally(&gathered, None)?;
        let mut infos: Vec<(usize, InfoReply)> = Vec::new();
        for (node, found) in gathered.answers {
            infos.extend(found.into_iter().map(|info| (self.rank(&info.name, node), info)));
        }
        infos.sort_by_key(|(rank, _)| *rank);
        let infos = infos.into_iter().map(|(_, info)| info).collect();
        Ok((merge_infos(&names, infos), tally))
    }

    /// The names of all series.
    pub(crate) async fn list(&self, deadline: &Deadline) -> Result<(Vec<String>, Tally), Failure> {
        let ask = |node: Arc<Node>, deadline| async move { node.client.list(&deadline).await };
        let gathered = self.everyone(Kind::List, deadline, ask).await;
        let tally = self.tally(&gathered, None)?;
        let names = merge_names(gathered.answers.into_iter().flat_map(|(_, names)| names));
        self.within("matches_max", names.len(), self.limits.matches_max)?;
        Ok((names, tally))
    }

    /// What each node answers to a question about tags, in config order.
    pub(crate) async fn tags(
        &self,
        path_and_query: String,
        deadline: &Deadline,
    ) -> Result<(Vec<Value>, Tally), Failure> {
        let (answers, tally) = self.json(Kind::Tags, path_and_query, deadline).await?;
        Ok((answers.into_iter().map(|(_, value)| value).collect(), tally))
    }

    /// What each node answers in JSON, in config order.
    pub(crate) async fn json(
        &self,
        kind: Kind,
        path_and_query: String,
        deadline: &Deadline,
    ) -> Result<(Vec<(usize, Value)>, Tally), Failure> {
        let path: Arc<str> = path_and_query.into();
        let gathered = self
            .everyone(kind, deadline, |node, deadline| {
                let path = Arc::clone(&path);
                async move { node.client.json(&path, &deadline).await }
            })
            .await;
        let tally = self.tally(&gathered, None)?;
        Ok((gathered.answers, tally))
    }

    /// Has all nodes delete series. Returns how many the node with the most of them had.
    ///
    /// Unlike a question this cannot be answered for a node by its replica: each has its own copy.
    pub(crate) async fn delete_series(
        &self,
        form: String,
        deadline: &Deadline,
    ) -> Result<(u64, Tally), Failure> {
        let form: Arc<str> = form.into();
        let gathered = self
            .everyone(Kind::Tags, deadline, |node, deadline| {
                let form = form.to_string();
                async move { node.client.post_json("/tags/delSeries", form, &deadline).await }
            })
            .await;
        let mut tally = Tally::default();
        tally.add(self, &gathered)?;
        let failed = gathered.failures.iter().map(|(node, error)| (*node, error.kind.to_string()));
        let unable = gathered.answers.iter().filter(|(_, answer)| answer.is_null());
        let unable = unable.map(|(node, _)| (*node, "cannot delete series".to_owned()));
        let failed = failed.chain(unable);
        let failed: Vec<String> =
            failed.map(|(node, why)| format!("{}: {why}", self.nodes[node].name)).collect();
        if !failed.is_empty() {
            let nodes = failed.join("; ");
            return Err(Failure::Unavailable(format!(
                "not deleted everywhere, try again: {nodes}"
            )));
        }
        let deleted = gathered.answers.iter().filter_map(|(_, answer)| answer["deleted"].as_u64());
        Ok((deleted.max().unwrap_or(0), tally))
    }
}
