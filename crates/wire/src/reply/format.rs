//! The encodings of replies, and their names.

/// An encoding of replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// JSON as go-carbon writes it.
    #[default]
    Json,
    /// Python pickle as graphite-web reads it.
    Pickle,
    /// MessagePack as graphite-web reads it.
    Msgpack,
    /// carbonapi_v2_pb.
    V2,
    /// carbonapi_v3_pb.
    V3,
}

/// One row per format: what it is called in `format=`, best name first, and its content type.
const FORMATS: [(Format, &[&str], &str); 5] = [
    (Format::Json, &["json", "carbonapi_v2_json"], "application/json"),
    (Format::Pickle, &["pickle"], "application/pickle"),
    (Format::Msgpack, &["msgpack"], "application/x-msgpack"),
    (Format::V2, &["carbonapi_v2_pb", "protobuf", "protobuf3"], "application/x-protobuf"),
    (Format::V3, &["carbonapi_v3_pb"], "application/x-carbonapi-v3-pb"),
];

impl Format {
    /// The format that a `format=` parameter names.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        FORMATS.iter().find(|(_, names, _)| names.contains(&name)).map(|row| row.0)
    }

    /// The format of a body with this content type; parameters such as a charset are ignored.
    #[must_use]
    pub fn from_content_type(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let row = FORMATS.iter().find(|(_, _, known)| known.eq_ignore_ascii_case(essence));
        row.map(|row| row.0)
    }

    /// What to put into `format=`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1[0]
    }

    /// The content type of a body.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> &'static (Self, &'static [&'static str], &'static str) {
        FORMATS.iter().find(|row| row.0 == self).expect("every format has its row")
    }
}
