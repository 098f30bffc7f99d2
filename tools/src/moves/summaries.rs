//! Replicas compared by what nodes say of whole ranges of the ring; docs/formats/summaries.md has the exchange.
//!
//! Equal ranges cost one answer of each owner. Of the others the leaves are asked for, then the series of the leaves that
//! differ, and these are compared one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use remote::RemoteError;
use ring::cluster::Cluster;
use tokio::task::JoinSet;
use wire::moves::View;
use wire::summaries::{Digest, LEAF_BITS_MAX, Part, SettledView, SummaryReply, SummaryRequest};

use super::fleet::Fleet;
use super::holdings::Series;
use super::sweep::{Findings, Groups};

/// How long a node may take for an answer: it reads for 20 s at most, beside what is fresh of all series.
const WAIT: Duration = Duration::from_secs(600);

/// Most series of a leaf, while there are leaves enough.
const LEAF_SERIES: u64 = 64;

/// Series that one answer names.
const NAMED_MAX: u64 = 5_000;

/// What nodes keep ends at a whole hour, which was over for as long.
const HOUR_S: i64 = 3_600;

/// Nothing of it expires before the next moment that this divides.
const HELD_S: i64 = 3 * HOUR_S;

/// Time to ask in before that.
const HELD_MIN_S: i64 = 600;

/// What each node says of a range or a leaf: how many series, and their digest.
type Said = BTreeMap<u16, (u64, Digest)>;

/// The four moments for what is compared now.
fn settled_view(View { now, until, .. }: View) -> SettledView {
    let settled = (until - HOUR_S).div_euclid(HOUR_S) * HOUR_S;
    let held = ((now + HELD_MIN_S).div_euclid(HELD_S) + 1) * HELD_S;
    SettledView { now, until, settled, held }
}

/// Compares all owners of all series of a cluster.
pub(crate) async fn sweep(fleet: &Arc<Fleet>, cluster: &Cluster, view: View) -> Findings {
    let text = cluster.to_toml();
    let findings = Findings::default();
    let mut sweep = Sweep { fleet, text, view: settled_view(view), findings };
    let mut suspects = BTreeMap::new();
    let nodes: BTreeSet<u16> = (0..).take(cluster.nodes().len()).collect();
    let replies = sweep.ask(&nodes, Part::Ranges).await;
    let answered: BTreeSet<u16> = replies.iter().map(|reply| reply.0).collect();
    let mut ranges: BTreeMap<Vec<u16>, Said> = BTreeMap::new();
    for (node, range) in replies
        .into_iter()
        .flat_map(|(node, reply)| reply.ranges.into_iter().map(move |range| (node, range)))
    {
        ranges.entry(range.owners).or_default().insert(node, (range.series, range.digest));
    }
    for (owners, said) in ranges {
        if let Some(series) = agreed(&owners, &said) {
            sweep.findings.looked_at += series;
        } else if owners.iter().all(|owner| answered.contains(owner)) {
            sweep.descend(&owners, &said, &mut suspects).await;
        }
    }
    let (mut findings, mut groups) = (sweep.findings, Groups::new());
    for (name, holders) in &suspects {
        let owners = cluster.ring().owners(name.as_bytes()).to_vec();
        let series = Series { name, holders: holders.clone(), bytes: 0 };
        findings.place(series, owners, &mut groups);
    }
    findings.compare(fleet, groups, view).await;
    findings
}

/// How many series there are, if exactly the owners have them and all say the same.
fn agreed(owners: &[u16], said: &Said) -> Option<u64> {
    let first = said.values().next()?;
    let is_same = said.values().all(|one| one == first);
    (is_same && said.keys().eq(owners)).then_some(first.0)
}

/// So many bits that leaves are small.
fn bits_for(series: u64) -> u32 {
    (0..LEAF_BITS_MAX).find(|bits| series >> bits <= LEAF_SERIES).unwrap_or(LEAF_BITS_MAX)
}

struct Sweep<'a> {
    fleet: &'a Arc<Fleet>,
    /// Of the cluster file.
    text: String,
    view: SettledView,
    findings: Findings,
}

