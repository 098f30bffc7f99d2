//! Which protocol to speak with whom, and what the poorer ones leave for us to add.

use metric::{Glob, SeriesData};
use wire::pb_v3::CapabilityResponse;
use wire::reply::{FindReply, Format};

use crate::request::{FetchRequest, Target};

/// One row per name in a list of capabilities, best first.
const PROTOCOLS: [(&str, Format); 6] = [
    ("carbonapi_v3_pb", Format::V3),
    ("carbonapi_v2_pb", Format::V2),
    ("msgpack", Format::Msgpack),
    ("graphite-web-pickle-1.1", Format::Pickle),
    ("graphite-web-pickle", Format::Pickle),
    ("carbonapi_v2_json", Format::Json),
];

/// The best protocol that both sides have.
pub(crate) fn best(capabilities: &CapabilityResponse) -> Option<Format> {
    let has = |name: &str| capabilities.supported_protocols.iter().any(|known| known == name);
    PROTOCOLS.iter().find(|(name, _)| has(name)).map(|(_, format)| *format)
}

/// What a server means that does not know the question (graphite-web) or answers it with nothing
/// (old go-carbon, asked for the old protocol).
pub(crate) fn assumed(protocol: &str) -> CapabilityResponse {
    CapabilityResponse { supported_protocols: vec![protocol.to_owned()], ..Default::default() }
}

/// Gives each series the path expression of the target that found it, where the protocol does not
/// say; a series that several targets found stands there for each of them.
pub(crate) fn with_expressions(
    request: &FetchRequest,
    mut series: Vec<SeriesData>,
) -> Vec<SeriesData> {
    series.sort_by(|a, b| a.name.cmp(&b.name));
    series.dedup_by(|a, b| a.name == b.name);
    let compiled = |target: &Target| Glob::compile(&target.pattern).ok();
    let globs: Vec<Option<Glob>> = request.targets.iter().map(compiled).collect();
    let mut out = Vec::with_capacity(series.len());
    for one in series {
        let found_by = |(target, glob): (_, &Option<Glob>)| {
            let matches = glob.as_ref().is_some_and(|glob| glob.matches(&one.name));
            matches.then_some(target)
        };
        let expressions: Vec<&Target> =
            request.targets.iter().zip(&globs).filter_map(found_by).collect();
        let named = |target: &&Target| SeriesData {
            path_expression: target.path_expression.clone(),
            ..one.clone()
        };
        out.extend(expressions.iter().map(named));
        if expressions.is_empty() {
            out.push(one);
        }
    }
    out
}

/// One reply per pattern, in the order asked. Peers answer in any order, and one echoes patterns
/// with slashes; a single pattern needs no echo.
pub(crate) fn by_pattern(patterns: &[String], replies: Vec<FindReply>) -> Vec<FindReply> {
    let empty = |query: &String| FindReply { query: query.clone(), matches: Vec::new() };
    let mut out: Vec<FindReply> = patterns.iter().map(empty).collect();
    for reply in replies {
        let dotted = reply.query.replace('/', ".");
        let echoed = |pattern: &String| *pattern == reply.query || *pattern == dotted;
        let at = match patterns {
            [_] => Some(0),
            _ => patterns.iter().position(echoed),
        };
        if let Some(at) = at {
            out[at].matches.extend(reply.matches);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::FetchPlan;
    use metric::Window;

    #[test]
    fn the_richest_common_protocol_is_spoken_whatever_the_order() {
        let list = |names: &[&str]| CapabilityResponse {
            supported_protocols: names.iter().map(|&name| name.to_owned()).collect(),
            ..Default::default()
        };
        assert_eq!(best(&list(&["carbonapi_v2_json", "carbonapi_v3_pb"])), Some(Format::V3));
        assert_eq!(best(&list(&["graphite-web-pickle", "x"])), Some(Format::Pickle));
        assert_eq!(best(&list(&["x"])), None);
    }

    #[test]
    fn series_without_expressions_go_to_every_target_that_matches() {
        let target = |pattern: &str| Target::new(pattern);
        let request = FetchRequest {
            targets: vec![target("a.*"), target("a.b")],
            window: Window::new(0, 60),
            plan: FetchPlan::default(),
        };
        let series = |name: &str| SeriesData::new(name, 60, 60, vec![1.0]);
        let got = with_expressions(&request, vec![series("a.c"), series("a.b"), series("a.b")]);
        let got: Vec<_> =
            got.iter().map(|s| (s.name.as_str(), s.path_expression.as_str())).collect();
        assert_eq!(got, [("a.b", "a.*"), ("a.b", "a.b"), ("a.c", "a.*")]);
    }

    #[test]
    fn replies_are_sorted_by_pattern_also_with_slashes() {
        let reply = |query: &str| FindReply {
            query: query.to_owned(),
            matches: vec![wire::reply::FindMatch {
                path: query.to_owned(),
                is_leaf: true,
                intervals: Vec::new(),
            }],
        };
        let patterns = ["a.*".to_owned(), "b.*".to_owned(), "c".to_owned()];
        let got = by_pattern(&patterns, vec![reply("b/*"), reply("a.*")]);
        let counts: Vec<_> = got.iter().map(|r| (r.query.as_str(), r.matches.len())).collect();
        assert_eq!(counts, [("a.*", 1), ("b.*", 1), ("c", 0)]);
        assert_eq!(by_pattern(&patterns[..1], vec![reply("")])[0].matches.len(), 1);
    }
}
