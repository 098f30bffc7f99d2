//! Folds: nodes add their series up, and what comes of it is added up here.
//!
//! Each series is read by one owner, the first that is not suspect, and owners tell one another's
//! series by number and checksum. What might show less than merged series would, is refused: then
//! the series are asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use metric::{Glob, TagQuery, TaggedName};
use query::{FoldSpec, Folded};
use remote::{Deadline, FetchReply, FetchRequest};
use wire::pb_v3::{self, FoldedRange};

use super::{Tally, View};
use crate::fan_out::{Breadth, Gathered, gather};
use crate::node::Kind;

/// How often nodes are asked, with those left out that could not read.
const ROUNDS_MAX: usize = 3;

/// Why a fold is not given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("who holds what is not known, or is changing")]
    Ring,
    #[error("this fold is not known here")]
    Unknown,
    #[error("a range has no node that can read it")]
    Readers,
    #[error("owners are known to differ")]
    Divergent,
    #[error("owners know different series")]
    Series,
    #[error("series have different steps")]
    Steps,
    #[error("{0}: cannot fold")]
    CannotFold(String),
    #[error("{0}: {1}")]
    Node(String, String),
}

/// What a round of questions came to.
enum Round {
    Whole(Box<(Folded, Tally)>),
    /// These could not read; others may.
    Without(Vec<usize>),
}

/// What the owners of a range say of it.
#[derive(Default)]
struct Range {
    /// Place of the owner, number of series, their checksum.
    known: Vec<(u32, u64, u32)>,
    groups: Vec<pb_v3::FoldedGroup>,
    reader: Option<u32>,
}

impl View {
    /// What the series of the one target come to.
    ///
    /// # Errors
    /// Why they must be asked for as they are.
    pub(crate) async fn fold(
        &self,
        mut request: FetchRequest,
        deadline: &Deadline,
    ) -> Result<(Folded, Tally), Refusal> {
        let spec = request.plan.fold.as_ref().and_then(FoldSpec::from_message);
        let spec = spec.ok_or(Refusal::Unknown)?;
        request.plan.ring_fingerprint = self.topology.fingerprint();
        let now = self.context.clock.monotonic();
        if let Some(node) = self.nodes.iter().find(|node| !node.folds.is_able(now)) {
            return Err(Refusal::CannotFold(node.name.clone()));
        }
        if self.is_divergent(&request) {
            return Err(Refusal::Divergent);
        }
        // Time must be left to ask for the series.
        let deadline = &deadline.clone().within(deadline.remaining() / 2);
        let is_trusted = |node: &usize| {
            let node = &self.nodes[*node];
            !node.health.is_suspect() && !node.folds.lacks(request.window, now)
        };
        let mut readers: Vec<usize> = (0..self.nodes.len()).filter(is_trusted).collect();
        self.leave_out_younger(&mut readers, &request);
        for _ in 0..ROUNDS_MAX {
            let asked = readers.len();
            match self.fold_once(&mut request, &spec, &readers, deadline).await? {
                Round::Whole(whole) => {
                    // Some may have been heard for the first time.
                    self.leave_out_younger(&mut readers, &request);
                    if readers.len() == asked {
                        return Ok(*whole);
                    }
                }
                Round::Without(left_out) => readers.retain(|node| !left_out.contains(node)),
            }
        }
        Err(Refusal::Readers)
    }

    /// Nodes that may lack what another owner has had since before they were born read nothing.
    fn leave_out_younger(&self, readers: &mut Vec<usize>, request: &FetchRequest) {
        let Some(births) = self.births(request.window, request.plan.now) else { return };
        let groups = self.topology.everything();
        readers.retain(|reader| {
            let mut groups = groups.iter().filter(|group| group.contains(reader));
            !groups.any(|group| births.doubts(*reader, group.iter().copied()))
        });
    }

