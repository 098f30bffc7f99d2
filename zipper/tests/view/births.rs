//! Nodes that came back with an empty disk: what is older than they are is read from the other owners, and once.

use crate::NAN;
use crate::fakes::{Fake, NEVER, owners, render, series, zipper};

const NAME: &str = "a.b";

/// Born long before the window, and in the middle of it, when the other one had points.
const OLD: &str = "10 20";
const YOUNG: &str = "200 201";

const WHOLE: [f64; 4] = [1.0, 2.0, 3.0, 4.0];

/// Two nodes, of which the first owner is the younger one and has only what came since.
async fn pair(primary: usize) -> Vec<Fake> {
    let mut nodes = Vec::new();
    for node in 0..2 {
        let is_young = node == primary;
        let values = if is_young { [NAN, NAN, NAN, 9.0] } else { WHOLE };
        let birth = if is_young { YOUNG } else { OLD };
        nodes.push(Fake::with_birth(vec![series(NAME, values)], birth).await);
    }
    nodes
}

async fn over(nodes: &[Fake]) -> daemon::Running {
    let urls: Vec<String> = nodes.iter().map(|node| node.url.clone()).collect();
    let zipper = zipper(&urls, &[("replication", "2"), ("hedge_delay_min", NEVER)]).await;
    // Every node has been heard once.
    render(&zipper, "target=x.*").await;
    zipper
}

#[tokio::test]
async fn a_younger_first_owner_leaves_it_to_the_older_one_and_neither_is_read_twice() {
    let primary = owners(NAME, 2, 2)[0];
    let nodes = pair(primary).await;
    let zipper = over(&nodes).await;
    let before: u32 = nodes.iter().map(Fake::renders).sum();
    let (head, reply) = render(&zipper, "target=a.b").await;
    assert_eq!(reply.series[0].values, WHOLE);
    assert!(!head.contains("x-plumbago-partial"), "{head}");
    assert_eq!(nodes.iter().map(Fake::renders).sum::<u32>() - before, 1);
    let (head, reply) = render(&zipper, "target=a.*").await;
    assert_eq!(reply.series[0].values, [1.0, 2.0, 3.0, 9.0], "since its birth its word counts");
    assert!(!head.contains("x-plumbago-partial"), "{head}");
}

#[tokio::test]
async fn a_younger_node_alone_proves_nothing() {
    let primary = owners(NAME, 2, 2)[0];
    let mut nodes = pair(primary).await;
    let young = nodes.swap_remove(primary);
    let nobody = format!("http://{}", testkit::closed_address());
    let older = Fake::with_birth(vec![series("y.z", WHOLE)], OLD).await;
    // Of three nodes the second owner is away, and the third says how old the cluster is.
    let [first, second] = owners(NAME, 3, 2)[..] else { panic!("two copies") };
    let mut urls = vec![older.url.clone(); 3];
    (urls[first], urls[second]) = (young.url.clone(), nobody);
    let zipper = zipper(&urls, &[("replication", "2"), ("hedge_delay_min", NEVER)]).await;
    render(&zipper, "target=x.*").await;
    for target in ["target=a.b", "target=a.*", "target=x.*"] {
        let (head, _) = render(&zipper, target).await;
        assert!(head.contains("x-plumbago-partial"), "{target}: {head}");
    }
}
