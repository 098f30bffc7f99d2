//! The options of a picture, read from the text of a request.

mod templates;

use crate::color::Color;
use crate::error::GraphError;
use crate::labels::UnitSystem;
use crate::scale::{AxisWish, Ruler, Top};
use crate::text::Style;
use templates::Template;

/// Pixels of a side, at most; limits the memory that one picture takes.
const SIDE_MAX: f64 = 4096.0;
const FONT_SIZE_MAX: f64 = 200.0;
/// Thin lines between two thick ones, at most.
const MINOR_LINES_MAX: f64 = 100.0;
const DIVISOR_MAX: u32 = 100;
/// Series up to which a legend is drawn unless the request says otherwise.
const LEGEND_SERIES_MAX: usize = 10;

/// How values are joined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum LineMode {
    Slope,
    Staircase,
    Connected,
}

/// Which series are filled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum AreaMode {
    None,
    First,
    All,
    Stacked,
}

/// What is written on the slices of a pie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ValueLabels {
    None,
    Number,
    Percent,
}

/// One of two y axes, or the only one.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Side {
    pub(crate) wish: AxisWish,
    pub(crate) line_width: Option<f64>,
    pub(crate) dash: Option<f64>,
    pub(crate) color: Option<String>,
}

/// Every option, as graphite-web names them; what is not sent has graphite-web's default.
#[derive(Debug, Clone)]
pub struct Params {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) margin: f64,
    pub(crate) background: Color,
    pub(crate) foreground: Color,
    pub(crate) major_line: Color,
    pub(crate) minor_line: Color,
    pub(crate) colors: Vec<String>,
    pub(crate) font: Style,
    pub(crate) title: Option<String>,
    pub(crate) vtitle: Option<String>,
    pub(crate) vtitle_right: Option<String>,
    pub(crate) line_mode: LineMode,
    pub(crate) line_width: f64,
    pub(crate) connected_limit: f64,
    pub(crate) area_mode: AreaMode,
    pub(crate) area_alpha: Option<f64>,
    pub(crate) null_as_zero: bool,
    pub(crate) y_axis_right: bool,
    pub(crate) ruler: Ruler,
    pub(crate) single: Side,
    pub(crate) left: Side,
    pub(crate) right: Side,
    pub(crate) x_format: Option<String>,
    pub(crate) x_step_min: f64,
    pub(crate) minor_y: u32,
    hide_legend: Option<bool>,
    pub(crate) hide_axes: bool,
    pub(crate) hide_x_axis: bool,
    pub(crate) hide_y_axis: bool,
    pub(crate) hide_grid: bool,
    pub(crate) unique_legend: bool,
    pub(crate) no_null_legend: bool,
    pub(crate) graph_only: bool,
    pub(crate) value_labels: ValueLabels,
    pub(crate) value_labels_min: f64,
    pub(crate) value_labels_color: Color,
    pub(crate) rotated_pie_labels: bool,
}

