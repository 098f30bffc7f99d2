//! The ini dialect of carbonate.conf, as Python's RawConfigParser reads it: keys without regard to
//! case, `=` or `:`, whole-line comments, and an indented line goes on with the value before it.

/// Values that mean yes and no.
const FLAGS: [(&str, bool); 9] = [
    ("true", true),
    ("yes", true),
    ("on", true),
    ("1", true),
    ("false", false),
    ("no", false),
    ("off", false),
    ("0", false),
    ("", false),
];

/// The section that lends its values to all others.
const DEFAULTS: &str = "DEFAULT";

/// What is wrong with a file, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub(super) struct ConfError {
    line: usize,
    fault: String,
}

/// A whole file: a section's name, a key in lower case and a value for each entry.
#[derive(Debug, Default)]
pub(super) struct Conf {
    sections: Vec<String>,
    entries: Vec<(String, String, String)>,
}

/// The entries of one section.
pub(super) struct Section<'a> {
    conf: &'a Conf,
    name: &'a str,
}

impl Conf {
    pub(super) fn parse(text: &str) -> Result<Self, ConfError> {
        let mut conf = Self::default();
        let mut continues = false;
        for (number, line) in (1..).zip(text.lines()) {
            let content = line.trim();
            if content.is_empty() || content.starts_with(['#', ';']) {
                continue;
            }
            let indented = line.starts_with(char::is_whitespace);
            if let Some(entry) = conf.entries.last_mut().filter(|_| indented && continues) {
                entry.2.push('\n');
                entry.2.push_str(content);
                continue;
            }
            let entry = conf.line(content);
            continues = entry.map_err(|fault| ConfError { line: number, fault })?;
        }
        Ok(conf)
    }

    /// Takes a section's head or an entry; tells whether the next line may go on with it.
    fn line(&mut self, content: &str) -> Result<bool, String> {
        let head = content.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        if let Some((name, _)) = head {
            if self.sections.iter().any(|section| section == name) {
                return Err(format!("section [{name}] stands twice"));
            }
            self.sections.push(name.to_owned());
            return Ok(false);
        }
        let section = self.sections.last().ok_or("a [section] is expected first")?;
        let (key, value) =
            content.split_once(['=', ':']).ok_or("a [section] or KEY = VALUE is expected")?;
        let entry = (section.clone(), key.trim().to_lowercase(), value.trim().to_owned());
        if self.entries.iter().any(|(section, key, _)| (section, key) == (&entry.0, &entry.1)) {
            return Err(format!("{} stands twice in [{section}]", entry.1));
        }
        self.entries.push(entry);
        Ok(true)
    }

    /// The section of a name.
    pub(super) fn section<'a>(&'a self, name: &'a str) -> Option<Section<'a>> {
        let known = name != DEFAULTS && self.sections.iter().any(|section| section == name);
        known.then_some(Section { conf: self, name })
    }
}

impl<'a> Section<'a> {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        let of = |name: &str| {
            let wanted = |entry: &&(String, String, String)| {
                entry.0 == name && entry.1.eq_ignore_ascii_case(key)
            };
            self.conf.entries.iter().find(wanted).map(|entry| entry.2.as_str())
        };
        of(self.name).or_else(|| of(DEFAULTS))
    }

    /// The value of a key that is yes or no.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let known = FLAGS.iter().find(|(word, _)| value.eq_ignore_ascii_case(word));
        known.map(|(_, flag)| *flag).ok_or_else(|| format!("{key} {value:?} is not true or false"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_keys_and_continued_values() {
        let text = "# head\n[DEFAULT]\nssh_user: carbon\n[a]\nDESTINATIONS = h:1,\n  ; no\n  g:1\nX=\n[b]\n";
        let conf = Conf::parse(text).unwrap();
        let (a, b) = (conf.section("a").unwrap(), conf.section("b").unwrap());
        assert_eq!(a.get("destinations"), Some("h:1,\ng:1"));
        assert_eq!((a.get("SSH_USER"), b.get("destinations")), (Some("carbon"), None));
        assert_eq!((a.flag("X", true), b.flag("X", true)), (Ok(false), Ok(true)));
        assert!(conf.section("c").is_none() && conf.section("DEFAULT").is_none());
    }

    #[test]
    fn faults_name_their_line() {
        let fault = |text| Conf::parse(text).unwrap_err().to_string();
        assert_eq!(fault("a = 1"), "line 1: a [section] is expected first");
        assert_eq!(fault("[a]\n\nx"), "line 3: a [section] or KEY = VALUE is expected");
        assert_eq!(fault("[a]\nx=1\nX=2"), "line 3: x stands twice in [a]");
        assert_eq!(fault("[a]\n[a]"), "line 2: section [a] stands twice");
    }
}