    /// Whether some of what is asked for was found to differ from node to node.
    fn is_divergent(&self, request: &FetchRequest) -> bool {
        let patterns = request.targets.iter().map(|target| target.pattern.as_str());
        let mut finders = patterns.map(|text| (Glob::compile(text), TagQuery::parse_call(text)));
        finders.any(|finder| {
            self.divergences.has_any(|name| match &finder {
                (_, Ok(tags)) => TaggedName::parse(name).is_ok_and(|name| tags.matches(&name)),
                (Ok(glob), _) => glob.matches(name),
                _ => true,
            })
        })
    }

    async fn fold_once(
        &self,
        request: &mut FetchRequest,
        spec: &FoldSpec,
        readers: &[usize],
        deadline: &Deadline,
    ) -> Result<Round, Refusal> {
        let places = self.topology.places(readers).ok_or(Refusal::Ring)?;
        let mut groups = self.topology.everything().iter();
        if !groups.all(|group| group.iter().any(|node| readers.contains(node))) {
            return Err(Refusal::Readers);
        }
        request.plan.fold = Some(pb_v3::Fold { readers: places, ..spec.to_message() });
        let request = Arc::new(request.clone());
        let mut manner = self.manner(Kind::Render, Breadth::Everyone, deadline);
        manner.left_out = (0..self.nodes.len()).filter(|node| !readers.contains(node)).collect();
        let everything = self.topology.everything();
        let gathered = gather(
            &self.nodes,
            everything,
            manner,
            |_, _| true,
            |node, deadline| {
                let request = Arc::clone(&request);
                async move { node.client.fetch(&request, &deadline).await }
            },
        );
        self.combine(gathered.await, spec, readers)
    }

    fn combine(
        &self,
        gathered: Gathered<FetchReply>,
        spec: &FoldSpec,
        readers: &[usize],
    ) -> Result<Round, Refusal> {
        let mut tally = Tally::default();
        let is_answered = tally.add(self, &gathered).is_ok();
        let silent = |node: &&usize| !gathered.answers.iter().any(|(other, _)| other == *node);
        let mut left_out: Vec<usize> = readers.iter().filter(silent).copied().collect();
        let mut answered = Vec::new();
        let mut ranges: BTreeMap<Vec<u32>, Range> = BTreeMap::new();
        for (node, reply) in gathered.answers {
            tally.add_meta(self, node, reply.meta.as_ref());
            let Some(said) = self.ranges_of(node, reply)? else {
                left_out.push(node);
                continue;
            };
            let place = self.topology.places(&[node]).and_then(|places| places.first().copied());
            answered.extend(place);
            said.into_iter().for_each(|range| note(&mut ranges, place, range));
        }
        if !left_out.is_empty() || !is_answered {
            return Ok(Round::Without(left_out));
        }
        if tally.is_partial() {
            return Err(Refusal::Readers);
        }
        let readers = self.topology.places(readers).ok_or(Refusal::Ring)?;
        let folded = add_up(spec, ranges, &answered, &readers)?;
        Ok(Round::Whole(Box::new((folded, tally))))
    }

    /// What a node says of its ranges; none if it may have missed points.
    fn ranges_of(
        &self,
        node: usize,
        reply: FetchReply,
    ) -> Result<Option<Vec<FoldedRange>>, Refusal> {
        let (node, now) = (&self.nodes[node], self.context.clock.monotonic());
        let Some(folded) = reply.folded else {
            node.folds.set_unable(now);
            return Err(Refusal::CannotFold(node.name.clone()));
        };
        let meta = reply.meta.unwrap_or_default();
        if folded.refused.is_empty() {
            return Ok(Some(folded.ranges));
        }
        if !meta.holes.is_empty() {
            node.folds.set_holes(meta.holes, now);
            return Ok(None);
        }
        if meta.ring_fingerprint != self.topology.fingerprint() {
            node.folds.set_unable(now);
        }
        Err(Refusal::Node(node.name.clone(), folded.refused))
    }
}