impl Params {
    /// Reads the options; `get` answers the decoded value of a parameter.
    ///
    /// # Errors
    ///
    /// Where an option has a value that it cannot have.
    pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, GraphError> {
        let given = Given { get };
        let template = Template::named(given.text("template").as_deref());
        let mut params = Self {
            width: given.within("width", 330.0, (1.0, SIDE_MAX))? as u32,
            height: given.within("height", 250.0, (1.0, SIDE_MAX))? as u32,
            margin: given.number("margin")?.map_or(10.0, f64::trunc),
            background: given.color("bgcolor", template.background)?,
            foreground: given.color("fgcolor", template.foreground)?,
            major_line: given.color("majorGridLineColor", template.major_line)?,
            minor_line: given.color("minorGridLineColor", template.minor_line)?,
            colors: given.colors(template)?,
            font: given.font()?,
            title: given.title("title"),
            vtitle: given.title("vtitle"),
            vtitle_right: given.title("vtitleRight"),
            line_mode: given.choice("lineMode", LINE_MODES)?,
            line_width: given.number_of(&["lineWidth", "thickness"])?.unwrap_or(1.2).max(0.0),
            connected_limit: given.number("connectedLimit")?.unwrap_or(f64::INFINITY),
            area_mode: given.choice("areaMode", AREA_MODES)?,
            area_alpha: given.alpha(),
            null_as_zero: given.is_on("drawNullAsZero"),
            y_axis_right: given.text("yAxisSide").is_some_and(|side| side != "left"),
            ruler: given.ruler()?,
            single: given.side(SINGLE)?,
            left: given.side(LEFT)?,
            right: given.side(RIGHT)?,
            x_format: given.text("xFormat"),
            x_step_min: given.number("minXStep")?.unwrap_or(1.0).max(1e-3),
            minor_y: given.number("minorY")?.unwrap_or(1.0).clamp(0.0, MINOR_LINES_MAX) as u32,
            hide_legend: given.switch("hideLegend"),
            hide_axes: given.is_on("hideAxes"),
            hide_x_axis: given.is_on("hideXAxis"),
            hide_y_axis: given.is_on("hideYAxis"),
            hide_grid: given.is_on("hideGrid"),
            unique_legend: given.is_on("uniqueLegend"),
            no_null_legend: given.is_on("hideNullFromLegend"),
            graph_only: given.is_on("graphOnly"),
            value_labels: given.choice("valueLabels", VALUE_LABELS)?,
            value_labels_min: given.number("valueLabelsMin")?.unwrap_or(5.0),
            value_labels_color: given.color("valueLabelsColor", "black")?,
            rotated_pie_labels: given.text("pieLabels").is_some_and(|kind| kind == "rotated"),
        };
        if !(0.0..=SIDE_MAX).contains(&params.margin) {
            params.margin = 10.0;
        }
        if params.graph_only {
            params.strip();
        }
        Ok(params)
    }

    /// Whether that many series are too many for a legend.
    pub(crate) fn hides_legend(&self, series: usize) -> bool {
        self.hide_legend.unwrap_or(series > LEGEND_SERIES_MAX)
    }

    /// Nothing but the lines.
    fn strip(&mut self) {
        self.margin = 0.0;
        (self.title, self.vtitle) = (None, None);
        self.hide_legend = Some(true);
        (self.hide_axes, self.hide_grid) = (true, true);
        (self.hide_x_axis, self.hide_y_axis, self.y_axis_right) = (false, false, false);
    }
}

const LINE_MODES: &[(&str, LineMode)] = &[
    ("slope", LineMode::Slope),
    ("staircase", LineMode::Staircase),
    ("connected", LineMode::Connected),
];
const AREA_MODES: &[(&str, AreaMode)] = &[
    ("none", AreaMode::None),
    ("first", AreaMode::First),
    ("all", AreaMode::All),
    ("stacked", AreaMode::Stacked),
];
const VALUE_LABELS: &[(&str, ValueLabels)] = &[
    ("percent", ValueLabels::Percent),
    ("number", ValueLabels::Number),
    ("none", ValueLabels::None),
];

/// What the options of one axis are called.
struct SideNames {
    min: &'static [&'static str],
    max: &'static [&'static str],
    limit: &'static str,
    step: &'static str,
    /// Width, dashes and colour of its lines.
    pen: Option<[&'static str; 3]>,
}

const SINGLE: SideNames = SideNames {
    min: &["yMin", "min"],
    max: &["yMax", "max"],
    limit: "yLimit",
    step: "yStep",
    pen: None,
};
const LEFT: SideNames = SideNames {
    min: &["yMinLeft"],
    max: &["yMaxLeft"],
    limit: "yLimitLeft",
    step: "yStepLeft",
    pen: Some(["leftWidth", "leftDashed", "leftColor"]),
};
const RIGHT: SideNames = SideNames {
    min: &["yMinRight"],
    max: &["yMaxRight"],
    limit: "yLimitRight",
    step: "yStepRight",
    pen: Some(["rightWidth", "rightDashed", "rightColor"]),
};

/// What was sent.
struct Given<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
}