impl Sweep<'_> {
    /// What these nodes say, asked side by side; those that do not answer are noted.
    async fn ask(&mut self, nodes: &BTreeSet<u16>, part: Part) -> Vec<(u16, SummaryReply)> {
        let mut asked = JoinSet::new();
        for &node in nodes {
            let (cluster, view, part) = (self.text.clone(), self.view, part.clone());
            let request = SummaryRequest { cluster, view, part };
            let fleet = Arc::clone(self.fleet);
            asked.spawn(async move { (node, answer(&fleet, node, &request).await) });
        }
        let mut replies = Vec::new();
        for (node, reply) in asked.join_all().await {
            match reply {
                Ok(reply) => replies.push((node, reply)),
                Err(error) => self.findings.faults.push(error),
            }
        }
        replies
    }

    /// Finds the series of a range that its holders do not agree on, and who holds them.
    async fn descend(
        &mut self,
        owners: &[u16],
        said: &Said,
        suspects: &mut BTreeMap<String, Vec<u16>>,
    ) {
        let nodes: BTreeSet<u16> = owners.iter().chain(said.keys()).copied().collect();
        let bits = bits_for(said.values().map(|one| one.0).max().unwrap_or(0));
        let differing = self.differing_leaves(owners, &nodes, bits).await;
        let mut leaves = differing.into_iter().peekable();
        while leaves.peek().is_some() {
            let (mut part, mut series) = (Vec::new(), 0);
            while let Some((leaf, more)) =
                leaves.next_if(|next| part.is_empty() || series + next.1 <= NAMED_MAX)
            {
                part.push(leaf);
                series += more;
            }
            let part = Part::Series { owners: owners.to_vec(), bits, leaves: part };
            let replies = self.ask(&nodes, part).await;
            if replies.len() == nodes.len() {
                self.suspect(owners, replies, suspects);
            }
        }
    }

    /// The leaves of a range that the nodes do not agree on, and how many series each has.
    async fn differing_leaves(
        &mut self,
        owners: &[u16],
        nodes: &BTreeSet<u16>,
        bits: u32,
    ) -> Vec<(u32, u64)> {
        let replies = self.ask(nodes, Part::Leaves { owners: owners.to_vec(), bits }).await;
        if replies.len() < nodes.len() {
            return Vec::new();
        }
        let mut leaves: BTreeMap<u32, Said> = BTreeMap::new();
        for (node, reply) in replies {
            for leaf in reply.leaves {
                leaves.entry(leaf.leaf).or_default().insert(node, (leaf.series, leaf.digest));
            }
        }
        let mut differing = Vec::new();
        for (leaf, said) in leaves {
            match agreed(owners, &said) {
                Some(series) => self.findings.looked_at += series,
                None => differing.push((leaf, said.values().map(|one| one.0).max().unwrap_or(0))),
            }
        }
        differing
    }

    fn suspect(
        &mut self,
        owners: &[u16],
        replies: Vec<(u16, SummaryReply)>,
        suspects: &mut BTreeMap<String, Vec<u16>>,
    ) {
        let mut names: BTreeMap<String, Said> = BTreeMap::new();
        for (node, reply) in replies {
            for series in reply.series {
                names.entry(series.name).or_default().insert(node, (1, series.digest));
            }
        }
        for (name, said) in names {
            match agreed(owners, &said) {
                Some(series) => self.findings.looked_at += series,
                None => drop(suspects.insert(name, said.into_keys().collect())),
            }
        }
    }
}

/// Asks a node until it has looked at everything.
async fn answer(
    fleet: &Fleet,
    node: u16,
    request: &SummaryRequest,
) -> Result<SummaryReply, RemoteError> {
    loop {
        let asked = fleet.client(node).post_json("/admin/moves/summary", request, WAIT);
        let reply: SummaryReply = asked.await?;
        if reply.left == 0 {
            return Ok(reply);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_ends_an_hour_ago_and_holds_for_a_while() {
        let view = |now| settled_view(View { now, until: now - 60, from: None });
        let at = |hours, seconds| 1_699_920_000 + hours * HOUR_S + seconds;
        assert_eq!((view(at(5, 100)).settled, view(at(5, 100)).held), (at(4, 0), at(6, 0)));
        assert_eq!((view(at(5, 30)).settled, view(at(5, 59)).settled), (at(3, 0), at(3, 0)));
        assert_eq!((view(at(6, -601)).held, view(at(6, -600)).held), (at(6, 0), at(9, 0)));
        assert_eq!(view(at(6, 0)).held, at(9, 0));
    }

    #[test]
    fn only_exactly_the_owners_with_the_same_series_agree() {
        let said = |nodes: &[(u16, u64, u64)]| -> Said {
            nodes.iter().map(|&(node, series, digest)| (node, (series, Digest(digest)))).collect()
        };
        let agreed = |nodes: &[(u16, u64, u64)]| agreed(&[1, 3], &said(nodes));
        assert_eq!(agreed(&[(1, 7, 9), (3, 7, 9)]), Some(7));
        assert_eq!(agreed(&[(1, 7, 9), (3, 7, 8)]), None);
        assert_eq!(agreed(&[(1, 7, 9), (3, 6, 9)]), None);
        assert_eq!(agreed(&[(1, 7, 9)]), None, "the other owner has none");
        assert_eq!(agreed(&[(1, 7, 9), (2, 7, 9), (3, 7, 9)]), None, "a stray");
    }

    #[test]
    fn leaves_are_small_while_there_are_enough() {
        assert_eq!([0, 64, 65, 130, 1_000_000].map(bits_for), [0, 0, 1, 2, 14]);
        assert_eq!(bits_for(u64::MAX), LEAF_BITS_MAX);
    }
}
