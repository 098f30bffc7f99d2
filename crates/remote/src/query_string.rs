//! Query strings and form bodies.

use std::fmt::Write as _;

/// Writes pairs as `a=b&c=d`, everything but letters, digits and `-._~*` percent-encoded.
pub fn encode_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (key, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        push_encoded(&mut out, key);
        out.push('=');
        push_encoded(&mut out, value);
    }
    out
}

fn push_encoded(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~*".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string takes all");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_with_a_meaning_is_encoded() {
        let pairs = [("target", "a.{b,c}*;k=v w"), ("x", "ö&")];
        assert_eq!(encode_pairs(pairs), "target=a.%7Bb%2Cc%7D*%3Bk%3Dv%20w&x=%C3%B6%26");
    }
}
