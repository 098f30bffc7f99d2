//! Matchers of single nodes, and of a path of them.

/// What one node of a name must look like.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeMatcher {
    /// This text and no other.
    Exact(String),
    /// One of these texts, sorted: braces without wildcards.
    OneOf(Vec<String>),
    /// Anything that one of these patterns fits.
    Pattern(Vec<Pattern>),
    /// `**`: any number of nodes, none included.
    Globstar,
}

impl NodeMatcher {
    /// Compiles the expanded texts of one node, which are sorted and not empty.
    pub(super) fn compile(texts: Vec<String>) -> Self {
        if texts.iter().any(|text| text == "**") {
            return Self::Globstar;
        }
        let patterns: Vec<Pattern> = texts.iter().map(|text| Pattern::compile(text)).collect();
        let literals: Option<Vec<String>> =
            patterns.iter().map(|pattern| pattern.literal().map(str::to_owned)).collect();
        match literals {
            Some(mut literals) => {
                literals.sort_unstable();
                literals.dedup();
                if literals.len() == 1 {
                    Self::Exact(literals.swap_remove(0))
                } else {
                    Self::OneOf(literals)
                }
            }
            None => Self::Pattern(patterns),
        }
    }

    /// The only text that matches, if there is only one.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        match self {
            Self::Exact(text) => Some(text),
            _ => None,
        }
    }

    /// All texts that match, sorted, if they can be listed: a walker looks them up one by one.
    #[must_use]
    pub fn literals(&self) -> Option<&[String]> {
        match self {
            Self::Exact(text) => Some(std::slice::from_ref(text)),
            Self::OneOf(texts) => Some(texts),
            Self::Pattern(_) | Self::Globstar => None,
        }
    }

    /// What every matching text begins with; often empty.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match self {
            Self::Exact(text) => text,
            Self::OneOf(texts) => common_prefix(texts.iter().map(String::as_str)),
            Self::Pattern(patterns) => common_prefix(patterns.iter().map(|p| p.prefix.as_str())),
            Self::Globstar => "",
        }
    }

    /// Whether this is `**`, which spans nodes.
    #[must_use]
    pub const fn is_globstar(&self) -> bool {
        matches!(self, Self::Globstar)
    }

    /// Whether one node of a name matches. Names have no empty nodes, so nothing matches one.
    #[must_use]
    pub fn matches(&self, node: &str) -> bool {
        !node.is_empty()
            && match self {
                Self::Exact(text) => text == node,
                Self::OneOf(texts) => {
                    texts.binary_search_by(|text| text.as_str().cmp(node)).is_ok()
                }
                Self::Pattern(patterns) => patterns.iter().any(|pattern| pattern.matches(node)),
                Self::Globstar => true,
            }
    }
}

fn common_prefix<'a>(mut texts: impl Iterator<Item = &'a str>) -> &'a str {
    let first = texts.next().unwrap_or_default();
    texts.fold(first, |prefix, text| {
        let differs = |pair: &((usize, char), char)| pair.0.1 != pair.1;
        let common = prefix.char_indices().zip(text.chars()).find(differs);
        &prefix[..common.map_or(prefix.len().min(text.len()), |pair| pair.0.0)]
    })
}

/// A `**` beside a `**` adds nothing; at the end of a path it means at least one node.
pub(super) fn tidy_globstars(nodes: &mut Vec<NodeMatcher>) {
    nodes.dedup_by(|later, kept| later.is_globstar() && kept.is_globstar());
    if nodes.last().is_some_and(NodeMatcher::is_globstar) {
        nodes.push(NodeMatcher::compile(vec!["*".to_owned()]));
    }
}

/// Whether all nodes of the name fit the matchers. On a mismatch only the latest `**` takes one node
/// more, so the work is bounded by matchers times nodes.
pub(super) fn path_matches(matchers: &[NodeMatcher], name: &str) -> bool {
    let mut rest = name.split('.');
    let mut at = 0;
    let mut retry = None;
    loop {
        if matchers.get(at).is_some_and(NodeMatcher::is_globstar) {
            at += 1;
            retry = Some((at, rest.clone()));
            continue;
        }
        match (rest.next(), matchers.get(at)) {
            (None, None) => return true,
            (None, Some(_)) => return false,
            (Some(node), Some(matcher)) if matcher.matches(node) => at += 1,
            (Some(_), _) => {
                let Some((after, from)) = &mut retry else { return false };
                if from.next().is_none() {
                    return false;
                }
                at = *after;
                rest = from.clone();
            }
        }
    }
}

