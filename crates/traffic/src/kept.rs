//! The lines worth quoting: of each sort the first and the last ones, by time.
//!
//! Which lines are kept does not depend on the order in which they come, so threads can keep their own and put them
//! together. What is kept is bounded in lines of a sort, in sorts, and in bytes.

use std::collections::{HashMap, VecDeque};

/// Lines of a failure that are kept from the beginning, and as many from the end.
const MOST_LINES: usize = 16;
const MOST_SORTS: usize = 512;
/// Of all lines together. Only hostile lines come near: hundreds of sorts, each line long.
const MOST_BYTES: usize = 3 << 20;
/// A longer line is not quoted.
const LONGEST_BYTES: usize = 8 << 10;

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub source: usize,
    /// In the log.
    pub offset: u64,
    pub block: u64,
    /// In the block, from 0.
    pub line: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    pub at: i64,
    pub place: Place,
    length: usize,
    /// Empty as long as the line stands in the block that is being read.
    pub text: Vec<u8>,
}

impl Quoted {
    fn order(&self) -> (i64, Place) {
        (self.at, self.place)
    }
}

/// What lines have in common: the log, the kind of its lines, and what they tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sort {
    pub source: usize,
    /// A number that the caller gave to the kind.
    pub kind: usize,
    pub tells: u64,
}

#[derive(Debug, Default)]
struct Lines {
    count: u64,
    first: VecDeque<Quoted>,
    last: VecDeque<Quoted>,
    /// Some have no text yet.
    is_open: bool,
}

#[derive(Debug, Default)]
pub struct Keeper {
    /// Where the lines of each sort are.
    index: HashMap<Sort, usize>,
    failures: Vec<Lines>,
    /// The first line of each sort that went well, and the first of the last hour.
    examples: HashMap<Sort, (Quoted, Quoted)>,
    bytes: usize,
    /// Those with lines that have no text yet.
    open: Vec<usize>,
    /// Texts are parts of a block, and copied at its end: most lines that are kept make room for later ones before.
    pub copies_later: bool,
    /// Lines of sorts that are not kept.
    pub passed_over: HashMap<(usize, usize), u64>,
}

impl Keeper {
    /// Where lines of a sort are kept; none if there are too many sorts.
    pub fn sort(&mut self, sort: Sort) -> Option<usize> {
        if let Some(number) = self.index.get(&sort) {
            return Some(*number);
        }
        if self.failures.len() >= MOST_SORTS {
            return None;
        }
        self.index.insert(sort, self.failures.len());
        self.failures.push(Lines::default());
        Some(self.failures.len() - 1)
    }

    /// Keeps a line, should it be among the first or the last.
    pub fn keep(&mut self, sort: Sort, at: i64, place: Place, text: &[u8]) {
        let number = self.sort(sort);
        self.keep_at(number, sort, at, place, text);
    }

    /// As `keep`, of a sort that was found before.
    pub fn keep_at(&mut self, number: Option<usize>, sort: Sort, at: i64, place: Place, text: &[u8]) {
        match number.and_then(|it| self.failures.get_mut(it)) {
            Some(lines) if text.len() <= LONGEST_BYTES => {
                lines.count += 1;
                let later = self.copies_later;
                let is_kept = lines.insert((at, place), text, later, &mut self.bytes);
                if is_kept && later && !lines.is_open {
                    lines.is_open = true;
                    self.open.extend(number);
                }
            }
            _ => *self.passed_over.entry((sort.source, sort.kind)).or_default() += 1,
        }
    }

    /// Copies the lines of a block that are kept; says where it begins.
    pub fn copy_from(&mut self, bytes: &[u8], offset: u64) {
        for number in self.open.drain(..) {
            let lines = &mut self.failures[number];
            lines.is_open = false;
            for it in lines.first.iter_mut().chain(&mut lines.last).filter(|it| it.text.len() < it.length) {
                let start = (it.place.offset - offset) as usize;
                it.text.extend_from_slice(&bytes[start..start + it.length]);
            }
        }
        self.copies_later = false;
    }

    /// Keeps a line as an example of what goes well.
    pub fn show(&mut self, sort: Sort, at: i64, place: Place, text: &[u8]) {
        let quoted = Quoted { at, place, length: text.len(), text: text.to_vec() };
        self.show_quoted(sort, quoted.clone(), quoted);
    }

    fn show_quoted(&mut self, sort: Sort, first: Quoted, last: Quoted) {
        if first.text.len().max(last.text.len()) > LONGEST_BYTES {
            return;
        }
        let hour = |it: &Quoted| it.at.div_euclid(3_600_000_000);
        match self.examples.get_mut(&sort) {
            Some(known) => {
                if first.order() < known.0.order() {
                    known.0 = first;
                }
                let later = hour(&last).cmp(&hour(&known.1)).reverse();
                if later.then(last.order().cmp(&known.1.order())).is_lt() {
                    known.1 = last;
                }
            }
            None => {
                if self.examples.len() < MOST_SORTS {
                    self.examples.insert(sort, (first, last));
                }
            }
        }
    }

    pub fn merge(&mut self, other: Keeper, kind: impl Fn(usize) -> usize) {
        let here = |it: Sort| Sort { kind: kind(it.kind), ..it };
        let mut lines = other.failures;
        for (sort, number) in other.index {
            let (sort, lines) = (here(sort), std::mem::take(&mut lines[number]));
            let Some(to) = self.sort(sort).and_then(|it| self.failures.get_mut(it)) else {
                *self.passed_over.entry((sort.source, sort.kind)).or_default() += lines.count;
                continue;
            };
            to.count += lines.count;
            let mut both: Vec<Quoted> = lines.first.into_iter().chain(lines.last).collect();
            both.sort_unstable_by_key(Quoted::order);
            both.dedup_by_key(|it| it.place);
            for it in both {
                to.insert(it.order(), &it.text, false, &mut self.bytes);
            }
        }
        for (sort, (first, last)) in other.examples {
            self.show_quoted(here(sort), first, last);
        }
        for ((source, number), count) in other.passed_over {
            *self.passed_over.entry((source, kind(number))).or_default() += count;
        }
    }

