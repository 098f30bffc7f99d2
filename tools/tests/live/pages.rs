//! The pages of docs/operate that say what an operator types and sees.

use crate::page::Stage;
use crate::pipeline::{Pipeline, printed};

/// Addresses as the pages have them.
const LINE: &str = "127.0.0.1:2003";
const API: &str = "127.0.0.1:8080";

#[test]
fn points_and_questions_by_hand() {
    let pipeline = Pipeline::start("2");
    let stage = Stage::new()
        .swap("/etc/plumbago/cluster.toml", &pipeline.cluster())
        .swap(LINE, &pipeline.line)
        .swap(API, &pipeline.api);
    stage.play("operate/by-hand.md");
}

#[test]
fn migrate_from_go_carbon() {
    let stage = Stage::new();
    let conf = "[common]\nmetric-interval = \"1m0s\"\n[whisper]\ndata-dir = \"/srv/graphite/whisper\"\n\
        schemas-file = \"/etc/go-carbon/storage-schemas.conf\"\nworkers = 8\nflock = true\n\
        [tcp]\nlisten = \":2003\"\n[udp]\nlisten = \":2003\"\n[pickle]\nlisten = \":2004\"\n\
        [carbonserver]\nlisten = \":8080\"\nenabled = true\n";
    std::fs::write(stage.path("go-carbon.conf"), conf).unwrap();
    let relay = "cluster store carbon_ch replication 2\n  10.0.0.1:2003=a 10.0.0.2:2003=b 10.0.0.3:2003=c;\n\
        match * send to store stop;\n";
    std::fs::write(stage.path("relay.conf"), relay).unwrap();
    let api = "listen: \"0.0.0.0:8081\"\nupstreams:\n  timeouts: {find: \"2s\", render: \"10s\"}\n  \
        backends: [\"http://10.0.0.1:8080\", \"http://10.0.0.2:8080\"]\n";
    std::fs::write(stage.path("carbonapi.yaml"), api).unwrap();
    let carbonate = "[main]\nDESTINATIONS = 10.0.0.1:2003:a, 10.0.0.2:2003:b, 10.0.0.3:2003:c\n\
        REPLICATION_FACTOR = 2\nRELAY_METHOD = consistent-hashing\n";
    std::fs::write(stage.path("carbonate.conf"), carbonate).unwrap();
    std::fs::write(stage.path("names.txt"), "disk.host1.free\nload.host1\nload.host2\n").unwrap();
    stage.play("operate/migrate.md");
}

#[test]
fn retention_changes_while_points_keep_coming() {
    let folder = testkit::folder();
    let rules = folder.path().join("storage-schemas.conf");
    let rules_path = rules.to_str().unwrap().to_owned();
    let write = |retentions: &str| {
        let text = format!("[all]\npattern = .*\nretentions = {retentions}\n");
        std::fs::write(&rules, text).unwrap();
    };
    write("60s:1d,5m:7d");
    let settings = ["--nodes", "2", "--schemas", &rules_path];
    let pipeline = Pipeline::on(folder, &settings);
    let lines: String = (0..20).map(|number| format!("load.host{number:02} 7\n")).collect();
    printed(&["send", "--to", &pipeline.line], lines.as_bytes());
    write("60s:7d,1h:1y");
    let pipeline = pipeline.again(&settings);
    let stage = Stage::new()
        .swap("/etc/plumbago/cluster.toml", &pipeline.cluster())
        .swap(LINE, &pipeline.line)
        .swap(API, &pipeline.api);
    stage.play("operate/retention.md");
}

#[test]
fn backups_are_taken_and_restored_on_live_nodes() {
    let lines: String = (0..20).map(|number| format!("load.host{number:02} 7\n")).collect();
    let (pipeline, new) = (Pipeline::start("2"), Pipeline::start("2"));
    printed(&["send", "--to", &pipeline.line], lines.as_bytes());
    let stage = Stage::new()
        .swap("/etc/plumbago/cluster.toml", &pipeline.cluster())
        .swap("/etc/plumbago/new.toml", &new.cluster())
        .swap(API, &new.api);
    stage.play("operate/backup.md");
}

#[test]
fn series_are_listed_compared_copied_and_told_as_tables() {
    let pipeline = Pipeline::start("2");
    let points = ["load.host1 0.5", "load.host2 0.25", "disk;rack=b 5", "disk.used 6"];
    printed(&[&["send", "--to", &pipeline.line], &points[..]].concat(), b"");
    let stage = Stage::new()
        .swap("/etc/plumbago/cluster.toml", &pipeline.cluster())
        .swap(LINE, &pipeline.line);
    stage.play("operate/series.md");
}
