//! `plumbago up`: the whole pipeline in one process.

use std::io::Write;
use std::process::ExitCode;

use local::Cluster;

/// Arguments of `plumbago up`: settings, read as those of any daemon (`plumbago up --help`).
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Up {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "SETTINGS")]
    settings: Vec<String>,
}

/// Runs until a signal.
pub(crate) fn run(up: Up) -> ExitCode {
    daemon::main_with(&local::PROGRAM, &up.settings, async |values, context| {
        local::start(values, context, announce).await
    })
}

/// Tells where everything is and what to type first.
fn announce(cluster: &Cluster) {
    let (line, pickle, api) = (cluster.line(), cluster.pickle(), cluster.api());
    let text = format!(
        "carbon lines   {line} (TCP and UDP)\n\
         pickles        {pickle}\n\
         Graphite API   http://{api}\n\
         \n\
         Send a point:  echo \"hello.world 42 -1\" | nc -q0 {} {}\n\
         Read it back:  curl 'http://{api}/render?target=hello.world&format=json&from=-5min'\n\
         Stop:          Ctrl-C\n",
        line.ip(),
        line.port(),
    );
    // Without a stdout the pipeline runs all the same.
    drop(std::io::stdout().write_all(text.as_bytes()));
}
