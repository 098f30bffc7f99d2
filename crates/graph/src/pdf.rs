//! A scene as PDF: one page, a point a pixel, everything drawn as outlines.
//!
//! Text is drawn from the bundled font's outlines, as in a PNG: no font has to be embedded, and no
//! reader replaces it by another.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::color::Color;
use crate::error::GraphError;
use crate::numbers::short as number;
use crate::path::{Path, Step};
use crate::scene::{ClipId, Item, Pen, Scene, Text};
use crate::text::BOLD_STROKE;

/// The whole document.
pub(crate) fn print(scene: &Scene) -> Result<Vec<u8>, GraphError> {
    let mut page = Page { scene, out: String::new(), alphas: Vec::new() };
    page.write().expect("a string takes whatever is written to it");
    let packed = packed(page.out.as_bytes()).map_err(|e| GraphError::Print(e.to_string()))?;
    Ok(document(scene, &page.alphas, &packed))
}

fn packed(content: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = ZlibEncoder::new(Vec::new(), Compression::default());
    out.write_all(content)?;
    out.finish()
}

/// Objects, the table of where they begin, and the trailer that names the first.
fn document(scene: &Scene, alphas: &[u8], content: &[u8]) -> Vec<u8> {
    let states: String = alphas
        .iter()
        .map(|alpha| {
            let share = number(f64::from(*alpha) / 255.0);
            format!("/A{alpha} << /ca {share} /CA {share} >> ")
        })
        .collect();
    let (width, height) = (scene.width, scene.height);
    let page = format!(
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width} {height}] /Contents 4 0 R \
         /Resources << /ExtGState << {states}>> >> >>"
    );
    let length = content.len();
    let stream = [
        format!("<< /Length {length} /Filter /FlateDecode >>\nstream\n").as_bytes(),
        content,
        b"\nendstream",
    ]
    .concat();
    let objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec(),
        page.into_bytes(),
        stream,
    ];
    // Bytes above 127 in the second line tell programs that this is no text.
    let mut file = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut places = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        places.push(file.len());
        file.extend(format!("{} 0 obj\n", index + 1).bytes());
        file.extend(object);
        file.extend(b"\nendobj\n");
    }
    let table = file.len();
    let count = objects.len() + 1;
    file.extend(format!("xref\n0 {count}\n0000000000 65535 f \n").bytes());
    for place in places {
        file.extend(format!("{place:010} 00000 n \n").bytes());
    }
    let trailer = format!("trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n");
    file.extend(trailer.bytes());
    file
}

/// The page's drawing instructions.
struct Page<'a> {
    scene: &'a Scene,
    out: String,
    /// Opacities in use, in parts of 255; each is a named state of the page.
    alphas: Vec<u8>,
}

impl Page<'_> {
    fn write(&mut self) -> std::fmt::Result {
        // PDF counts from the foot upwards, a scene from the top down.
        writeln!(self.out, "1 0 0 -1 0 {} cm", self.scene.height)?;
        for item in &self.scene.items {
            match item {
                Item::Section(_) => {}
                Item::Fill { path, color, clip } => {
                    self.begin(*clip, *color)?;
                    self.outline(path)?;
                    self.out.push_str("f Q\n");
                }
                Item::Stroke { path, pen, clip } => {
                    self.begin(*clip, pen.color)?;
                    self.pen(pen)?;
                    self.outline(path)?;
                    self.out.push_str("S Q\n");
                }
                Item::Text(text) => self.text(text)?,
            }
        }
        Ok(())
    }

    /// Saves the state and sets clip and colour; `Q` gives the state back.
    fn begin(&mut self, clip: Option<ClipId>, color: Color) -> std::fmt::Result {
        self.out.push_str("q ");
        let mut next = clip;
        while let Some(id) = next {
            let clip = &self.scene.clips[id];
            self.outline(&clip.path)?;
            self.out.push_str("W* n ");
            next = clip.parent;
        }
        let channels = [color.red, color.green, color.blue];
        let [red, green, blue] = channels.map(|channel| number(f64::from(channel) / 255.0));
        write!(self.out, "{red} {green} {blue} rg {red} {green} {blue} RG ")?;
        let alpha = (color.alpha * 255.0).round() as u8;
        if alpha < u8::MAX {
            if !self.alphas.contains(&alpha) {
                self.alphas.push(alpha);
            }
            write!(self.out, "/A{alpha} gs ")?;
        }
        Ok(())
    }

    fn pen(&mut self, pen: &Pen) -> std::fmt::Result {
        write!(self.out, "{} w 10 M ", number(pen.width))?;
        match pen.dash {
            Some(length) => write!(self.out, "[{0} {0}] 1 d ", number(length)),
            None => Ok(()),
        }
    }

    fn text(&mut self, text: &Text) -> std::fmt::Result {
        self.begin(None, text.color)?;
        let (sin, cos) = text.angle.to_radians().sin_cos();
        let turned = [cos, sin, -sin, cos, text.x, text.y].map(number).join(" ");
        write!(self.out, "{turned} cm ")?;
        if text.style.bold {
            write!(self.out, "{} w ", number(text.style.size * BOLD_STROKE))?;
        }
        self.outline(&text.style.outline(&text.text))?;
        self.out.push_str(if text.style.bold { "B Q\n" } else { "f Q\n" });
        Ok(())
    }

    fn outline(&mut self, path: &Path) -> std::fmt::Result {
        for step in &path.0 {
            match *step {
                Step::Move(x, y) => write!(self.out, "{} {} m ", number(x), number(y))?,
                Step::Line(x, y) => write!(self.out, "{} {} l ", number(x), number(y))?,
                Step::Curve(points) => {
                    let pairs = points.map(|(x, y)| format!("{} {}", number(x), number(y)));
                    write!(self.out, "{} c ", pairs.join(" "))?;
                }
                Step::Close => self.out.push_str("h "),
            }
        }
        Ok(())
    }
}
