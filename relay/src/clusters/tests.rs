//! Who gets a name in each type of cluster, and what is said about clusters that cannot be.

use std::collections::BTreeMap;

use super::*;
use crate::log::LogFull;
use crate::routes::tests::routes;

fn clusters(text: &str) -> Clusters {
    routes(text).unwrap().clusters
}

fn faults(text: &str) -> Vec<String> {
    routes(text).unwrap_err()
}

/// Names of those who get a line of the only cluster.
fn get(clusters: &Clusters, key: &str) -> Vec<String> {
    let mut names = Vec::new();
    clusters.place(0, key, |place| match place {
        Place::Set(set) => names.extend(
            clusters.members(set).iter().map(|&node| clusters.destinations()[node].name.clone()),
        ),
        Place::File(file) => names.push(clusters.files()[file].display().to_string()),
    });
    names
}

#[test]
fn a_ring_gives_each_name_its_owners() {
    let text = "[clusters.default]\ntype = 'TYPE'\ncopies = 2\nreplicas = 'REPLICAS'\ncollision = 'first'\nnode = ['a:1', 'b:1', 'c:1', 'd:1']\n";
    for kind in ["carbon_ch", "fnv1a_ch", "jump_fnv1a_ch"] {
        for replicas in ["next", "ring"] {
            let clusters = clusters(&text.replace("TYPE", kind).replace("REPLICAS", replicas));
            let ring = clusters.clusters[0].placement.ring().unwrap();
            for i in 0..200 {
                let name = format!("web{i}.cpu");
                let owners = ring.owners(name.as_bytes());
                let expected: Vec<String> = owners
                    .iter()
                    .map(|&node| ring.nodes()[usize::from(node)].to_string())
                    .collect();
                assert_eq!(get(&clusters, &name), expected, "{kind} {replicas} {name}");
            }
        }
    }
}

#[test]
fn while_files_move_a_line_goes_to_the_owners_on_both_rings() {
    let folder = testkit::folder();
    let path = folder.path().join("cluster.toml");
    for hash in ["carbon_ch", "jump_fnv1a_ch"] {
        let file = format!(
            "[ring]\nhash = '{hash}'\ncopies = 2\n[transition]\nnodes = ['a', 'b', 'z']\ncopies = 1\n\
             [[transition.leaving]]\nhost = 'z'\nline = 'z:1'\n\
             [[node]]\nhost = 'a'\nline = 'a:1'\n[[node]]\nhost = 'b'\nline = 'b:1'\n[[node]]\nhost = 'c'\nline = 'c:1'\n"
        );
        std::fs::write(&path, &file).unwrap();
        let both = ring::cluster::Cluster::parse(&file).unwrap();
        let old = both.transition().unwrap();
        let clusters = clusters(&format!("cluster = '{}'\n", path.display()));
        let mut more = 0;
        for i in 0..300 {
            let name = format!("web{i}.cpu");
            let mut expected: Vec<String> = both
                .ring()
                .owners(name.as_bytes())
                .iter()
                .map(|&node| both.nodes()[usize::from(node)].name.clone())
                .collect();
            for &node in old.ring().owners(name.as_bytes()).iter() {
                let name = &old.nodes()[usize::from(node)].name;
                if !expected.contains(name) {
                    expected.push(name.clone());
                    more += 1;
                }
            }
            assert_eq!(get(&clusters, &name), expected, "{name}");
        }
        assert!(more > 50, "{more}");
    }
}

#[test]
fn lists_give_a_name_to_all_to_one_or_to_whoever_stands_in() {
    let cluster = |kind: &str| {
        clusters(&format!("[clusters.default]\ntype = '{kind}'\nnode = ['a:1', 'b:1', 'c:1']\n"))
    };
    assert_eq!(get(&cluster("forward"), "x"), ["a:1", "b:1", "c:1"]);

    let failover = cluster("failover");
    assert_eq!(get(&failover, "x"), ["default"]);
    assert_eq!(failover.destinations()[0].addresses, ["a:1", "b:1", "c:1"]);

    let any_of = cluster("any_of");
    let lanes: std::collections::BTreeSet<String> =
        (0..100).flat_map(|i| get(&any_of, &format!("web{i}"))).collect();
    assert_eq!(
        lanes.into_iter().collect::<Vec<_>>(),
        ["default/a:1", "default/b:1", "default/c:1"]
    );
    assert_eq!(get(&any_of, "web1"), get(&any_of, "web1"));
    assert_eq!(any_of.destinations()[1].addresses, ["b:1", "c:1", "a:1"]);

    let files = clusters("[clusters.default]\ntype = 'file'\npath = ['/tmp/a', '/tmp/b']\n");
    assert_eq!(get(&files, "x"), ["/tmp/a", "/tmp/b"]);
}

