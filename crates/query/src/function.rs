//! The table's row: all that is known of a function stands in one [`Function`].

use std::sync::LazyLock;

use crate::args::BoundArgs;
use crate::call::Call;
use crate::error::EvalError;
use crate::fold::{FoldSpec, FoldedGroup};
use crate::plan::Window;
use crate::request::Request;
use crate::series::Series;
use crate::value::Value;

/// A function of the query language.
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Other names for the same thing.
    pub aliases: &'static [&'static str],
    /// Where editors list it.
    pub group: Group,
    /// What it takes, in order.
    pub params: &'static [Param],
    /// One sentence.
    pub summary: &'static str,
    /// More sentences, or nothing.
    pub detail: &'static str,
    /// Over which windows its first argument is evaluated.
    pub window: WindowRule,
    /// Whether it answers one series for each of its first argument, with points at the same times.
    pub keeps_grids: bool,
    /// Whether `groupByNode` and its like take it as a callback.
    pub aggregates: bool,
    /// How storage nodes can begin it.
    pub fold: Option<&'static Folding>,
    /// What it does.
    pub eval: Body,
    /// Targets that show it at work; each is a test.
    pub examples: &'static [Example],
}

/// What most rows share: `Function { name: "x", eval: Body::List(x), ..Function::DEFAULT }`.
impl Function {
    /// A row with nothing in it.
    pub const DEFAULT: Self = Self {
        name: "",
        aliases: &[],
        group: Group::Special,
        params: &[],
        summary: "",
        detail: "",
        window: WindowRule::Same,
        keeps_grids: false,
        aggregates: false,
        fold: None,
        eval: Body::List(|_| Ok(Vec::new())),
        examples: &[],
    };
}

/// What a function answers.
#[derive(Clone, Copy, Debug)]
pub enum Body {
    /// A list of series.
    List(fn(&mut Call<'_>) -> Result<Vec<Series>, EvalError>),
    /// A list of lists (`map` only).
    Lists(fn(&mut Call<'_>) -> Result<Vec<Vec<Series>>, EvalError>),
}

impl Function {
    /// The arguments of a call with one list of series and nothing else, if the function can be folded
    /// so.
    pub(crate) fn folded_alone(&'static self) -> Option<(&'static Folding, BoundArgs)> {
        let args = BoundArgs::bind(self, self.name, vec![Value::List(Vec::new())], Vec::new());
        Some((self.fold?, args.ok()?))
    }
}

/// What becomes of a call whose only series are those of one pattern, where storage nodes fold them.
#[derive(Debug)]
pub struct Folding {
    /// What to fold, for these arguments; the list of series among them is empty.
    pub spec: fn(&Function, &BoundArgs) -> Option<FoldSpec>,
    /// What the body would have made of the series that this pattern found.
    pub finish: Finish,
}

/// The end of a fold: of a pattern and the groups of its series.
pub type Finish = fn(&mut Call<'_>, &str, &[&FoldedGroup]) -> Result<Vec<Series>, EvalError>;

/// The groups of graphite-web's function list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Renames.
    Alias,
    /// Computes over time.
    Calculate,
    /// Makes one of many.
    Combine,
    /// Drops values.
    FilterData,
    /// Drops series.
    FilterSeries,
    /// Changes how a graph looks.
    Graph,
    /// Orders.
    Sorting,
    /// Everything else.
    Special,
    /// Changes values one by one.
    Transform,
}

impl Group {
    /// As graphite-web and Grafana call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alias => "Alias",
            Self::Calculate => "Calculate",
            Self::Combine => "Combine",
            Self::FilterData => "Filter Data",
            Self::FilterSeries => "Filter Series",
            Self::Graph => "Graph",
            Self::Sorting => "Sorting",
            Self::Special => "Special",
            Self::Transform => "Transform",
        }
    }
}

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
    /// Values that an editor offers.
    pub suggestions: &'static [Literal],
}

impl Param {
    /// A parameter that every call must give.
    pub const fn required(name: &'static str, kind: ParamKind) -> Self {
        let (required, multiple) = (true, false);
        Self {
            name,
            kind,
            required,
            default: Literal::None,
            multiple,
            options: &[],
            suggestions: &[],
        }
    }

    /// A parameter that may be left out.
    pub const fn optional(name: &'static str, kind: ParamKind) -> Self {
        let (required, multiple) = (false, false);
        Self {
            name,
            kind,
            required,
            default: Literal::None,
            multiple,
            options: &[],
            suggestions: &[],
        }
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

/// Over which windows a function evaluates its first argument, known before evaluation.
///
/// The request's own window always counts too. What only evaluation can tell (points times the step
/// found) is asked for in a further round.
#[derive(Clone, Copy, Debug)]
pub enum WindowRule {
    /// The one it was called with.
    Same,
    /// It also starts earlier, by the interval in this parameter (its sign does not matter).
    Earlier(&'static str),
    /// The same, but where this parameter is a number of points, only evaluation can tell; of the argument
    /// as it was called only [`Call::greatest_step`] matters.
    EarlierPoints(&'static str),
    /// It is also moved as a whole by the interval in this parameter, back if there is no sign.
    Shifted(&'static str),
    /// Whatever this computes from the arguments.
    Custom(fn(&BoundArgs, Window, &Request) -> Vec<Window>),
}

/// A target that shows a function.
#[derive(Debug)]
pub struct Example {
    /// The target.
    pub target: &'static str,
    /// What it is for.
    pub shows: &'static str,
}

/// Every (name or alias, function), sorted by name.
static TABLE: LazyLock<Vec<(&'static str, &'static Function)>> = LazyLock::new(|| {
    let families = crate::functions::FAMILIES.iter().flat_map(|family| family.iter());
    let mut table: Vec<_> = families
        .flat_map(|f| {
            std::iter::once(f.name).chain(f.aliases.iter().copied()).map(move |name| (name, f))
        })
        .collect();
    table.sort_unstable_by_key(|(name, _)| *name);
    table
});

/// The function of that name or alias.
pub fn find(name: &str) -> Option<&'static Function> {
    let at = TABLE.binary_search_by_key(&name, |(name, _)| name).ok()?;
    Some(TABLE[at].1)
}

/// Every (name or alias, function), sorted by name.
pub fn all() -> &'static [(&'static str, &'static Function)] {
    &TABLE
}
