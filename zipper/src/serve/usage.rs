//! `/metrics/details` and `/metrics/list_query`: what series take on the disks of all nodes, each
//! series counted once however many nodes hold it.

use std::collections::BTreeMap;
use std::sync::Arc;

use remote::{FetchPlan, FindRequest, encode_pairs};
use serde_json::{Value, json};

use super::{Answer, Asked};
use crate::failure::Failure;
use crate::node::Kind;
use crate::view::{Tally, View};

/// Names in an answer about usage if nothing is said, as go-carbon has it.
const USAGE_ROWS: usize = 65_536;

/// What the nodes say of their disks.
const ROOM: [&str; 4] = ["FreeSpace", "TotalSpace", "FreeInodes", "TotalInodes"];

/// What one series takes, or all below a branch: of one copy, the largest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Usage {
    count: u64,
    physical: u64,
    logical: u64,
}

impl Usage {
    fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.physical = self.physical.saturating_add(other.physical);
        self.logical = self.logical.saturating_add(other.logical);
    }

    fn fields(self) -> Value {
        let Self { count, physical, logical } = self;
        json!({"Count": count, "PhysicalSize": physical, "LogicalSize": logical})
    }
}

/// The files of all series, of the first owner that answered, and the room on all disks together.
pub(super) async fn details(view: Arc<View>, asked: Asked) -> Result<Answer, Failure> {
    let path = "/metrics/details/?format=json".to_owned();
    let (replies, tally) = view.json(Kind::List, path, &asked.deadline).await?;
    let mut rows: BTreeMap<&str, (usize, &Value)> = BTreeMap::new();
    for (node, reply) in &replies {
        for row in reply["Metrics"].as_array().into_iter().flatten() {
            let Some(name) = row["Name"].as_str() else { continue };
            let ranked = (view.rank(name, *node), row);
            let kept = rows.entry(name).or_insert(ranked);
            if ranked.0 < kept.0 {
                *kept = ranked;
            }
        }
    }
    view.within("matches_max", rows.len(), view.limits.matches_max)?;
    let mut answer = json!({"Metrics": rows.into_values().map(|(_, row)| row).collect::<Vec<_>>()});
    for room in ROOM {
        let all = replies.iter().filter_map(|(_, reply)| reply[room].as_u64());
        answer[room] = json!(all.fold(0, u64::saturating_add));
    }
    Ok(Answer { content_type: "application/json", body: answer.to_string().into(), tally })
}

/// `du` by series and branch, in go-carbon's words.
pub(super) async fn list_query(view: Arc<View>, asked: Asked) -> Result<Answer, Failure> {
    let Some(target) = asked.one("target").filter(|text| !text.is_empty()) else {
        return Err(Failure::BadRequest("no target is given".to_owned()));
    };
    let is_on = |key| matches!(asked.one(key), Some("true" | "1"));
    let limit = asked.number("limit")?.and_then(|limit| usize::try_from(limit).ok());
    let patterns = vec![target.to_owned()];
    let find = FindRequest { patterns, window: None, plan: FetchPlan::default() };
    let (found, mut tally) = view.find(find, &asked.deadline).await?;
    // What each name stands for: itself, if it is a series; all below it, if it is a branch.
    let mut names: BTreeMap<String, (bool, bool)> = BTreeMap::new();
    for one in found.into_iter().flat_map(|reply| reply.matches) {
        let (is_series, is_branch) = names.entry(one.path).or_default();
        *is_series |= one.is_leaf;
        *is_branch |= !one.is_leaf && !is_on("leaf_only");
    }
    let mut series = sizes(&view, &asked, target, &mut tally).await?;
    if names.values().any(|(_, is_branch)| *is_branch) {
        series.extend(sizes(&view, &asked, &format!("{target}.**"), &mut tally).await?);
    }
    let rows = by_name(&names, &series);
    let mut all = Usage::default();
    rows.values().for_each(|usage| all.add(*usage));
    let shown = if is_on("stats_only") { 0 } else { limit.unwrap_or(USAGE_ROWS) };
    let row = |(name, usage): (&str, Usage)| {
        let mut row = usage.fields();
        row["Name"] = json!(name);
        row
    };
    let mut answer = all.fields();
    answer["Metrics"] = rows.into_iter().take(shown).map(row).collect();
    Ok(Answer { content_type: "application/json", body: answer.to_string().into(), tally })
}

/// The series that match, each with the largest of its copies.
async fn sizes(
    view: &Arc<View>,
    asked: &Asked,
    target: &str,
    tally: &mut Tally,
) -> Result<BTreeMap<String, Usage>, Failure> {
    let limit = view.limits.matches_max.saturating_add(1).to_string();
    let pairs = [("target", target), ("leaf_only", "1"), ("limit", &limit)];
    let path = format!("/metrics/list_query/?{}", encode_pairs(pairs));
    let (replies, also) = view.json(Kind::List, path, &asked.deadline).await?;
    tally.join(also);
    let mut series: BTreeMap<String, Usage> = BTreeMap::new();
    for row in replies.iter().filter_map(|(_, reply)| reply["Metrics"].as_array()).flatten() {
        let Some(name) = row["Name"].as_str() else { continue };
        let size = |key: &str| row[key].as_u64().unwrap_or(0);
        let kept = series.entry(name.to_owned()).or_default();
        kept.count = 1;
        kept.physical = kept.physical.max(size("PhysicalSize"));
        kept.logical = kept.logical.max(size("LogicalSize"));
    }
    view.within("matches_max", series.len(), view.limits.matches_max)?;
    Ok(series)
}

/// What each name takes: the series of that name, and all below it where it is a branch.
fn by_name<'n>(
    names: &'n BTreeMap<String, (bool, bool)>,
    series: &BTreeMap<String, Usage>,
) -> BTreeMap<&'n str, Usage> {
    let mut rows: BTreeMap<&str, Usage> = BTreeMap::new();
    for (name, usage) in series {
        if let Some((itself, (true, _))) = names.get_key_value(name) {
            rows.entry(itself).or_default().add(*usage);
        }
        for (end, _) in name.match_indices('.') {
            if let Some((branch, (_, true))) = names.get_key_value(&name[..end]) {
                rows.entry(branch).or_default().add(*usage);
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_has_all_below_it_and_a_series_of_its_name_counts_once_too() {
        let names = [("a.b", (false, true)), ("a.c", (true, true)), ("a.d", (true, false))];
        let names = names.map(|(name, is)| (name.to_owned(), is)).into();
        let one = Usage { count: 1, physical: 10, logical: 1 };
        let series = ["a.b.x", "a.b.y.z", "a.c", "a.c.x", "a.d", "a.d.x", "q"];
        let series = series.map(|name| (name.to_owned(), one)).into();
        let counts: Vec<_> =
            by_name(&names, &series).into_iter().map(|(name, usage)| (name, usage.count)).collect();
        assert_eq!(counts, [("a.b", 2), ("a.c", 2), ("a.d", 1)]);
    }
}
