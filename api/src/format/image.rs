//! Pictures: what a request says of one, and how series become its lines and slices.

use graph::{GraphError, Line, Slice};
use jiff::tz::TimeZone;
use query::Series;

use crate::errors::Refusal;
use crate::params::Params;

/// A picture's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Png,
    Svg,
    Pdf,
}

const KINDS: [(&str, Kind); 3] = [("png", Kind::Png), ("svg", Kind::Svg), ("pdf", Kind::Pdf)];

impl Kind {
    /// The format that a `format=` parameter names.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        KINDS.iter().find(|(word, _)| *word == name).map(|(_, kind)| *kind)
    }

    /// All names.
    pub(crate) fn names() -> String {
        KINDS.map(|(name, _)| name).join(", ")
    }

    /// The content type of a body.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Svg => "image/svg+xml",
            Self::Pdf => "application/pdf",
        }
    }
}

/// What a slice of a pie shows of its series.
#[derive(Debug, Clone, Copy)]
enum PieMode {
    Average,
    Maximum,
    Minimum,
}

/// A picture that is asked for.
#[derive(Debug)]
pub(crate) struct Picture {
    kind: Kind,
    options: graph::Params,
    pie: Option<(PieMode, Vec<Slice>)>,
}

impl Picture {
    /// Reads the options; what cannot be is refused before any series is read.
    pub(crate) fn read(params: &Params, kind: Kind) -> Result<Self, Refusal> {
        let option = |name: &str| params.get(name).map(str::to_owned);
        let options = graph::Params::read(&option).map_err(refused)?;
        let pie = match params.given("graphType") {
            None | Some("line") => None,
            Some("pie") => Some((pie_mode(params)?, Vec::new())),
            Some(_) => return Err(Refusal::parameter("graphType", "only line and pie are known")),
        };
        Ok(Self { kind, options, pie })
    }

    /// Takes out of a pie's targets what is a name and a number already, as in `idle:12.5`.
    pub(crate) fn take_slices(&mut self, targets: &mut Vec<String>) {
        let Some((_, slices)) = &mut self.pie else { return };
        targets.retain(|target| {
            let named = target.split_once(':');
            let slice = named.and_then(|(name, value)| Some((name, value.trim().parse().ok()?)));
            let slice = slice.map(|(name, value)| Slice { name: name.to_owned(), value });
            let is_series = slice.is_none();
            slices.extend(slice);
            is_series
        });
    }

    /// Draws it.
    pub(crate) fn draw(self, series: &[Series], zone: &TimeZone) -> Result<Vec<u8>, Refusal> {
        let scene = match self.pie {
            Some((mode, mut slices)) => {
                slices.extend(series.iter().map(|one| slice(one, mode)));
                graph::pie(&self.options, &slices)
            }
            None => {
                let merges: Vec<_> = series.iter().map(merge).collect();
                let lines = series.iter().zip(&merges).map(|(one, merge)| line(one, merge));
                graph::draw(&self.options, &lines.collect::<Vec<_>>(), zone)
            }
        };
        let scene = scene.map_err(refused)?;
        match self.kind {
            Kind::Png => scene.png().map_err(refused),
            Kind::Svg => Ok(scene.svg().into_bytes()),
            Kind::Pdf => scene.pdf().map_err(refused),
        }
    }
}

/// Merges other values the way of this series.
fn merge(series: &Series) -> impl Fn(&[f64], usize) -> Vec<f64> {
    let series = Series { values: Vec::new().into(), ..series.clone() };
    move |values, per_point| {
        let values = values.to_vec().into();
        Series { values, values_per_point: per_point, ..series.clone() }.points().into_owned()
    }
}

fn line<'a>(series: &'a Series, merge: graph::Merge<'a>) -> Line<'a> {
    let style = &series.style;
    Line {
        end: series.end,
        color: style.color.as_deref(),
        alpha: style.alpha,
        line_width: style.line_width,
        dashed: style.dashed,
        stacked: style.stacked,
        invisible: style.invisible,
        draw_as_infinite: style.draw_as_infinite,
        second_y_axis: style.second_y_axis,
        ..Line::new(&series.name, series.start, series.step, &series.values, merge)
    }
}

fn pie_mode(params: &Params) -> Result<PieMode, Refusal> {
    match params.given("pieMode").unwrap_or("average") {
        "average" => Ok(PieMode::Average),
        "maximum" => Ok(PieMode::Maximum),
        "minimum" => Ok(PieMode::Minimum),
        _ => Err(Refusal::parameter("pieMode", "only average, maximum and minimum are known")),
    }
}

fn slice(series: &Series, mode: PieMode) -> Slice {
    let known = series.values.iter().copied().filter(|value| !value.is_nan());
    let value = match mode {
        PieMode::Average => known.clone().sum::<f64>() / known.count() as f64,
        PieMode::Maximum => known.fold(f64::NAN, f64::max),
        PieMode::Minimum => known.fold(f64::NAN, f64::min),
    };
    // A series of nulls has no slice, but it is in the legend.
    Slice { name: series.name.clone(), value: if value.is_nan() { 0.0 } else { value } }
}

fn refused(error: GraphError) -> Refusal {
    match error {
        GraphError::Option { name, value, wanted } => {
            Refusal::parameter(name, format!("{value:?}: {wanted}"))
        }
        GraphError::Print(problem) => {
            tracing::warn!(problem, "picture not written");
            Refusal::Lost
        }
        error => Refusal::parameter("format", error),
    }
}
