//! Numbers as the text formats write them.

/// At most three digits behind the point, and no zeros at the end.
pub(crate) fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(short(10.0), "10");
        assert_eq!(short(-0.0001), "0");
        assert_eq!(short(1.23456), "1.235");
        assert_eq!(short(100.5), "100.5");
    }
}
