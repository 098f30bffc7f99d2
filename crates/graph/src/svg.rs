//! A scene as SVG.

use std::fmt::Write as _;

use crate::color::Color;
use crate::numbers::short as number;
use crate::path::{Path, Step};
use crate::scene::{ClipId, Item, Pen, Scene, Text};

/// The whole document.
pub(crate) fn print(scene: &Scene) -> String {
    let mut out = String::new();
    write_document(scene, &mut out).expect("a string takes whatever is written to it");
    out
}

fn write_document(scene: &Scene, out: &mut String) -> std::fmt::Result {
    let (width, height) = (scene.width, scene.height);
    write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" "
    )?;
    writeln!(out, "viewBox=\"0 0 {width} {height}\" font-family=\"'DejaVu Sans',sans-serif\">")?;
    for (id, clip) in scene.clips.iter().enumerate() {
        write!(out, "<clipPath id=\"c{id}\"{}>", clipped(clip.parent))?;
        writeln!(out, "<path clip-rule=\"evenodd\" d=\"{}\"/></clipPath>", outline(&clip.path))?;
    }
    out.push_str("<g class=\"graphite\">\n");
    for item in &scene.items {
        match item {
            Item::Section(name) => writeln!(out, "</g>\n<g class=\"{name}\">")?,
            Item::Fill { path, color, clip } => {
                let (path, paint) = (outline(path), paint("fill", *color));
                writeln!(out, "<path d=\"{path}\"{paint}{}/>", clipped(*clip))?;
            }
            Item::Stroke { path, pen, clip } => write_stroke(out, path, pen, *clip)?,
            Item::Text(text) => write_text(out, text)?,
        }
    }
    out.push_str("</g>\n</svg>\n");
    Ok(())
}

fn write_stroke(
    out: &mut String,
    path: &Path,
    pen: &Pen,
    clip: Option<ClipId>,
) -> std::fmt::Result {
    write!(out, "<path d=\"{}\" fill=\"none\"{}", outline(path), paint("stroke", pen.color))?;
    write!(out, " stroke-width=\"{}\" stroke-miterlimit=\"10\"", number(pen.width))?;
    if let Some(length) = pen.dash {
        write!(out, " stroke-dasharray=\"{0} {0}\" stroke-dashoffset=\"1\"", number(length))?;
    }
    writeln!(out, "{}/>", clipped(clip))
}

fn write_text(out: &mut String, text: &Text) -> std::fmt::Result {
    // Spaces at the end of labels count for their place only.
    let shown = text.text.trim_end();
    let (x, y) = (number(text.x), number(text.y));
    write!(out, "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\"", number(text.style.size))?;
    if !shown.is_empty() {
        // Another font than the one measured keeps to the room that was measured.
        let length = number(text.style.width(shown));
        write!(out, " textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\"")?;
    }
    if text.style.bold {
        out.push_str(" font-weight=\"bold\"");
    }
    if text.style.italic {
        out.push_str(" font-style=\"italic\"");
    }
    if text.angle != 0.0 {
        write!(out, " transform=\"rotate({} {x} {y})\"", number(text.angle))?;
    }
    writeln!(out, "{}>{}</text>", paint("fill", text.color), escaped(shown))
}

fn paint(what: &str, color: Color) -> String {
    let Color { red, green, blue, alpha } = color;
    let mut text = format!(" {what}=\"#{red:02x}{green:02x}{blue:02x}\"");
    if alpha < 1.0 {
        text += &format!(" {what}-opacity=\"{}\"", number(alpha));
    }
    text
}

fn clipped(clip: Option<ClipId>) -> String {
    clip.map_or_else(String::new, |id| format!(" clip-path=\"url(#c{id})\""))
}

fn outline(path: &Path) -> String {
    let mut text = String::with_capacity(path.0.len() * 14);
    for step in &path.0 {
        match *step {
            Step::Move(x, y) => text += &format!("M{} {}", number(x), number(y)),
            Step::Line(x, y) => text += &format!("L{} {}", number(x), number(y)),
            Step::Curve(points) => {
                let pairs = points.map(|(x, y)| format!("{} {}", number(x), number(y)));
                text += &format!("C{}", pairs.join(" "));
            }
            Step::Close => text.push('Z'),
        }
    }
    text
}

/// Text as XML allows it: markup escaped, control characters replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_become_markup() {
        assert_eq!(escaped("<svg onload=\"x\">&\u{0}"), "&lt;svg onload=\"x\"&gt;&amp;\u{fffd}");
    }
}
