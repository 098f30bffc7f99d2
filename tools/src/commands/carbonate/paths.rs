//! `plumbago path`, `carbon-path`.

use serde_json::json;

use super::files::{self, Tree};
use super::names::{NameList, lossy};
use crate::invocation::{Context, Failure, Run};

#[derive(clap::Args)]
pub(crate) struct Paths {
    #[command(flatten)]
    names: NameList,
    #[command(flatten)]
    tree: Tree,
    /// Turn paths into names.
    #[arg(short, long)]
    reverse: bool,
    /// Put the tree's folder before each path.
    #[arg(short, long)]
    prepend: bool,
    #[command(flatten)]
    _cluster: super::cluster::ClusterArgs,
}

impl Run for Paths {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        self.names.for_each(|item| {
            if self.reverse {
                let name = files::name_of(item, &self.tree.dir);
                return self.print(context, &name, item, &name);
            }
            // carbon-path knows nothing of tags, and scripts count on its answer.
            let path =
                if context.classic { files::plain_path_of(item) } else { files::path_of(item) };
            let path = match path {
                Ok(path) if self.prepend => self.tree.dir.join(path),
                Ok(path) => path,
                Err(error) => {
                    context.skip(&format!("name {:?}", lossy(item)), &error);
                    return Ok(());
                }
            };
            let path = files::bytes(&path);
            self.print(context, item, path, path)
        })
    }
}

impl Paths {
    fn print(
        &self,
        context: &mut Context<'_>,
        name: &[u8],
        path: &[u8],
        answer: &[u8],
    ) -> Result<(), Failure> {
        if context.json {
            let line = json!({"metric": lossy(name), "path": lossy(path)});
            writeln!(context.out, "{line}")?;
            return Ok(());
        }
        Ok(self.names.separator().print(context.out, answer)?)
    }
}
