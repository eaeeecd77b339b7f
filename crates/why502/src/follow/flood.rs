//! What is counted while logs are followed: floods that are folded, and the summary of a minute. Whatever a client invents,
//! both stay small.

use std::collections::BTreeMap;

use traffic::notice::{Counts, Notice};

/// Kinds of failures that are told apart; the others are counted together.
const MOST_KINDS: usize = 500;
/// A longer name of an upstream is cut.
const MOST_CHARACTERS: usize = 100;

/// A failure without what differs from request to request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// A symptom, or a status with its reason code.
    pub what: String,
    /// Empty without one.
    pub upstream: String,
}

impl Kind {
    pub fn of(notice: &Notice<'_>) -> Kind {
        let what = match (notice.status, notice.reason, notice.symptom) {
            (_, _, Some(symptom)) => symptom.to_owned(),
            (Some(status), Some(reason), _) => format!("{status:03} {}", reason.code()),
            (Some(status), None, _) => format!("{status:03}"),
            (None, _, None) => String::new(),
        };
        let upstream = notice.upstream.as_deref().unwrap_or_default();
        Kind { what, upstream: upstream.chars().take(MOST_CHARACTERS).collect() }
    }
}

/// Failures by kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    kinds: BTreeMap<Kind, u64>,
    /// Those of kinds that are not told apart.
    pub others: u64,
}

impl Tally {
    pub fn add(&mut self, kind: Kind, failures: u64) {
        if let Some(count) = self.kinds.get_mut(&kind) {
            *count += failures;
        } else if self.kinds.len() < MOST_KINDS {
            self.kinds.insert(kind, failures);
        } else {
            self.others += failures;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.others == 0
    }

    /// The most frequent kinds, and how many failures the rest makes.
    pub fn top(&self, most: usize) -> (Vec<(&Kind, u64)>, u64) {
        let mut kinds: Vec<(&Kind, u64)> = self.kinds.iter().map(|it| (it.0, *it.1)).collect();
        kinds.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let rest: u64 = kinds.iter().skip(most).map(|it| it.1).sum();
        kinds.truncate(most);
        (kinds, rest + self.others)
    }
}

/// Lets so many lines through each second, and counts the others.
#[derive(Debug)]
pub struct Gate {
    most: u32,
    passed: u32,
    pub folded: Tally,
}

impl Gate {
    pub fn new(most: u32) -> Gate {
        Gate { most, passed: 0, folded: Tally::default() }
    }

    /// Whether one more line may be shown in this second.
    pub fn passes(&mut self, kind: &Kind) -> bool {
        if self.passed < self.most {
            self.passed += 1;
            return true;
        }
        self.folded.add(kind.clone(), 1);
        false
    }

    /// The next second begins: what was folded in the last one.
    pub fn turn(&mut self) -> Tally {
        self.passed = 0;
        std::mem::take(&mut self.folded)
    }
}

/// What happened in a span of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    pub counts: Counts,
    pub failures: Tally,
}

impl Summary {
    pub fn add(&mut self, other: Summary) {
        self.counts.add(other.counts);
        self.failures.others += other.failures.others;
        for (kind, failures) in other.failures.kinds {
            self.failures.add(kind, failures);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(upstream: &str) -> Kind {
        Kind { what: "connect-refused".to_owned(), upstream: upstream.to_owned() }
    }

    #[test]
    fn a_flood_is_folded_by_kind_and_the_next_second_begins_anew() {
        let mut gate = Gate::new(2);
        let passed: Vec<bool> = ["a", "b", "a", "b", "b"].iter().map(|it| gate.passes(&kind(it))).collect();
        assert_eq!(passed, [true, true, false, false, false]);
        let folded = gate.turn();
        assert_eq!(folded.top(1), (vec![(&kind("b"), 2)], 1));
        assert!(gate.passes(&kind("a")) && gate.turn().is_empty());
    }

    #[test]
    fn invented_kinds_are_counted_together() {
        let mut tally = Tally::default();
        (0..10_000).for_each(|it| tally.add(kind(&it.to_string()), 1));
        assert_eq!((tally.top(1).0.len(), tally.top(1).1, tally.kinds.len()), (1, 9_999, MOST_KINDS));
    }
}
