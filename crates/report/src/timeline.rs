//! The steps of logs in coarser ones, as many as a page has room for.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use snapshot::Traffic;

use crate::words::Clock;

/// Widths of a step that people count in, in seconds.
const WIDTHS: [i64; 14] = [
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    2 * 3600,
    6 * 3600,
    12 * 3600,
    24 * 3600,
    7 * 24 * 3600,
    28 * 24 * 3600,
    364 * 24 * 3600,
];

/// What logs hold, by steps of one width, without gaps.
pub(crate) struct Timeline {
    pub(crate) width_seconds: i64,
    pub(crate) bars: Vec<Bar>,
    /// Whether requests are counted; else only entries of error logs are.
    pub(crate) of_requests: bool,
}

/// One step.
#[derive(Default)]
pub(crate) struct Bar {
    pub(crate) at: Timestamp,
    pub(crate) requests: u64,
    /// Failed requests; without an access log, entries that tell of a failure.
    pub(crate) failed: u64,
    /// Failed requests by status and the address asked last.
    pub(crate) errors: BTreeMap<(u16, String), u64>,
    /// Entries by symptom and upstream.
    pub(crate) symptoms: BTreeMap<(String, String), u64>,
}

impl Timeline {
    /// All of it; none where nothing has a time.
    pub(crate) fn of(traffic: &Traffic, clock: Clock, most_bars: usize) -> Option<Timeline> {
        let first = traffic.steps.first()?.at;
        let last = traffic.steps.last()?.at;
        Timeline::between(traffic, clock, most_bars, first, last)
    }

    /// The worst of it, as close as the logs know it; none where no step stands out of the others.
    pub(crate) fn worst(&self, traffic: &Traffic, clock: Clock, most_bars: usize) -> Option<Timeline> {
        let mut worst = self.closer(traffic, clock, most_bars)?;
        while let Some(closer) = worst.closer(traffic, clock, most_bars) {
            worst = closer;
        }
        Some(worst)
    }

    /// The part around the worst step, where it stands out and is shown in less detail than the logs have.
    fn closer(&self, traffic: &Traffic, clock: Clock, most_bars: usize) -> Option<Timeline> {
        /// The worst step holds as much as that many average ones.
        const STANDS_OUT: u64 = 3;
        /// What holds that part of the worst step belongs to it.
        const GOES_ON: u64 = 4;
        let (index, worst) = self.bars.iter().enumerate().max_by_key(|(_, it)| it.failed)?;
        let total: u64 = self.bars.iter().map(|it| it.failed).sum();
        if self.width_seconds <= i64::from(traffic.step_seconds)
            || worst.failed * (self.bars.len() as u64) < total * STANDS_OUT
        {
            return None;
        }
        // As far as it goes on, and one step more: a failure begins in the step before as often as not.
        let goes_on = |it: &&Bar| it.failed * GOES_ON >= worst.failed;
        let before = self.bars[..index].iter().rev().take_while(goes_on).count();
        let after = self.bars[index + 1..].iter().take_while(goes_on).count();
        let from = self.bars[(index - before).saturating_sub(1)].at;
        let steps_after = after as i64 + 2;
        let to = later(worst.at, steps_after * self.width_seconds - 1);
        let failed = |it: &&snapshot::Step| from <= it.at && it.at <= to && self.failed(it) > 0;
        let mut steps = traffic.steps.iter().filter(failed).map(|it| it.at);
        let first = steps.next()?;
        let last = steps.next_back().unwrap_or(first);
        let closer = Timeline::between(traffic, clock, most_bars, first, last)?;
        (closer.width_seconds < self.width_seconds).then_some(closer)
    }

    pub(crate) fn has_failures(&self) -> bool {
        self.bars.iter().any(|it| it.failed > 0)
    }

    fn between(
        traffic: &Traffic,
        clock: Clock,
        most_bars: usize,
        first: Timestamp,
        last: Timestamp,
    ) -> Option<Timeline> {
        let finest = i64::from(traffic.step_seconds.max(1));
        let count = |width: i64| {
            let span = clock.step(last, width).duration_since(clock.step(first, width)).as_secs();
            usize::try_from(span / width + 1).unwrap_or(usize::MAX)
        };
        let width = WIDTHS
            .into_iter()
            .filter(|it| *it >= finest && it % finest == 0)
            .find(|it| count(*it) <= most_bars)
            .unwrap_or_else(|| {
                let span = last.duration_since(first).as_secs();
                (span / most_bars as i64 / finest + 1) * finest
            });
        let from = clock.step(first, width);
        let at = |number: usize| later(from, number as i64 * width);
        let mut timeline = Timeline {
            width_seconds: width,
            bars: (0..count(width)).map(|it| Bar { at: at(it), ..Bar::default() }).collect(),
            of_requests: traffic.requests > 0,
        };
        for step in traffic.steps.iter().filter(|it| first <= it.at && it.at <= last) {
            let number = step.at.duration_since(from).as_secs() / width;
            let failed = timeline.failed(step);
            let bar = usize::try_from(number).ok().and_then(|it| timeline.bars.get_mut(it));
            let Some(bar) = bar else { continue };
            bar.requests += step.requests;
            bar.failed += failed;
            for (address, status, count) in &step.errors {
                *bar.errors.entry((*status, address.clone())).or_default() += count;
            }
            for (symptom, upstream, count) in &step.symptoms {
                *bar.symptoms.entry((symptom.clone(), upstream.clone())).or_default() += count;
            }
        }
        Some(timeline)
    }

    fn failed(&self, step: &snapshot::Step) -> u64 {
        if self.of_requests { step.failed } else { failures_logged(step) }
    }
}

/// That many seconds later, within the calendar: a log can hold any time.
pub(crate) fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

impl Bar {
    /// What most of its failures are: `502 connect-refused`.
    pub(crate) fn most(&self) -> String {
        let status = most(self.errors.iter().map(|((status, _), count)| (format!("{status:03}"), *count)));
        let symptoms = self.symptoms.iter().filter(|((symptom, _), _)| symptom != OTHER);
        let symptom = most(symptoms.map(|((symptom, _), count)| (symptom.clone(), *count)));
        let words: Vec<String> = [status, symptom].into_iter().flatten().collect();
        if self.failed == 0 { String::new() } else { words.join(" ") }
    }
}

/// The name that counts most, all of its counts put together.
fn most(counts: impl Iterator<Item = (String, u64)>) -> Option<String> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (name, count) in counts {
        *sums.entry(name).or_default() += count;
    }
    sums.into_iter().rev().max_by_key(|(_, count)| *count).map(|(name, _)| name)
}

/// Entries of error logs that tell of a failure.
pub(crate) fn failures_logged(step: &snapshot::Step) -> u64 {
    step.symptoms.iter().filter(|(symptom, _, _)| symptom != OTHER).map(|(_, _, count)| count).sum()
}

/// What entries that tell of no failure are counted as.
pub(crate) const OTHER: &str = "other";
