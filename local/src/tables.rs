//! The settings of `plumbago up`.

use daemon::{Kind, Setting};

/// Every setting of `plumbago up`.
pub const SETTINGS: &[Setting] = &[
    Setting::new("data", Kind::Path, "plumbago-data", "Keeps everything below this folder.")
        .value_name("DIR"),
    Setting::new(
        "line",
        Kind::Address,
        "127.0.0.1:2003",
        "The relay takes carbon lines here, over TCP and UDP.",
    ),
    Setting::new("pickle", Kind::Address, "127.0.0.1:2004", "The relay takes pickles here."),
    Setting::new(
        "listen",
        Kind::Address,
        "127.0.0.1:8080",
        "The api answers here: the Graphite API and the web page.",
    ),
    Setting::new("nodes", Kind::Count, "4", "How many storage nodes."),
    Setting::new(
        "replication",
        Kind::Count,
        "2",
        "How many nodes hold each series: its owner by carbon_ch and the next ones in order.",
    )
    .value_name("R"),
    Setting::new(
        "schemas",
        Kind::Path,
        "",
        "A storage-schemas.conf; without one every series keeps a point a minute for 7 days.",
    )
    .value_name("FILE"),
    Setting::new(
        "aggregation",
        Kind::Path,
        "",
        "A storage-aggregation.conf; without one every rollup is an average.",
    )
    .value_name("FILE"),
];
