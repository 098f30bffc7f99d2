//! All names of the node.

use std::sync::Arc;

use super::{Asker, ReadFault, Reader};

/// All names that the asker may see, in order.
pub(crate) async fn names(reader: &Arc<Reader>, asker: &Asker) -> Result<Vec<String>, ReadFault> {
    let job = {
        let (reader, within) = (Arc::clone(reader), asker.within.clone());
        move || {
            let mut names = Vec::with_capacity(reader.engine.table().len());
            reader.engine.table().for_each(|_, name| {
                if within.holds(name) {
                    names.push(name.to_owned());
                }
            });
            names.sort_unstable();
            names
        }
    };
    reader.run(asker, job).await
}
