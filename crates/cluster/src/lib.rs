//! The settings that say which nodes there are and which ring places names on them.
//!
//! Relay, storage node and zipper read one cluster file, or the short form by flags. The entries
//! for their tables stand here once, and so does their meaning. What a daemon wants of a node (its
//! line, its read address) is the daemon's own business.
#![forbid(unsafe_code)]

use std::path::Path;
use std::str::FromStr;

use daemon::{Fault, Kind, Setting, Values, Watched};
use ring::cluster::{Cluster, ClusterError};
use ring::{RingSpec, UnknownName};

/// The cluster file.
pub const CLUSTER: Setting = Setting::new(
    "cluster",
    Kind::Path,
    "",
    "The cluster file with ring and nodes in order; stands in for node, ring, collision, replicas \
     and replication.",
)
.value_name("FILE");

/// How soon a changed cluster file is taken up.
pub const CLUSTER_CHECK_INTERVAL: Setting = Setting::new(
    "cluster_check_interval",
    Kind::Duration,
    "5s",
    "How often the cluster file is looked at: one that has changed is taken up as at SIGHUP; 0s \
     leaves it to SIGHUP.",
);

/// How names are hashed.
pub const RING: Setting = Setting::new(
    "ring",
    Kind::Choice(&["carbon_ch", "fnv1a_ch", "jump_fnv1a_ch"]),
    "carbon_ch",
    "How names are hashed to nodes.",
);

/// Whose collision rule.
pub const COLLISION: Setting = Setting::new(
    "collision",
    Kind::Choice(&["bump", "first", "keep"]),
    "bump",
    "What happens where two nodes claim one position: as Python carbon (bump), carbon-c-relay \
     (first) or carbon-relay-ng v1 and buckytools (keep) do.",
);

/// Where copies go.
pub const REPLICAS: Setting = Setting::new(
    "replicas",
    Kind::Choice(&["next", "ring", "diverse"]),
    "next",
    "Where copies go: to the next node in config order, along the ring, or along the ring but to \
     other hosts.",
);

/// How many copies.
pub const REPLICATION: Setting =
    Setting::new("replication", Kind::Count, "1", "How many nodes hold each series.")
        .value_name("R");

/// The rules of the ring in the short form; faults are added to `faults`.
pub fn spec(values: &Values, faults: &mut Vec<Fault>) -> RingSpec {
    RingSpec {
        hash: choice(values, "ring", faults),
        collision: choice(values, "collision", faults),
        replicas: choice(values, "replicas", faults),
        copies: usize::try_from(values.count("replication")).unwrap_or(usize::MAX),
    }
}

/// The cluster file, if one is given.
///
/// # Errors
/// A file that cannot be read or understood, or nodes given twice: in it and by `node`.
pub fn file(values: &Values) -> Result<Option<Cluster>, Vec<Fault>> {
    let Some(path) = values.opt_path("cluster") else {
        return Ok(None);
    };
    if values.knows("node") && values.is_set("node") {
        let problem = format!("{} and `node` both name nodes; give one of them", path.display());
        return Err(vec![values.fault("cluster", problem)]);
    }
    read(&path).map(Some).map_err(|fault| vec![fault])
}

/// The cluster file as a file to follow.
#[must_use]
pub fn watched(values: &Values) -> Watched {
    let files = values.opt_path("cluster").into_iter().collect();
    Watched { files, interval: values.duration(CLUSTER_CHECK_INTERVAL.key) }
}

/// A cluster file, whoever names it.
///
/// # Errors
/// A file that cannot be read, or a fault in it at `FILE:LINE:COLUMN`.
pub fn read(path: &Path) -> Result<Cluster, Fault> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Fault::new(shown.to_string(), "", error.to_string()))?;
    Cluster::parse(&text).map_err(|error| {
        let ClusterError { line, column, fault } = error;
        Fault::new(format!("{shown}:{line}:{column}"), "", fault.to_string())
    })
}

/// A fault in the cluster file, with its path.
#[must_use]
pub fn fault(values: &Values, problem: &str) -> Fault {
    let path = values.opt_path("cluster").unwrap_or_default();
    values.fault("cluster", format!("{}: {problem}", path.display()))
}

/// The fault of a daemon that was told of no node.
#[must_use]
pub fn no_node(values: &Values) -> Fault {
    values.fault("node", "no node is given, by `node` or by `cluster`")
}

fn choice<T: FromStr<Err = UnknownName> + Default>(
    values: &Values,
    key: &str,
    faults: &mut Vec<Fault>,
) -> T {
    values.text(key).parse().unwrap_or_else(|error: UnknownName| {
        faults.push(values.fault(key, error.to_string()));
        T::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &[Setting] = &[
        CLUSTER,
        Setting::new("node", Kind::Text, "", "A node.").list(),
        RING,
        COLLISION,
        REPLICAS,
        REPLICATION,
    ];

    #[test]
    fn every_word_of_the_settings_is_one_of_the_ring() {
        for key in ["ring", "collision", "replicas"] {
            let setting = SETTINGS.iter().find(|setting| setting.key == key).unwrap();
            let Kind::Choice(words) = setting.kind else { panic!("{key} is a choice") };
            for word in words {
                let values = Values::defaults(SETTINGS).with(key, word);
                let mut faults = Vec::new();
                spec(&values, &mut faults);
                assert!(faults.is_empty(), "{key} {word}: {faults:?}");
            }
        }
        assert_eq!(spec(&Values::defaults(SETTINGS), &mut Vec::new()), RingSpec::default());
    }

    #[test]
    fn a_bad_file_is_named_with_the_place_of_its_fault() {
        let folder = testkit::folder();
        let path = folder.path().join("cluster.toml");
        std::fs::write(&path, "[ring]\nhasch = \"carbon_ch\"\n").unwrap();
        let shown = path.display().to_string();
        let values = Values::defaults(SETTINGS).with("cluster", &shown);
        let fault = file(&values).unwrap_err()[0].to_string();
        assert!(fault.starts_with(&format!("{shown}:2:1: unknown key `hasch`")), "{fault}");
        let both = values.with("node", "h:1");
        assert!(file(&both).unwrap_err()[0].to_string().contains("both name nodes"));
        assert!(file(&Values::defaults(SETTINGS)).unwrap().is_none());
    }
}
