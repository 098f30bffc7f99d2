//! What kind of file a new series gets: storage-schemas.conf and storage-aggregation.conf.

use std::sync::Arc;

use daemon::{Fault, Values};
use parking_lot::RwLock;
use schema::{Aggregations, LoadError, Quotas, Schemas};
use whisper::{Allocation, Spec};

use crate::engine::FileSpecs;

/// The files of rules, as they were when they last were sound.
#[derive(Debug)]
pub struct Rules {
    schemas: Schemas,
    aggregations: Aggregations,
    quotas: Quotas,
}

impl Rules {
    /// Reads the files that the settings name; what they do not name has carbon's defaults.
    ///
    /// # Errors
    /// All faults of all files, each with its place.
    pub fn from_values(values: &Values) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let schemas = load(values, "schemas", Schemas::load, &mut faults);
        let aggregations = load(values, "aggregation", Aggregations::load, &mut faults);
        let quotas = load(values, "quotas", Quotas::load, &mut faults);
        if faults.is_empty() { Ok(Self { schemas, aggregations, quotas }) } else { Err(faults) }
    }

    /// How much the series below a prefix may take.
    pub(crate) fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    fn log_warnings(&self) {
        for warning in self.schemas.warnings().iter().chain(self.aggregations.warnings()) {
            tracing::warn!("{warning}");
        }
    }
}

fn load<T: Default>(
    values: &Values,
    key: &str,
    read: impl FnOnce(&std::path::Path) -> Result<T, LoadError>,
    faults: &mut Vec<Fault>,
) -> T {
    let Some(path) = values.opt_path(key) else { return T::default() };
    read(&path).unwrap_or_else(|error| {
        let text = error.to_string();
        faults.extend(text.lines().map(|line| values.fault(key, line)));
        T::default()
    })
}

/// The rules in force; a reload replaces them as a whole.
#[derive(Debug)]
pub(crate) struct Specs {
    rules: RwLock<Arc<Rules>>,
}

impl Specs {
    pub(crate) fn new(rules: Rules) -> Self {
        rules.log_warnings();
        Self { rules: RwLock::new(Arc::new(rules)) }
    }

    pub(crate) fn replace(&self, rules: Rules) {
        rules.log_warnings();
        *self.rules.write() = Arc::new(rules);
    }
}

impl FileSpecs for Specs {
    fn spec_for(&self, name: &str) -> Spec {
        let rules = Arc::clone(&self.rules.read());
        let aggregation = rules.aggregations.for_name(name);
        Spec {
            archives: rules.schemas.for_name(name).archives.clone(),
            x_files_factor: aggregation.x_files_factor,
            method: aggregation.method,
            allocation: Allocation::Sparse,
        }
    }
}
