//! Who may read: the file of readers, and the reader of a request.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use metric::Within;
use serde::Deserialize;

/// One `[[reader]]` of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    token: Option<String>,
    password: Option<String>,
    within: Option<Vec<String>>,
    #[serde(default)]
    deletes: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    reader: Vec<Entry>,
}

/// Somebody who may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reader {
    pub(crate) name: Arc<str>,
    token: Option<String>,
    password: Option<String>,
    pub(crate) within: Within,
    pub(crate) may_delete: bool,
}

/// Everybody who may read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readers(Vec<Reader>);

/// By what a request names its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credentials<'a> {
    /// `Authorization: Bearer TOKEN`.
    Token(&'a str),
    /// `Authorization: Basic …`.
    Password { name: &'a str, password: &'a str },
    /// The word of a trusted proxy.
    Name(&'a str),
}

impl Readers {
    /// Reads the file; what is wrong with it in one line.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
        Self::parse(&text).map_err(|problem| format!("{shown}{problem}"))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            format!(":{}: {}", before.matches('\n').count() + 1, error.message())
        })?;
        let mut readers: Vec<Reader> = Vec::with_capacity(file.reader.len());
        for entry in file.reader {
            let name = &entry.name;
            if name.is_empty() || name.contains(':') {
                return Err(format!(": reader `{name}`: a name is not empty and has no colon"));
            }
            if readers.iter().any(|other| *other.name == **name) {
                return Err(format!(": there are two readers `{name}`"));
            }
            let is_empty = |secret: &Option<String>| secret.as_deref() == Some("");
            if is_empty(&entry.token) || is_empty(&entry.password) {
                return Err(format!(": reader `{name}`: an empty token or password"));
            }
            if entry.token.is_some() && readers.iter().any(|other| other.token == entry.token) {
                return Err(format!(": reader `{name}` has another reader's token"));
            }
            readers.push(Reader {
                name: entry.name.into(),
                token: entry.token,
                password: entry.password,
                within: entry.within.map_or(Within::ALL, Within::prefixes),
                may_delete: entry.deletes,
            });
        }
        Ok(Self(readers))
    }

    /// Whose credentials these are.
    pub(crate) fn find(&self, credentials: Credentials<'_>) -> Option<&Reader> {
        let fits = |secret: &Option<String>, given: &str| {
            secret.as_ref().is_some_and(|secret| is_same(secret, given))
        };
        self.0.iter().find(|reader| match credentials {
            Credentials::Token(token) => fits(&reader.token, token),
            Credentials::Password { name, password } => {
                *reader.name == *name && fits(&reader.password, password)
            }
            Credentials::Name(name) => *reader.name == *name,
        })
    }
}

/// Compares secrets in a time that does not tell how much of them agrees.
fn is_same(secret: &str, given: &str) -> bool {
    let differing =
        secret.bytes().zip(given.bytes()).fold(0, |all, (a, b)| black_box(all | (a ^ b)));
    secret.len() == given.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_known_by_token_or_by_name_and_password() {
        let readers = Readers::parse(
            "[[reader]]\nname = 'g'\ntoken = 't1'\n[[reader]]\nname = 'a'\npassword = 'p'\nwithin = ['a.']\n",
        );
        let readers = readers.unwrap();
        let find = |credentials| readers.find(credentials).map(|reader| &*reader.name);
        assert_eq!(find(Credentials::Token("t1")), Some("g"));
        assert_eq!(find(Credentials::Token("t2")), None);
        assert_eq!(find(Credentials::Token("t")), None);
        assert_eq!(find(Credentials::Password { name: "a", password: "p" }), Some("a"));
        assert_eq!(find(Credentials::Password { name: "a", password: "" }), None);
        assert_eq!(find(Credentials::Password { name: "g", password: "t1" }), None);
        assert_eq!(find(Credentials::Name("a")), Some("a"));
        assert!(!readers.0[1].within.holds("b.x") && readers.0[0].within.is_all());
    }

    #[test]
    fn a_bad_file_says_where() {
        for (text, problem) in [
            ("[[reader]]\nname = 1\n", ":2: invalid type"),
            ("[[reader]]\nname = 'a'\nprefix = 'x'\n", ":3: unknown field `prefix`"),
            ("[[reader]]\nname = 'a:b'\n", "no colon"),
            ("[[reader]]\nname = 'a'\n[[reader]]\nname = 'a'\n", "two readers `a`"),
            ("[[reader]]\nname = 'a'\ntoken = ''\n", "empty token"),
            (
                "[[reader]]\nname='a'\ntoken='t'\n[[reader]]\nname='b'\ntoken='t'\n",
                "another reader's",
            ),
        ] {
            let found = Readers::parse(text).unwrap_err();
            assert!(found.contains(problem), "{text}: {found}");
        }
    }
}
