//! Faults, precedence, units, and the texts made from the table.

use std::time::Duration;

use super::*;

const TABLE: &[Setting] = &[
    Setting::new("line", Kind::Address, "127.0.0.1:2003", "Where carbon lines arrive."),
    Setting::new("node", Kind::Text, "", "A node.").value_name("HOST:PORT[=INSTANCE]").list(),
    Setting::new("queue_bytes", Kind::Bytes, "64MiB", "Room for lines.").reload(),
    Setting::new("flush_interval", Kind::Duration, "30s", "How often to flush."),
    Setting::new("replication", Kind::Count, "1", "Copies of each point."),
    Setting::new("xff", Kind::Float, "0.5", "Share of points."),
    Setting::new("strict", Kind::Flag, "false", "Refuse odd names."),
    Setting::new("ring", Kind::Choice(&["carbon_ch", "fnv1a_ch"]), "carbon_ch", "The hash."),
    Setting::new("cluster", Kind::Path, "", "The cluster file."),
    Setting::new("rule", Kind::Tables, "", "Rules, in order.").value_name("[[rule]]"),
];

fn load_from(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Command, Vec<Fault>> {
    let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
    let environment: Vec<(String, String)> =
        environment.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect();
    load(Sources {
        daemon: "relay",
        table: TABLE,
        arguments: &arguments,
        environment: &environment,
    })
}

fn values(arguments: &[&str], environment: &[(&str, &str)]) -> Values {
    match load_from(arguments, environment) {
        Ok(Command::Run(values)) => values,
        other => panic!("{other:?}"),
    }
}

fn file(content: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.toml");
    std::fs::write(&path, content).unwrap();
    (folder, path.to_str().unwrap().to_owned())
}

fn faults_of(content: &[u8]) -> Vec<String> {
    let (_folder, path) = file(content);
    let faults = load_from(&["--config", &path], &[]).unwrap_err();
    faults.iter().map(|fault| fault.to_string().replace(&path, "relay.toml")).collect()
}

#[test]
fn flag_wins_over_environment_over_file_over_default() {
    let (_folder, path) = file(b"line = 'f:1'\nqueue_bytes = '1MiB'\nreplication = 2\nxff = 1\n");
    let environment = [
        ("PLUMBAGO_RELAY_LINE", "e:1"),
        ("PLUMBAGO_RELAY_QUEUE_BYTES", "2MiB"),
        ("PLUMBAGO_RELAY_CONFIG", &path),
        ("HOME", "/"),
    ];
    let values = values(&["--line", "g:1"], &environment);
    assert_eq!(values.address("line"), "g:1");
    assert_eq!(values.bytes("queue_bytes"), 2 << 20);
    assert_eq!(values.count("replication"), 2);
    assert_eq!(values.float("xff"), 1.0);
    assert_eq!(values.duration("flush_interval"), Duration::from_secs(30));
    assert_eq!(values.source("replication"), &Source::File(Place { path, line: 3, column: 1 }));
    assert_eq!(values.source("line").to_string(), "flag --line");
    assert_eq!(values.text("log_level"), "info");
}

#[test]
fn lists_repeat_as_flags_are_arrays_in_files_and_commas_in_the_environment() {
    let (_folder, path) = file(b"node = ['a:1=x', 'b:2']\n");
    assert_eq!(values(&["--config", &path], &[]).list("node"), ["a:1=x", "b:2"]);
    let comma = [("PLUMBAGO_RELAY_NODE", "c:1, d:1")];
    assert_eq!(values(&[], &comma).list("node"), ["c:1", "d:1"]);
    let flags = ["--node", "e:1=i", "--node=f:1=j"];
    assert_eq!(values(&flags, &comma).list("node"), ["e:1=i", "f:1=j"]);
    assert_eq!(values(&[], &[]).list("node"), [""; 0]);
}

#[test]
fn flags_stand_alone_or_carry_a_value() {
    assert!(!values(&[], &[]).flag("strict"));
    assert!(values(&["--strict"], &[]).flag("strict"));
    assert!(!values(&["--strict=false"], &[("PLUMBAGO_RELAY_STRICT", "true")]).flag("strict"));
}

#[test]
fn an_empty_text_unsets_and_unset_is_none() {
    let values = values(&["--line="], &[]);
    assert_eq!((values.opt_address("line"), values.opt_path("cluster")), (None, None));
    assert!(!values.is_set("line") && values.is_set("ring"));
}

#[test]
fn every_fault_is_reported_at_once_with_its_place() {
    let content = b"lien = 'a:1'\nqueue_bytes = 64\nflush_interval = '30'\n\nring = 'md5'\nreplication = -1\nstrict = 'yes'\nline = [1]\n";
    assert_eq!(
        faults_of(content),
        [
            "relay.toml:1:1: `lien`: no such setting; did you mean `line`?",
            "relay.toml:2:1: `queue_bytes`: expected a size with its unit, such as 64MiB, found 64",
            "relay.toml:3:1: `flush_interval`: expected a duration with its unit, such as 30s, found \"30\"",
            "relay.toml:5:1: `ring`: expected one of carbon_ch, fnv1a_ch, found \"md5\"",
            "relay.toml:6:1: `replication`: expected a whole number, zero or more, found -1",
            "relay.toml:7:1: `strict`: expected true or false, found \"yes\"",
            "relay.toml:8:1: `line`: expected an address such as 127.0.0.1:2003, found a TOML array",
        ]
    );
}

#[test]
fn syntax_faults_keep_their_line_and_do_not_hide_the_others() {
    let faults = faults_of(b"line = \nworkerz = 2\n");
    assert!(faults[0].starts_with("relay.toml:1:8: "), "{faults:?}");
    assert_eq!(faults[1], "relay.toml:2:1: `workerz`: no such setting");
    assert_eq!(faults.len(), 2);
}

#[test]
fn faults_of_the_command_line_name_the_flag() {
    let arguments = ["--lnie", "a:1", "--queue-bytes", "64", "--replication", "--config"];
    let faults = load_from(&[&arguments[..], &["/no/such.toml", "odd"]].concat(), &[]).unwrap_err();
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(texts[0], "command line: `lnie`: no such setting; did you mean `line`?");
    assert_eq!(
        texts[1],
        "flag --replication: `replication`: expected a whole number, zero or more after it"
    );
    assert_eq!(texts[2], "command line: unexpected argument \"odd\"");
    assert!(texts[3].starts_with("/no/such.toml: cannot be read: "), "{texts:?}");
    assert_eq!(
        texts[4],
        "flag --queue-bytes: `queue_bytes`: expected a size with its unit, such as 64MiB, found \"64\""
    );
    assert_eq!(texts.len(), 5);
}

#[test]
fn unknown_variables_of_our_prefix_warn() {
    let values = values(&[], &[("PLUMBAGO_RELAY_SERVICE_HOST", "10.0.0.1")]);
    assert_eq!(values.warnings.len(), 1);
    assert!(values.warnings[0].contains("PLUMBAGO_RELAY_SERVICE_HOST"));
}

#[test]
fn byte_order_marks_and_crlf_are_accepted() {
    let (_folder, path) = file("\u{feff}line = 'a:1'\r\nreplication = 0x3\r\n".as_bytes());
    let values = values(&["--config", &path], &[]);
    assert_eq!((values.address("line"), values.count("replication")), ("a:1", 3));
}

#[test]
fn a_huge_file_and_one_that_is_no_text_are_refused() {
    let huge = vec![b'#'; usize::try_from(CONFIG_FILE_BYTES_MAX).unwrap() + 1];
    assert!(faults_of(&huge)[0].contains("larger than 10000000 bytes"));
    assert!(faults_of(b"\xff\xfe")[0].contains("not UTF-8"));
}

#[test]
fn tables_are_kept_for_the_daemon_and_compared_by_what_they_say() {
    let text = "[[rule]]\nmatch = 'a'\n\n[[rule]]\nmatch = 'b'\nn = [1, 2.5]\n";
    let (_folder, path) = file(text.as_bytes());
    let first = values(&["--config", &path], &[]);
    let document = first.document("rule").unwrap();
    assert_eq!(document.place(text.find("n =").unwrap()).to_string(), format!("{path}:6:1"));
    let (_other, path) = file(format!("# a comment\n{text}").as_bytes());
    assert!(values(&["--config", &path], &[]).changed(&first).is_empty());
    assert!(load_from(&["--rule", "x"], &[]).is_err(), "tables have no flag");
    assert!(faults_of(b"rule = 3\n")[0].contains("expected tables, found 3"));
}

#[test]
fn an_action_has_operands_beside_the_settings() {
    let arguments = ["web.cpu", "--replication", "2", "db.cpu"].map(str::to_owned);
    let sources =
        Sources { daemon: "relay", table: TABLE, arguments: &arguments, environment: &[] };
    let (values, operands) = load_for_action(sources).unwrap();
    assert_eq!(
        (values.count("replication"), operands),
        (2, vec!["web.cpu".to_owned(), "db.cpu".to_owned()])
    );
}

#[test]
fn the_printed_file_is_sound_and_changes_nothing() {
    let text = config_text("relay", "Relays.", TABLE);
    assert!(text.contains("\n#queue_bytes = \"64MiB\"\n"), "{text}");
    let is_key =
        |line: &&str| line.starts_with('#') && !line.starts_with("# ") && line.contains('=');
    let uncommented: String =
        text.lines().filter(is_key).map(|line| format!("{}\n", &line[1..])).collect();
    assert_eq!(uncommented.lines().count(), TABLE.len() - 1 + COMMON.len());
    let (_folder, path) = file(uncommented.as_bytes());
    let from_file = values(&["--config", &path], &[]);
    assert!(from_file.changed(&Values::defaults(TABLE)).is_empty());
}

#[test]
fn help_and_docs_name_every_setting() {
    let help = help("relay", "Relays.", TABLE);
    let docs = markdown("relay", "Relays.", TABLE) + &common_markdown();
    for setting in every(TABLE).filter(|setting| setting.kind != Kind::Tables) {
        assert!(help.contains(&format!("  --{}", setting.flag())), "{} in {help}", setting.key);
        assert!(docs.contains(&format!("| `{}` |", setting.key)), "{} in {docs}", setting.key);
    }
    assert!(help.contains("  --node HOST:PORT[=INSTANCE] ...\n"), "{help}");
    assert!(help.contains("Room for lines. [default: 64MiB]"), "{help}");
    assert!(help.lines().all(|line| line.len() <= 104), "{help}");
}

#[test]
fn asking_commands_do_not_start() {
    assert!(matches!(load_from(&["--help"], &[]), Ok(Command::Help)));
    assert!(matches!(load_from(&["--odd", "-h"], &[]), Ok(Command::Help)));
    assert!(matches!(load_from(&["-V"], &[]), Ok(Command::Version)));
    assert!(matches!(load_from(&["--print-config"], &[]), Ok(Command::PrintConfig)));
    assert!(matches!(load_from(&["--check"], &[]), Ok(Command::Check(_))));
    assert!(load_from(&["--check", "--ring=x"], &[]).is_err());
}

#[test]
fn a_required_setting_is_asked_for_by_its_flag() {
    const REQUIRED: &[Setting] = &[Setting::new("data", Kind::Path, "", "Data.").required()];
    let sources = Sources { daemon: "x", table: REQUIRED, arguments: &[], environment: &[] };
    let faults = load(sources).unwrap_err();
    assert_eq!(faults[0].to_string(), "default: `data`: must be set (flag --data PATH)");
}

#[test]
fn changes_are_found_by_value_not_by_source() {
    let before = values(&[], &[]);
    let after = values(&["--queue-bytes", "65536KiB", "--replication", "2"], &[]);
    let keys: Vec<&str> = after.changed(&before).iter().map(|setting| setting.key).collect();
    assert_eq!(keys, ["replication"]);
}

#[test]
fn values_made_in_code_replace_defaults_and_grow_lists() {
    let values =
        Values::defaults(TABLE).with("line", "127.0.0.1:0").with("node", "a:1").with("node", "b:1");
    assert_eq!(values.address("line"), "127.0.0.1:0");
    assert_eq!(values.list("node"), ["a:1", "b:1"]);
    assert_eq!(values.with("line", "").opt_address("line"), None);
}

#[test]
fn sizes_and_durations_need_their_unit() {
    assert_eq!(parse_bytes("64MiB"), Some(64 << 20));
    assert_eq!(parse_bytes("10 GB"), Some(10_000_000_000));
    assert_eq!(parse_bytes("0"), Some(0));
    for odd in ["64", "", "MiB", "-1B", "1.5GiB", "64mib", "64MiB x", "99999999999TiB", "1٣B"] {
        assert_eq!(parse_bytes(odd), None, "{odd}");
    }
    assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
    assert_eq!(parse_duration("1h30m"), Some(Duration::from_secs(5400)));
    assert_eq!(parse_duration("0s"), Some(Duration::ZERO));
    for odd in ["30", "", "s", "1h30", "1fortnight", "99999999999999y", "-1s"] {
        assert_eq!(parse_duration(odd), None, "{odd}");
    }
}

#[test]
fn addresses_are_checked_but_not_resolved() {
    assert_eq!(parse_address("localhost:2003"), Some(("localhost", 2003)));
    assert_eq!(parse_address(":2003"), Some(("0.0.0.0", 2003)));
    assert_eq!(parse_address("[::1]:0"), Some(("::1", 0)));
    for odd in ["2003", "a:", "a:70000", "a b:1", "::1:2003", "[::1:1", "a:+1", "http://a:1"] {
        assert_eq!(parse_address(odd), None, "{odd}");
    }
}

#[test]
fn hints_are_near_or_absent() {
    let known = || ["line", "pickle", "admin"].into_iter();
    assert_eq!(nearest("lien", known()), Some("line"));
    assert_eq!(nearest("pikle", known()), Some("pickle"));
    assert_eq!(nearest("zzz", known()), None);
}
