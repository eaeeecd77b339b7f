//! Finds what is known of lines by two of their fields, as they stand there: in the time that it takes to read these.
//!
//! Where clients can invent the fields, the bits must be a secret, so that nobody can choose fields that meet in one place.

use nginx_logs::split::{Span, load, load_short};

/// Cells that there can be at a time, where the caller does not count them.
const MOST_CELLS: usize = 8_192;
/// Slots to begin with.
const SLOTS: usize = 64;
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
    /// Numbers of cells plus one, zero for none; a power of two, and at least twice as many as there are cells.
    slots: Vec<u32>,
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
        let last = self.slots.len().wrapping_sub(1);
        let mut slot = hash as usize & last;
        loop {
            let number = (*self.slots.get(slot)? as usize).checked_sub(1)?;
            let cell = self.cells.get(number)?;
            if cell.hash == hash && cell.bits == bits && cell.is(bytes, a, b) {
                return Some(number);
            }
            slot = (slot + 1) & last;
        }
    }

    pub fn is_full(&self) -> bool {
        self.cells.len() >= MOST_CELLS
    }

    /// Adds a cell, for which there is room; says its number.
    pub fn insert(&mut self, bytes: &[u8], a: Span, b: Span, bits: u64, value: T) -> usize {
        let hash = hash(bytes, a, b, bits);
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
        if self.cells.len() * 2 > self.slots.len() {
            let slots = SLOTS.max(self.slots.len() * 2);
            self.slots = vec![0; slots];
            for number in 0..self.cells.len() - 1 {
                self.point_to(number);
            }
        }
        self.point_to(self.cells.len() - 1);
        self.cells.len() - 1
    }

    /// Gives a cell a slot.
    fn point_to(&mut self, number: usize) {
        let last = self.slots.len() - 1;
        let mut slot = self.cells[number].hash as usize & last;
        while self.slots[slot] > 0 {
            slot = (slot + 1) & last;
        }
        self.slots[slot] = number as u32 + 1;
    }

    /// Empties it.
    pub fn take(&mut self) -> Vec<Cell<T>> {
        self.slots.clear();
        std::mem::take(&mut self.cells)
    }
}

impl<T> Cell<T> {
    /// Both fields, and something behind them.
    #[inline(always)]
    fn known(&self) -> &[u8] {
        if self.long.is_empty() { self.short.as_slice() } else { &self.long }
    }

    /// Both fields.
    pub fn text(&self) -> &[u8] {
        &self.known()[..self.length as usize]
    }

    #[inline(always)]
    fn is(&self, bytes: &[u8], a: Span, b: Span) -> bool {
        let known = self.known();
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
            let invented = (0..300).map(|it| (format!("c{it}"), String::new(), 3));
            for (a, b, bits) in pairs.clone().into_iter().chain(invented).chain(pairs) {
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