impl Given<'_> {
    /// Nothing, and the word `default`, mean the default.
    fn text(&self, name: &str) -> Option<String> {
        (self.get)(name).filter(|text| !text.is_empty() && !text.eq_ignore_ascii_case("default"))
    }

    fn switch(&self, name: &str) -> Option<bool> {
        let text = self.text(name)?;
        let is_zero = text.parse::<f64>().is_ok_and(|number| number == 0.0);
        Some(!is_zero && !text.eq_ignore_ascii_case("false"))
    }

    fn is_on(&self, name: &str) -> bool {
        self.switch(name).unwrap_or(false)
    }

    fn number(&self, name: &'static str) -> Result<Option<f64>, GraphError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        match value.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(GraphError::Option { name, value, wanted: "a number is wanted".to_owned() }),
        }
    }

    fn number_of(&self, names: &[&'static str]) -> Result<Option<f64>, GraphError> {
        let given = names.iter().find(|name| self.text(name).is_some());
        given.map_or(Ok(None), |name| self.number(name))
    }

    fn within(
        &self,
        name: &'static str,
        default: f64,
        (least, most): (f64, f64),
    ) -> Result<f64, GraphError> {
        match self.number(name)? {
            None => Ok(default),
            Some(number) if (least..=most).contains(&number) => Ok(number),
            Some(number) => Err(GraphError::Option {
                name,
                value: number.to_string(),
                wanted: format!("{least} to {most} is allowed"),
            }),
        }
    }

    fn choice<T: Copy>(
        &self,
        name: &'static str,
        table: &[(&'static str, T)],
    ) -> Result<T, GraphError> {
        let value = self.text(name).unwrap_or_else(|| table[0].0.to_owned());
        let found = table.iter().find(|(word, _)| value.eq_ignore_ascii_case(word));
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<_> = table.iter().map(|(word, _)| *word).collect();
            GraphError::Option { name, value, wanted: format!("one of {}", words.join(", ")) }
        })
    }

    fn color(&self, name: &'static str, default: &str) -> Result<Color, GraphError> {
        let value = self.text(name).unwrap_or_else(|| default.to_owned());
        let wanted = || "a name such as blue, or rrggbb, or rrggbbaa".to_owned();
        Color::parse(&value).ok_or_else(|| GraphError::Option { name, value, wanted: wanted() })
    }

    fn colors(&self, template: &Template) -> Result<Vec<String>, GraphError> {
        let list = self.text("colorList");
        let list = list.as_deref().map(unquoted);
        let names = list.as_deref().unwrap_or(template.line_colors).split(',').map(str::trim);
        let names: Vec<String> = names.map(str::to_owned).collect();
        match names.iter().find(|name| Color::parse(name).is_none()) {
            None => Ok(names),
            Some(bad) => Err(GraphError::Color(bad.clone())),
        }
    }

    fn font(&self) -> Result<Style, GraphError> {
        Ok(Style {
            size: self.within("fontSize", 10.0, (1.0, FONT_SIZE_MAX))?.trunc(),
            bold: self.is_on("fontBold"),
            italic: self.is_on("fontItalic"),
        })
    }

    fn title(&self, name: &str) -> Option<String> {
        self.text(name).map(|text| unquoted(&text))
    }

    /// How much areas cover; 0 is as if nothing was sent, and so is it in graphite-web.
    fn alpha(&self) -> Option<f64> {
        let text = self.text("areaAlpha")?;
        let alpha = text.parse::<f64>().ok().filter(|alpha| alpha.is_finite()).unwrap_or(0.5);
        (alpha != 0.0).then(|| alpha.clamp(0.0, 1.0))
    }

    fn ruler(&self) -> Result<Ruler, GraphError> {
        let name = "yDivisors";
        let value = self.text(name).unwrap_or_else(|| "4,5,6".to_owned());
        let number = |text: &str| text.trim().parse().ok();
        let divisors: Option<Vec<u32>> = value.split(',').map(number).collect();
        let divisors = divisors.filter(|list| list.iter().all(|d| (1..=DIVISOR_MAX).contains(d)));
        let wanted = || format!("whole numbers from 1 to {DIVISOR_MAX} with commas between");
        Ok(Ruler {
            units: UnitSystem::named(&self.text("yUnitSystem").unwrap_or_default()),
            log_base: self.log_base()?,
            divisors: divisors.ok_or_else(|| GraphError::Option {
                name,
                value,
                wanted: wanted(),
            })?,
        })
    }

    fn log_base(&self) -> Result<Option<f64>, GraphError> {
        let name = "logBase";
        if self.text(name).is_some_and(|text| text == "e") {
            return Ok(Some(std::f64::consts::E));
        }
        match self.number(name)?.filter(|base| *base >= 1.0) {
            Some(1.0) => Err(GraphError::Option {
                name,
                value: "1".to_owned(),
                wanted: "e or a number above 1".to_owned(),
            }),
            base => Ok(base),
        }
    }

    fn side(&self, names: SideNames) -> Result<Side, GraphError> {
        let is_largest = |name: &&&str| self.text(name).is_some_and(|text| text == "max");
        let max = match names.max.iter().find(is_largest) {
            Some(_) => Top::Largest,
            None => self.number_of(names.max)?.map_or(Top::Round, Top::At),
        };
        let wish = AxisWish {
            min: self.number_of(names.min)?,
            max,
            limit: self.number(names.limit)?,
            step: self.number(names.step)?,
        };
        let Some([width, dash, color]) = names.pen else {
            return Ok(Side { wish, ..Side::default() });
        };
        let color = self.text(color).map(|text| self.color(color, &text).map(|_| text));
        Ok(Side {
            wish,
            line_width: self.number(width)?.map(|width| width.max(0.0)),
            dash: self.dash(dash)?,
            color: color.transpose()?,
        })
    }

    /// A length, or yes and no.
    fn dash(&self, name: &'static str) -> Result<Option<f64>, GraphError> {
        match self.text(name).map(|text| text.to_ascii_lowercase()).as_deref() {
            None | Some("false") => Ok(None),
            Some("true") => Ok(Some(1.0)),
            Some(_) => Ok(self.number(name)?.filter(|length| *length > 0.0)),
        }
    }
}

