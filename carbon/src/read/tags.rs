//! Tags, their values, and the series that have them.

use std::collections::HashSet;
use std::sync::Arc;

use metric::{TagExpr, TagExprError, TagQuery};

use super::find::{Budget, Query};
use super::{Asker, ReadFault, Reader};
use crate::index::Scope;

/// Completions given when the asker sets no limit.
pub(crate) const COMPLETIONS_DEFAULT: usize = 100;

/// What narrows a question about tags.
#[derive(Debug, Clone, Default)]
pub(crate) struct Narrowing {
    /// Terms that the series must satisfy.
    pub(crate) exprs: Vec<String>,
    /// How the answer must begin.
    pub(crate) prefix: String,
    /// A regular expression that the answer must match at its start.
    pub(crate) filter: Option<String>,
    /// Most answers.
    pub(crate) limit: usize,
}

impl Narrowing {
    fn query(&self) -> Result<Option<TagQuery>, ReadFault> {
        if self.exprs.is_empty() {
            return Ok(None);
        }
        TagQuery::parse(&self.exprs).map(Some).map_err(bad)
    }

    /// The filter as a term on a tag that does not matter.
    fn filter(&self) -> Result<Option<TagExpr>, ReadFault> {
        let term = self.filter.as_ref().map(|filter| TagExpr::parse(&format!("tag=~{filter}")));
        term.transpose().map_err(bad)
    }
}

fn bad(error: TagExprError) -> ReadFault {
    ReadFault::bad(error.to_string())
}

/// Names of the series that satisfy all terms, in order.
pub(crate) async fn find_series(
    reader: &Arc<Reader>,
    exprs: &[String],
    limit: usize,
    asker: &Asker,
) -> Result<Vec<String>, ReadFault> {
    let query = Query::Tags(TagQuery::parse(exprs).map_err(bad)?);
    let job = {
        let (reader, asker) = (Arc::clone(reader), asker.clone());
        move || Budget::new(&reader, &asker).find(&reader, &query, None)
    };
    let found = reader.run(asker, job).await??;
    Ok(found.paths.into_iter().map(|found| found.path).take(limit).collect())
}

/// Tags, in order; those that the terms name are left out.
pub(crate) async fn keys(
    reader: &Arc<Reader>,
    by: Narrowing,
    asker: &Asker,
) -> Result<Vec<String>, ReadFault> {
    let (query, filter) = (by.query()?, by.filter()?);
    let job = {
        let (reader, asker) = (Arc::clone(reader), asker.clone());
        move || -> Result<Vec<String>, ReadFault> {
            let terms = query.as_ref().map(TagQuery::terms).unwrap_or_default();
            let used: HashSet<&str> = terms.iter().map(TagExpr::key).collect();
            let wanted = |key: &String| {
                !used.contains(&**key) && filter.as_ref().is_none_or(|f| f.matches_value(key))
            };
            let (index, scope) = (reader.engine.index(), Scope::from(&asker.within));
            let keys = index.tag_keys(query.as_ref(), scope, &by.prefix, usize::MAX)?;
            Ok(keys.into_iter().filter(wanted).take(by.limit).collect())
        }
    };
    reader.run(asker, job).await?
}

/// Values of a tag, in order, each with the number of its series.
pub(crate) async fn values(
    reader: &Arc<Reader>,
    tag: String,
    by: Narrowing,
    asker: &Asker,
) -> Result<Vec<(String, usize)>, ReadFault> {
    let (query, filter) = (by.query()?, by.filter()?);
    // A filter needs all values, the prefix alone only as many as are wanted.
    let limit = if filter.is_some() { usize::MAX } else { by.limit };
    let job = {
        let (reader, asker) = (Arc::clone(reader), asker.clone());
        move || -> Result<Vec<(String, usize)>, ReadFault> {
            let wanted = |value: &(String, usize)| {
                filter.as_ref().is_none_or(|filter| filter.matches_value(&value.0))
            };
            let (index, scope) = (reader.engine.index(), Scope::from(&asker.within));
            let values = index.tag_values(&tag, query.as_ref(), scope, &by.prefix, limit)?;
            Ok(values.into_iter().filter(wanted).take(by.limit).collect())
        }
    };
    reader.run(asker, job).await?
}
