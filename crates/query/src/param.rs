//! What a function takes: its parameters, their types and defaults.

/// A parameter of a function.
#[derive(Debug)]
pub struct Param {
    /// Its name, which keyword arguments use.
    pub name: &'static str,
    /// Its type.
    pub kind: ParamKind,
    /// Whether a call without it is refused.
    pub required: bool,
    /// What it is when the call does not say.
    pub default: Literal,
    /// Whether it takes all further arguments (only the last parameter can).
    pub multiple: bool,
    /// The only values allowed, if there are any here.
    pub options: &'static [&'static str],
    /// Which texts it takes, where neither type nor options tell.
    pub admits: fn(&str) -> bool,
    /// Values that an editor offers.
    pub suggestions: &'static [Literal],
}

impl Param {
    /// A parameter that every call must give.
    pub const fn required(name: &'static str, kind: ParamKind) -> Self {
        Self {
            name,
            kind,
            required: true,
            default: Literal::None,
            multiple: false,
            options: &[],
            admits: |_| true,
            suggestions: &[],
        }
    }

    /// A parameter that may be left out.
    pub const fn optional(name: &'static str, kind: ParamKind) -> Self {
        Self { required: false, ..Self::required(name, kind) }
    }

    /// With a value for calls that leave it out.
    #[must_use]
    pub const fn default(self, default: Literal) -> Self {
        Self { default, ..self }
    }

    /// Takes all further arguments.
    #[must_use]
    pub const fn multiple(self) -> Self {
        Self { multiple: true, ..self }
    }

    /// Allows these texts only.
    #[must_use]
    pub const fn options(self, options: &'static [&'static str]) -> Self {
        Self { options, ..self }
    }

    /// Takes only texts that this holds for.
    #[must_use]
    pub const fn admits(self, admits: fn(&str) -> bool) -> Self {
        Self { admits, ..self }
    }

    /// Whether it takes this text, were it of its type.
    pub(crate) fn allows(&self, text: &str) -> bool {
        (self.options.is_empty() || self.options.contains(&text)) && (self.admits)(text)
    }

    /// Offers these values in editors.
    #[must_use]
    pub const fn suggestions(self, suggestions: &'static [Literal]) -> Self {
        Self { suggestions, ..self }
    }
}

/// `seriesList`, required: the first parameter of most functions.
pub const SERIES_LIST: Param = Param::required("seriesList", ParamKind::SeriesList);
/// Any number of `seriesLists`, at least one: what combines takes.
pub const SERIES_LISTS: Param = Param::required("seriesLists", ParamKind::SeriesList).multiple();

/// The types of graphite-web's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// Name of an aggregation.
    AggFunc,
    /// Name of an aggregation, which may end in `Series` as it did in old versions of graphite-web.
    AggFuncOfRows,
    /// Name of an aggregation (as the one before), or of a function that combines series.
    AggOrSeriesFunc,
    /// Anything.
    Any,
    /// True or false.
    Boolean,
    /// A colour, which only drawings show. What is no text is none, and refuses no series.
    Colour,
    /// A time, as `from` takes it.
    Date,
    /// A number.
    Float,
    /// A whole number.
    Integer,
    /// A length of time.
    Interval,
    /// A whole number, or no limit.
    IntOrInf,
    /// A number of points, or a length of time.
    IntOrInterval,
    /// Place of a part in a name.
    Node,
    /// Place of a part in a name, or a tag.
    NodeOrTag,
    /// A list of series.
    SeriesList,
    /// A list of lists of series.
    SeriesLists,
    /// A text.
    String,
    /// A tag.
    Tag,
}

impl ParamKind {
    /// As `/functions` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AggFunc | Self::AggFuncOfRows => "aggFunc",
            Self::AggOrSeriesFunc => "aggOrSeriesFunc",
            Self::Any => "any",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Float => "float",
            Self::Integer => "integer",
            Self::Interval => "interval",
            Self::IntOrInf => "intOrInf",
            Self::IntOrInterval => "intOrInterval",
            Self::Node => "node",
            Self::NodeOrTag => "nodeOrTag",
            Self::SeriesList => "seriesList",
            Self::SeriesLists => "seriesLists",
            Self::Colour | Self::String => "string",
            Self::Tag => "tag",
        }
    }
}

/// A value that can stand in the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Literal {
    /// Nothing.
    None,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(&'static str),
}
