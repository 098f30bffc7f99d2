//! The storage node's settings, understood.

use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::settings::Source;
use daemon::tls::TlsFiles;
use daemon::{Fault, Values};
use remote::access::AccessSettings;
use ring::cluster::{Cluster, Transition};
use segments::LogConfig;

use crate::engine::EngineConfig;
use crate::index::FindLimits;
use crate::journal::Durability;
use crate::keeper::KeeperConfig;
use crate::placement::Placement;
use crate::specs::Rules;

/// What gives way to all others.
const NICENESS_MAX: u64 = 19;

/// What a reader may cost.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// Threads that search and read.
    pub threads: usize,
    /// How much these threads give way to those that write.
    pub niceness: u8,
    /// Pieces of reading that may wait.
    pub queue_max: usize,
    /// Largest body of a request.
    pub request_bytes_max: usize,
    /// Time for a request that names none.
    pub request_timeout: Duration,
    /// Most names or patterns in one request.
    pub targets_max: usize,
    /// Most points in one answer.
    pub points_max: u64,
    /// What one search may cost.
    pub find: FindLimits,
}

/// A port that a node need not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionalPort {
    /// The address.
    pub address: String,
    /// Whether somebody chose it, so that it must be had.
    pub is_asked_for: bool,
}

/// Everything the storage node needs to start.
#[derive(Debug)]
pub struct Config {
    /// The folder of this node.
    pub data: PathBuf,
    /// The address that answers readers.
    pub read: String,
    /// The address that answers readers over gRPC, if any.
    pub grpc: Option<String>,
    /// Who may read there.
    pub access: AccessSettings,
    /// Where carbonlink answers, if anywhere.
    pub carbonlink: Option<OptionalPort>,
    /// Where relays that confirm and number their batches come in, if anywhere.
    pub link: Option<OptionalPort>,
    /// Files for TLS there, if it speaks it.
    pub link_tls: Option<TlsFiles>,
    /// The admin address.
    pub admin: String,
    /// What kinds of files new series get.
    pub rules: Rules,
    /// The ring that this node belongs to.
    pub placement: Option<Placement>,
    /// Its name there.
    pub self_name: Option<String>,
    /// How points wait and are written.
    pub engine: EngineConfig,
    /// How the journal is written.
    pub journal: LogConfig,
    /// How long the journal may get, and what senders are told.
    pub keeper: KeeperConfig,
    /// What readers may cost.
    pub limits: ReadLimits,
    /// How often the tree is walked; zero for never.
    pub scan_interval: Duration,
    /// How often the node stores its own numbers; zero for never.
    pub self_metrics_interval: Duration,
    /// How long a stop may take.
    pub stop_deadline: Duration,
    /// The listeners, and what they accept.
    pub intake: ingest::Settings,
}

