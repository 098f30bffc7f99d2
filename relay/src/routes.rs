//! What becomes of each line: the rules, and the clusters that they send to.
//!
//! The router, `explain` and `diff` all ask here, so that they cannot disagree.

use std::path::PathBuf;

use daemon::{Fault, Values};

use crate::aggregate::Limits;
use crate::clusters::{self, Clusters, DEFAULT};
use crate::rules::{self, Key, Rules};

/// Rules and clusters of one state of the settings.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    pub(crate) rules: Rules,
    pub(crate) clusters: Clusters,
    /// What the windows of aggregates may hold.
    pub(crate) limits: Limits,
    /// Where points are kept that open windows hold, and how many bytes of them.
    pub(crate) window_log: Option<(PathBuf, u64)>,
}

impl Routes {
    /// Reads the settings.
    ///
    /// # Errors
    /// Every fault in clusters and rules.
    pub(crate) fn from_values(values: &Values) -> Result<Self, Vec<Fault>> {
        let key = match values.text("routing_key") {
            "name" => Key::Name,
            _ => Key::Series,
        };
        let clusters = clusters::build(values)?;
        let names: Vec<String> =
            clusters.clusters().iter().map(|cluster| cluster.name.clone()).collect();
        let default_cluster = names.iter().position(|name| name == DEFAULT);
        let rules = rules::build(values.document("rule"), key, &names, default_cluster)?;
        if default_cluster.is_none() && rules.is_empty() {
            let problem = "there is no rule, and no cluster is called `default`";
            return Err(vec![values.fault("clusters", problem)]);
        }
        let size = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let limits = Limits {
            series_max: size(values.count("aggregate_series_max")),
            values_max: size(values.count("aggregate_values_max")),
            bytes_max: size(values.bytes("aggregate_bytes_max")),
        };
        let window_log = values
            .opt_path("log")
            .map(|folder| (folder.join("windows"), values.bytes("aggregate_log_bytes_max")));
        Ok(Self { rules, clusters, limits, window_log })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use daemon::settings::{Command, Sources, load};

    use super::*;

    /// The settings that a file with this text gives, or its faults with `relay.toml` for the path.
    pub(crate) fn values(text: &str) -> Result<Values, Vec<String>> {
        let folder = testkit::folder();
        let path = folder.path().join("relay.toml");
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        let arguments = ["--config".to_owned(), path.to_owned()];
        let sources = Sources {
            daemon: "relay",
            table: crate::SETTINGS,
            arguments: &arguments,
            environment: &[],
        };
        let shown = |faults: Vec<Fault>| -> Vec<String> {
            faults.iter().map(|fault| fault.to_string().replace(path, "relay.toml")).collect()
        };
        match load(sources).map_err(shown)? {
            Command::Run(values) => Routes::from_values(&values).map_err(shown).map(|_| values),
            other => panic!("{other:?}"),
        }
    }

    /// The routes of a file with this text, or its faults.
    pub(crate) fn routes(text: &str) -> Result<Routes, Vec<String>> {
        values(text).map(|values| Routes::from_values(&values).unwrap())
    }

    #[test]
    fn the_documented_example_is_sound() {
        let page = include_str!("../../docs/relay-rules.md");
        let block = page.split("```toml\n").nth(1).unwrap();
        let routes = routes(block.split("```").next().unwrap()).unwrap();
        assert_eq!(routes.rules.rules().len(), 4);
        assert_eq!(routes.clusters.clusters().len(), 2);
    }

    #[test]
    fn every_example_of_aggregation_is_sound() {
        let page = include_str!("../../docs/aggregation.md");
        let clusters = ["default", "store"]
            .map(|name| format!("[clusters.{name}]\ntype = 'forward'\nnode = ['a:1']\n"));
        let blocks: Vec<&str> = page
            .split("```toml\n")
            .skip(1)
            .map(|block| block.split("```").next().unwrap())
            .collect();
        assert_eq!(blocks.len(), 4);
        for block in blocks {
            let routes = routes(&format!("{block}{}", clusters.concat())).unwrap();
            assert!(!routes.rules.is_empty());
        }
    }

    #[test]
    fn clusters_without_rules_need_a_default_one() {
        let cluster = "[clusters.store]\ntype = 'forward'\nnode = ['a:1']\n";
        let faults = routes(cluster).unwrap_err();
        assert!(faults[0].contains("there is no rule"), "{faults:?}");
        assert!(routes(&format!("node = ['b:1']\n{cluster}")).is_ok());
        assert!(routes(&cluster.replace("store", "default")).is_ok());
        assert!(routes("[[rule]]\ndrop = true\n").is_ok());
    }
}
