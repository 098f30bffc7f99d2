//! Patterns of names: `servers.web*.{cpu,mem}.[a-c]?.**`, matched as graphite-web matches them.
//!
//! A pattern is taken apart at its dots; every node is compiled once into a matcher that needs time
//! linear in pattern times component, so no pattern can hang a server. `*`, `?`, `[a-c]`, `[!a]` stay
//! within one node; `**` alone in a node spans any number of them, at the end at least one. Braces
//! hold alternatives, may nest and may contain dots. An unclosed `[` or `{` is an ordinary character.
//! A backslash takes the meaning from the character after it.

mod braces;
mod node;

pub use node::{NodeMatcher, Pattern};

/// Most alternatives that the braces of one pattern may multiply to, unless the caller says otherwise.
pub const EXPANSIONS_MAX: usize = 10_000;

/// Longest pattern in bytes.
pub const PATTERN_BYTES_MAX: usize = 64 * 1024;

/// Most nodes of a pattern.
pub const NODES_MAX: usize = 256;

/// Most bytes that the expanded braces of a pattern may take.
const EXPANDED_BYTES_MAX: usize = 4 << 20;

/// Without any of these a pattern is a name.
const SPECIAL: [char; 6] = ['*', '?', '[', '{', '}', '\\'];

/// Deepest nesting of braces.
const BRACES_DEPTH_MAX: usize = 16;

/// Why a pattern was refused, and where; positions are byte offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GlobError {
    /// The braces multiply to more alternatives than allowed.
    #[error("too many expansions at column {position}, at most {limit} are allowed")]
    TooManyExpansions {
        /// Where the brace stands that went over the limit.
        position: usize,
        /// The limit.
        limit: usize,
    },
    /// Braces within braces, too deep.
    #[error("braces nested deeper than {BRACES_DEPTH_MAX} at column {position}")]
    TooDeep {
        /// Where the brace stands that is too deep.
        position: usize,
    },
    /// More nodes than [`NODES_MAX`].
    #[error("pattern has more than {NODES_MAX} nodes at column {position}")]
    TooManyNodes {
        /// Where the first node over the limit begins.
        position: usize,
    },
    /// Longer than [`PATTERN_BYTES_MAX`].
    #[error("pattern is longer than {PATTERN_BYTES_MAX} bytes")]
    TooLong,
}

impl GlobError {
    /// Where in the pattern the fault lies, as a byte offset.
    #[must_use]
    pub const fn position(self) -> usize {
        match self {
            Self::TooManyExpansions { position, .. }
            | Self::TooDeep { position }
            | Self::TooManyNodes { position } => position,
            Self::TooLong => PATTERN_BYTES_MAX,
        }
    }
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Glob {
    pattern: String,
    alternatives: Vec<Vec<NodeMatcher>>,
    exact: Option<String>,
}

impl Glob {
    /// Compiles a pattern with the default limit on brace expansion.
    ///
    /// # Errors
    /// A pattern over one of the limits; nothing else is a fault.
    pub fn compile(pattern: &str) -> Result<Self, GlobError> {
        Self::compile_with(pattern, EXPANSIONS_MAX)
    }

