//! The clocks: wall time, the time since boot that /proc and systemd count in, and the host's zone.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// One reading of all clocks, taken when the collection begins.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Wall time: the "now" of the collection.
    pub now: Timestamp,
    /// What CLOCK_BOOTTIME was zero at: /proc counts start times from there.
    pub booted_at: Timestamp,
    /// What CLOCK_MONOTONIC was zero at. It stands still during suspend; systemd and the kernel log count from there.
    pub monotonic_zero_at: Timestamp,
    /// The host's zone, in which nginx writes its error log.
    pub zone: TimeZone,
}

impl Clock {
    /// The host's clocks now.
    pub fn now() -> Clock {
        let now = Timestamp::now();
        let since = |clock| {
            let time = clock_gettime(clock);
            SignedDuration::new(time.tv_sec, i32::try_from(time.tv_nsec).unwrap_or(0))
        };
        Clock {
            now,
            booted_at: now - since(ClockId::Boottime),
            monotonic_zero_at: now - since(ClockId::Monotonic),
            zone: TimeZone::system(),
        }
    }

    /// The wall time of a CLOCK_MONOTONIC reading; none for 0, which systemd writes for "never".
    pub fn at_monotonic_micros(&self, micros: i64) -> Option<Timestamp> {
        (micros > 0)
            .then(|| self.monotonic_zero_at.checked_add(SignedDuration::from_micros(micros)).ok())
            .flatten()
    }

    /// The wall time of a number of clock ticks since boot.
    pub fn at_ticks(&self, ticks: u64, ticks_per_second: u64) -> Option<Timestamp> {
        let millis = ticks.checked_mul(1000)? / ticks_per_second.max(1);
        self.booted_at.checked_add(SignedDuration::from_millis(i64::try_from(millis).ok()?)).ok()
    }

    /// Seconds east of UTC now.
    pub fn utc_offset_seconds(&self) -> i32 {
        self.zone.to_offset(self.now).seconds()
    }

    /// A fixed clock for tests: booted an hour before `now`, in UTC.
    #[cfg(test)]
    pub fn fixed(now: &str) -> Clock {
        let now: Timestamp = now.parse().unwrap();
        let booted_at = now - SignedDuration::from_hours(1);
        Clock { now, booted_at, monotonic_zero_at: booted_at, zone: TimeZone::UTC }
    }
}
