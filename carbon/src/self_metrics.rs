//! What go-carbon's dashboards expect of a node's own numbers beyond the table of metrics.

/// Adds the ratio that dashboards watch first.
pub(crate) fn add_points_per_update(series: &mut Vec<(String, f64)>) {
    let find = |ending: &str| series.iter().find(|(name, _)| name.ends_with(ending));
    let (points, updates) =
        (find(".persister.committedPoints"), find(".persister.updateOperations"));
    let ratio = points.zip(updates).map(|((name, points), (_, updates))| {
        let name = name.replace("committedPoints", "pointsPerUpdate");
        (name, if *updates > 0.0 { points / updates } else { 0.0 })
    });
    series.extend(ratio);
}

#[cfg(test)]
mod tests {
    use daemon::{Context, GraphiteReporter};

    use super::*;
    use crate::tables::METRICS;

    #[test]
    fn the_numbers_have_the_names_that_dashboards_know() {
        let context = Context::new("carbon", METRICS);
        context.metrics.counter("plumbago_carbon_points_written_total").add(30);
        context.metrics.counter("plumbago_carbon_updates_total").add(10);
        let prefix = ingest::self_metrics::prefix("agents", "db1.example");
        let mut series = GraphiteReporter::new(prefix).sample(&context.metrics);
        add_points_per_update(&mut series);
        for (name, value) in [
            ("persister.committedPoints", 30.0),
            ("persister.updateOperations", 10.0),
            ("persister.pointsPerUpdate", 3.0),
            ("cache.size", 0.0),
        ] {
            let wanted = (format!("carbon.agents.db1_example.{name}"), value);
            assert!(series.contains(&wanted), "{wanted:?} in {series:?}");
        }
    }
}