    /// Compiles a pattern whose braces may multiply to `expansions_max` alternatives.
    ///
    /// # Errors
    /// As [`Glob::compile`].
    pub fn compile_with(pattern: &str, expansions_max: usize) -> Result<Self, GlobError> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(GlobError::TooLong);
        }
        let alternatives = if crate::tags::is_tagged(pattern) {
            // Tag values may hold any character, and tagged series are searched by tag expressions.
            vec![vec![NodeMatcher::Exact(pattern.to_owned())]]
        } else if pattern.contains(SPECIAL) {
            alternatives(pattern, expansions_max)?
        } else {
            vec![exact_nodes(pattern)?]
        };
        let exact = match alternatives.as_slice() {
            [nodes] => exact_name(nodes),
            _ => None,
        };
        Ok(Self { pattern: pattern.to_owned(), alternatives, exact })
    }

    /// The pattern as given.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The matchers of the nodes, root first, when the pattern is one path of nodes, as every pattern
    /// is whose braces hold no dots. Otherwise the first of its [`Glob::alternatives`].
    #[must_use]
    pub fn nodes(&self) -> &[NodeMatcher] {
        &self.alternatives[0]
    }

    /// All paths of nodes that the pattern stands for: one, and more only where braces hold dots
    /// (`a.{b.c,d}`). A name may match several of them; a walker over them drops doubles.
    #[must_use]
    pub fn alternatives(&self) -> &[Vec<NodeMatcher>] {
        &self.alternatives
    }

    /// The only name that can match, if there is only one.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        self.exact.as_deref()
    }

    /// Whether only one name can match.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.exact.is_some()
    }

    /// Whether the name matches. A tagged name matches only itself.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.exact {
            Some(exact) => exact == name,
            None if crate::tags::is_tagged(name) => false,
            None => self.alternatives.iter().any(|nodes| node::path_matches(nodes, name)),
        }
    }
}

/// Most of what is asked for are names as they are.
fn exact_nodes(name: &str) -> Result<Vec<NodeMatcher>, GlobError> {
    if let Some((position, _dot)) = name.match_indices('.').nth(NODES_MAX - 1) {
        return Err(GlobError::TooManyNodes { position: position + 1 });
    }
    Ok(name.split('.').map(|node| NodeMatcher::Exact(node.to_owned())).collect())
}

fn exact_name(nodes: &[NodeMatcher]) -> Option<String> {
    nodes.iter().map(NodeMatcher::exact).collect::<Option<Vec<_>>>().map(|nodes| nodes.join("."))
}

/// Compiles every node, and multiplies the paths out where braces hold dots.
fn alternatives(pattern: &str, limit: usize) -> Result<Vec<Vec<NodeMatcher>>, GlobError> {
    let segments = braces::segments(pattern);
    if let Some(first_over) = segments.get(NODES_MAX) {
        return Err(GlobError::TooManyNodes { position: first_over.start });
    }
    let expander = braces::Expander::new(pattern, limit);
    let mut paths = vec![Vec::new()];
    let (mut product, mut bytes) = (1_usize, 0_usize);
    for segment in segments {
        let texts = expander.expand(segment.clone())?;
        let dotted = texts.iter().any(|text| braces::split_dots(text).count() > 1);
        product = product.saturating_mul(texts.len());
        bytes = bytes.saturating_mul(if dotted { texts.len() } else { 1 });
        bytes = bytes.saturating_add(bytes_taken(&texts).saturating_mul(paths.len()));
        if product > limit.max(1) || bytes > EXPANDED_BYTES_MAX {
            return Err(GlobError::TooManyExpansions { position: segment.start, limit });
        }
        if dotted {
            paths = multiply(&paths, &texts);
        } else {
            let matcher = NodeMatcher::compile(texts);
            paths.iter_mut().for_each(|path| path.push(matcher.clone()));
        }
    }
    paths.iter_mut().for_each(node::tidy_globstars);
    Ok(paths)
}

/// Roughly what the matchers of these texts take in memory.
fn bytes_taken(texts: &[String]) -> usize {
    let nodes = texts.iter().map(|text| braces::split_dots(text).count()).sum::<usize>();
    texts.iter().map(String::len).sum::<usize>() + nodes * size_of::<NodeMatcher>()
}

fn multiply(paths: &[Vec<NodeMatcher>], texts: &[String]) -> Vec<Vec<NodeMatcher>> {
    let tails: Vec<Vec<NodeMatcher>> = texts
        .iter()
        .map(|text| {
            braces::split_dots(text)
                .map(|node| NodeMatcher::compile(vec![node.to_owned()]))
                .collect()
        })
        .collect();
    let extend = |path: &Vec<NodeMatcher>| -> Vec<Vec<NodeMatcher>> {
        tails.iter().map(|tail| path.iter().chain(tail).cloned().collect()).collect()
    };
    paths.iter().flat_map(extend).collect()
}

#[cfg(test)]
mod tests;
