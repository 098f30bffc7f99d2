//! The parameters of a request: query string and form body as one list.
//!
//! As Django has it: where a key counts once the last one wins, and the body comes after the query
//! string; where it repeats, all count in order.

use jiff::tz::TimeZone;
use metric::Window;
use query::time_expr::parse_time;

use crate::errors::Refusal;

/// Where no `from` is given.
const FROM_DEFAULT: &str = "-1d";

/// Keys and values in the order sent, decoded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Reads a query string and a form body.
    pub(crate) fn parse(query: &str, body: &[u8]) -> Self {
        let texts = [query.as_bytes(), body];
        let pairs = texts.iter().flat_map(|text| text.split(|byte| *byte == b'&'));
        let pair = |text: &[u8]| {
            let at = text.iter().position(|byte| *byte == b'=').unwrap_or(text.len());
            (decode(&text[..at]), decode(text.get(at + 1..).unwrap_or_default()))
        };
        Self { pairs: pairs.filter(|text| !text.is_empty()).map(pair).collect() }
    }

    /// The last value of a key.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The last value of a key; Grafana sends `undefined` or nothing where it has none.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty() && *value != "undefined")
    }

    /// Whether a key stands there at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether a key has a value that means yes.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !matches!(value, "" | "0" | "false" | "False"))
    }

    /// All values of `name`, or if there are none, of `name[]`, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let values = |wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
            let named = self.pairs.iter().filter(|(key, _)| wanted(key));
            named.map(|(_, value)| value.clone()).collect()
        };
        let plain = values(&|key| key == name);
        if plain.is_empty() { values(&|key| key.strip_suffix("[]") == Some(name)) } else { plain }
    }

    /// A whole number, absent if empty.
    pub(crate) fn integer(&self, name: &'static str) -> Result<Option<i64>, Refusal> {
        let number = |text: &str| {
            text.trim().parse().map_err(|e| Refusal::parameter(name, format!("{text:?}: {e}")))
        };
        self.given(name).map(number).transpose()
    }

    /// A number that stands for a switch.
    pub(crate) fn switch(&self, name: &'static str) -> Result<bool, Refusal> {
        Ok(self.integer(name)?.is_some_and(|number| number != 0))
    }

    /// The zone, or the default where it is absent or unknown.
    pub(crate) fn zone(&self, default: &TimeZone) -> TimeZone {
        let named = self.given("tz").and_then(|name| TimeZone::get(name).ok());
        named.unwrap_or_else(|| default.clone())
    }

    /// The moment that relative times count from.
    pub(crate) fn now(&self, clock_now: i64, zone: &TimeZone) -> Result<i64, Refusal> {
        self.time("now", self.given("now").unwrap_or("now"), clock_now, zone)
    }

    /// The window of a render; what is sent counts, the empty text as now.
    pub(crate) fn render_window(&self, now: i64, zone: &TimeZone) -> Result<Window, Refusal> {
        let from = self.time("from", self.get("from").unwrap_or(FROM_DEFAULT), now, zone)?;
        let until = self.time("until", self.get("until").unwrap_or("now"), now, zone)?;
        Ok(Window::new(from.min(until), from.max(until)))
    }

    /// The window of a find, if one is given; `-1` and `undefined` are none, as is one end alone.
    pub(crate) fn find_window(&self, now: i64, zone: &TimeZone) -> Result<Option<Window>, Refusal> {
        let end = |name| {
            let text = self.given(name).filter(|text| *text != "-1");
            text.map(|text| self.time(name, text, now, zone)).transpose()
        };
        let (from, until) = (end("from")?, end("until")?);
        if from.is_none() && until.is_none() {
            return Ok(None);
        }
        let (from, until) = (from.unwrap_or(0), until.unwrap_or(now));
        Ok(Some(Window::new(from.min(until), from.max(until))))
    }

    /// A moment, if one is given.
    pub(crate) fn moment(
        &self,
        name: &'static str,
        now: i64,
        zone: &TimeZone,
    ) -> Result<Option<i64>, Refusal> {
        self.given(name).map(|text| self.time(name, text, now, zone)).transpose()
    }

    /// All keys and values, in an order that does not depend on how they were sent, but that values
    /// of one key keep.
    pub(crate) fn sorted(&self) -> Vec<(&str, &str)> {
        let mut pairs: Vec<_> = self.pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        pairs.sort_by_key(|(key, _)| *key);
        pairs
    }

    fn time(
        &self,
        name: &'static str,
        text: &str,
        now: i64,
        zone: &TimeZone,
    ) -> Result<i64, Refusal> {
        parse_time(text, now, zone).map_err(|error| Refusal::parameter(name, error))
    }

    /// The function that a script tag wants to be called.
    pub(crate) fn jsonp(&self) -> Result<Option<&str>, Refusal> {
        match self.given("jsonp") {
            Some(name) if !is_identifier(name) => {
                Err(Refusal::parameter("jsonp", "only an identifier is allowed"))
            }
            name => Ok(name),
        }
    }

    /// `template[name]=value`, without the brackets.
    pub(crate) fn template(&self) -> Vec<(String, String)> {
        let named = |(key, value): &(String, String)| {
            let name = key.strip_prefix("template[")?.strip_suffix(']')?;
            Some((name.to_owned(), value.clone()))
        };
        self.pairs.iter().filter_map(named).collect()
    }
}

