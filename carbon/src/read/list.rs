//! All names of the node.

use std::sync::Arc;

use super::{Deadline, ReadFault, Reader};

/// All names, in order.
pub(crate) async fn names(
    reader: &Arc<Reader>,
    deadline: Deadline,
) -> Result<Vec<String>, ReadFault> {
    let job = {
        let reader = Arc::clone(reader);
        move || {
            let mut names = Vec::with_capacity(reader.engine.table().len());
            reader.engine.table().for_each(|_, name| names.push(name.to_owned()));
            names.sort_unstable();
            names
        }
    };
    reader.run(deadline, job).await
}
