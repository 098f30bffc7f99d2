//! A picture in the making: what both kinds of graph put on it, and the room that is left.

use crate::area::Area;
use crate::color::{Color, RED};
use crate::params::Params;
use crate::path::Path;
use crate::scene::{Scene, Text};
use crate::text::Style;

/// Which end of a text stands at its x.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Align {
    Left,
    Center,
    Right,
}

/// Which height of a text stands at its y.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Valign {
    Top,
    Middle,
    Baseline,
}

/// Where a text stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) align: Align,
    pub(crate) valign: Valign,
    /// Clockwise, degrees.
    pub(crate) angle: f64,
}

impl Place {
    pub(crate) fn new(x: f64, y: f64, align: Align, valign: Valign) -> Self {
        Self { x, y, align, valign, angle: 0.0 }
    }

    pub(crate) fn turned(self, angle: f64) -> Self {
        Self { angle, ..self }
    }
}

/// The scene and what is still free of it.
pub(crate) struct Sheet<'a> {
    pub(crate) params: &'a Params,
    pub(crate) scene: Scene,
    pub(crate) area: Area,
}

impl<'a> Sheet<'a> {
    /// An empty picture in its background's colour.
    pub(crate) fn new(params: &'a Params) -> Self {
        let (width, height) = (f64::from(params.width), f64::from(params.height));
        let margin = params.margin;
        // Times near the left edge need some room.
        let left = if params.graph_only { 0.0 } else { margin + 10.0 };
        let area = Area { left, right: width - margin, top: margin, bottom: height - margin };
        let mut scene = Scene::new(params.width, params.height);
        scene.section("background");
        scene.fill(Path::rectangle(0.0, 0.0, width, height), params.background);
        Self { params, scene, area }
    }

    pub(crate) fn width(&self) -> f64 {
        f64::from(self.params.width)
    }

    pub(crate) fn height(&self) -> f64 {
        f64::from(self.params.height)
    }

    /// A text in the plain font and the foreground's colour.
    pub(crate) fn text(&mut self, text: &str, place: Place) {
        self.styled_text(text, place, self.params.font, self.params.foreground);
    }

    pub(crate) fn styled_text(&mut self, text: &str, place: Place, style: Style, color: Color) {
        let across = match place.align {
            Align::Left => 0.0,
            Align::Center => style.width(text) / 2.0,
            Align::Right => style.width(text),
        };
        let down = match place.valign {
            Valign::Top => style.ascent(),
            Valign::Middle => style.line_height() / 2.0 - style.descent(),
            Valign::Baseline => 0.0,
        };
        let (sin, cos) = place.angle.to_radians().sin_cos();
        self.scene.items.push(crate::scene::Item::Text(Text {
            text: text.to_owned(),
            x: place.x - sin * down - cos * across,
            y: place.y + cos * down - sin * across,
            angle: place.angle,
            style,
            color,
        }));
    }

    /// Font of the titles: a little larger.
    fn title_style(&self) -> Style {
        let size = self.params.font.size;
        self.params.font.sized(size + size.ln().floor())
    }

    /// The title, lines centred above everything.
    pub(crate) fn title(&mut self) {
        let Some(title) = self.params.title.as_deref() else { return };
        self.scene.section("title");
        let style = self.title_style();
        let (x, mut y) = (self.width() / 2.0, self.area.top);
        for line in title.split('\n') {
            let place = Place::new(x, y, Align::Center, Valign::Top);
            self.styled_text(line, place, style, self.params.foreground);
            y += style.line_height();
        }
        self.area.top = if self.params.y_axis_right { y } else { y + self.params.margin };
    }

    /// The title of the left-hand axis, upwards.
    pub(crate) fn vtitle_left(&mut self) {
        let Some(title) = self.params.vtitle.as_deref() else { return };
        self.scene.section("vtitle");
        let height = self.title_style().line_height();
        let x = self.vtitle(title, self.area.left + height, height, 270.0);
        self.area.left = x + self.params.margin + height;
    }

    /// The title of the right-hand axis, downwards.
    pub(crate) fn vtitle_right(&mut self) {
        let Some(title) = self.params.vtitle_right.as_deref() else { return };
        self.scene.section("vtitleRight");
        let height = self.title_style().line_height();
        let x = self.vtitle(title, self.area.right - height, -height, 90.0);
        self.area.right = x - self.params.margin - height;
    }

    /// Lines beside each other; answers where the next one would stand.
    fn vtitle(&mut self, title: &str, mut x: f64, advance: f64, angle: f64) -> f64 {
        let style = self.title_style();
        for line in title.split('\n') {
            let place = Place::new(x, self.height() / 2.0, Align::Center, Valign::Baseline);
            self.styled_text(line, place.turned(angle), style, self.params.foreground);
            x += advance;
        }
        x
    }

    /// What a picture of nothing says.
    pub(crate) fn no_data(mut self) -> Scene {
        self.scene.section("message");
        let style = self.params.font.sized((self.width() * self.height()).ln().max(1.0));
        let middle = (self.width() / 2.0, self.height() / 2.0);
        let place = Place::new(middle.0, middle.1, Align::Center, Valign::Top);
        self.styled_text("No Data", place, style, RED);
        self.scene
    }
}
