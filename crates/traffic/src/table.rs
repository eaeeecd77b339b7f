//! Finds what is known of lines by two of their fields, as they stand there: in the time that it takes to read these.
//!
//! The fields are addresses and statuses of upstreams, peers and servers: nothing that a client could invent at will. Where
//! it can, a `HashMap` with its keyed hash is the right thing.

use std::hash::{BuildHasher, Hasher, RandomState};

use nginx_logs::split::{Span, load, load_short};

/// Cells that there can be at a time.
const MOST_CELLS: usize = 8_192;
const SLOTS: usize = MOST_CELLS * 2;
/// Fields that are short together stand in the cell itself, with room to load the last byte with seven more.
const SHORT_BYTES: usize = 48;
const ROOM: usize = 8;

/// What is known of the lines with the same two fields and the same bits.
#[derive(Debug)]
pub struct Cell<T> {
    /// The same for the same fields, whoever found them.
    pub hash: u64,
    bits: u64,
    first: u32,
    length: u32,
    short: [u8; SHORT_BYTES],
    long: Box<[u8]>,
    pub value: T,
}

#[derive(Debug)]
pub struct Table<T> {
    /// Numbers of cells plus one; none as long as there are no cells.
    slots: Vec<u16>,
    pub cells: Vec<Cell<T>>,
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table { slots: Vec::new(), cells: Vec::new() }
    }
}

impl<T> Table<T> {
    /// The number of the cell, if there is one.
    #[inline(always)]
    pub fn find(&self, bytes: &[u8], a: Span, b: Span, bits: u64) -> Option<usize> {
        let hash = hash(bytes, a, b, bits);
        let mut slot = hash as usize % SLOTS;
        loop {
            let number = (usize::from(*self.slots.get(slot)?)).checked_sub(1)?;
            let cell = self.cells.get(number)?;
            if cell.hash == hash && cell.bits == bits && cell.is(bytes, a, b) {
                return Some(number);
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    pub fn is_full(&self) -> bool {
        self.cells.len() >= MOST_CELLS
    }

    /// Adds a cell, for which there is room; says its number.
    pub fn insert(&mut self, bytes: &[u8], a: Span, b: Span, bits: u64, value: T) -> usize {
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, 0);
        }
        let hash = hash(bytes, a, b, bits);
        let mut slot = hash as usize % SLOTS;
        while self.slots[slot] > 0 {
            slot = (slot + 1) % SLOTS;
        }
        let fields = [a.of(bytes), b.of(bytes), &[0; ROOM]].concat();
        let mut short = [0; SHORT_BYTES];
        let long = match short.get_mut(..fields.len()) {
            Some(to) => {
                to.copy_from_slice(&fields);
                Box::default()
            }
            None => fields.into_boxed_slice(),
        };
        let (first, length) = (a.len() as u32, (a.len() + b.len()) as u32);
        self.cells.push(Cell { hash, bits, first, length, short, long, value });
        self.slots[slot] = self.cells.len() as u16;
        self.cells.len() - 1
    }

    /// Empties it.
    pub fn take(&mut self) -> Vec<Cell<T>> {
        self.slots.clear();
        std::mem::take(&mut self.cells)
    }
}

impl<T> Cell<T> {
    #[inline(always)]
    fn is(&self, bytes: &[u8], a: Span, b: Span) -> bool {
        let known = if self.long.is_empty() { self.short.as_slice() } else { &self.long };
        let (first, second) =
            (Span { start: 0, end: self.first }, Span { start: self.first, end: self.length });
        equal(known, first, bytes, a) && equal(known, second, bytes, b)
    }
}

#[inline(always)]
fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    (product >> 64) as u64 ^ product as u64
}

#[inline(always)]
fn hash_of(bytes: &[u8], span: Span, mut hash: u64) -> u64 {
    if span.len() <= 8 {
        return mix(hash, load_short(bytes, span));
    }
    let mut at = span.start;
    while at + 8 < span.end {
        hash = mix(hash, load(bytes, at));
        at += 8;
    }
    mix(hash, load(bytes, span.end - 8))
}

#[inline(always)]
fn hash(bytes: &[u8], a: Span, b: Span, bits: u64) -> u64 {
    let seed = mix(bits ^ 0x2545_f491_4f6c_dd1d, (a.len() as u64) << 32 | b.len() as u64);
    hash_of(bytes, b, hash_of(bytes, a, seed))
}

/// A number for a text, the same whoever reads it, and another one for another seed.
#[inline(always)]
pub fn hash_text(bytes: &[u8], span: Span, seed: u64) -> u64 {
    hash_of(bytes, span, seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ span.len() as u64)
}

/// The same hash for a `HashMap` of texts that clients choose: it begins with a secret, so that they cannot choose such as
/// meet in one place.
#[derive(Debug, Clone)]
pub struct Keyed(u64);

impl Default for Keyed {
    fn default() -> Keyed {
        Keyed(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for Keyed {
    type Hasher = Keyed;

    #[inline]
    fn build_hasher(&self) -> Keyed {
        self.clone()
    }
}

impl Hasher for Keyed {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash_of(bytes, Span { start: 0, end: bytes.len() as u32 }, self.0);
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.0 = mix(self.0, number as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

/// Compares without a call.
#[inline(always)]
fn equal(known: &[u8], is: Span, bytes: &[u8], span: Span) -> bool {
    let length = span.len() as u32;
    if is.len() as u32 != length {
        return false;
    }
    if length <= 8 {
        return load_short(known, is) == load_short(bytes, span);
    }
    let mut at = 0;
    while at + 8 < length {
        if load(known, is.start + at) != load(bytes, span.start + at) {
            return false;
        }
        at += 8;
    }
    load(known, is.end - 8) == load(bytes, span.end - 8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_pair_of_fields_has_its_own_cell(
            pairs in proptest::collection::vec(("[ab]{0,30}", "[ab]{0,30}", 0_u64..3), 1..50),
        ) {
            let mut table = Table::default();
            let mut expected: Vec<(String, String, u64)> = Vec::new();
            for (a, b, bits) in pairs {
                let text = format!("{a}{b}");
                let spans = [(0, a.len()), (a.len(), text.len())]
                    .map(|(start, end)| Span { start: start as u32, end: end as u32 });
                let key = (a, b, bits);
                let place = expected.iter().position(|it| *it == key);
                prop_assert_eq!(table.find(text.as_bytes(), spans[0], spans[1], bits), place);
                if place.is_none() {
                    prop_assert_eq!(table.insert(text.as_bytes(), spans[0], spans[1], bits, ()), expected.len());
                    expected.push(key);
                }
            }
        }
    }
}
