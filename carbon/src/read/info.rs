//! The headers of files, or those that the files of waiting series will have.

use std::sync::Arc;

use metric::Consolidation;
use whisper::Header;
use wire::reply::{InfoReply, Retention};

use super::{Asker, ReadFault, Reader};

/// The headers of the series that there are; a fault if there is none of them.
pub(crate) async fn info(
    reader: &Arc<Reader>,
    mut names: Vec<String>,
    asker: &Asker,
) -> Result<Vec<InfoReply>, ReadFault> {
    let (asked, allowed) = (names.len(), reader.limits.targets_max);
    if asked == 0 {
        return Err(ReadFault::bad("no target is given"));
    }
    if asked > allowed {
        return Err(ReadFault::limit(format!("{asked} of target"), allowed, "targets_max"));
    }
    names.retain(|name| asker.within.holds(name));
    let job = {
        let reader = Arc::clone(reader);
        move || read_headers(&reader, &names)
    };
    reader.run(asker, job).await?
}

fn read_headers(reader: &Reader, names: &[String]) -> Result<Vec<InfoReply>, ReadFault> {
    let mut infos = Vec::new();
    let mut unreadable = None;
    for name in names {
        let Some(id) = reader.engine.table().get(name) else { continue };
        match reader.engine.info(id) {
            Ok(header) => infos.extend(header.map(|header| reply(name, &header))),
            Err(error) => {
                reader.counters.unreadable.inc();
                unreadable = Some(error.to_string());
            }
        }
    }
    match (infos.is_empty(), unreadable) {
        (false, _) => Ok(infos),
        (true, Some(error)) => Err(ReadFault::NotFound(error)),
        (true, None) => Err(ReadFault::NotFound("metric not found".to_owned())),
    }
}

fn reply(name: &str, header: &Header) -> InfoReply {
    let retention = |archive: &whisper::Archive| Retention {
        seconds_per_point: archive.seconds_per_point.into(),
        points: archive.points.into(),
    };
    InfoReply {
        name: name.to_owned(),
        consolidation: Consolidation::parse(header.method.name()).unwrap_or_default(),
        max_retention_s: header.max_retention.into(),
        x_files_factor: header.x_files_factor,
        retentions: header.archives.iter().map(retention).collect(),
    }
}
