//! The names that rotating gives to the parts of a log, and their order in time.
//!
//! Known: logrotate's numbers (`error.log.1`, `error.log.2.gz`) and dates (`error.log-20260502`, also with an hour or as seconds,
//! or as both, and before the extension: `access-20260502.log`), `.old`, and the dates that cronolog and log servers put into names
//! (`access.2026-05-02.log`).

/// What compressing adds to a name.
const PACKED: [&str; 6] = [".gz", ".zst", ".xz", ".bz2", ".lz4", ".Z"];

/// When a part was written, compared with the others of its set: the oldest is the smallest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Age {
    /// Counted backwards. Beside dates they are what is left of an earlier scheme.
    Number(std::cmp::Reverse<u32>),
    /// The digits of a date, from the year on, and of the seconds that can follow it.
    Date(String),
    Seconds(u64),
    Old,
    /// The log itself.
    Current,
}

/// The name that a packed file had before.
pub fn unpacked(name: &str) -> Option<&str> {
    PACKED.iter().find_map(|it| name.strip_suffix(it)).filter(|it| !it.is_empty())
}

/// The name of the log that a file's name belongs to, and which part of it this is.
pub fn part_of(name: &str) -> (String, Age) {
    let plain = unpacked(name).unwrap_or(name);
    if let Some(base) = plain.strip_suffix(".old") {
        return (base.to_owned(), Age::Old);
    }
    if let Some((base, number)) = plain.rsplit_once('.')
        && number.len() <= 4
        && !base.is_empty()
        && let Some(number) = digits(number)
    {
        return (base.to_owned(), Age::Number(std::cmp::Reverse(number)));
    }
    if let Some((base, seconds)) = plain.rsplit_once('-')
        && seconds.len() == 10
        && !seconds.starts_with("20")
        && let Some(number) = digits(seconds)
    {
        return match dated(base) {
            Some((base, date)) => (base, Age::Date(date + seconds)),
            None => (base.to_owned(), Age::Seconds(number)),
        };
    }
    match dated(plain) {
        Some((base, date)) => (base, Age::Date(date)),
        None => (plain.to_owned(), Age::Current),
    }
}

/// The parts of a log among the names of its folder, the oldest first, without the log itself.
pub fn parts<'a>(log: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found: Vec<(Age, &str)> = names
        .into_iter()
        .filter(|it| *it != log)
        .filter_map(|it| {
            let (base, age) = part_of(it);
            (base == log).then_some((age, it))
        })
        .collect();
    found.sort();
    // Of a part that is being compressed just now there are two.
    found.dedup_by(|later, earlier| later.0 == earlier.0 && later.0 != Age::Current);
    found.into_iter().map(|it| it.1).collect()
}

/// The name without its date, and the date's digits.
fn dated(name: &str) -> Option<(String, String)> {
    name.char_indices().filter(|it| matches!(it.1, '-' | '.' | '_')).find_map(|(at, _)| {
        let rest = &name[at + 1..];
        let length = date_length(rest.as_bytes())?;
        let date = rest[..length].chars().filter(char::is_ascii_digit).collect();
        Some((format!("{}{}", &name[..at], &rest[length..]), date))
    })
}

/// How long the date is with which a text begins: year and month at least, at most down to the second.
fn date_length(text: &[u8]) -> Option<usize> {
    const RANGES: [(usize, std::ops::RangeInclusive<u32>); 6] =
        [(4, 1990..=2099), (2, 1..=12), (2, 1..=31), (2, 0..=24), (2, 0..=59), (2, 0..=60)];
    let is_separator = |it: &u8| matches!(it, b'-' | b'.' | b'_' | b'T' | b':');
    let (mut at, mut whole) = (0, None);
    for (index, (length, range)) in RANGES.into_iter().enumerate() {
        let from = at + usize::from(index > 0 && text.get(at).is_some_and(is_separator));
        let part = text.get(from..from + length).and_then(|it| digits(std::str::from_utf8(it).ok()?));
        if !part.is_some_and(|it: u32| range.contains(&it)) {
            break;
        }
        at = from + length;
        if index > 0 && text.get(at).is_none_or(|it| matches!(it, b'-' | b'.' | b'_')) {
            whole = Some(at);
        }
    }
    whole
}

fn digits<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.bytes().all(|it| it.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn in_order(log: &str, expected: &[&str]) {
        let mut names: Vec<&str> = expected.to_vec();
        names.sort();
        names.push(log);
        names.extend(["other.log", "other.log.1", "error.logs", "error.log.d", "error.log.bak", ""]);
        assert_eq!(parts(log, names), expected);
    }

    #[test]
    fn numbers_are_read_backwards() {
        in_order(
            "error.log",
            &["error.log.10.gz", "error.log.9.gz", "error.log.2.zst", "error.log.1", "error.log.0"],
        );
        in_order("error.log", &["error.log.1", "error.log.old"]);
    }

    #[test]
    fn dates_are_in_order_wherever_they_stand() {
        in_order("error.log", &["error.log-20251231.gz", "error.log-20260501", "error.log-2026050214.gz"]);
        in_order("error.log", &["error.log-1777734000.gz", "error.log-1777820400"]);
        in_order("error.log", &["error.log-20260501", "error.log-20260502-1777680000"]);
        in_order("error.log", &["error.log.2.gz", "error.log-20260501"]);
        in_order("error.log", &["error-20260430.log.gz", "error-20260501.log"]);
        in_order(
            "access.log",
            &["access.2026-04-30.log", "access.2026-05-01.log", "access.2026-05-02-14.log"],
        );
        in_order(
            "access_log",
            &["access_log.20260501", "access_log.20260502", "access_log.2026_05_03_00_00_00"],
        );
        in_order("shop-access.log", &["shop-access.log-202604.gz", "shop-access.log-202605"]);
    }

    #[test]
    fn names_without_a_date_are_logs_of_their_own() {
        for name in [
            "error.log",
            "access-8080.log",
            "1.2.3.4.log",
            "site-20990.log",
            "v2026.log",
            ".old",
            "ä-2026é.log",
        ] {
            let (base, age) = part_of(name);
            assert!(base == name && age == Age::Current || name == ".old", "{name}: {base} {age:?}");
        }
    }

    #[test]
    fn a_part_that_is_being_compressed_counts_once() {
        let found = parts("a.log", ["a.log.1", "a.log.1.gz", "a.log.2.gz"]);
        assert_eq!(found, ["a.log.2.gz", "a.log.1"]);
    }
}
