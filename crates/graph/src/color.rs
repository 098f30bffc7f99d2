//! Colours by name and by number.

/// A colour and how much it covers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Color {
    pub(crate) red: u8,
    pub(crate) green: u8,
    pub(crate) blue: u8,
    /// 0 to 1.
    pub(crate) alpha: f64,
}

/// Names and what they mean to graphite-web, which is not what they mean to browsers.
const NAMES: &[(&str, [u8; 3])] = &[
    ("black", [0, 0, 0]),
    ("white", [255, 255, 255]),
    ("blue", [100, 100, 255]),
    ("green", [0, 200, 0]),
    ("red", [200, 0, 50]),
    ("yellow", [255, 255, 0]),
    ("orange", [255, 165, 0]),
    ("purple", [200, 100, 255]),
    ("brown", [150, 100, 50]),
    ("cyan", [0, 255, 255]),
    ("aqua", [0, 150, 150]),
    ("gray", [175, 175, 175]),
    ("grey", [175, 175, 175]),
    ("magenta", [255, 0, 255]),
    ("pink", [255, 100, 100]),
    ("gold", [200, 200, 0]),
    ("rose", [200, 150, 200]),
    ("darkblue", [0, 0, 255]),
    ("darkgreen", [0, 255, 0]),
    ("darkred", [255, 0, 0]),
    ("darkgray", [111, 111, 111]),
    ("darkgrey", [111, 111, 111]),
];

/// Frame of the boxes in a legend.
pub(crate) const DARK_GREY: Color = Color { red: 111, green: 111, blue: 111, alpha: 1.0 };
/// The words of an empty picture.
pub(crate) const RED: Color = Color { red: 200, green: 0, blue: 50, alpha: 1.0 };

impl Color {
    /// A name, or six or eight hexadecimal digits, with or without `#`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some((_, [red, green, blue])) = NAMES.iter().find(|(name, _)| *name == text) {
            return Some(Self { red: *red, green: *green, blue: *blue, alpha: 1.0 });
        }
        let digits = text.strip_prefix("%23").or(text.strip_prefix('#')).unwrap_or(text);
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        let alpha = match digits.len() {
            6 => 1.0,
            8 => f64::from(pair(6)?) / 255.0,
            _ => return None,
        };
        Some(Self { red: pair(0)?, green: pair(2)?, blue: pair(4)?, alpha })
    }

    /// With the opacity given, unless the colour came with one of its own.
    pub(crate) fn or_alpha(self, alpha: f64) -> Self {
        if self.alpha < 1.0 { self } else { self.with_alpha(alpha) }
    }

    /// With this opacity.
    pub(crate) fn with_alpha(self, alpha: f64) -> Self {
        Self { alpha: alpha.clamp(0.0, 1.0), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_digits_are_read_and_nothing_else() {
        let rgba = |text| Color::parse(text).map(|c| (c.red, c.green, c.blue, c.alpha));
        assert_eq!(rgba("rose"), Some((200, 150, 200, 1.0)));
        assert_eq!(rgba("#ff8000"), Some((255, 128, 0, 1.0)));
        assert_eq!(rgba("%2300ff00"), Some((0, 255, 0, 1.0)));
        assert_eq!(rgba("0000ff00"), Some((0, 0, 255, 0.0)));
        for text in ["", "#", "fff", "zzzzzz", "+1+1+1", "ééé", "blau", "ff00ff0"] {
            assert_eq!(rgba(text), None, "{text}");
        }
    }
}
