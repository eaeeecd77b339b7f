//! The cases: bash files under `cases/`, compiled in, and the header that says what each of them promises.

use std::sync::OnceLock;

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// One fault, or one healthy host, as written in `cases/<name>.sh`.
#[derive(Debug, Clone)]
pub struct Case {
    /// The file's name without `.sh`.
    pub name: &'static str,
    /// What happened on that host, in one line.
    pub about: &'static str,
    /// The cause that must be named first; `healthy` when none may be.
    pub expect: &'static str,
    /// Causes that are right as well.
    pub also: Vec<&'static str>,
    /// Causes that must not be called confirmed.
    pub forbid: Vec<&'static str>,
    /// Text that the first cause's `upstream.peer` must contain. Empty when any will do.
    pub peer: &'static str,
    /// Statuses of which a driven request must have got at least one (curl's 000: no answer).
    pub status: Vec<&'static str>,
    /// An extended regular expression that some log or the journal must show. Empty when there is nothing to see.
    pub log: &'static str,
    /// Whether the first fix of the report, done as it says, must satisfy the case's `check`.
    pub fix: bool,
    /// The user that the program runs as.
    pub user: &'static str,
    /// More arguments of the program.
    pub args: &'static str,
    /// The program's `--since`.
    pub window: &'static str,
    /// The bash text itself.
    pub text: &'static str,
}

/// Every case, by name.
pub fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| {
        let named = CASE_FILES.iter().filter_map(|&(file, text)| Some((file.strip_suffix(".sh")?, text)));
        named.map(|(name, text)| Case::parse(name, text)).collect()
    })
}

/// Whether a shell pattern with `*` fits the whole of a name.
fn fits(glob: &str, name: &str) -> bool {
    match glob.split_once('*') {
        None => glob == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            (0..=name.len()).any(|at| name.is_char_boundary(at) && fits(rest, &name[at..]))
        }),
    }
}

impl Case {
    fn parse(name: &'static str, text: &'static str) -> Self {
        let value =
            |key| header(text).find(|&(found, _)| found == key).map_or("", |(_, value): (_, &str)| value);
        let list = |key| value(key).split([',', ' ']).filter(|word| !word.is_empty()).collect();
        Self {
            name,
            about: value("about"),
            expect: value("expect"),
            also: list("also"),
            forbid: list("forbid"),
            peer: value("peer"),
            status: list("status"),
            log: value("log"),
            fix: value("fix") == "yes",
            user: match value("user") {
                "" => "root",
                user => user,
            },
            args: value("args"),
            window: match value("window") {
                "" => "10m",
                window => window,
            },
            text,
        }
    }

    /// Whether its name fits a shell pattern, in which `*` stands for anything.
    pub fn is_like(&self, glob: &str) -> bool {
        fits(glob, self.name)
    }
}

/// The `# key: value` lines at the beginning of a case.
fn header(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    text.lines()
        .map_while(|line| line.strip_prefix("# "))
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys a header may have.
    const KEYS: [&str; 11] =
        ["about", "expect", "also", "forbid", "peer", "status", "log", "fix", "user", "args", "window"];

    #[test]
    fn every_case_says_what_it_is_about_and_what_it_expects() {
        for case in cases() {
            assert!(!case.about.is_empty(), "{}: no `# about:`", case.name);
            assert!(!case.expect.is_empty(), "{}: no `# expect:`", case.name);
            assert!(!case.status.is_empty(), "{}: no `# status:`", case.name);
            assert!(case.text.contains("\ndrive() {"), "{}: no drive()", case.name);
        }
    }

    #[test]
    fn headers_have_known_keys_only() {
        for case in cases() {
            for (key, value) in header(case.text) {
                assert!(KEYS.contains(&key), "{}: `# {key}:` means nothing", case.name);
                assert!(!value.is_empty(), "{}: `# {key}:` is empty", case.name);
            }
        }
    }

    #[test]
    fn a_case_that_expects_a_repair_says_how_to_check_it() {
        for case in cases().iter().filter(|case| case.fix) {
            assert!(case.text.contains("\ncheck() {"), "{}: no check()", case.name);
        }
    }

    #[test]
    fn a_star_stands_for_any_part_of_a_name() {
        assert!(fits("backend-*-node", "backend-hung-node"));
        assert!(fits("*fpm*", "php-fpm-pool-exhausted-tcp"));
        assert!(!fits("backend-*-node", "backend-hung-node-loop"));
        assert!(!fits("backend", "backend-hung"));
    }

    #[test]
    fn a_case_is_named_after_its_cause() {
        for case in cases() {
            assert!(case.name.starts_with(case.expect), "{}: expects {}", case.name, case.expect);
        }
    }
}
