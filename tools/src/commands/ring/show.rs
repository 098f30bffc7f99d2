//! `plumbago ring show`.

use serde_json::json;

use super::{NamedRing, RingArgs};
use crate::invocation::{Context, Failure, Run};

#[derive(clap::Args)]
pub(crate) struct ShowRing {
    #[command(flatten)]
    ring: RingArgs,
}

impl Run for ShowRing {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let ring = self.ring.build()?;
        let text = if context.json { json_text(&ring) } else { plain_text(&ring) };
        Ok(context.out.write_all(text.as_bytes())?)
    }
}

/// Names and primary shares of the nodes.
fn shares(ring: &NamedRing) -> impl Iterator<Item = (&str, f64)> {
    let percents = ring.ring.shares().into_iter().map(|share| share * 100.0);
    ring.names.iter().map(String::as_str).zip(percents)
}

fn plain_text(ring: &NamedRing) -> String {
    let spec = ring.ring.spec();
    let mut text = format!(
        "fingerprint\t{}\nring\t{}\ncollision\t{}\nreplicas\t{}\nreplication\t{}\n",
        ring.ring.fingerprint(),
        spec.hash,
        spec.collision,
        spec.replicas,
        spec.copies
    );
    text.extend(shares(ring).map(|(node, percent)| format!("node\t{node}\t{percent:.2}%\n")));
    text
}

fn json_text(ring: &NamedRing) -> String {
    let spec = ring.ring.spec();
    let node = |(node, percent): (&str, f64)| json!({"node": node, "share_percent": percent});
    let object = json!({
        "fingerprint": ring.ring.fingerprint().to_string(),
        "ring": spec.hash.name(),
        "collision": spec.collision.name(),
        "replicas": spec.replicas.name(),
        "replication": spec.copies,
        "nodes": shares(ring).map(node).collect::<Vec<_>>(),
    });
    format!("{object}\n")
}

#[cfg(test)]
mod tests {
    use ring::{Node, Ring, RingSpec};

    use super::*;

    #[test]
    fn both_forms_tell_nodes_in_order_shares_and_fingerprint() {
        let node = Node::parse("10.0.0.1:2003").unwrap();
        let ring = Ring::new(RingSpec::default(), vec![node]).unwrap();
        let fingerprint = ring.fingerprint().to_string();
        let ring = NamedRing { ring, names: vec!["store-1".to_owned()] };
        let rules = "ring\tcarbon_ch\ncollision\tbump\nreplicas\tnext\nreplication\t1\n";
        let expected = format!("fingerprint\t{fingerprint}\n{rules}node\tstore-1\t100.00%\n");
        assert_eq!(plain_text(&ring), expected);
        let object: serde_json::Value = serde_json::from_str(&json_text(&ring)).unwrap();
        assert_eq!(object["fingerprint"], fingerprint.as_str());
        assert_eq!(object["nodes"][0], json!({"node": "store-1", "share_percent": 100.0}));
    }
}
