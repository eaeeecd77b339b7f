//! The zone of an error log, whose times name none, from the access log of the same nginx, whose times do.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

/// Offsets from UTC are whole quarters of an hour, from -12:00 to +14:00.
const QUARTER: i64 = 15 * 60;
const WEST: i64 = -12 * 3600 / QUARTER;
const EAST: i64 = 14 * 3600 / QUARTER;
/// An entry is written when the try fails, the request is logged when it ends.
const EARLY: SignedDuration = SignedDuration::from_secs(1);
const LATE: SignedDuration = SignedDuration::from_secs(2);
/// Fewer entries than that may fit by chance.
const FEWEST: usize = 3;

/// Seconds east of UTC at which entries of an error log meet their requests. `entries` are stamped as if their clock were
/// UTC, `requests` with their true times, both with the request line; failed requests alone are enough. None where too
/// little fits, or where several zones fit as well, as they do when the same request fails all day.
pub fn zone_from_requests<'a>(
    entries: impl IntoIterator<Item = (Timestamp, &'a str)>,
    requests: impl IntoIterator<Item = (Timestamp, &'a str)>,
) -> Option<i32> {
    let mut known: HashMap<&str, Vec<Timestamp>> = HashMap::new();
    for (at, request) in requests.into_iter().filter(|(_, it)| !it.is_empty()) {
        known.entry(request).or_default().push(at);
    }
    known.values_mut().for_each(|it| it.sort_unstable());
    let mut fits = vec![0usize; (EAST - WEST + 1) as usize];
    let mut asked = 0;
    for (stamp, request) in entries {
        let Some(times) = known.get(request) else { continue };
        asked += 1;
        for (fits, quarters) in fits.iter_mut().zip(WEST..=EAST) {
            let at = stamp - SignedDuration::from_secs(quarters * QUARTER);
            let next = times.partition_point(|it| *it < at - EARLY);
            *fits += usize::from(times.get(next).is_some_and(|it| *it <= at + LATE));
        }
    }
    let most = fits.iter().copied().max().filter(|it| *it >= FEWEST && *it * 2 > asked)?;
    let mut best = fits.iter().zip(WEST..=EAST).filter(|(it, _)| **it * 10 > most * 8).map(|(_, it)| it);
    let quarters = best.next().filter(|_| best.next().is_none())?;
    i32::try_from(quarters * QUARTER).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    /// Requests that failed at these seconds, and their entries by a clock so many seconds east of UTC.
    #[track_caller]
    fn found(failed: &[(i64, &str)], east: i64, expected: Option<i32>) {
        let entries = failed.iter().map(|(seconds, request)| (at(seconds + east), *request));
        let requests = failed.iter().map(|(seconds, request)| (at(seconds + 1), *request));
        assert_eq!(zone_from_requests(entries, requests), expected);
    }

    const SOME: &[(i64, &str)] = &[
        (0, "GET /a HTTP/1.1"),
        (70, "GET /b HTTP/1.1"),
        (95, "GET /a HTTP/1.1"),
        (400, "POST /c HTTP/1.1"),
    ];

    #[test]
    fn the_zone_is_the_one_in_which_entries_meet_their_requests() {
        found(SOME, 0, Some(0));
        found(SOME, 2 * 3600, Some(7200));
        found(SOME, -7 * 3600, Some(-25_200));
        found(SOME, 5 * 3600 + 45 * 60, Some(20_700));
    }

    #[test]
    fn a_few_entries_may_fit_by_chance() {
        found(&SOME[..2], 3600, None);
    }

    #[test]
    fn what_fails_all_day_fits_every_zone() {
        let all_day: Vec<(i64, &str)> = (0..86_400).step_by(2).map(|it| (it, "GET / HTTP/1.1")).collect();
        found(&all_day, 3600, None);
    }

    #[test]
    fn a_clock_that_is_merely_wrong_has_no_zone() {
        found(SOME, 400, None);
    }
}
