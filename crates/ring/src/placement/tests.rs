//! What holds for every ring, whatever its nodes and rules.

use proptest::prelude::*;

use super::*;
use crate::dialect::Collision;

fn node(text: &str) -> Node {
    Node::parse(text).unwrap()
}

fn ring(spec: RingSpec, nodes: &[&str]) -> Result<Ring, RingError> {
    Ring::new(spec, nodes.iter().map(|text| node(text)).collect())
}

fn spec(hash: Hash, replicas: Replicas, copies: usize) -> RingSpec {
    RingSpec { hash, replicas, copies, ..RingSpec::default() }
}

fn any_spec() -> impl Strategy<Value = RingSpec> {
    let hash = prop::sample::select(Hash::ALL);
    let collision = prop::sample::select(Collision::ALL);
    let replicas = prop::sample::select(Replicas::ALL);
    (hash, collision, replicas, 1..6usize).prop_map(|(hash, collision, replicas, copies)| {
        RingSpec { hash, collision, replicas, copies }
    })
}

/// Up to nine nodes on up to three hosts, each with an instance of its own.
fn any_nodes() -> impl Strategy<Value = Vec<Node>> {
    prop::collection::vec((0..3u8, 2..u16::MAX), 1..10).prop_map(|nodes| {
        let node = |(index, (host, port)): (usize, (u8, u16))| Node {
            host: format!("10.0.0.{host}"),
            port,
            instance: Some(format!("i{index}")),
        };
        nodes.into_iter().enumerate().map(node).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn many_names_lie_where_each_of_them_does(
        spec in any_spec(),
        nodes in any_nodes(),
        keys in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..130), 0..70),
    ) {
        let ring = Ring::new(spec, nodes).unwrap();
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let each: Option<Vec<u16>> = keys.iter().map(|key| ring.position(key)).collect();
        // Of no names there is nothing that could have no position.
        prop_assert!(keys.is_empty() || ring.positions(&keys) == each);
    }

    #[test]
    fn owners_are_distinct_and_begin_with_the_primary(
        spec in any_spec(),
        nodes in any_nodes(),
        keys in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 20),
    ) {
        let ring = Ring::new(spec, nodes).unwrap();
        for key in keys {
            let owners = ring.owners(&key);
            prop_assert_eq!(owners.primary(), ring.primary(&key));
            let distinct: std::collections::HashSet<u16> = owners.iter().copied().collect();
            prop_assert_eq!(distinct.len(), owners.len());
            if spec.replicas == Replicas::Diverse {
                let hosts: std::collections::HashSet<u16> =
                    owners.iter().map(|&node| ring.hosts[usize::from(node)]).collect();
                prop_assert_eq!(hosts.len(), owners.len());
            } else {
                prop_assert_eq!(owners.len(), spec.copies.min(ring.nodes().len()));
            }
            if let Some(position) = ring.position(&key) {
                prop_assert_eq!(ring.owners_at(position), Some(owners));
            }
        }
    }

    #[test]
    fn next_owners_follow_config_order(
        spec in any_spec(),
        nodes in any_nodes(),
        key in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let ring = Ring::new(RingSpec { replicas: Replicas::Next, ..spec }, nodes).unwrap();
        let owners = ring.owners(&key);
        for pair in owners.windows(2) {
            prop_assert_eq!(usize::from(pair[1]), (usize::from(pair[0]) + 1) % ring.nodes().len());
        }
    }

    #[test]
    fn other_ports_keep_the_fingerprint_or_else_it_tells(
        spec in any_spec(),
        nodes in any_nodes(),
        key in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let moved = nodes.iter().map(|node| Node { port: 1, ..node.clone() }).collect();
        let (ring, moved) = (Ring::new(spec, nodes).unwrap(), Ring::new(spec, moved).unwrap());
        // carbon-c-relay breaks ties of FNV points by port.
        if spec.hash == Hash::Fnv1aCh && spec.collision == Collision::First {
            prop_assert_ne!(ring.fingerprint(), moved.fingerprint());
        } else {
            prop_assert_eq!(ring.fingerprint(), moved.fingerprint());
            prop_assert_eq!(ring.owners(&key), moved.owners(&key));
        }
    }
}