/// Takes one more layer of form encoding away, as graphite-web does with titles and names.
pub(crate) fn unquoted(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let source = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = source.get(at) {
        let hex = |digit: Option<&u8>| char::from(*digit?).to_digit(16);
        let escaped = match (byte, hex(source.get(at + 1)), hex(source.get(at + 2))) {
            (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(if byte == b'+' { b' ' } else { byte }));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Params, GraphError> {
        let find = |name: &str| pairs.iter().find(|(key, _)| *key == name);
        Params::read(&|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn what_is_not_sent_is_graphite_webs_default() {
        let params = read(&[("lineMode", ""), ("width", "default")]).unwrap();
        assert_eq!((params.width, params.height, params.margin), (330, 250, 10.0));
        assert_eq!((params.line_width, params.line_mode), (1.2, LineMode::Slope));
        assert_eq!(params.colors[..2], ["blue", "green"]);
        assert!(params.hides_legend(11) && !params.hides_legend(10));
    }

    #[test]
    fn bad_values_are_named() {
        for (name, value) in [
            ("width", "4097"),
            ("height", "0"),
            ("width", "nan"),
            ("lineMode", "curly"),
            ("bgcolor", "blau"),
            ("colorList", "red,x"),
            ("yMin", "low"),
            ("yDivisors", "4,,5"),
            ("logBase", "1"),
            ("fontSize", "201"),
            ("rightColor", "?"),
            ("valueLabels", "all"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(value) || name == "colorList", "{name}: {error}");
        }
    }

    #[test]
    fn names_that_mean_the_same_are_one() {
        let params = read(&[("min", "1"), ("max", "9"), ("yMax", "max"), ("thickness", "4")]);
        let params = params.unwrap();
        assert_eq!(params.single.wish.min, Some(1.0));
        assert_eq!((params.single.wish.max, params.line_width), (Top::Largest, 4.0));
    }

    #[test]
    fn only_the_lines_are_left_of_a_spark() {
        let params = read(&[("graphOnly", "1"), ("title", "x"), ("margin", "30")]).unwrap();
        assert!(params.hide_axes && params.title.is_none() && params.margin == 0.0);
    }

    #[test]
    fn titles_are_decoded_once_more() {
        assert_eq!(unquoted("a+b%20c%2"), "a b c%2");
        assert_eq!(unquoted("%C3%BC%ff"), "ü\u{fffd}");
    }
}
