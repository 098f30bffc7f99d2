//! A scene as PNG.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use tiny_skia::{
    FillRule, LineCap, LineJoin, Mask, Paint, PathBuilder, Pixmap, Stroke, StrokeDash, Transform,
};

use crate::color::Color;
use crate::error::GraphError;
use crate::path::{Path, Step};
use crate::scene::{ClipId, Item, Pen, Scene, Text};
use crate::text::BOLD_STROKE;

/// The picture's pixels, packed.
pub(crate) fn print(scene: &Scene) -> Result<Vec<u8>, GraphError> {
    let no_memory = || GraphError::Print(format!("{} x {} pixels", scene.width, scene.height));
    let mut canvas = Canvas {
        pixels: Pixmap::new(scene.width, scene.height).ok_or_else(no_memory)?,
        scene,
        mask: None,
    };
    for item in &scene.items {
        match item {
            Item::Section(_) => {}
            Item::Fill { path, color, clip } => canvas.fill(path, *color, *clip),
            Item::Stroke { path, pen, clip } => canvas.stroke(path, pen, *clip),
            Item::Text(text) => canvas.text(text),
        }
    }
    packed(&canvas.pixels).map_err(|error| GraphError::Print(error.to_string()))
}

/// The file: lines drawn on a plain ground pack best without any of PNG's filters, and without the
/// opacity that few pictures have.
fn packed(pixels: &Pixmap) -> io::Result<Vec<u8>> {
    const RGB: u8 = 2;
    const RGBA: u8 = 6;
    let is_opaque = pixels.pixels().iter().all(|pixel| pixel.is_opaque());
    let mut head = [pixels.width().to_be_bytes(), pixels.height().to_be_bytes()].concat();
    head.extend([8, if is_opaque { RGB } else { RGBA }, 0, 0, 0]);
    let mut body = ZlibEncoder::new(Vec::new(), Compression::default());
    let mut row = Vec::new();
    for line in pixels.pixels().chunks(pixels.width() as usize) {
        row.clear();
        row.push(0);
        for pixel in line.iter().map(|pixel| pixel.demultiply()) {
            row.extend([pixel.red(), pixel.green(), pixel.blue()]);
            row.extend((!is_opaque).then_some(pixel.alpha()));
        }
        body.write_all(&row)?;
    }
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, content) in [(b"IHDR", head), (b"IDAT", body.finish()?), (b"IEND", Vec::new())] {
        let length = u32::try_from(content.len()).map_err(io::Error::other)?;
        let named = [name, content.as_slice()].concat();
        file.extend(length.to_be_bytes());
        file.extend(&named);
        file.extend(crc32fast::hash(&named).to_be_bytes());
    }
    Ok(file)
}

struct Canvas<'a> {
    pixels: Pixmap,
    scene: &'a Scene,
    /// The clip used last; clips are used in the order they are made, each within the one before.
    mask: Option<(ClipId, Mask)>,
}

impl Canvas<'_> {
    fn fill(&mut self, path: &Path, color: Color, clip: Option<ClipId>) {
        self.prepare(clip);
        let Some(path) = outline(path) else { return };
        let mask = mask_of(clip, &self.mask);
        let (rule, plain) = (FillRule::Winding, Transform::identity());
        self.pixels.fill_path(&path, &paint(color), rule, plain, mask);
    }

    fn stroke(&mut self, path: &Path, pen: &Pen, clip: Option<ClipId>) {
        self.prepare(clip);
        let Some(path) = outline(path) else { return };
        let dash = pen.dash.map(|length| length as f32);
        let stroke = Stroke {
            width: pen.width as f32,
            miter_limit: 10.0,
            line_cap: LineCap::Butt,
            line_join: LineJoin::Miter,
            dash: dash.and_then(|length| StrokeDash::new(vec![length, length], 1.0)),
        };
        let mask = mask_of(clip, &self.mask);
        self.pixels.stroke_path(&path, &paint(pen.color), &stroke, Transform::identity(), mask);
    }

    fn text(&mut self, text: &Text) {
        let Some(path) = outline(&text.style.outline(&text.text)) else { return };
        let place =
            Transform::from_rotate(text.angle as f32).post_translate(text.x as f32, text.y as f32);
        let paint = paint(text.color);
        self.pixels.fill_path(&path, &paint, FillRule::Winding, place, None);
        if text.style.bold {
            let width = (text.style.size * BOLD_STROKE) as f32;
            let stroke = Stroke { width, ..Stroke::default() };
            self.pixels.stroke_path(&path, &paint, &stroke, place, None);
        }
    }

    /// Makes the mask of a clip, starting from the one at hand if it is its parent.
    fn prepare(&mut self, clip: Option<ClipId>) {
        let Some(id) = clip.filter(|id| self.mask.as_ref().is_none_or(|(at, _)| at != id)) else {
            return;
        };
        let mut wanted = vec![id];
        let parent = |id: ClipId| self.scene.clips[id].parent;
        let at_hand = self.mask.as_ref().map(|(at, _)| *at);
        while let Some(next) = wanted.last().and_then(|id| parent(*id)) {
            if at_hand == Some(next) {
                break;
            }
            wanted.push(next);
        }
        let begin_anew = wanted.last().is_some_and(|id| parent(*id).is_none());
        let mut mask = self.mask.take().map(|(_, mask)| mask).filter(|_| !begin_anew);
        for id in wanted.iter().rev() {
            mask = intersect(mask, &self.scene.clips[*id].path, &self.pixels);
        }
        self.mask = mask.map(|mask| (id, mask));
    }
}

fn mask_of(clip: Option<ClipId>, mask: &Option<(ClipId, Mask)>) -> Option<&Mask> {
    clip.and(mask.as_ref()).map(|(_, mask)| mask)
}

fn intersect(mask: Option<Mask>, path: &Path, pixels: &Pixmap) -> Option<Mask> {
    let (rule, plain) = (FillRule::EvenOdd, Transform::identity());
    let path = outline(path);
    match (mask, path) {
        (Some(mut mask), Some(path)) => {
            mask.intersect_path(&path, rule, true, plain);
            Some(mask)
        }
        (None, path) => {
            let mut mask = Mask::new(pixels.width(), pixels.height())?;
            if let Some(path) = path {
                mask.fill_path(&path, rule, true, plain);
            }
            Some(mask)
        }
        (mask, None) => mask,
    }
}

fn paint(color: Color) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    let alpha = (color.alpha * 255.0).round() as u8;
    paint.set_color_rgba8(color.red, color.green, color.blue, alpha);
    paint
}

fn outline(path: &Path) -> Option<tiny_skia::Path> {
    let mut builder = PathBuilder::new();
    for step in &path.0 {
        match *step {
            Step::Move(x, y) => builder.move_to(x as f32, y as f32),
            Step::Line(x, y) => builder.line_to(x as f32, y as f32),
            Step::Curve(points) => {
                let [a, b, c] = points.map(|(x, y)| (x as f32, y as f32));
                builder.cubic_to(a.0, a.1, b.0, b.1, c.0, c.1);
            }
            Step::Close => builder.close(),
        }
    }
    builder.finish()
}