#[test]
fn more_copies_than_nodes_give_every_node_once() {
    for &hash in Hash::ALL {
        for &replicas in &[Replicas::Next, Replicas::Ring] {
            let ring = ring(spec(hash, replicas, 100), &["a:1=1", "b:1=2", "c:1=3"]).unwrap();
            let mut owners = ring.owners(b"cpu.idle").to_vec();
            owners.sort_unstable();
            assert_eq!(owners, [0, 1, 2], "{hash} {replicas}");
        }
    }
}

#[test]
fn servers_of_one_instance_name_end_the_walk_instead_of_hanging_it() {
    let first = RingSpec { collision: Collision::First, ..spec(Hash::Fnv1aCh, Replicas::Ring, 3) };
    let ring = ring(first, &["a:1=x", "b:1=x", "c:1=x"]).unwrap();
    assert_eq!(ring.owners(b"cpu.idle").as_slice(), [0]);
}

#[test]
fn rings_that_cannot_be_are_refused() {
    let carbon = RingSpec::default();
    let message = |spec, nodes: &[&str]| ring(spec, nodes).unwrap_err().to_string();
    assert_eq!(message(carbon, &[]), "a ring needs at least one node");
    assert_eq!(
        message(carbon, &["a:1", "b:1", "a:2"]),
        "nodes `a:1` and `a:2` have the same host and instance: to the hash they are one"
    );
    let none = RingSpec { copies: 0, ..carbon };
    assert_eq!(message(none, &["a:1"]), "a ring needs at least one copy of each series");
    let nodes: Vec<Node> =
        (1..=32).map(|port| Node { port, ..node(&format!("a:1={port}")) }).collect();
    let many = Ring::new(RingSpec { copies: 32, ..carbon }, nodes).unwrap_err();
    assert_eq!(many.to_string(), "the ring is asked for 32 copies, the most is 31");
    let portless = Node { port: 0, ..node("a:1") };
    let fnv = RingSpec { hash: Hash::Fnv1aCh, collision: Collision::First, ..carbon };
    assert!(Ring::new(carbon, vec![portless.clone()]).is_ok());
    assert_eq!(
        Ring::new(fnv, vec![portless]).unwrap_err().to_string(),
        "node `a` needs an instance or a line port: fnv1a_ch with collision `first` hashes it"
    );
}

#[test]
fn fingerprints_are_stable_and_see_all_that_places_names() {
    let base = spec(Hash::CarbonCh, Replicas::Next, 2);
    let print = |spec, nodes: &[&str]| ring(spec, nodes).unwrap().fingerprint();
    let original = print(base, &["a:1", "b:1=x"]);
    // First half of: printf 'plumbago-ring 1\ncarbon_ch bump next 2\na\nb=x\n' | md5sum
    assert_eq!(original.to_string(), "54768a7912eb7e3d");
    assert_eq!(original.to_string().parse(), Ok(original));
    assert_eq!(Fingerprint::from_u64(original.as_u64()), original);
    assert_eq!(print(base, &["a:9", "b:9=x"]), original);
    let others = [
        print(base, &["b:1=x", "a:1"]),
        print(base, &["a:1", "b:1=y"]),
        print(base, &["a:1=b", "b:1=x"]),
        print(RingSpec { copies: 1, ..base }, &["a:1", "b:1=x"]),
        print(RingSpec { collision: Collision::Keep, ..base }, &["a:1", "b:1=x"]),
        print(RingSpec { replicas: Replicas::Ring, ..base }, &["a:1", "b:1=x"]),
        print(RingSpec { hash: Hash::Fnv1aCh, ..base }, &["a:1", "b:1=x"]),
    ];
    assert!(others.iter().all(|other| *other != original));
    let hashed = RingSpec { hash: Hash::Fnv1aCh, collision: Collision::Keep, ..base };
    assert_ne!(print(hashed, &["a:1", "b:1=x"]), print(hashed, &["a:2", "b:1=x"]));
}

#[test]
fn shares_add_up_to_the_whole() {
    for &hash in Hash::ALL {
        let shares =
            ring(spec(hash, Replicas::Next, 1), &["a:1=1", "b:1=2", "c:1=3"]).unwrap().shares();
        assert_eq!(shares.len(), 3);
        assert!(
            (shares.iter().sum::<f64>() - 1.0).abs() < 1e-12
                && shares.iter().all(|&share| share > 0.1),
            "{shares:?}"
        );
    }
}
