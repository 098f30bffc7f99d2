//! The table's row: all that is known of a function stands in one [`Function`].

use crate::args::BoundArgs;
use crate::call::Call;
use crate::error::EvalError;
use crate::fold::{FoldSpec, FoldedGroup};
use crate::param::Param;
use crate::request::Request;
use crate::series::Series;
use crate::value::Value;
use crate::window::Window;

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
    /// Whether this is its name, or one of the others.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// The arguments of a call with one list of series and nothing else, if the function can be folded
    /// so.
    pub(crate) fn folded_alone(&'static self) -> Option<(&'static Folding, BoundArgs)> {
        let args =
            BoundArgs::bind(self.params, self.name, vec![Value::List(Vec::new())], Vec::new());
        Some((self.fold?, args.ok()?))
    }

    /// What this function makes of a group that the store has folded, were it called in the place of `call` with
    /// the series of that group.
    pub(crate) fn finish_folded(
        &'static self,
        call: &mut Call<'_>,
        pattern: &str,
        group: &FoldedGroup,
    ) -> Result<Vec<Series>, EvalError> {
        let folded = self.folded_alone();
        let (folding, args) = folded.ok_or_else(|| call.error("cannot be folded"))?;
        (folding.finish)(&mut call.in_place(self.name, args), pattern, &[group])
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
