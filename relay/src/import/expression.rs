//! Other programs' expressions and templates in our forms.

use regex::Regex;

/// How many groups an expression has, or why it cannot be used here.
pub(super) fn groups(expression: &str) -> Result<usize, String> {
    Regex::new(expression).map(|regex| regex.captures_len() - 1).map_err(|error| {
        let text = error.to_string();
        text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
}

/// A template of carbon-c-relay for an expression with `groups` groups. Backslashes may be doubled
/// there; references to groups that are not there come out empty.
pub(super) fn of_c_relay(template: &str, groups: usize) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = rest[at..].trim_start_matches('\\');
        let length = reference_length(escape);
        let digits: String = escape[..length].chars().filter(char::is_ascii_digit).collect();
        let index: usize = digits.parse().unwrap_or_default();
        if (1..=groups).contains(&index) {
            out.push('\\');
            out.push_str(&escape[..length]);
        }
        rest = &escape[length..];
    }
    out + rest
}

/// How long a reference is that begins after its backslash: `_1`, `^.12`, `g{1}`; 0 for none.
fn reference_length(text: &str) -> usize {
    let braced = text.starts_with("g{");
    let start = if braced { 2 } else { 0 };
    let marks = text[start..].bytes().take_while(|byte| b"_^.".contains(byte)).count();
    let digits = text[start + marks..].bytes().take_while(u8::is_ascii_digit).count();
    let end = start + marks + digits;
    match (digits, braced) {
        (0, _) => 0,
        (_, false) => end,
        (_, true) if text[end..].starts_with('}') => end + 1,
        (_, true) => 0,
    }
}

/// A template of Go, with `$1` and `${1}`, or of Python, with `\1` and `\g<1>`.
pub(super) fn of_go_or_python(template: &str) -> String {
    let braced = Regex::new(r"\$\{(\d+)\}|\\g<(\d+)>").expect("a sound expression");
    let plain = Regex::new(r"\$(\d+)").expect("a sound expression");
    let template = braced.replace_all(template, r"\g{$1$2}");
    plain.replace_all(&template, r"\g{$1}").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_of_others_become_ours() {
        let cases = [
            (r"a.\1.b\_2", r"a.\1.b\_2"),
            (r"a.\\1.c", r"a.\1.c"),
            (r"\1\3x", r"\1x"),
            (r"\g{1}50\g{^2}", r"\g{1}50\g{^2}"),
            (r"\^.2-\x", r"\^.2-x"),
            (r"\0.x", ".x"),
        ];
        for (theirs, ours) in cases {
            assert_eq!(of_c_relay(theirs, 2), ours, "{theirs}");
        }
        assert_eq!(of_go_or_python("a.$1.${2}3"), r"a.\g{1}.\g{2}3");
        assert_eq!(of_go_or_python(r"\1.\g<2>"), r"\1.\g{2}");
    }

    #[test]
    fn an_expression_tells_its_groups_or_what_is_wrong() {
        assert_eq!(groups(r"(a)(b)"), Ok(2));
        assert_eq!(groups("("), Err("unclosed group".to_owned()));
        assert!(groups(r"(?<!a)b").unwrap_err().contains("look-around"));
    }
}
