//! How durations are distributed, in little memory and without keeping them.
//!
//! Each power of two is divided into equal buckets, as HDR histograms do it, so the bucket of a value is found by a shift,
//! and sketches are added up by adding their counts: the order does not matter.

use snapshot::Quantiles;

/// Buckets of each power of two, as a power of two.
const BITS: u32 = 7;
/// A quantile is the middle of its bucket, and half a bucket is at most this share of its values wide.
const RELATIVE_ERROR: f64 = 0.5 / (1 << BITS) as f64;

/// Durations in milliseconds, as nginx writes them. Those of up to a quarter of a second have buckets of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sketch {
    buckets: Vec<u64>,
    min: u64,
    max: u64,
}

impl Sketch {
    #[inline(always)]
    pub fn add(&mut self, millis: u64) {
        if let Some(count) = self.buckets.get_mut(bucket_of(millis)) {
            *count += 1;
            self.min = self.min.min(millis);
            self.max = self.max.max(millis);
        } else {
            self.grow(millis);
        }
    }

    #[cold]
    fn grow(&mut self, millis: u64) {
        if self.buckets.is_empty() {
            (self.min, self.max) = (millis, millis);
        }
        let bucket = bucket_of(millis);
        self.buckets.resize((bucket + 1).next_multiple_of(1 << BITS), 0);
        self.buckets[bucket] += 1;
        self.min = self.min.min(millis);
        self.max = self.max.max(millis);
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
        let seconds = |millis: u64| millis as f64 / 1e3;
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
fn bucket_of(millis: u64) -> usize {
    let shift = (64 - BITS - 1).saturating_sub((millis | 1).leading_zeros());
    ((u64::from(shift) << BITS) + (millis >> shift)) as usize
}

/// The middle of the bucket's values.
fn value_of(bucket: usize) -> u64 {
    let shift = (bucket >> BITS).saturating_sub(1);
    (((bucket - (shift << BITS)) as u64) << shift) + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quantiles_are_within_the_error_bound(values in proptest::collection::vec(0_u64..200_000, 1..300)) {
            let mut sketch = Sketch::default();
            values.iter().for_each(|it| sketch.add(*it));
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let quantiles = sketch.quantiles().unwrap();
            let exact = |share: f64| sorted[((share * sorted.len() as f64).ceil() as usize).max(1) - 1] as f64 / 1e3;
            for (found, share) in [(quantiles.p50, 0.5), (quantiles.p90, 0.9), (quantiles.p99, 0.99)] {
                let exact = exact(share);
                prop_assert!((found - exact).abs() <= exact * RELATIVE_ERROR + 1e-9, "{found} for {exact}");
            }
            prop_assert_eq!(quantiles.min, sorted[0] as f64 / 1e3);
            prop_assert_eq!(quantiles.max, sorted[sorted.len() - 1] as f64 / 1e3);
            prop_assert_eq!(quantiles.count, sorted.len() as u64);
        }

        #[test]
        fn every_value_is_in_the_bucket_that_stands_for_it(value in any::<u64>()) {
            let value = value >> (value & 63);
            let stands = value_of(bucket_of(value));
            prop_assert_eq!(bucket_of(stands), bucket_of(value));
        }
    }

    #[test]
    fn short_durations_are_exact() {
        for millis in 0..256 {
            assert_eq!(value_of(bucket_of(millis)), millis);
        }
    }

    #[test]
    fn no_durations_have_no_quantiles() {
        assert_eq!(Sketch::default().quantiles(), None);
    }
}
