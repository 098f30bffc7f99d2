//! The open windows of one rule.

use std::collections::BTreeMap;

use metric::Point;

use super::figures::Figures;
use super::method::MethodKind;
use super::rows::{Form, Header, Key};
use super::series::AllSeries;
use super::spec::{METHOD_PLACE, Spec, WINDOW_PLACE};
use super::values::{Values, percentile};
use super::watermark::Watermark;

/// Windows that late points changed are sent again at most this often, so that a burst of late
/// points is one correction.
const CORRECTION_GAP_S: i64 = 10;

/// A point further ahead of the wall clock belongs to no window yet.
const AHEAD_S_MAX: i64 = 600;

/// Why a point was not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// Later than the rule allows.
    TooLate,
    /// Further ahead of the clock than ten minutes, or before 1970.
    TooFarAhead,
    /// The rule has as many series as it may.
    SeriesLimit,
    /// The rule holds as many bytes as it may.
    BytesLimit,
}

impl Refusal {
    /// Every refusal, for tables that have a counter for each.
    pub const ALL: [Self; 4] =
        [Self::TooLate, Self::TooFarAhead, Self::SeriesLimit, Self::BytesLimit];

    /// The refusal as the label of a metric.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooLate => "too_late",
            Self::TooFarAhead => "too_far_ahead",
            Self::SeriesLimit => "series_limit",
            Self::BytesLimit => "bytes_limit",
        }
    }
}

/// One point that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Emission<'a> {
    /// The output's name.
    pub name: &'a str,
    /// The window's result.
    pub point: Point,
}

/// What has happened since the rule began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Points handed out.
    pub emitted: u64,
    /// How often a late point gave a window that was sent before something to send again.
    pub corrected: u64,
    /// Values that percentiles leave out because their window had too many.
    pub values_over_limit: u64,
    /// Windows sent although points of them came before the log that they were rebuilt from.
    pub incomplete: u64,
}

/// The part of time that a replay covered, in the data's own time.
#[derive(Debug, Clone, Copy)]
struct Replayed {
    /// Windows that began before may lack points.
    from: i64,
    /// What was due before had been sent by the earlier run.
    until: i64,
}

/// When a series is looked at.
#[derive(Debug, Clone, Copy)]
struct Moment {
    /// The second that the agenda has it for.
    due: i64,
    /// The data's time now, which may be later.
    clock: i64,
}

/// The open windows of one rule.
#[derive(Debug)]
pub struct Aggregator {
    spec: Spec,
    form: Form,
    watermark: Watermark,
    series: AllSeries,
    rows_bytes: usize,
    values: Option<Values>,
    /// Which series are to be looked at in which second.
    agenda: BTreeMap<i64, Vec<u32>>,
    replayed: Option<Replayed>,
    tally: Tally,
}

impl Aggregator {
    /// A rule without points.
    #[must_use]
    pub fn new(spec: Spec) -> Self {
        Self {
            form: spec.form(),
            values: spec.needs_values().then(Values::default),
            spec,
            watermark: Watermark::default(),
            series: AllSeries::default(),
            rows_bytes: 0,
            agenda: BTreeMap::new(),
            replayed: None,
            tally: Tally::default(),
        }
    }

    /// How many output series have open windows.
    #[must_use]
    pub fn series(&self) -> usize {
        self.series.len()
    }