#[test]
fn clusters_share_the_nodes_that_they_name_alike() {
    let text = "node = ['a:1', 'b:1']\n[clusters.copy]\ntype = 'forward'\nnode = ['b:1', { line = 'c:1', name = 'third' }]\n";
    let shared = clusters(text);
    let names: Vec<&str> = shared.destinations().iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["a:1", "b:1", "third"]);
    assert_eq!(shared.clusters().len(), 2);
}

#[test]
fn every_fault_is_told_with_its_place_and_a_hint() {
    let cases = [
        (
            "[clusters.a]\ntype = 'carbonch'\nnode = ['a:1']\n",
            "relay.toml:2:8: `clusters`: unknown variant `carbonch`, expected one of `carbon_ch`",
        ),
        (
            "[clusters.a]\ntype = 'forward'\n",
            "relay.toml:1:11: `clusters`: the cluster needs `node`, a list",
        ),
        (
            "[clusters.a]\ntype = 'forward'\nnode = ['a:1', 'b']\n",
            "relay.toml:3:16: `clusters`: node `b` has no port",
        ),
        (
            "[clusters.a]\ntype = 'forward'\ncopies = 2\nnode = ['a:1']\n",
            "relay.toml:1:11: `clusters`: collision, replicas, copies and require_zones are for rings",
        ),
        (
            "[clusters.a]\ntype = 'carbon_ch'\ncollision = 'bmp'\nnode = ['a:1']\n",
            "relay.toml:3:13: `clusters`: unknown collision rule `bmp`",
        ),
        (
            "[clusters.a]\ntype = 'carbon_ch'\nnode = ['a:1', 'a:2']\n",
            "relay.toml:1:11: `clusters`: nodes `a:1` and `a:2` have the same host and instance",
        ),
        (
            "[clusters.a]\nnode = ['a:1']\n",
            "relay.toml:1:11: `clusters`: a cluster has either `type` or `cluster_file`",
        ),
        (
            "[clusters.a]\ncluster_file = '/no/such'\n",
            "relay.toml:2:16: `clusters`: /no/such: No such file",
        ),
        (
            "[clusters.a]\ntype = 'file'\n",
            "relay.toml:1:11: `clusters`: a cluster of files needs `path`",
        ),
        (
            "node = ['a:1']\n[clusters.default]\ntype = 'forward'\nnode = ['b:1']\n",
            "relay.toml:2:11: `clusters`: `default` is the cluster that",
        ),
        (
            "[clusters.a]\ntype = 'forward'\nnode = [{ line = 'a:1', name = 'x' }, { line = 'b:1', name = 'x' }]\n",
            "relay.toml:1:11: `clusters`: two different nodes are called `x`",
        ),
        (
            "[clusters.a]\ntype = 'forward'\nnode = [{ lin = 'a:1' }]\n",
            "relay.toml:3:11: `clusters`: unknown field `lin`, expected one of",
        ),
        ("line = ['127.0.0.1:0']\n", "default: `node`: no node is given"),
    ];
    for (text, start) in cases {
        let found = faults(text);
        assert!(found[0].starts_with(start), "{start} not in {found:?}");
    }
}

#[test]
fn required_zones_keep_neighbours_apart() {
    let text = |zones: [&str; 3]| {
        let node = |(host, zone): (&str, &str)| format!("{{ line = '{host}:1', zone = '{zone}' }}");
        let nodes: Vec<String> = ["a", "b", "c"].into_iter().zip(zones).map(node).collect();
        format!(
            "[clusters.default]\ntype = 'carbon_ch'\ncopies = 2\nrequire_zones = true\nnode = [{}]\n",
            nodes.join(", ")
        )
    };
    assert!(routes(&text(["x", "y", "z"])).is_ok());
    let found = faults(&text(["x", "y", "y"]));
    assert!(
        found[0]
            .starts_with("relay.toml:5:69: `clusters`: nodes `b:1` and `c:1` are both in zone `y`"),
        "{found:?}"
    );
}

#[test]
fn each_cluster_says_what_becomes_of_its_lines_when_the_log_is_full() {
    let text = "[clusters.store]\ntype = 'carbon_ch'\nnode = ['a:1', 'b:1']\nlog_full = 'wait'\n\
                [clusters.mirror]\ntype = 'failover'\nnode = ['m:1', 'n:1']\nlog_full = 'newest'\n\
                [clusters.default]\ntype = 'forward'\nnode = ['o:1']\n";
    let clusters = clusters(text);
    let policies: BTreeMap<_, _> =
        clusters.destinations().iter().map(|node| (&node.name[..], node.log_full)).collect();
    let (wait, newest) = (Some(LogFull::Wait), Some(LogFull::Newest));
    assert_eq!(policies, [("a:1", wait), ("b:1", wait), ("mirror", newest), ("o:1", None)].into());
    for (from, to, problem) in [
        ("'wait'", "'later'", "relay.toml:4:12: `clusters`: expected one of oldest, newest, wait"),
        ("'o:1'", "'a:1'", "must have the same `log_full`"),
    ] {
        let faults = faults(&text.replace(from, to));
        assert!(faults[0].contains(problem), "{faults:?}");
    }
}
