//! What happened when: counts in steps of a minute, and of more where the logs span a very long time.

use std::collections::HashMap;

/// Widths of a step in seconds, each a multiple of the one before, so that steps can be put together.
const WIDTHS: [u32; 14] = [
    60,
    300,
    600,
    1_800,
    3_600,
    10_800,
    21_600,
    43_200,
    86_400,
    604_800,
    6_048_000,
    60_480_000,
    604_800_000,
    3_024_000_000,
];
/// A week of minutes, nearly. Beyond it steps become wider.
const MOST_STEPS: usize = 10_000;
const MICROS: i64 = 1_000_000;

/// A step's counts; which keys there are is decided by who counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub requests: u64,
    pub failed: u64,
    /// By upstream and status.
    pub errors: Vec<((u32, u16), u64)>,
    /// By symptom and upstream.
    pub symptoms: Vec<((u8, u32), u64)>,
}

/// Adds to the count of a key. The keys of one step are few, and most often it is the one of last time.
pub fn add<K: PartialEq>(counts: &mut Vec<(K, u64)>, key: K, count: u64) {
    match counts.iter().position(|it| it.0 == key) {
        Some(at) => {
            counts[at].1 += count;
            if at > 0 {
                counts.swap(at, at - 1);
            }
        }
        None => counts.push((key, count)),
    }
}

/// Counts one more of a key that was found at that place before, in this step or another one.
#[inline(always)]
pub fn add_near<K: PartialEq>(counts: &mut Vec<(K, u64)>, place: &mut usize, key: K) {
    if let Some(it) = counts.get_mut(*place).filter(|it| it.0 == key) {
        it.1 += 1;
        return;
    }
    *place = counts.iter().position(|it| it.0 == key).unwrap_or(counts.len());
    match counts.get_mut(*place) {
        Some(it) => it.1 += 1,
        None => counts.push((key, 1)),
    }
}

impl Counts {
    fn merge(&mut self, other: &Counts, upstream: impl Fn(u32) -> u32) {
        self.requests += other.requests;
        self.failed += other.failed;
        for ((of, status), count) in &other.errors {
            add(&mut self.errors, (upstream(*of), *status), *count);
        }
        for ((symptom, of), count) in &other.symptoms {
            add(&mut self.symptoms, (*symptom, upstream(*of)), *count);
        }
    }
}

/// Steps in no order.
#[derive(Debug, Default)]
pub struct Steps {
    width: usize,
    index: HashMap<i64, usize>,
    steps: Vec<Counts>,
    /// The step of last time: its span, and where it is.
    last: (i64, i64, usize),
}

impl Steps {
    /// The counts of the step in which a time in microseconds lies.
    #[inline(always)]
    pub fn at(&mut self, at: i64) -> &mut Counts {
        if at < self.last.0 || at >= self.last.1 {
            self.look_up(at);
        }
        &mut self.steps[self.last.2]
    }

    #[cold]
    fn look_up(&mut self, at: i64) {
        let mut key = at.div_euclid(self.width_micros());
        // No wider than needed, so that it does not matter which line came first. At the last width they fit: it is a century.
        while !self.index.contains_key(&key) && self.index.len() == MOST_STEPS {
            self.widen_to(self.width + 1);
            key = at.div_euclid(self.width_micros());
        }
        let next = self.steps.len();
        let place = *self.index.entry(key).or_insert(next);
        if place == next {
            self.steps.push(Counts::default());
        }
        let from = key.saturating_mul(self.width_micros());
        self.last = (from, from.saturating_add(self.width_micros()), place);
    }

    fn width_micros(&self) -> i64 {
        i64::from(WIDTHS[self.width]) * MICROS
    }

    fn widen_to(&mut self, width: usize) {
        if width <= self.width {
            return;
        }
        let ratio = i64::from(WIDTHS[width] / WIDTHS[self.width]);
        let (index, steps) = (std::mem::take(&mut self.index), std::mem::take(&mut self.steps));
        self.width = width;
        self.last = (0, 0, 0);
        for (key, place) in index {
            let next = self.steps.len();
            let to = *self.index.entry(key.div_euclid(ratio)).or_insert(next);
            if to == next {
                self.steps.push(Counts::default());
            }
            self.steps[to].merge(&steps[place], |it| it);
        }
    }

    pub fn merge(&mut self, other: Steps, upstream: impl Fn(u32) -> u32) {
        let mut other = other;
        let width = self.width.max(other.width);
        self.widen_to(width);
        other.widen_to(width);
        for (key, place) in &other.index {
            let at = key.saturating_mul(other.width_micros());
            self.at(at).merge(&other.steps[*place], &upstream);
        }
    }

    pub fn width_seconds(&self) -> u32 {
        WIDTHS[self.width]
    }

    /// Each with the second in which it begins, in the order of time.
    pub fn into_sorted(self) -> Vec<(i64, Counts)> {
        let width = i64::from(self.width_seconds());
        let mut steps = self.steps;
        let mut sorted: Vec<(i64, Counts)> = self
            .index
            .into_iter()
            .map(|(key, place)| (key.saturating_mul(width), std::mem::take(&mut steps[place])))
            .collect();
        sorted.sort_unstable_by_key(|it| it.0);
        sorted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_week_and_more_becomes_steps_of_five_minutes() {
        let mut steps = Steps::default();
        for minute in 0..10_001 {
            steps.at(minute * 60 * MICROS).requests += 1;
        }
        assert_eq!(steps.width_seconds(), 300);
        let sorted = steps.into_sorted();
        assert_eq!((sorted.len(), sorted[1].0, sorted[1].1.requests), (2001, 300, 5));
    }

    #[test]
    fn times_beyond_all_reason_are_kept_apart_in_bounded_memory() {
        let mut steps = Steps::default();
        for year in -9_000..9_000 {
            steps.at(year * 365 * 86_400 * MICROS).requests += 1;
        }
        assert!(steps.index.len() <= MOST_STEPS);
        assert_eq!(steps.into_sorted().iter().map(|it| it.1.requests).sum::<u64>(), 18_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

        #[test]
        fn the_order_of_merging_does_not_matter(times in proptest::collection::vec(0_i64..40_000, 20_000), cut in 0..20_000_usize) {
            let count = |times: &[i64]| {
                let mut steps = Steps::default();
                times.iter().for_each(|it| steps.at(it * 60 * MICROS).requests += 1);
                steps
            };
            let (one, other) = times.split_at(cut);
            let mut merged = count(other);
            merged.merge(count(one), |it| it);
            let whole = count(&times);
            prop_assert_eq!(merged.width_seconds(), whole.width_seconds());
            prop_assert_eq!(merged.into_sorted(), whole.into_sorted());
        }
    }
}
