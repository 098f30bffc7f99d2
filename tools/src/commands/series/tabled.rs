//! Files made of rows of a table, as the nodes' rules have them.

use std::collections::BTreeMap;
use std::path::Path;

use carbon::Image;
use schema::{Aggregations, Schemas};
use whisper::{Allocation, Error, Fill, Header, Now, Point, Spec, Whisper, fill};

use crate::invocation::Failure;
use crate::table::Row;

/// The rows of one series after another.
pub(super) struct Tabled {
    schemas: Schemas,
    aggregations: Aggregations,
    now: Now,
    open: Option<Series>,
}

/// A series some rows of which have come.
struct Series {
    name: String,
    header: Header,
    /// Values by archive and interval: of two of the same the last one stays.
    points: BTreeMap<(usize, u32), f64>,
}

impl Tabled {
    /// Reads the rules; what no file gives has carbon's defaults.
    pub(super) fn new(
        schemas: &Path,
        aggregation: Option<&Path>,
        now: Now,
    ) -> Result<Self, Failure> {
        let fault = |error: schema::LoadError| Failure::new(error.to_string());
        let schemas = Schemas::load(schemas).map_err(fault)?;
        let aggregations = aggregation.map(Aggregations::load).transpose().map_err(fault)?;
        Ok(Self { schemas, aggregations: aggregations.unwrap_or_default(), now, open: None })
    }

    /// The file of the series before, if this row begins another one.
    pub(super) fn finish_before(
        &mut self,
        row: &Row,
    ) -> Result<Option<(String, Vec<u8>)>, Failure> {
        match &self.open {
            Some(open) if open.name != row.metric => self.finish(),
            _ => Ok(None),
        }
    }

    /// Adds a row to the archive that it names, or to the finest one that reaches it.
    pub(super) fn add(&mut self, row: Row) -> Result<(), String> {
        let Row { metric, time, value, step } = row;
        let series = match &mut self.open {
            Some(open) => open,
            None => {
                let header = header(&self.schemas, &self.aggregations, &metric);
                let header = header.map_err(|error| error.to_string())?;
                self.open.insert(Series { name: metric, header, points: BTreeMap::new() })
            }
        };
        let age = self.now.floor() - time;
        let mut archives = series.header.archives.iter().enumerate();
        let (at, archive) = match step {
            0 => archives.find(|(_, archive)| archive.retention() > age),
            step => archives.find(|(_, archive)| archive.seconds_per_point == step),
        }
        .ok_or_else(|| match step {
            0 => format!("time {time} is older than the retention"),
            step => format!("no archive has {step} s a point"),
        })?;
        let interval = archive.align(time);
        if !(0..archive.retention()).contains(&(self.now.floor() - interval)) {
            return Err(format!(
                "time {time} is beyond the archive of {} s a point",
                archive.seconds_per_point
            ));
        }
        let interval = u32::try_from(interval).map_err(|error| error.to_string())?;
        series.points.insert((at, interval), value);
        Ok(())
    }

    /// The file of the last series.
    pub(super) fn finish(&mut self) -> Result<Option<(String, Vec<u8>)>, Failure> {
        let Some(series) = self.open.take().filter(|series| !series.points.is_empty()) else {
            return Ok(None);
        };
        let bytes = series.file(self.now);
        let bytes = bytes.map_err(|error| Failure::new(format!("{}: {error}", series.name)))?;
        Ok(Some((series.name, bytes)))
    }
}

impl Series {
    /// The bytes of a file with these points, and with rollups where the table has none.
    fn file(&self, now: Now) -> Result<Vec<u8>, Error> {
        let mut told = empty(&self.header)?;
        for archive in 0..self.header.archives.len() {
            let points = self.points.range((archive, 0)..(archive + 1, 0));
            let points = points.map(|(&(_, interval), &value)| Point { interval, value });
            told.write_points(archive, 0, &points.collect::<Vec<_>>())?;
        }
        let mut whole = empty(&self.header)?;
        fill(&told, &mut whole, Fill::default(), now)?;
        let (Image(bytes), _header) = whole.into_parts();
        Ok(bytes)
    }
}

/// A file without points.
fn empty(header: &Header) -> Result<Whisper<Image>, Error> {
    let mut bytes = header.to_bytes();
    bytes.resize(usize::try_from(header.file_bytes()).unwrap_or(usize::MAX), 0);
    Whisper::with_header(Image(bytes), header.clone())
}

fn header(schemas: &Schemas, aggregations: &Aggregations, name: &str) -> Result<Header, Error> {
    let aggregation = aggregations.for_name(name);
    let spec = Spec {
        archives: schemas.for_name(name).archives.clone(),
        x_files_factor: aggregation.x_files_factor,
        method: aggregation.method,
        allocation: Allocation::Sparse,
    };
    spec.header()
}