    /// What was kept of each log and kind, in order, with the number of lines that were not.
    pub fn into_lines(self) -> HashMap<(usize, usize), (Vec<Quoted>, u64)> {
        let mut all: HashMap<(usize, usize), (Vec<Quoted>, u64)> = HashMap::new();
        let mut failures = self.failures;
        for (sort, number) in self.index {
            let lines = std::mem::take(&mut failures[number]);
            let to = all.entry((sort.source, sort.kind)).or_default();
            let mut both: Vec<Quoted> = lines.first.into_iter().chain(lines.last).collect();
            both.sort_unstable_by_key(Quoted::order);
            both.dedup_by_key(|it| it.place);
            to.1 += lines.count - both.len() as u64;
            to.0.extend(both);
        }
        for (key, count) in self.passed_over {
            all.entry(key).or_default().1 += count;
        }
        for (sort, (first, last)) in self.examples {
            let to = all.entry((sort.source, sort.kind)).or_default();
            to.0.push(first);
            to.0.push(last);
        }
        for (lines, _) in all.values_mut() {
            lines.sort_unstable_by_key(|it| (it.place, it.at));
            lines.dedup_by_key(|it| it.place);
        }
        all
    }
}

impl Lines {
    /// Says whether the line is among the first or the last.
    fn insert(&mut self, order: (i64, Place), text: &[u8], later: bool, bytes: &mut usize) -> bool {
        let mut is_kept = false;
        if self.first.len() < MOST_LINES || self.first.back().is_some_and(|it| order < it.order()) {
            let spare = if self.first.len() == MOST_LINES { self.first.pop_back() } else { None };
            is_kept |= put(&mut self.first, order, text, later, spare, bytes);
        }
        if self.last.len() < MOST_LINES || self.last.front().is_some_and(|it| order > it.order()) {
            let spare = if self.last.len() == MOST_LINES { self.last.pop_front() } else { None };
            is_kept |= put(&mut self.last, order, text, later, spare, bytes);
        }
        is_kept
    }
}

/// Puts a line where it belongs, into the memory of the one that it takes the place of. Says no if there is no room.
fn put(
    lines: &mut VecDeque<Quoted>,
    (at, place): (i64, Place),
    text: &[u8],
    later: bool,
    spare: Option<Quoted>,
    bytes: &mut usize,
) -> bool {
    *bytes -= spare.as_ref().map_or(0, |it| it.length);
    let mut memory = spare.map(|it| it.text).unwrap_or_default();
    if *bytes + text.len() > MOST_BYTES {
        return false;
    }
    *bytes += text.len();
    memory.clear();
    if !later {
        memory.extend_from_slice(text);
    }
    let before = match lines.back() {
        Some(last) if (at, place) < last.order() => lines.partition_point(|it| it.order() < (at, place)),
        _ => lines.len(),
    };
    lines.insert(before, Quoted { at, place, length: text.len(), text: memory });
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(line: u64) -> Place {
        Place { source: 0, offset: line * 10, block: 0, line }
    }

    const SORT: Sort = Sort { source: 0, kind: 0, tells: 1 };

    #[test]
    fn of_too_many_lines_the_first_and_the_last_are_kept() {
        let mut keeper = Keeper::default();
        for line in 0..1000 {
            keeper.keep(SORT, line as i64, place(line), format!("{line}").as_bytes());
        }
        let (lines, left_out) = keeper.into_lines().remove(&(0, 0)).unwrap();
        let numbers: Vec<u64> = lines.iter().map(|it| it.place.line).collect();
        assert_eq!(numbers, (0..16).chain(984..1000).collect::<Vec<_>>());
        assert_eq!(left_out, 968);
    }

    #[test]
    fn hostile_lines_do_not_fill_the_memory() {
        let mut keeper = Keeper::default();
        for line in 0..20_000 {
            let sort = Sort { tells: line % 1000, ..SORT };
            keeper.keep(sort, line as i64, place(line), &[b'x'; 8000]);
        }
        let (lines, left_out) = keeper.into_lines().remove(&(0, 0)).unwrap();
        assert!(lines.iter().map(|it| it.text.len()).sum::<usize>() <= MOST_BYTES);
        assert_eq!(lines.len() as u64 + left_out, 20_000);
    }

    proptest! {
        #[test]
        fn the_same_lines_are_kept_in_any_order(times in proptest::collection::vec(0_i64..50, 0..200), cut in 0..200_usize) {
            let all: Vec<(u64, i64)> = (0..).zip(times).collect();
            let keep = |lines: &[(u64, i64)]| {
                let mut keeper = Keeper::default();
                for (line, at) in lines {
                    keeper.keep(SORT, *at, place(*line), b"x");
                    keeper.show(Sort { tells: 2, ..SORT }, *at * 600_000_000, place(*line), b"y");
                }
                keeper
            };
            let (one, other) = all.split_at(cut.min(all.len()));
            let mut merged = keep(other);
            merged.merge(keep(one), |it| it);
            prop_assert_eq!(merged.into_lines(), keep(&all).into_lines());
        }
    }
}
