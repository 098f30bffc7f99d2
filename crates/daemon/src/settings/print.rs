//! The table as text: `--help`, the commented default file, the docs page.

use std::fmt::Write;

use super::{COMMON, Kind, Setting, environment_prefix, every};

const HELP_WIDTH: usize = 100;
const HELP_INDENT: usize = 6;

/// What `--help` prints.
#[must_use]
pub fn help(daemon: &str, about: &str, table: &'static [Setting]) -> String {
    let mut out = format!(
        "{about}\n\nUsage: plumbago-{daemon} [--config FILE] [FLAG VALUE | FLAG=VALUE]...\n\n"
    );
    let _infallible = write!(
        out,
        "Every setting below is also a key of the file (dashes become underscores) and a variable\n\
         of the environment ({}KEY). A flag wins over the environment, the environment\n\
         over the file, the file over the default. Sizes and durations need a unit: 64MiB, 30s.\n\nSettings:\n",
        environment_prefix(daemon)
    );
    for setting in every(table).filter(|setting| setting.kind != Kind::Tables) {
        let dots = if setting.list { " ..." } else { "" };
        let value = match setting.kind {
            Kind::Flag => String::new(),
            Kind::Choice(words) => format!(" {}", words.join("|")),
            _ => format!(" {}", setting.value_name),
        };
        let _infallible = writeln!(out, "  --{}{value}{dots}", setting.flag());
        out.push_str(&wrapped(&described(setting), HELP_WIDTH, &" ".repeat(HELP_INDENT)));
    }
    out.push_str(
        "\nOther flags:\n\
         \x20 --config FILE    Read the settings file (TOML)\n\
         \x20 --check          Say whether the settings are sound, and end: 0 sound, 64 not\n\
         \x20 --print-config   Print a settings file with every default, commented\n\
         \x20 --help, -h       Print this\n\
         \x20 --version, -V    Print name and version\n\n\
         Signals: SIGTERM and SIGINT stop in order, a second one at once; SIGHUP reads the settings again.\n",
    );
    out
}

fn described(setting: &Setting) -> String {
    let mut text = setting.doc.to_owned();
    match (setting.default, setting.required) {
        (_, true) => text.push_str(" [required]"),
        ("", false) => {}
        (default, false) => {
            let _infallible = write!(text, " [default: {default}]");
        }
    }
    text
}

/// The commented default file that `--print-config` prints.
#[must_use]
pub fn config_text(daemon: &str, about: &str, table: &'static [Setting]) -> String {
    let mut out = format!(
        "# plumbago-{daemon}: {about}\n#\n# Every key shows its default; take away the # in front to change it.\n"
    );
    for setting in every(table) {
        out.push('\n');
        out.push_str(&wrapped(setting.doc, HELP_WIDTH, "# "));
        if setting.reload {
            out.push_str("# A reload (SIGHUP) applies a change.\n");
        }
        let _infallible = match setting.kind {
            Kind::Tables => writeln!(out, "#{}", setting.value_name),
            _ => writeln!(out, "#{} = {}", setting.key, toml_default(setting)),
        };
    }
    out
}

fn toml_default(setting: &Setting) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    match setting.kind {
        _ if setting.list && setting.default.is_empty() => "[]".to_owned(),
        _ if setting.list => {
            let items: Vec<String> =
                setting.default.split(',').map(|item| quoted(item.trim())).collect();
            format!("[{}]", items.join(", "))
        }
        Kind::Flag | Kind::Count | Kind::Float if !setting.default.is_empty() => {
            setting.default.to_owned()
        }
        _ => quoted(setting.default),
    }
}

/// The docs page of one daemon's own settings.
#[must_use]
pub fn markdown(daemon: &str, about: &str, table: &'static [Setting]) -> String {
    let prefix = environment_prefix(daemon);
    let head = format!(
        "# Settings of plumbago-{daemon}\n\n{about}\n\n\
         Each key of the TOML file is also a flag (`--` and dashes for underscores) and an environment\n\
         variable (`{prefix}` and the key in capitals). A flag wins over the environment, the\n\
         environment over the file, the file over the default. Sizes and durations need a unit: `64MiB`, `30s`.\n\n\
         The settings that every daemon has are in [common.md](common.md).\n\n"
    );
    head + &markdown_table(table)
}

/// The docs page of [`COMMON`].
#[must_use]
pub fn common_markdown() -> String {
    "# Settings that every daemon has\n\n".to_owned() + &markdown_table(COMMON)
}

/// One row for each setting of `table`.
#[must_use]
pub fn markdown_table(table: &[Setting]) -> String {
    let mut out =
        "| key | value | default | reload | meaning |\n|---|---|---|---|---|\n".to_owned();
    for setting in table {
        let value = match setting.kind {
            Kind::Choice(words) => words.join(", "),
            Kind::Flag => "true, false".to_owned(),
            Kind::Tables => format!("`{}` tables", setting.value_name),
            _ => setting.value_name.to_owned(),
        };
        let many = if setting.list { ", any number" } else { "" };
        let default = match setting.default {
            "" if setting.required => "required".to_owned(),
            "" => "not set".to_owned(),
            default => format!("`{default}`"),
        };
        let reload = if setting.reload { "yes" } else { "no" };
        let doc = setting.doc.replace('|', "\\|");
        let _infallible =
            writeln!(out, "| `{}` | {value}{many} | {default} | {reload} | {doc} |", setting.key);
    }
    out
}

fn wrapped(text: &str, width: usize, prefix: &str) -> String {
    let mut out = String::new();
    let mut line = prefix.to_owned();
    for word in text.split_whitespace() {
        if line.len() > prefix.len() && line.len() + 1 + word.len() > width {
            out.push_str(line.trim_end());
            out.push('\n');
            line = prefix.to_owned();
        }
        if line.len() > prefix.len() {
            line.push(' ');
        }
        line.push_str(word);
    }
    out.push_str(line.trim_end());
    out.push('\n');
    out
}
