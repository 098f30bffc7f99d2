//! Why there is no picture.

/// What is wrong with the options, or with them for these series.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// An option has a value that it cannot have.
    #[error("{name}={value:?}: {wanted}")]
    Option {
        /// The option.
        name: &'static str,
        /// What was sent.
        value: String,
        /// What it can be.
        wanted: String,
    },
    /// A colour that is none, where one was sent with a series.
    #[error("{0:?} is no colour: a name such as blue, or rrggbb, or rrggbbaa")]
    Color(String),
    /// An axis that cannot be drawn.
    #[error("the y axis cannot be drawn: {0}")]
    Axis(String),
    /// The picture could not be written.
    #[error("the picture cannot be written: {0}")]
    Print(String),
}
