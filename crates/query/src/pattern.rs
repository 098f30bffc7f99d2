//! Python's regular expressions and `%` formats, as far as series names use them.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

/// Compiled size that a regular expression from a target may have, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A regular expression from a target.
pub fn regex(text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build();
    built.map_err(|e| {
        // The library draws the place over several lines; an error here is one line.
        let message = e.to_string();
        let last = message.lines().last().unwrap_or_default().trim();
        format!("is not a valid regular expression: {}", last.trim_start_matches("error: "))
    })
}

/// What replaces a match: text with `\1`, `\g<1>` and `\g<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// In the syntax of the regex crate.
    template: String,
}

impl Replacement {
    /// Reads Python's syntax; fails on a group that the expression does not have.
    pub fn new(text: &str, search: &Regex) -> Result<Self, String> {
        let mut template = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '$' => template.push_str("$$"),
                '\\' => rest = escape(rest, search, &mut template)?,
                _ => template.push(c),
            }
        }
        Ok(Self { template })
    }

    /// Replaces every match.
    pub fn replace_all<'t>(&self, search: &Regex, text: &'t str) -> Cow<'t, str> {
        search.replace_all(text, self.template.as_str())
    }
}

/// What follows a backslash; answers what is left after it.
fn escape<'t>(text: &'t str, search: &Regex, template: &mut String) -> Result<&'t str, String> {
    let group = |name: &str, rest: &'t str, template: &mut String| {
        let known = match name.parse::<usize>() {
            Ok(number) => number < search.captures_len(),
            Err(_) => search.capture_names().flatten().any(|n| n == name),
        };
        if !known {
            return Err(format!("refers to a group {name:?} that the search does not have"));
        }
        template.push_str("${");
        template.push_str(name);
        template.push('}');
        Ok(rest)
    };
    if let Some((name, rest)) = text.strip_prefix("g<").and_then(|t| t.split_once('>')) {
        return group(name, rest, template);
    }
    let digits = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    if digits > 0 {
        return group(&text[..digits], &text[digits..], template);
    }
    let Some(c) = text.chars().next() else {
        return Err("ends in a backslash".to_owned());
    };
    match c {
        'n' => template.push('\n'),
        't' => template.push('\t'),
        'r' => template.push('\r'),
        '\\' => template.push('\\'),
        c if c.is_ascii_alphabetic() => return Err(format!("has an unknown escape \\{c}")),
        '$' => template.push_str("\\$$"),
        c => template.extend(['\\', c]),
    }
    Ok(&text[c.len_utf8()..])
}

/// Python's `format % value` for one number: `%d`, `%i`, `%s`, `%f`, `%g`, `%e`, with width and
/// precision. `None` unless the format takes exactly one.
pub fn printf(format: &str, value: f64) -> Option<String> {
    let mut text = String::new();
    let mut taken = 0;
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            text.push('%');
            rest = after;
            continue;
        }
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        text.push_str(&conversion(&rest[..end], &rest[end..=end], value)?);
        taken += 1;
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
    (taken == 1).then_some(text)
}

fn conversion(spec: &str, kind: &str, value: f64) -> Option<String> {
    let flags: String = spec.chars().take_while(|c| "-+ 0#".contains(*c)).collect();
    let (width, precision) = match spec[flags.len()..].split_once('.') {
        Some((width, precision)) => (width, Some(precision)),
        None => (&spec[flags.len()..], None),
    };
    let width: usize = if width.is_empty() { 0 } else { width.parse().ok()? };
    let precision = match precision {
        None => None,
        Some("") => Some(0),
        Some(digits) => Some(digits.parse::<usize>().ok()?),
    };
    // Wider than any name should be; a target must not make the server pad for megabytes.
    if width > 1000 || precision > Some(400) {
        return None;
    }
    let body = match kind {
        "d" | "i" | "u" if value.is_finite() => format!("{:.0}", value.trunc()),
        "f" | "F" => format!("{value:.*}", precision.unwrap_or(6)),
        "g" | "G" => crate::number::format_g(value),
        "e" | "E" => crate::number::format_e(value, precision.unwrap_or(6)),
        "s" | "r" => {
            let mut text = crate::number::python_repr(value);
            text.truncate(precision.unwrap_or(text.len()));
            text
        }
        _ => return None,
    };
    let signed = if flags.contains('+') && value >= 0.0 { format!("+{body}") } else { body };
    Some(pad(&signed, width, &flags, kind))
}

fn pad(text: &str, width: usize, flags: &str, kind: &str) -> String {
    if flags.contains('-') {
        return format!("{text:<width$}");
    }
    if !flags.contains('0') || matches!(kind, "s" | "r") {
        return format!("{text:>width$}");
    }
    let digits = text.trim_start_matches(['+', '-']);
    let sign = &text[..text.len() - digits.len()];
    format!("{sign}{digits:0>w$}", w = width.saturating_sub(sign.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sub(search: &str, replace: &str, text: &str) -> Result<String, String> {
        let search = regex(search)?;
        Ok(Replacement::new(replace, &search)?.replace_all(&search, text).into_owned())
    }

    #[test]
    fn replacements_are_python_s() {
        assert_eq!(sub(r"^.*TCP(\d+)", r"\1", "ip-TCP80"), Ok("80".to_owned()));
        assert_eq!(sub("(a)(b)", r"\g<2>$1\1", "ab"), Ok("b$1a".to_owned()));
        assert_eq!(sub("(?P<x>a)", r"<\g<x>>", "a"), Ok("<a>".to_owned()));
        assert!(sub("a", r"\1", "a").is_err());
        assert!(sub("(", "", "a").is_err());
        assert!(sub("a", r"\q", "a").is_err());
    }

    #[test]
    fn formats_are_python_s() {
        for (format, value, text) in [
            ("Channel %d MHz", 42.7, "Channel 42 MHz"),
            ("%05.1f%%", 2.25, "002.2%"),
            ("%s", 3.0, "3.0"),
            ("%-6g|", 1.5, "1.5   |"),
            ("%+d", 3.0, "+3"),
            ("%.2e", 12345.0, "1.23e+04"),
        ] {
            assert_eq!(printf(format, value).as_deref(), Some(text), "{format}");
        }
        for format in ["no number", "%d %d", "%", "%z", "%99999d"] {
            assert_eq!(printf(format, 1.0), None, "{format}");
        }
    }
}
