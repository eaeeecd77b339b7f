//! How durations are distributed, in little memory and without keeping them.
//!
//! Each power of two is divided into equal buckets, as HDR histograms do it, so the bucket of a value is found by a shift,
//! and sketches are added up by adding their counts: the order does not matter.

use snapshot::Quantiles;

/// Buckets of each power of two, as a power of two.
const BITS: u32 = 7;
/// A quantile is a value of the right bucket, and a bucket is at most this share of its values wide.
const RELATIVE_ERROR: f64 = 1.0 / (1 << BITS) as f64;

/// Durations in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sketch {
    buckets: Vec<u64>,
    min: u64,
    max: u64,
}

impl Sketch {
    #[inline(always)]
    pub fn add(&mut self, micros: u64) {
        if let Some(count) = self.buckets.get_mut(bucket_of(micros)) {
            *count += 1;
            self.min = self.min.min(micros);
            self.max = self.max.max(micros);
        } else {
            self.grow(micros);
        }
    }

    #[cold]
    fn grow(&mut self, micros: u64) {
        if self.buckets.is_empty() {
            (self.min, self.max) = (micros, micros);
        }
        let bucket = bucket_of(micros);
        // A whole power of two more, and at the beginning up to a second: most values are below.
        let length = (bucket + 1).next_multiple_of(1 << BITS).max(bucket_of(1 << 20));
        self.buckets.resize(length.max(bucket + 1), 0);
        self.buckets[bucket] += 1;
        self.min = self.min.min(micros);
        self.max = self.max.max(micros);
    }

    pub fn merge(&mut self, other: &Sketch) {
        if other.buckets.is_empty() {
            return;
        }
        if self.buckets.is_empty() {
            self.clone_from(other);
            return;
        }
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        for (count, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += more;
        }
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// None of no durations.
    pub fn quantiles(&self) -> Option<Quantiles> {
        let count: u64 = self.buckets.iter().sum();
        if count == 0 {
            return None;
        }
        let seconds = |micros: u64| micros as f64 / 1e6;
        Some(Quantiles {
            count,
            min: seconds(self.min),
            p50: seconds(self.of_rank(count, 500)),
            p90: seconds(self.of_rank(count, 900)),
            p95: seconds(self.of_rank(count, 950)),
            p99: seconds(self.of_rank(count, 990)),
            p999: seconds(self.of_rank(count, 999)),
            max: seconds(self.max),
            relative_error: RELATIVE_ERROR,
        })
    }

    /// The value below or at which so many of a thousand lie: that of the nearest rank.
    fn of_rank(&self, count: u64, thousandths: u64) -> u64 {
        let rank = (u128::from(count) * u128::from(thousandths)).div_ceil(1000) as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return value_of(bucket).clamp(self.min, self.max);
            }
        }
        self.max
    }
}

#[inline(always)]
fn bucket_of(micros: u64) -> usize {
    let shift = (64 - BITS - 1).saturating_sub((micros | 1).leading_zeros());
    ((u64::from(shift) << BITS) + (micros >> shift)) as usize
}

/// A value that stands for the bucket's. nginx writes whole milliseconds, so one of those if the bucket has any.
fn value_of(bucket: usize) -> u64 {
    let shift = (bucket >> BITS).saturating_sub(1);
    let from = ((bucket - (shift << BITS)) as u64) << shift;
    let middle = from + (1 << shift) / 2;
    let whole = (middle + 500) / 1000 * 1000;
    if whole >= from && whole < from + (1 << shift) { whole } else { middle }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quantiles_are_within_the_error_bound(values in proptest::collection::vec(0_u64..200_000_000, 1..300)) {
            let mut sketch = Sketch::default();
            values.iter().for_each(|it| sketch.add(*it));
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let quantiles = sketch.quantiles().unwrap();
            let exact = |share: f64| sorted[((share * sorted.len() as f64).ceil() as usize).max(1) - 1] as f64 / 1e6;
            for (found, share) in [(quantiles.p50, 0.5), (quantiles.p90, 0.9), (quantiles.p99, 0.99)] {
                let exact = exact(share);
                prop_assert!((found - exact).abs() <= exact * RELATIVE_ERROR + 1e-9, "{found} for {exact}");
            }
            prop_assert_eq!(quantiles.min, sorted[0] as f64 / 1e6);
            prop_assert_eq!(quantiles.max, sorted[sorted.len() - 1] as f64 / 1e6);
            prop_assert_eq!(quantiles.count, sorted.len() as u64);
        }

        #[test]
        fn every_value_is_in_the_bucket_that_stands_for_it(value in any::<u64>()) {
            let value = value >> (value & 63) >> 1;
            let stands = value_of(bucket_of(value));
            prop_assert_eq!(bucket_of(stands), bucket_of(value));
        }
    }

    #[test]
    fn whole_milliseconds_up_to_an_eighth_of_a_second_are_exact() {
        for millis in 0..125 {
            assert_eq!(value_of(bucket_of(millis * 1000)), millis * 1000);
        }
    }

    #[test]
    fn no_durations_have_no_quantiles() {
        assert_eq!(Sketch::default().quantiles(), None);
    }
}