    /// The bytes that the windows take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.series.bytes() + self.rows_bytes + self.values.as_ref().map_or(0, Values::bytes)
    }

    /// What has happened.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// What has happened since this was last asked.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// From now on the windows may take so many bytes.
    pub fn set_bytes_max(&mut self, bytes_max: usize) {
        self.spec.limits.bytes_max = bytes_max;
    }

    /// Whether [`Aggregator::advance`] has something to do.
    #[must_use]
    pub fn is_due(&self, now: i64) -> bool {
        let due = self.agenda.first_key_value().map(|(due, _)| *due);
        due.zip(self.watermark.running(now)).is_some_and(|(due, clock)| due <= clock)
    }

    /// Counts a point that goes into `output`; `now` is the wall clock's second.
    ///
    /// # Errors
    /// Why the point does not count.
    pub fn add(&mut self, output: &str, point: Point, now: i64) -> Result<(), Refusal> {
        let Ok(time) = u32::try_from(point.timestamp) else { return Err(Refusal::TooFarAhead) };
        if point.timestamp > now.saturating_add(AHEAD_S_MAX) {
            return Err(Refusal::TooFarAhead);
        }
        self.watermark.see(point.timestamp, now);
        if self.is_closed(point.timestamp) {
            return Err(Refusal::TooLate);
        }
        let id = self.admit(output, time)?;
        let clock = self.watermark.running(now).unwrap_or(now);
        let mut due = i64::MAX;
        let rows = &mut self.series.get_mut(id).rows;
        let before = rows.bytes();
        for level in 0..self.form.intervals.len() {
            let key = self.form.window(level, time);
            let was_idle = if level == 0 {
                rows.add(&self.form, key, point)
            } else {
                rows.mark(&self.form, key)
            };
            if was_idle {
                let first = self.form.end(key) + send_after(&self.spec, level, id);
                let is_correction = first <= clock;
                due = due.min(if is_correction { next_correction(id, clock) } else { first });
                self.tally.corrected += u64::from(is_correction);
            }
        }
        self.rows_bytes = self.rows_bytes - before + rows.bytes();
        if let Some(values) = &mut self.values {
            let at = (id, self.form.window(0, time));
            let kept = values.add(at, point, self.spec.limits.values_max);
            self.tally.values_over_limit += u64::from(!kept);
        }
        self.schedule(id, due);
        Ok(())
    }

    /// Hands out what is due; to be called about once a second and after each batch of points.
    pub fn advance(&mut self, now: i64, mut send: impl FnMut(Emission<'_>)) {
        while self.is_due(now) {
            self.advance_a_second(now, &mut send);
        }
    }

    /// Hands out what was due in the earliest second for which something is: of data that jumps, or pours in, not all at once.
    pub fn advance_a_second(&mut self, now: i64, mut send: impl FnMut(Emission<'_>)) {
        let Some(clock) = self.watermark.running(now) else { return };
        let earliest = self.agenda.first_entry().filter(|entry| *entry.key() <= clock);
        let Some((due, ids)) = earliest.map(|entry| entry.remove_entry()) else { return };
        for id in ids {
            if self.series.get(id).due == due {
                self.serve(id, Moment { due, clock }, &mut send);
            }
        }
    }

    /// Hands out everything that has not been sent, ended or not: for a stop that nothing will
    /// rebuild the windows after.
    pub fn flush(&mut self, mut send: impl FnMut(Emission<'_>)) {
        for id in self.series.ids() {
            self.send_pending(id, |_| true, &mut send);
        }
    }

    /// Ends a replay of logged points, which were added with the time of their receipt as `now`,
    /// and advanced by it with nothing sent. `from` is the time at which the log begins. Every
    /// window that is still open is sent once more: the earlier run may not have come to it.
    pub fn end_replay(&mut self, from: i64, now: i64) {
        let Some(clock) = self.watermark.running(now) else { return };
        self.replayed = Some(Replayed { from, until: clock });
        for id in self.series.ids() {
            let rows = &mut self.series.get_mut(id).rows;
            let keys: Vec<Key> = rows.iter(&self.form).map(|(_, header)| header.key).collect();
            for key in keys {
                rows.mark(&self.form, key);
            }
            self.schedule(id, next_correction(id, clock + self.spec.splay_of(0, id)));
        }
    }

    /// Whether no point of this time counts any more.
    fn is_closed(&self, timestamp: i64) -> bool {
        let newest = self.watermark.newest();
        newest.is_some_and(|newest| timestamp < newest - i64::from(self.spec.late_s))
    }

    /// The series of a name, a new one if the limits allow it.
    fn admit(&mut self, output: &str, time: u32) -> Result<u32, Refusal> {
        let found = self.series.find(output);
        if self.bytes() >= self.spec.limits.bytes_max {
            let key = self.form.window(0, time);
            return found
                .filter(|id| {
                    self.values.is_none() && self.series.get(*id).rows.has(&self.form, key)
                })
                .ok_or(Refusal::BytesLimit);
        }
        match found {
            Some(id) => Ok(id),
            None if self.series.len() >= self.spec.limits.series_max => Err(Refusal::SeriesLimit),
            None => Ok(self.series.insert(output)),
        }
    }

    fn schedule(&mut self, id: u32, due: i64) {
        let series = self.series.get_mut(id);
        if due < series.due {
            series.due = due;
            self.agenda.entry(due).or_default().push(id);
        }
    }

    /// Sends what is due of a series, forgets what is closed, and settles when to look again.
    fn serve(&mut self, id: u32, moment: Moment, send: &mut impl FnMut(Emission<'_>)) {
        let corrects = next_correction(id, moment.due - 1) == moment.due;
        let is_due = |first: i64| first == moment.due || (corrects && first < moment.due);
        self.send_pending(id, is_due, send);
        let before = self.series.get(id).rows.bytes();
        let next = self.close_windows(id, moment);
        self.rows_bytes = self.rows_bytes - before + self.series.get(id).rows.bytes();
        self.series.get_mut(id).due = i64::MAX;
        match next {
            Some(due) => self.schedule(id, due),
            None => self.series.remove(id),
        }
    }

    /// Sends the changed windows of a series that `is_due` by the time of their first sending.
    fn send_pending(
        &mut self,
        id: u32,
        is_due: impl Fn(i64) -> bool,
        send: &mut impl FnMut(Emission<'_>),
    ) {
        let headers = self.series.get(id).rows.iter(&self.form);
        let due: Vec<(usize, Header)> = headers
            .filter(|(_, header)| header.pending && is_due(self.first_due(id, header.key)))
            .collect();
        for (at, header) in due {
            let first_due = self.first_due(id, header.key);
            let mut is_wanted = true;
            if let Some(replayed) = self.replayed
                && self.form.start(header.key) < replayed.from
            {
                // The earlier run has sent this window whole; what is known of it now is less.
                is_wanted = first_due > replayed.until;
                self.tally.incomplete += u64::from(is_wanted);
            }
            if is_wanted {
                self.emit(id, header.key, send);
            }
            self.series.get_mut(id).rows.sent(&self.form, at);
        }
    }

    /// When a window is sent for the first time.
    fn first_due(&self, id: u32, key: Key) -> i64 {
        self.form.end(key) + send_after(&self.spec, key.level, id)
    }

    fn emit(&mut self, id: u32, key: Key, send: &mut impl FnMut(Emission<'_>)) {
        let series = self.series.get(id);
        let mut figures = Figures::EMPTY;
        let mut windows = Vec::new();
        let (start, end) = (self.form.start(key), self.form.end(key));
        for (at, header) in series.rows.iter(&self.form) {
            let is_finer =
                header.key.level < key.level && (start..end).contains(&self.form.start(header.key));
            if is_finer || header.key == key {
                figures.merge(&series.rows.figures(&self.form, at));
                windows.push(header.key);
            }
        }
        let sorted = self.values.as_ref().map(|values| values.sorted(id, &windows));
        let timestamp = self.spec.timestamp(key.level, start);
        let window = &self.spec.windows[key.level].text;
        let mut name = String::new();
        for asked in &self.spec.asked {
            let value = match asked.kind {
                MethodKind::Figures(_, compute) => compute(&figures),
                MethodKind::Percentile(percent) => {
                    percentile(sorted.as_deref().unwrap_or_default(), percent)
                }
            };
            if value.is_finite() {
                fill(&mut name, &series.name, window, &asked.name);
                send(Emission { name: &name, point: Point::new(timestamp, value) });
                self.tally.emitted += 1;
            }
        }
    }

    /// Forgets the windows that no point can be in time for. The answer is when the series is to
    /// be looked at again, if anything is left of it.
    fn close_windows(&mut self, id: u32, moment: Moment) -> Option<i64> {
        let newest = self.watermark.newest()?;
        let mut at = 0;
        let mut next = None::<i64>;
        while let Some((header, after)) = self.series.get(id).rows.row(&self.form, at) {
            let key = header.key;
            let closes_in = self.form.end(key) + i64::from(self.spec.late_s) - newest;
            let first_due = self.first_due(id, key);
            let look_again = match header.pending {
                true if first_due > moment.due => first_due,
                true => next_correction(id, moment.due),
                false => moment.clock + closes_in,
            };
            if header.pending || closes_in > 0 {
                next = Some(next.map_or(look_again, |next| next.min(look_again)));
                at = after;
                continue;
            }
            let is_coarsest = key.level + 1 == self.form.intervals.len();
            let to = (!is_coarsest).then(|| self.coarser(key));
            self.series.get_mut(id).rows.close(&self.form, at, to);
            if let Some(values) = &mut self.values {
                let left_out = values.close(id, key, to, self.spec.limits.values_max);
                self.tally.values_over_limit += left_out as u64;
            }
        }
        next
    }

    /// The window of the next size that this one lies in.
    fn coarser(&self, key: Key) -> Key {
        let ratio = self.form.intervals[key.level + 1] / self.form.intervals[key.level];
        Key { level: key.level + 1, number: key.number / ratio }
    }
}

/// How many seconds after its end a window of a series is sent for the first time.
fn send_after(spec: &Spec, level: usize, id: u32) -> i64 {
    i64::from(spec.wait_s) + spec.splay_of(level, id)
}

/// The first moment after `after` at which this series may send corrections; the series' moments
/// are spread.
fn next_correction(id: u32, after: i64) -> i64 {
    let own = i64::from(id) % CORRECTION_GAP_S;
    (after - own).div_euclid(CORRECTION_GAP_S) * CORRECTION_GAP_S + CORRECTION_GAP_S + own
}

/// Writes an output's name with its places filled.
fn fill(name: &mut String, template: &str, window: &str, method: &str) {
    name.clear();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, place) = rest.split_at(at);
        name.push_str(before);
        let (text, place) = [(METHOD_PLACE, method), (WINDOW_PLACE, window), ("{", "{")]
            .into_iter()
            .find_map(|(mark, text)| place.strip_prefix(mark).map(|after| (text, after)))
            .expect("the text begins with a brace");
        name.push_str(text);
        rest = place;
    }
    name.push_str(rest);
}
