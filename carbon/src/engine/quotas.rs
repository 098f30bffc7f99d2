//! How much the series below a prefix take, and whether there is room for one more. Series that exist are never refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use schema::Quota;

use super::Store;

/// What one quota has used. Counted while new series come, and anew every few minutes.
#[derive(Debug)]
struct Used {
    quota: Quota,
    series: AtomicU64,
    bytes: AtomicU64,
    points: Points,
}

/// Points of this minute and of the one before.
#[derive(Debug, Default)]
struct Points {
    minute: AtomicU64,
    now: AtomicU64,
    before: AtomicU64,
}

/// A quota and what it has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaUse {
    /// The limits.
    pub quota: Quota,
    /// Series that there are.
    pub series: u64,
    /// Bytes that their files have or will have, holes in them included.
    pub bytes: u64,
    /// Points of the last whole minute, or of the present one if they are more.
    pub points_per_minute: u64,
}

/// All quotas.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    all: RwLock<Arc<[Used]>>,
}

impl Points {
    fn add(&self, count: u64, minute: u64) {
        let last = self.minute.swap(minute, Ordering::Relaxed);
        if last != minute {
            let points = self.now.swap(0, Ordering::Relaxed);
            self.before.store(if last + 1 == minute { points } else { 0 }, Ordering::Relaxed);
        }
        self.now.fetch_add(count, Ordering::Relaxed);
    }

    fn rate(&self, minute: u64) -> u64 {
        let (now, before) = (self.now.load(Ordering::Relaxed), self.before.load(Ordering::Relaxed));
        match minute.saturating_sub(self.minute.load(Ordering::Relaxed)) {
            0 => now.max(before),
            1 => now,
            _ => 0,
        }
    }
}

impl Used {
    fn is_over(&self, file_bytes: u64, minute: u64) -> bool {
        let over = |limit: Option<u64>, wanted: u64| limit.is_some_and(|limit| wanted > limit);
        let Quota { series, bytes, points_per_minute, .. } = self.quota;
        over(series, self.series.load(Ordering::Relaxed) + 1)
            || over(bytes, self.bytes.load(Ordering::Relaxed).saturating_add(file_bytes))
            || points_per_minute.is_some_and(|limit| self.points.rate(minute) >= limit)
    }

    fn add(&self, file_bytes: u64) {
        self.series.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(file_bytes, Ordering::Relaxed);
    }
}

impl Quotas {
    fn all(&self) -> Arc<[Used]> {
        Arc::clone(&self.all.read())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.read().is_empty()
    }
}

impl Store {
    fn minute(&self) -> u64 {
        self.clock.monotonic().as_secs() / 60
    }

    /// Puts these quotas in force, and counts what they have used.
    pub(super) fn set_quotas(&self, quotas: &[Quota]) {
        let unused = |quota: &Quota| Used {
            quota: quota.clone(),
            series: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            points: Points::default(),
        };
        let fresh: Arc<[Used]> = quotas.iter().map(unused).collect();
        *self.quotas.all.write() = fresh;
        self.count_quotas();
    }

    /// Counts again what the quotas have used: series may have come from the disk, and gone.
    pub(super) fn count_quotas(&self) {
        let all = self.quotas.all();
        if all.is_empty() {
            return;
        }
        let mut counts = vec![(0, 0); all.len()];
        self.table.for_each(|_id, name| {
            let own = all.iter().zip(&mut counts);
            for (used, count) in own.filter(|(used, _)| name.starts_with(&used.quota.prefix)) {
                count.0 += 1;
                // What kind of file it has takes some time to find out.
                count.1 += used.quota.bytes.map_or(0, |_| self.file_bytes(name));
            }
        });
        for (used, (series, bytes)) in all.iter().zip(counts) {
            used.series.store(series, Ordering::Relaxed);
            used.bytes.store(bytes, Ordering::Relaxed);
        }
    }

    fn file_bytes(&self, name: &str) -> u64 {
        self.specs.spec_for(name).header().map_or(0, |header| header.file_bytes())
    }

    /// Whether a new series of this name would be too much for one of its quotas.
    pub(super) fn is_over_quota(&self, name: &str) -> bool {
        let all = self.quotas.all();
        let mut own = all.iter().filter(|used| name.starts_with(&used.quota.prefix)).peekable();
        if own.peek().is_none() {
            return false;
        }
        let (file_bytes, minute) = (self.file_bytes(name), self.minute());
        own.any(|used| used.is_over(file_bytes, minute))
    }

    /// Takes note of a new series.
    pub(super) fn count_new_series(&self, name: &str) {
        let all = self.quotas.all();
        for used in all.iter().filter(|used| name.starts_with(&used.quota.prefix)) {
            used.add(used.quota.bytes.map_or(0, |_| self.file_bytes(name)));
        }
    }

    /// Takes note of a batch of points.
    pub(super) fn count_points(&self, names: &[&str]) {
        let minute = self.minute();
        for used in self.quotas.all().iter() {
            if used.quota.points_per_minute.is_some() {
                let own = names.iter().filter(|name| name.starts_with(&used.quota.prefix));
                used.points.add(own.count() as u64, minute);
            }
        }
    }

    /// All quotas, in the order of their file.
    pub(super) fn quota_uses(&self) -> Vec<QuotaUse> {
        let minute = self.minute();
        let of = |used: &Used| QuotaUse {
            quota: used.quota.clone(),
            series: used.series.load(Ordering::Relaxed),
            bytes: used.bytes.load(Ordering::Relaxed),
            points_per_minute: used.points.rate(minute),
        };
        self.quotas.all().iter().map(of).collect()
    }
}
