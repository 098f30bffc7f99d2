//! What the program does once and ends: `explain`, `diff`, `--import`.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::path::Path;
use std::process::ExitCode;

use daemon::settings::{Sources, load_for_action};
use daemon::{Action, ActionResult, Fault, Values};

use crate::routes::Routes;
use crate::{explain, import};

/// Every action, for the program's table.
pub(crate) const ACTIONS: &[Action] = &[
    Action {
        name: "explain",
        operands: "[--config FILE | flags] [NAME...]",
        about: "Says which rules hold for each name (from stdin without NAME), what it becomes and \
                which nodes get it.",
        run: |arguments, out| explain_names(arguments, &mut std::io::stdin().lock(), out),
    },
    Action {
        name: "diff",
        operands: "OLD NEW < names",
        about: "Lists the names whose nodes differ between two settings files; ends with 1 if there are any.",
        run: |arguments, out| diff(arguments, &mut std::io::stdin().lock(), out),
    },
    Action {
        name: "--import",
        operands: "FILE",
        about: "Prints the configuration of carbon-c-relay, carbon-relay-ng or Python carbon (carbon.conf and the \
                files beside it) as our settings file, with a comment for everything that differs.",
        run: import_file,
    },
];

/// A fault of the command line.
fn usage(problem: impl Into<String>) -> Vec<Fault> {
    vec![Fault::new("command line", "", problem)]
}

/// What cannot be printed is for whoever reads no more.
fn write_fault(error: std::io::Error) -> Vec<Fault> {
    vec![Fault::new("output", "", error.to_string())]
}

fn settings_of(arguments: &[String]) -> Result<(Values, Vec<String>), Vec<Fault>> {
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
        .collect();
    let table = crate::SETTINGS;
    load_for_action(Sources { daemon: "relay", table, arguments, environment: &environment })
}

/// The first word of each line, so that whole carbon lines do too.
fn names_from(input: &mut dyn BufRead) -> Result<Vec<String>, Vec<Fault>> {
    let mut names = Vec::new();
    for line in input.lines() {
        let line = line.map_err(|error| vec![Fault::new("stdin", "", error.to_string())])?;
        names.extend(line.split_whitespace().next().map(str::to_owned));
    }
    Ok(names)
}

fn explain_names(
    arguments: &[String],
    input: &mut dyn BufRead,
    mut out: &mut dyn Write,
) -> ActionResult {
    let (values, mut names) = settings_of(arguments)?;
    let routes = Routes::from_values(&values)?;
    if names.is_empty() {
        names = names_from(input)?;
    }
    for name in &names {
        explain::explain(&routes, name).write(&mut out).map_err(write_fault)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn diff(arguments: &[String], input: &mut dyn BufRead, out: &mut dyn Write) -> ActionResult {
    let [old, new] = arguments else {
        return Err(usage("expected OLD and NEW, two settings files; the names come on stdin"));
    };
    let routes = |path: &String| {
        let (values, _) = settings_of(&["--config".to_owned(), path.clone()])?;
        Routes::from_values(&values)
    };
    let (old, new) = (routes(old)?, routes(new)?);
    let receivers = |routes: &Routes, name: &str| -> BTreeSet<String> {
        explain::explain(routes, name).receivers.into_iter().collect()
    };
    let shown = |receivers: &BTreeSet<String>| match receivers.is_empty() {
        true => "nowhere".to_owned(),
        false => receivers.iter().cloned().collect::<Vec<_>>().join(" "),
    };
    let mut code = ExitCode::SUCCESS;
    for name in names_from(input)? {
        let (before, after) = (receivers(&old, &name), receivers(&new, &name));
        if before != after {
            writeln!(out, "{name}\t{}\t{}", shown(&before), shown(&after)).map_err(write_fault)?;
            code = ExitCode::from(1);
        }
    }
    Ok(code)
}

fn import_file(arguments: &[String], out: &mut dyn Write) -> ActionResult {
    let [path] = arguments else { return Err(usage("expected one FILE after --import")) };
    let text = import(Path::new(path))?;
    out.write_all(text.as_bytes()).map_err(write_fault)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, name: &str, text: &str) -> String {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn diff_lists_the_names_whose_nodes_change_and_no_other() {
        let folder = testkit::folder();
        let text = |third: &str| format!("node = ['a:1', 'b:1'{third}]\nreplication = 2\n");
        let (old, new) =
            (file(folder.path(), "old", &text("")), file(folder.path(), "new", &text(", 'c:1'")));
        let names = "web1.cpu 1 60\nweb2.cpu\n\nweb3.cpu\nweb4.cpu\n";
        let run = |old: &str, new: &str| {
            let mut out = Vec::new();
            let files = [old.to_owned(), new.to_owned()];
            let code = diff(&files, &mut names.as_bytes(), &mut out).unwrap();
            (code, String::from_utf8(out).unwrap())
        };
        assert_eq!(run(&old, &old), (ExitCode::SUCCESS, String::new()));
        let (code, told) = run(&old, &new);
        assert_eq!(code, ExitCode::from(1));
        for line in told.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            assert_eq!((fields.len(), fields[1]), (3, "a:1 b:1"), "{line}");
            assert!(fields[2].contains("c:1"), "{line}");
        }
        assert!(diff(&[old], &mut names.as_bytes(), &mut Vec::new()).is_err());
    }

    #[test]
    fn explain_takes_names_from_the_command_line_or_from_stdin() {
        let run = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
            let mut out = Vec::new();
            explain_names(&arguments, &mut &b"from.stdin 1 60\n"[..], &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert!(run(&["web.cpu", "--node", "a:1"]).starts_with("web.cpu\n"));
        assert!(run(&["--node", "a:1"]).starts_with("from.stdin\n"));
    }
}
