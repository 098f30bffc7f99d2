//! Chores: `cargo xtask tidy` says what breaks the house rules, `cargo xtask codegen` writes the
//! generated docs (`--check` only compares). Both are tests too, so `cargo test` finds them.
#![forbid(unsafe_code)]

mod codegen;
mod fault;
mod tidy;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask tidy | codegen [--check]\n";
const EXIT_USAGE: u8 = 64;

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let root = root();
    let faults = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tidy"] => tidy::check(&root)?,
        ["codegen"] => {
            codegen::write(&root, &codegen::documents())?;
            Vec::new()
        }
        ["codegen", "--check"] => codegen::check(&root, &codegen::documents())?,
        _ => {
            std::io::stderr().write_all(USAGE.as_bytes())?;
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    std::io::stdout().write_all(fault::text(&faults).as_bytes())?;
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The workspace this program was built in.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the workspace").to_path_buf()
}