/// One compiled pattern of one node, without braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Ordinary characters before the first wildcard.
    prefix: String,
    /// From the first wildcard to the last; empty when the pattern is a plain text.
    middle: Vec<Token>,
    /// Ordinary characters after the last wildcard.
    suffix: String,
    /// How many characters the middle needs at least.
    middle_chars_min: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    Any,
    Star,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Token {
    /// Whether the token, which is no star, takes this character.
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Char(own) => *own == c,
            Self::Any => true,
            Self::Star => false,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|&(low, high)| low <= c && c <= high) != *negated
            }
        }
    }
}

impl Pattern {
    fn compile(text: &str) -> Self {
        let mut middle = tokens(text);
        let is_char = |token: &Token| matches!(token, Token::Char(_));
        let plain = |tokens: Vec<Token>| -> String {
            let char = |token| if let Token::Char(c) = token { Some(c) } else { None };
            tokens.into_iter().filter_map(char).collect()
        };
        let last = middle.iter().rposition(|token| !is_char(token)).map_or(0, |index| index + 1);
        let first = middle.iter().take(last).take_while(|token| is_char(token)).count();
        let suffix = plain(middle.split_off(last));
        let prefix = plain(middle.drain(..first).collect());
        let middle_chars_min = middle.iter().filter(|token| **token != Token::Star).count();
        if middle.is_empty() {
            return Self { prefix: suffix, middle, suffix: String::new(), middle_chars_min };
        }
        Self { prefix, middle, suffix, middle_chars_min }
    }

    /// The text, if the pattern has no wildcard.
    fn literal(&self) -> Option<&str> {
        self.middle.is_empty().then_some(&self.prefix)
    }

    fn matches(&self, node: &str) -> bool {
        let inner = without(node, &self.prefix, |node, prefix| node.strip_prefix(prefix));
        let inner = inner
            .and_then(|rest| without(rest, &self.suffix, |rest, suffix| rest.strip_suffix(suffix)));
        inner.is_some_and(|inner| {
            self.middle_chars_min <= inner.len() && middle_matches(&self.middle, inner)
        })
    }
}

/// The text without an end of it. An empty end is not even looked for: comparing no bytes with a string that has no memory
/// costs some processors as much as all the rest of a match.
fn without<'a>(
    text: &'a str,
    end: &str,
    strip: impl FnOnce(&'a str, &str) -> Option<&'a str>,
) -> Option<&'a str> {
    if end.is_empty() { Some(text) } else { strip(text, end) }
}

/// As [`path_matches`], for characters and `*`.
fn middle_matches(tokens: &[Token], text: &str) -> bool {
    let mut rest = text.chars();
    let mut at = 0;
    let mut retry = None;
    loop {
        if tokens.get(at) == Some(&Token::Star) {
            at += 1;
            if at == tokens.len() {
                return true;
            }
            retry = Some((at, rest.clone()));
            continue;
        }
        match (rest.next(), tokens.get(at)) {
            (None, None) => return true,
            (None, Some(_)) => return false,
            (Some(c), Some(token)) if token.takes(c) => at += 1,
            (Some(_), _) => {
                let Some((after, from)) = &mut retry else { return false };
                if from.next().is_none() {
                    return false;
                }
                at = *after;
                rest = from.clone();
            }
        }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.chars();
    // Once no `]` was found, none follows: many `[` must not be searched for it over and over.
    let mut may_close = true;
    while let Some(c) = rest.next() {
        let token = match c {
            '*' if tokens.last() == Some(&Token::Star) => continue,
            '*' => Token::Star,
            '?' => Token::Any,
            '[' if may_close => match class(rest.as_str()) {
                Some((token, after)) => {
                    rest = after.chars();
                    token
                }
                None => {
                    may_close = false;
                    Token::Char(c)
                }
            },
            '\\' => match rest.next() {
                Some(escaped) => Token::Char(escaped),
                None => continue,
            },
            _ => Token::Char(c),
        };
        tokens.push(token);
    }
    tokens
}

/// The class that begins after a `[`, and what follows its `]`; `None` when it is never closed.
/// A `]` in the first place is a member, and a range whose ends are reversed is empty, as in fnmatch.
fn class(text: &str) -> Option<(Token, &str)> {
    let negated = text.starts_with('!');
    let body = &text[usize::from(negated)..];
    let search_from = usize::from(body.starts_with(']'));
    let end = search_from + body[search_from..].find(']')?;
    let members: Vec<char> = body[..end].chars().collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(&low) = members.get(at) {
        let high = members.get(at + 2).filter(|_| members[at + 1] == '-');
        ranges.push((low, *high.unwrap_or(&low)));
        at += if high.is_some() { 3 } else { 1 };
    }
    Some((Token::Class { negated, ranges }, &body[end + 1..]))
}
