//! What a cluster file may say, and what is said about a wrong one.

use proptest::prelude::*;

use super::*;
use crate::dialect::{Collision, Hash, Replicas};

const EXAMPLE: &str = include_str!("../../../../docs/formats/cluster.md");

/// The toml block of the format's page.
fn example() -> &'static str {
    let block = EXAMPLE.split("```toml\n").nth(1).unwrap();
    block.split("```").next().unwrap()
}

fn complaint(text: &str) -> String {
    Cluster::parse(text).unwrap_err().to_string()
}

#[test]
fn the_documented_example_says_what_its_page_says() {
    let cluster = Cluster::parse(example()).unwrap();
    let names: Vec<&str> = cluster.nodes().iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["store-1", "store-2", "10.0.0.13:a", "10.0.0.13:b"]);
    assert_eq!(cluster.ring().spec().copies, 2);
    assert_eq!(cluster.ring().nodes()[0].port, 2103);
    assert_eq!(cluster.node("store-2").unwrap().zone.as_deref(), Some("north"));
    let transition = cluster.transition().unwrap();
    let old: Vec<&str> = transition.nodes().iter().map(|node| node.name.as_str()).collect();
    assert_eq!(old, ["store-1", "store-2", "store-0"]);
    assert_eq!(transition.ring().spec().copies, 1);
    assert_ne!(transition.ring().fingerprint(), cluster.ring().fingerprint());
}

#[test]
fn a_written_file_reads_back_alike() {
    let cluster = Cluster::parse(example()).unwrap();
    let again = Cluster::parse(&cluster.to_toml()).unwrap();
    assert_eq!(again.nodes(), cluster.nodes());
    assert_eq!(again.ring().fingerprint(), cluster.ring().fingerprint());
    assert_eq!(again.transition().unwrap().nodes(), cluster.transition().unwrap().nodes());
    assert_eq!(again.to_toml(), cluster.to_toml());
}

#[test]
fn the_shortest_file_has_the_documented_defaults() {
    let cluster = Cluster::parse("[ring]\n[[node]]\nhost = \"a\"\n").unwrap();
    let spec = RingSpec {
        hash: Hash::CarbonCh,
        collision: Collision::Bump,
        replicas: Replicas::Next,
        copies: 1,
    };
    assert_eq!(cluster.ring().spec(), spec);
    assert_eq!(cluster.nodes()[0].name, "a");
    assert!(cluster.transition().is_none());
}

#[test]
fn required_zones_are_checked_and_written() {
    let file = |zone: &str| {
        format!(
            "[ring]\ncopies = 2\nrequire_zones = true\n[[node]]\nhost='a'\nzone='x'\n[[node]]\nhost='b'\nzone='{zone}'\n"
        )
    };
    let cluster = Cluster::parse(&file("y")).unwrap();
    assert!(cluster.to_toml().contains("\nrequire_zones = true\n"));
    assert!(
        complaint(&file("x"))
            .starts_with("line 7, column 1: nodes `a` and `b` are both in zone `x`")
    );
}

#[test]
fn addresses_do_not_change_the_fingerprint() {
    let file = |line: &str, read: &str| {
        let text = format!("[ring]\n[[node]]\nhost='a'\nline='{line}'\nread='{read}'\nzone='x'\n");
        Cluster::parse(&text).unwrap().ring().fingerprint()
    };
    assert_eq!(file("10.0.0.1:2103", "10.0.0.1:8081"), file("127.0.0.1:9", "[::1]:9"));
}

#[test]
fn complaints_name_the_place_and_the_way_out() {
    let cases = [
        (
            "[ring]\ncolision = 'bump'\n",
            "line 2, column 1: unknown key `colision`, did you mean `collision`?",
        ),
        ("[ring]\n[rung]\n", "line 2, column 2: unknown key `rung`, did you mean `ring`?"),
        (
            "[ring]\nwombat = 1\n",
            "line 2, column 1: unknown key `wombat`, expected one of hash, collision, replicas, copies, require_zones",
        ),
        (
            "[ring]\nhash = 'md5'\n",
            "line 2, column 8: unknown hash `md5`, expected one of carbon_ch, fnv1a_ch, jump_fnv1a_ch",
        ),
        (
            "[ring]\ncopies = -1\n",
            "line 2, column 10: `copies` is a whole number from 0 on, found integer",
        ),
        (
            "[ring]\ncopies = '2'\n",
            "line 2, column 10: `copies` is a whole number from 0 on, found string",
        ),
        ("ring = 3\n", "line 1, column 8: `ring` is a table, found integer"),
        ("", "line 1, column 1: the file has no [ring] table"),
        ("[ring]\n", "line 1, column 1: a ring needs at least one node"),
        ("[ring]\n[[node]]\nzone = 'x'\n", "line 2, column 1: a node has no `host`"),
        (
            "[ring]\n[node]\nhost = 'x'\n",
            "line 2, column 1: `node` is a list of tables, found table",
        ),
        (
            "[ring]\n[[node]]\nhost = 'a'\nread = 'a'\n",
            "line 2, column 1: node `a` has read address `a`, expected HOST:PORT",
        ),
        (
            "[ring]\n[[node]]\nhost = 'a'\n[[node]]\nhost = 'b'\nname = 'a'\n",
            "line 4, column 1: two nodes are called `a`",
        ),
        (
            "[ring]\n[[node]]\nhost = 'a'\n[[node]]\nhost = 'a'\nname = 'b'\n",
            "line 4, column 1: nodes `a` and `a` have the same host and instance: to the hash they are one",
        ),
        (
            "[ring]\n[transition]\nnodes = ['a', 'z']\n[[node]]\nhost = 'a'\n",
            "line 3, column 15: the transition names `z`, which is neither a node nor among [[transition.leaving]]",
        ),
        (
            "[ring]\n[transition]\n[[node]]\nhost = 'a'\n",
            "line 2, column 1: the transition does not say its `nodes`, the names of the old ring's in order",
        ),
        (
            "[ring]\n[transition]\nnodes = ['a']\n[[transition.leaving]]\nhost = 'z'\n[[node]]\nhost = 'a'\n",
            "line 4, column 1: `z` is among [[transition.leaving]] but not among the transition's nodes",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(complaint(text), message, "{text}");
    }
    assert!(complaint("[ring]\nhash = \n").starts_with("line 2, column "));
    assert!(!complaint("[ring\n").contains('\n'));
}

proptest! {
    #[test]
    fn any_text_gives_a_cluster_or_one_line(text in "[\\[\\]a-z='\"\n .#0-9]{0,200}") {
        if let Err(error) = Cluster::parse(&text) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn any_strings_survive_writing(zone in any::<String>(), name in any::<String>()) {
        let node = ClusterNode {
            name,
            host: "a".to_owned(),
            zone: Some(zone),
            line: Some("[::1]:2103".to_owned()),
            ..ClusterNode::default()
        };
        let cluster = Cluster::new(RingSpec::default(), vec![node]).unwrap();
        let again = Cluster::parse(&cluster.to_toml()).unwrap();
        prop_assert_eq!(again.nodes(), cluster.nodes());
    }
}