impl Config {
    /// Reads the settings, and the files that they name.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn from_values(values: &Values) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let rules = Rules::from_values(values).map_err(|found| faults.extend(found)).ok();
        let placement = placement(values).map_err(|found| faults.extend(found)).ok().flatten();
        let intake =
            ingest::Settings::from_values(values).map_err(|found| faults.extend(found)).ok();
        let access = AccessSettings::from_values(values).map_err(|found| faults.extend(found)).ok();
        let link_tls =
            TlsFiles::from_values(values, "link_tls").map_err(|fault| faults.push(fault));
        if values.count("read_niceness") > NICENESS_MAX {
            let problem = format!("expected at most {NICENESS_MAX}");
            faults.push(values.fault("read_niceness", problem));
        }
        for key in ["writer_threads", "read_threads"] {
            if values.count(key) == 0 {
                faults.push(values.fault(key, "expected at least 1"));
            }
        }
        let (Some(rules), Some(intake), Some(access), true) =
            (rules, intake, access, faults.is_empty())
        else {
            return Err(faults);
        };
        let data = values.path("data");
        let optional_port = |key| {
            let address = values.opt_address(key)?.to_owned();
            let is_asked_for = *values.source(key) != Source::Default;
            Some(OptionalPort { address, is_asked_for })
        };
        Ok(Self {
            read: values.address("read").to_owned(),
            grpc: values.opt_address("grpc").map(str::to_owned),
            access,
            carbonlink: optional_port("carbonlink"),
            link: optional_port("link"),
            link_tls: link_tls.unwrap_or_default(),
            admin: values.address("admin").to_owned(),
            rules,
            placement,
            self_name: values.opt_text("self").map(str::to_owned),
            engine: engine(values, &data),
            journal: journal(values),
            keeper: keeper(values),
            limits: limits(values),
            scan_interval: values.duration("scan_interval"),
            self_metrics_interval: values.duration("self_metrics_interval"),
            stop_deadline: values.duration("stop_deadline"),
            intake,
            data,
        })
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn engine(values: &Values, data: &Path) -> EngineConfig {
    let defaults = EngineConfig::under(data);
    EngineConfig {
        whisper: values.opt_path("whisper").unwrap_or(defaults.whisper),
        writer_threads: size(values.count("writer_threads")),
        write_age_s: small(values.duration("lag").as_secs()),
        first_rollup_s: small(values.duration("first_rollup_interval").as_secs()),
        next_rollups_s: small(values.duration("next_rollups_interval").as_secs()),
        series_points_due: size(values.count("series_points_due")),
        updates_per_second_max: small(values.count("max_updates_per_second")),
        creates_per_minute_max: small(values.count("max_creates_per_minute")),
        // The limit is on bytes: points are a consequence.
        pending_points_max: usize::MAX,
        pending_bytes_max: size(values.bytes("pending_bytes_max")),
        series_max: match values.count("series_limit") {
            0 => usize::MAX,
            limit => size(limit),
        },
        free_bytes_min: values.bytes("free_space_min"),
        free_files_min: values.count("free_inodes_min"),
        ..defaults
    }
}

fn journal(values: &Values) -> LogConfig {
    let interval = values.text("sync_interval").parse();
    LogConfig {
        sync_interval: interval.expect("the choices of the setting are all intervals"),
        segment_bytes: values.bytes("journal_segment_bytes"),
        buffer_bytes_max: size(values.bytes("journal_buffer_bytes_max")),
        ..LogConfig::default()
    }
}

fn keeper(values: &Values) -> KeeperConfig {
    KeeperConfig {
        ack: match values.text("ack") {
            "synced" => Durability::Synced,
            _ => Durability::Written,
        },
        journal_bytes_max: values.bytes("journal_bytes_max"),
        replay_budget: values.duration("replay_budget"),
    }
}

fn limits(values: &Values) -> ReadLimits {
    let grace = values.duration("prune_grace").as_secs();
    ReadLimits {
        threads: size(values.count("read_threads")),
        niceness: u8::try_from(values.count("read_niceness")).unwrap_or(u8::MAX),
        queue_max: size(values.count("read_queue_max")),
        request_bytes_max: size(values.bytes("request_bytes_max")),
        request_timeout: values.duration("request_timeout"),
        targets_max: size(values.count("targets_max")),
        points_max: values.count("render_points_max"),
        find: FindLimits {
            visited_max: size(values.count("find_nodes_max")),
            results_max: size(values.count("find_series_max")),
            grace_seconds: i64::try_from(grace).unwrap_or(i64::MAX),
        },
    }
}

/// The ring of the cluster file, which must know this node.
pub(crate) fn placement(values: &Values) -> Result<Option<Placement>, Vec<Fault>> {
    let name = values.opt_text("self");
    let Some(cluster) = cluster::file(values)? else {
        return match name {
            Some(_) => {
                Err(vec![values.fault("self", "names a node of no cluster; give `cluster` too")])
            }
            None => Ok(None),
        };
    };
    match name {
        Some(name) if !has_node(&cluster, name) => {
            let names: Vec<&str> = cluster.nodes().iter().map(|node| &*node.name).collect();
            let problem = format!("`self` is {name}, and its nodes are {}", names.join(", "));
            Err(vec![cluster::fault(values, &problem)])
        }
        _ => Ok(Some(Placement::of(cluster, name))),
    }
}

/// Whether it is one of a cluster's nodes, also one whose files are moving away.
fn has_node(cluster: &Cluster, name: &str) -> bool {
    let leaving = cluster.transition().into_iter().flat_map(Transition::nodes);
    cluster.nodes().iter().chain(leaving).any(|node| node.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::SETTINGS;

    #[test]
    fn faults_of_several_files_come_together_with_their_lines() {
        let folder = testkit::folder();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let values = Values::defaults(SETTINGS)
            .with("data", "data")
            .with("schemas", &file("schemas.conf", "[a]\npattern = .*\nretentions = 60s:x\n"))
            .with("aggregation", &file("aggregation.conf", "[a]\npattern = (\n"))
            .with("self", "node-1")
            .with("writer_threads", "0");
        let faults = Config::from_values(&values).unwrap_err();
        let text: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(text[0].contains("schemas.conf:3"), "{text:?}");
        assert!(text[1].contains("aggregation.conf:2"), "{text:?}");
        assert!(text[2].contains("`self`") && text[3].contains("`writer_threads`"), "{text:?}");
    }

    #[test]
    fn a_node_that_the_cluster_does_not_have_is_refused() {
        let folder = testkit::folder();
        let path = folder.path().join("cluster.toml");
        std::fs::write(&path, "[ring]\nhash = \"carbon_ch\"\n[[node]]\nhost = \"a\"\n").unwrap();
        let values = Values::defaults(SETTINGS)
            .with("data", "data")
            .with("cluster", &path.display().to_string());
        assert!(Config::from_values(&values).unwrap().placement.is_some());
        let faults = Config::from_values(&values.with("self", "b")).unwrap_err();
        assert!(faults[0].problem.contains("`self` is b, and its nodes are a"), "{faults:?}");
    }
}
