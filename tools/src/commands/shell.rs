//! `plumbago completions` and `plumbago man`: what a shell and a reader want to know of the table
//! of commands.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::Shell;
use serde_json::json;

use crate::invocation::{Context, Failure, Run};

/// The shells that we write for.
#[derive(Clone, Copy, clap::ValueEnum)]
enum KnownShell {
    Bash,
    Zsh,
    Fish,
}

#[derive(clap::Args)]
pub(crate) struct Completions {
    /// The shell to write for.
    shell: KnownShell,
}

impl Run for Completions {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let shell = match self.shell {
            KnownShell::Bash => Shell::Bash,
            KnownShell::Zsh => Shell::Zsh,
            KnownShell::Fish => Shell::Fish,
        };
        let mut command = super::own_command();
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut command, super::PROGRAM, &mut text);
        if context.json {
            let (shell, text) = (shell.to_string(), String::from_utf8_lossy(&text));
            writeln!(context.out, "{}", json!({"shell": shell, "script": text}))?;
            return Ok(());
        }
        Ok(context.out.write_all(&text)?)
    }
}

#[derive(clap::Args)]
pub(crate) struct Man {
    /// Folder to write the pages into, made if it is not there; a page of the same name is
    /// written over.
    folder: PathBuf,
}

impl Run for Man {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        fs::create_dir_all(&self.folder).map_err(|error| Failure::of(&self.folder, &error))?;
        let mut command = super::own_command().disable_help_subcommand(true);
        command.build();
        let mut pages = Vec::new();
        write_pages(&self.folder, &command, &mut pages)?;
        for page in &pages {
            if context.json {
                writeln!(context.out, "{}", json!({ "page": page }))?;
            } else {
                writeln!(context.out, "{}", page.display())?;
            }
        }
        Ok(())
    }
}

/// Writes the page of a command and those of the commands below it.
fn write_pages(folder: &Path, command: &Command, pages: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let man = clap_mangen::Man::new(command.clone());
    let page = folder.join(man.get_filename());
    let mut text = Vec::new();
    let written = man.render(&mut text).and_then(|()| fs::write(&page, &text));
    written.map_err(|error| Failure::of(&page, &error))?;
    pages.push(page);
    command.get_subcommands().try_for_each(|below| write_pages(folder, below, pages))
}
