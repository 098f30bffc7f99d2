//! Who sends a request, and what is left of what it may send.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use hashbrown::HashMap;
use parking_lot::Mutex;
use wire::RefusalReason;

use super::collect::Collected;
use super::refusal::Refusal;
use super::seen::Seen;
use crate::bucket::Bucket;
use crate::point::{Point, Sink};
use crate::settings::TenantSettings;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Every tenant by its token.
#[derive(Debug)]
pub(super) struct Tenants {
    by_token: HashMap<String, Tenant>,
    /// Of requests without a token.
    without_token: Option<Tenant>,
}

impl Tenants {
    pub(super) fn new(settings: &[TenantSettings], now: Duration) -> Self {
        let (mut by_token, mut without_token) = (HashMap::new(), None);
        for settings in settings {
            let tenant = Tenant::new(settings, now);
            match &settings.token {
                Some(token) => drop(by_token.insert(token.clone(), tenant)),
                None => without_token = Some(tenant),
            }
        }
        Self { by_token, without_token }
    }

    /// The tenant of a request.
    pub(super) fn of(&self, headers: &HeaderMap) -> Result<&Tenant, Refusal> {
        let tenant = match headers.get(AUTHORIZATION) {
            // Where nobody has a token, one is as good as none.
            Some(_) if self.by_token.is_empty() => self.without_token.as_ref(),
            Some(value) => token(value.as_bytes()).and_then(|token| self.by_token.get(token)),
            None => self.without_token.as_ref(),
        };
        tenant.ok_or(Refusal::Unauthorized)
    }
}

/// The token of `Bearer TOKEN`.
fn token(value: &[u8]) -> Option<&str> {
    let (scheme, token) = str::from_utf8(value).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// One sender and what it has left.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) name: String,
    requests: Option<Limit>,
    points: Option<Limit>,
    series: Option<Mutex<SeriesLimit>>,
}

#[derive(Debug)]
struct Limit {
    allowed: u64,
    bucket: Mutex<Bucket>,
}

/// New series of one tenant.
#[derive(Debug)]
struct SeriesLimit {
    allowed: u64,
    bucket: Bucket,
    seen: Seen,
    /// Where the sink cannot tell which series exist, names are only learnt until then: after a
    /// restart every name is new to us, and none may be refused for that.
    learnt_at: Duration,
}

impl Tenant {
    fn new(settings: &TenantSettings, now: Duration) -> Self {
        let limit = |allowed: u64| {
            (allowed > 0)
                .then(|| Limit { allowed, bucket: Mutex::new(Bucket::new(allowed, SECOND, now)) })
        };
        let allowed = settings.new_series_per_hour_max;
        let series = (allowed > 0).then(|| {
            let bucket = Bucket::new(allowed, HOUR, now);
            let seen = Seen::default();
            Mutex::new(SeriesLimit { allowed, bucket, seen, learnt_at: now + HOUR })
        });
        Self {
            name: settings.name.clone(),
            requests: limit(settings.requests_per_second_max),
            points: limit(settings.points_per_second_max),
            series,
        }
    }

    /// Takes one request.
    pub(super) fn take_request(&self, now: Duration) -> Result<(), Refusal> {
        take(self.requests.as_ref(), "requests", 1, now)
    }

    /// Takes so many points, all of them or none.
    pub(super) fn take_points(&self, points: u64, now: Duration) -> Result<(), Refusal> {
        take(self.points.as_ref(), "points", points, now)
    }

    /// Rejects the points of series that are new and may not begin now; says how long it takes
    /// until one may.
    pub(super) fn take_new_series(
        &self,
        collected: &mut Collected<'_>,
        sink: &impl Sink,
        now: Duration,
    ) -> Result<(), Refusal> {
        let Some(limit) = &self.series else { return Ok(()) };
        let mut limit = limit.lock();
        let mut wait = Duration::ZERO;
        collected.retain(RefusalReason::NewSeriesLimit, |point| {
            match limit.admit(point, sink, now) {
                Ok(()) => true,
                Err(until) => {
                    wait = until;
                    false
                }
            }
        });
        let nothing_else = collected.points.is_empty()
            && collected.rejected_for(RefusalReason::NewSeriesLimit) > 0;
        match nothing_else {
            true => Err(too_many("new series", "hour", limit.allowed, wait)),
            false => Ok(()),
        }
    }
}

impl SeriesLimit {
    fn admit(
        &mut self,
        point: &Point<'_>,
        sink: &impl Sink,
        now: Duration,
    ) -> Result<(), Duration> {
        let held = sink.holds(&point.name);
        if held == Some(true) || self.seen.contains(&point.name) {
            return Ok(());
        }
        let is_learning = held.is_none() && now < self.learnt_at;
        if !is_learning {
            self.bucket.try_take(1, now)?;
        }
        self.seen.insert(&point.name);
        Ok(())
    }
}

fn take(
    limit: Option<&Limit>,
    what: &'static str,
    units: u64,
    now: Duration,
) -> Result<(), Refusal> {
    let Some(limit) = limit else { return Ok(()) };
    let taken = limit.bucket.lock().try_take(units, now);
    taken.map_err(|wait| too_many(what, "second", limit.allowed, wait))
}

fn too_many(what: &'static str, period: &'static str, allowed: u64, wait: Duration) -> Refusal {
    Refusal::TooMany { what, period, allowed, wait }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn tenants(tokens: &[Option<&str>]) -> Tenants {
        let tenant = |token: &Option<&str>| TenantSettings {
            name: token.unwrap_or("everybody").to_owned(),
            token: token.map(str::to_owned),
            ..TenantSettings::default()
        };
        let settings: Vec<TenantSettings> = tokens.iter().map(tenant).collect();
        Tenants::new(&settings, Duration::ZERO)
    }

    fn name(tenants: &Tenants, authorization: Option<&'static str>) -> Result<String, Refusal> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
        }
        tenants.of(&headers).map(|tenant| tenant.name.clone())
    }

    #[test]
    fn a_token_is_needed_once_there_are_tokens_unless_a_tenant_goes_without() {
        let refused = Err(Refusal::Unauthorized);
        let closed = tenants(&[Some("a"), Some("b")]);
        assert_eq!(name(&closed, Some("Bearer b")), Ok("b".to_owned()));
        assert_eq!(name(&closed, Some("bearer  a")), Ok("a".to_owned()));
        assert_eq!(name(&closed, Some("Bearer c")), refused);
        assert_eq!(name(&closed, Some("Basic YTo=")), refused);
        assert_eq!(name(&closed, None), refused);
        let open = tenants(&[Some("a"), None]);
        assert_eq!(name(&open, None), Ok("everybody".to_owned()));
        assert_eq!(name(&open, Some("Bearer c")), refused);
        let plain = tenants(&[None]);
        assert_eq!(name(&plain, Some("Bearer of no meaning")), Ok("everybody".to_owned()));
    }
}
