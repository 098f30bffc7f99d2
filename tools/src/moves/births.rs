//! Since when nodes have what they have. Who began on an empty disk is not trusted alone for what is older, until it is told
//! that it was given all of that.

use std::time::Duration;

use remote::{RemoteError, RemoteErrorKind};
use serde::Deserialize;

use super::fleet::Fleet;

/// How long a node may take for it.
const WAIT: Duration = Duration::from_secs(20);

/// What a node says of itself.
#[derive(Debug, Deserialize)]
struct Birth {
    born: i64,
}

/// Tells nodes that they have all that the others of the fleet have, but for what is older than `since`.
pub(crate) async fn tell_complete(
    fleet: &Fleet,
    nodes: &[u16],
    since: Option<i64>,
) -> Result<(), RemoteError> {
    let mut births = Vec::with_capacity(fleet.nodes().len());
    for node in (0..).take(fleet.nodes().len()) {
        births.push(born(fleet, node).await?);
    }
    let given = |place: usize| u16::try_from(place).is_ok_and(|place| nodes.contains(&place));
    let givers = births.iter().enumerate().filter(|(place, _)| !given(*place));
    let Some(oldest) = givers.map(|(_, born)| *born).min() else { return Ok(()) };
    let complete_since = oldest.max(since.unwrap_or(0));
    for &node in nodes {
        if births[usize::from(node)] > complete_since {
            let path = format!("/admin/birth?complete_since={complete_since}");
            fleet.client(node).post(&path, &(), WAIT).await?;
        }
    }
    Ok(())
}

/// 0 of a node that lacks nothing, or does not know.
async fn born(fleet: &Fleet, node: u16) -> Result<i64, RemoteError> {
    match fleet.client(node).get_json("/admin/birth", WAIT).await {
        Ok(Birth { born }) => Ok(born),
        Err(RemoteError { kind: RemoteErrorKind::Status { code: 404, .. }, .. }) => Ok(0),
        Err(error) => Err(error),
    }
}