/// Names joined by dots, as JavaScript has them; nothing that could be code.
fn is_identifier(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '$';
    text.len() <= 128
        && text.split('.').all(|name| {
            name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
        })
}

/// Takes form encoding away; what is no valid escape stays as it is.
pub(crate) fn decode(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let escaped = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten().and_then(hex);
        match escaped {
            Some(value) => {
                bytes.push(value);
                at += 3;
            }
            None => {
                bytes.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(digits[0])? << 4 | digit(digits[1])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_wins_and_lists_grow() {
        let params = Params::parse("target=a&from=1&x", b"target=b%20c+d&expr[]=e&from=2");
        assert_eq!(params.all("target"), ["a", "b c d"]);
        assert_eq!(params.all("expr"), ["e"]);
        assert_eq!(params.get("from"), Some("2"));
        assert_eq!(params.get("x"), Some(""));
        assert_eq!(params.given("x"), None);
        assert_eq!(params.get("y"), None);
    }

    #[test]
    fn broken_escapes_stay_and_nothing_is_lost() {
        assert_eq!(decode(b"100%&%2"), "100%&%2");
        assert_eq!(decode(b"{a,b}.c*%zz"), "{a,b}.c*%zz");
        assert_eq!(decode("%C3%BC\u{1f600}".as_bytes()), "ü😀");
        assert_eq!(decode(b"%ff"), "\u{fffd}");
    }

    #[test]
    fn only_identifiers_are_called_back() {
        for (text, allowed) in [("cb", true), ("a.b_1.$c", true), ("alert(1)", false), ("1", false)]
        {
            assert_eq!(Params::parse(&format!("jsonp={text}"), b"").jsonp().is_ok(), allowed);
        }
    }

    #[test]
    fn what_grafana_leaves_undefined_is_absent() {
        let params = Params::parse("from=undefined&until=&limit=0", b"");
        assert_eq!(params.find_window(9, &TimeZone::UTC).unwrap(), None);
        assert_eq!(params.integer("limit").unwrap(), Some(0));
        assert_eq!(Params::parse("from=-1", b"").find_window(9, &TimeZone::UTC).unwrap(), None);
    }

    #[test]
    fn a_reversed_window_is_turned_round() {
        let window = Params::parse("from=20&until=10", b"").render_window(99, &TimeZone::UTC);
        assert_eq!(window.unwrap(), Window::new(10, 20));
        assert!(Params::parse("from=garbage", b"").render_window(99, &TimeZone::UTC).is_err());
    }
}
