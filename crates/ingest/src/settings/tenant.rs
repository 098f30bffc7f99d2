//! `[[tenant]]`: who sends points by HTTP, and how many.

use daemon::{Fault, Kind, Setting, Values};

/// What a `[[tenant]]` table may say.
pub const OPTIONS: &[Setting] = &[
    Setting::new("name", Kind::Text, "", "What the tenant is called in metrics and logs.")
        .value_name("NAME")
        .required(),
    Setting::new(
        "token",
        Kind::Text,
        "",
        "Requests with `Authorization: Bearer TOKEN` are this tenant's. Without it, those that \
         carry no token are.",
    )
    .value_name("TOKEN"),
    Setting::new(
        "requests_per_second_max",
        Kind::Count,
        "",
        "As `http_requests_per_second_max`, which holds where this is not said.",
    ),
    Setting::new(
        "points_per_second_max",
        Kind::Count,
        "",
        "As `http_points_per_second_max`, which holds where this is not said.",
    ),
    Setting::new(
        "new_series_per_hour_max",
        Kind::Count,
        "",
        "As `http_new_series_per_hour_max`, which holds where this is not said.",
    ),
];

/// One sender, or everybody without a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantSettings {
    /// Its name in metrics and logs.
    pub name: String,
    /// What its requests carry.
    pub token: Option<String>,
    /// Requests a second; zero for any number.
    pub requests_per_second_max: u64,
    /// Points a second; zero for any number.
    pub points_per_second_max: u64,
    /// New series an hour; zero for any number.
    pub new_series_per_hour_max: u64,
}

/// The tenants of the file, or one that is everybody.
pub(super) fn from_values(values: &Values, faults: &mut Vec<Fault>) -> Vec<TenantSettings> {
    let limit = |own: Option<&Values>, key: &str| {
        let own = own.and_then(|own| own.opt_count(key));
        own.unwrap_or_else(|| values.count(&format!("http_{key}")))
    };
    let tenant = |own: Option<&Values>| TenantSettings {
        name: own.map_or("everybody", |own| own.text("name")).to_owned(),
        token: own.and_then(|own| own.opt_text("token")).map(str::to_owned),
        requests_per_second_max: limit(own, "requests_per_second_max"),
        points_per_second_max: limit(own, "points_per_second_max"),
        new_series_per_hour_max: limit(own, "new_series_per_hour_max"),
    };
    let mut tenants: Vec<TenantSettings> = Vec::new();
    let tables = values.document("tenant").map(|tables| tables.values(OPTIONS, faults));
    for own in tables.unwrap_or_default() {
        let next = tenant(Some(&own));
        if tenants.iter().any(|other| other.name == next.name) {
            faults.push(own.fault("name", format!("there are two tenants `{}`", next.name)));
        } else if tenants.iter().any(|other| other.token == next.token) {
            faults.push(own.fault("token", "is another tenant's too"));
        } else {
            tenants.push(next);
        }
    }
    if tenants.is_empty() {
        tenants.push(tenant(None));
    }
    tenants
}