/// Adds what the node at this place says of a range; it has no place where there is no ring.
fn note(ranges: &mut BTreeMap<Vec<u32>, Range>, place: Option<u32>, message: FoldedRange) {
    let FoldedRange { owners, is_read, series, names_crc, groups } = message;
    let range = ranges.entry(owners).or_default();
    let place = place.unwrap_or(0);
    range.known.push((place, series, names_crc));
    if is_read {
        (range.reader, range.groups) = (Some(place), groups);
    }
}

/// In the order of the ring, if all owners that answered know the same series.
fn add_up(
    spec: &FoldSpec,
    ranges: BTreeMap<Vec<u32>, Range>,
    answered: &[u32],
    readers: &[u32],
) -> Result<Folded, Refusal> {
    let mut whole = Folded::default();
    for (owners, range) in ranges {
        let Range { known, groups, reader } = range;
        let is_known = |owner: &&u32| known.iter().any(|(place, ..)| place == *owner);
        let mut owners_here = owners.iter().filter(|owner| answered.contains(owner));
        let mut facts = known.iter().map(|&(_, series, names_crc)| (series, names_crc));
        let first = facts.next();
        if !owners_here.all(|owner| is_known(&owner)) || facts.any(|fact| Some(fact) != first) {
            return Err(Refusal::Series);
        }
        let wanted = owners.iter().find(|owner| readers.contains(owner)).copied();
        if reader.is_none() || (wanted.is_some() && reader != wanted) {
            return Err(Refusal::Readers);
        }
        whole.merge_messages(spec.fold, groups).or(Err(Refusal::Steps))?;
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: FoldSpec = FoldSpec { fold: query::fold::Fold::Sum, group_by: Vec::new() };

    /// What the node at a place says of a range: its value if it reads it, and the checksum of its names.
    fn said(place: u32, value: Option<f64>, names_crc: u32) -> (u32, FoldedRange) {
        let groups = value.map(group).into_iter().collect();
        let (owners, is_read) = (vec![0, 1], value.is_some());
        (place, FoldedRange { owners, is_read, series: 1, names_crc, groups })
    }

    fn group(value: f64) -> pb_v3::FoldedGroup {
        let mut folded = Folded::default();
        folded.add(&SPEC, "a", (60, 60), &[value]).unwrap();
        folded.into_messages().remove(0)
    }

    fn added(said: Vec<(u32, FoldedRange)>, readers: &[u32]) -> Result<Vec<f64>, Refusal> {
        let mut ranges = BTreeMap::new();
        let answered: Vec<u32> = said.iter().map(|(place, _)| *place).collect();
        said.into_iter().for_each(|(place, range)| note(&mut ranges, Some(place), range));
        let whole = add_up(&SPEC, ranges, &answered, readers)?;
        Ok(whole.groups()[0].partial.finish(0.0))
    }

    #[test]
    fn owners_have_to_know_the_same_series() {
        let one = || said(0, Some(5.0), 7);
        assert_eq!(added(vec![one(), said(1, None, 7)], &[0, 1]), Ok(vec![5.0]));
        assert_eq!(added(vec![one()], &[0]), Ok(vec![5.0]), "the other one is silent");
        assert_eq!(added(vec![one(), said(1, None, 8)], &[0, 1]), Err(Refusal::Series));
        let nothing = FoldedRange { owners: vec![1, 2], ..said(1, Some(1.0), 7).1 };
        assert_eq!(added(vec![one(), (1, nothing)], &[0, 1]), Err(Refusal::Series));
    }

    #[test]
    fn a_range_is_read_by_the_first_owner_that_reads() {
        let range = || vec![said(0, None, 7), said(1, Some(5.0), 7)];
        assert_eq!(added(range(), &[1]), Ok(vec![5.0]));
        assert_eq!(added(range(), &[0, 1]), Err(Refusal::Readers));
        assert_eq!(added(vec![said(0, None, 7)], &[0]), Err(Refusal::Readers));
    }
}
