//! The relay's settings, understood.

use std::time::Duration;

use daemon::tls::client::ClientFiles;
use daemon::{Fault, Values};
use wire::link::Packing;

use crate::log::LogSettings;
use crate::routes::Routes;

/// How the acknowledged link is to be.
#[derive(Debug, Clone)]
pub struct LinkSettings {
    /// How lines are packed on it.
    pub packing: Packing,
    /// Files for TLS, if it speaks it.
    pub tls: Option<ClientFiles>,
}

impl LinkSettings {
    fn from_values(values: &Values) -> Result<Self, Fault> {
        let packing = Packing::from_word(values.text("link_packing"));
        Ok(Self { packing, tls: ClientFiles::from_values(values, "link_tls")? })
    }
}

/// Everything the relay needs to start.
#[derive(Debug)]
pub struct Config {
    /// The admin address.
    pub admin: String,
    /// Where lines are kept until their nodes have them; without it in memory only.
    pub log: Option<LogSettings>,
    /// What becomes of each line.
    pub(crate) routes: Routes,
    /// Bytes that may wait in memory for one node where there is no log.
    pub queue_bytes_max: usize,
    /// How nodes that take the acknowledged link are spoken to.
    pub link: LinkSettings,
    /// How long a stop may take.
    pub stop_deadline: Duration,
    /// How often the relay's own numbers become series; zero for never.
    pub self_metrics_interval: Duration,
    /// The listeners, and what they accept.
    pub intake: ingest::Settings,
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn from_values(values: &Values) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let routes = Routes::from_values(values).map_err(|found| faults.extend(found));
        let intake = ingest::Settings::from_values(values).map_err(|found| faults.extend(found));
        let link = LinkSettings::from_values(values).map_err(|fault| faults.push(fault));
        let (Ok(routes), Ok(intake), Ok(link)) = (routes, intake, link) else {
            return Err(faults);
        };
        Ok(Self {
            admin: values.address("admin").to_owned(),
            log: LogSettings::from_values(values),
            routes,
            queue_bytes_max: usize::try_from(values.bytes("queue_bytes_max")).unwrap_or(usize::MAX),
            link,
            stop_deadline: values.duration("stop_deadline"),
            self_metrics_interval: values.duration("self_metrics_interval"),
            intake,
        })
    }
}
