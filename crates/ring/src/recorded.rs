//! Every recorded placement of the field's programs holds in the dialect named after them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};

use crate::{Collision, Hash, Node, Replicas, Ring, RingSpec};
use flate2::read::GzDecoder;
use serde_json::Value;

/// The dialect of each recorded program, by the beginning of its name.
const DIALECTS: &[(&str, Collision)] = &[
    ("carbon 1.1.10=master", Collision::Bump),
    ("carbon-c-relay", Collision::First),
    ("buckytools", Collision::Keep),
    ("carbon-relay-ng 1.5.17 v1", Collision::Keep),
];

/// A cluster's rings, by algo, copies and dialect.
type Rings = HashMap<(String, usize, &'static str), Ring>;

fn lines() -> impl Iterator<Item = Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/placements.jsonl.gz");
    let lines = BufReader::new(GzDecoder::new(File::open(path).unwrap())).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap())
}

fn strings(values: &Value) -> Vec<&str> {
    values.as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect()
}

/// The dialects that must give a line's answer.
fn dialects(source: &str, hash: Hash, replicas: Replicas) -> Vec<Collision> {
    if replicas == Replicas::Diverse {
        // Only Python carbon has them.
        return vec![Collision::Bump];
    }
    if source == "all" {
        return Collision::ALL.to_vec();
    }
    let program = |name: &str| DIALECTS.iter().find(|(program, _)| name.starts_with(program));
    let mut dialects: Vec<_> =
        source.split(", ").filter_map(program).map(|&(_, rule)| rule).collect();
    if hash == Hash::JumpFnv1aCh && dialects.contains(&Collision::First) {
        dialects.push(Collision::Bump);
    }
    dialects
}

/// The hash and replica rule of an algo such as `carbon_ch+next`; none for those not offered.
fn rules(algo: &str) -> Option<(Hash, Replicas)> {
    let (hash, replicas) = algo.split_once('+').unwrap_or((algo, "ring"));
    Some((hash.parse().ok()?, replicas.parse().unwrap()))
}

#[test]
fn all_recorded_placements_hold() {
    let mut nodes: Vec<String> = Vec::new();
    let mut rings = Rings::new();
    let (mut compared, mut wrong) = (0, Vec::new());
    for line in lines() {
        if line["kind"] == "cluster" {
            nodes = strings(&line["nodes"]).into_iter().map(str::to_owned).collect();
            rings.clear();
            continue;
        }
        let algo = line["algo"].as_str().unwrap();
        let copies = line["replication"].as_u64().unwrap() as usize;
        let metric = line["metric"].as_str().unwrap();
        let Some((hash, replicas)) = rules(algo) else { continue };
        for collision in dialects(line["source"].as_str().unwrap(), hash, replicas) {
            if collision == Collision::First && metric.contains(' ') {
                continue;
            }
            let key = (algo.to_owned(), copies, collision.name());
            let ring = rings.entry(key).or_insert_with(|| {
                let nodes = nodes.iter().map(|node| Node::parse(node).unwrap()).collect();
                Ring::new(RingSpec { hash, collision, replicas, copies }, nodes).unwrap()
            });
            let owners = ring.owners(metric.as_bytes());
            let owners: Vec<&str> =
                owners.iter().map(|&node| nodes[usize::from(node)].as_str()).collect();
            compared += 1;
            if owners != strings(&line["nodes"]) {
                wrong.push(format!("{collision} gives {owners:?} for {line}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {compared} differ, first: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(5)]
    );
    assert!(compared > 50_000, "only {compared} placements compared");
}
