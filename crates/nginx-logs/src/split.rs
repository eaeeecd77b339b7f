//! Splits the lines of a whole block of an access log into their fields, at the speed of the disk.
//!
//! A `log_format` with quotes is full of places that can be found without reading what lies between: [`Splitter`] is
//! made once for a format, and says between which quotes and how many bytes from them each variable stands. For a line
//! it then compares the literals and has the fields. It never guesses: a line that is not as usual in any respect is
//! handed out unsplit, and [`Format::parse`] has the last word on it. Where it does split, it gives what `parse` gives.

use crate::access::{Escape, Format, Shape};
use crate::split_marks::{Marked, mark};

/// Where a field stands in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// The field. Empty, should the span not lie in the bytes.
    #[inline(always)]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    #[inline(always)]
    pub fn len(self) -> usize {
        self.end.wrapping_sub(self.start) as usize
    }

    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// The fields of a line, in the order asked for, and behind them some that only the splitter looks at.
///
/// A span is written and read as one word: a processor waits where it reads in one piece what was written in two.
#[derive(Debug, Clone, Default)]
pub struct Fields([u64; 32]);

impl Fields {
    /// The field at a place below 32.
    #[inline(always)]
    pub fn get(&self, place: usize) -> Span {
        let word = self.0[place & 31];
        Span { start: word as u32, end: (word >> 32) as u32 }
    }

    #[inline(always)]
    pub fn set(&mut self, place: usize, field: Span) {
        self.0[place & 31] = u64::from(field.start) | u64::from(field.end) << 32;
    }
}

/// Fields that can be asked for.
pub const MOST_FIELDS: usize = 20;
/// Where fields go that nobody looks at.
const NOWHERE: u8 = 31;
/// Quotes in a format; those with more are read slowly.
const MOST_QUOTES: usize = 250;
/// The marks that a line is looked for among, as many as can be numbered.
type Marks = [u32; 256];
/// How much is marked before its lines are looked at, so that it is still in the nearest cache.
const WINDOW_BYTES: usize = 16 << 10;
/// A longer line is not split: `parse` gives up on lines with very many places where a field can end.
const LONGEST_BYTES: usize = WINDOW_BYTES;

/// Reads lines of one format.
#[derive(Debug, Clone)]
pub struct Splitter {
    /// Quotes that a line has.
    quotes: usize,
    escape: Escape,
    pieces: Vec<Piece>,
    /// The number of bytes before the first quote and behind the last one, where no variable stands there.
    head: Option<u32>,
    tail: Option<u32>,
    simple: Vec<Simple>,
    runs: Vec<Run>,
    /// Fields whose shape decides whether the line has the format.
    shapes: Vec<(u8, Shape)>,
}

/// At most eight bytes of a literal, and where they stand.
#[derive(Debug, Clone, Copy)]
struct Piece {
    mark: u8,
    offset: i32,
    mask: u64,
    value: u64,
}

/// A variable alone between two quotes, or between one and an end of the line.
#[derive(Debug, Clone, Copy)]
struct Simple {
    field: u8,
    mark: u8,
    after: u32,
    before: u32,
}

/// Several variables with literals between them that hold no quote.
#[derive(Debug, Clone)]
struct Run {
    mark: u8,
    after: u32,
    before: u32,
    /// All but the last one, each with the literal behind it.
    variables: Vec<(u8, Shape, Literal)>,
    last: u8,
}

#[derive(Debug, Clone)]
struct Literal {
    bytes: Vec<u8>,
    /// Its first eight bytes.
    mask: u64,
    value: u64,
}

/// Memory that is used again for each block.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) marks: Vec<u32>,
}

impl Splitter {
    /// Looks for these variables; one that the format does not have gives an empty span. Whether the first `own` of them
    /// fit their variables is for the caller to see, who reads them anyway. `None`: lines of this format cannot be split.
    pub fn new(format: &Format, asked: &[&str], own: usize) -> Option<Splitter> {
        let literals = || format.parts.iter().flat_map(|it| it.literal.iter().copied());
        let quotes = literals().filter(|it| *it == b'"').count();
        // A backslash in front of a quote would make it look escaped; line feeds are where lines end.
        let is_odd = literals().any(|it| matches!(it, b'\\' | b'\n' | b'\r'));
        if is_odd || quotes > MOST_QUOTES || format.parts.len() < 2 || asked.len() > MOST_FIELDS {
            return None;
        }
        let mut splitter = Splitter {
            quotes,
            escape: format.escape,
            pieces: Vec::new(),
            head: None,
            tail: None,
            simple: Vec::new(),
            runs: Vec::new(),
            shapes: Vec::new(),
        };
        let fields = splitter.places(format, asked, own)?;
        // The last mark in front, how many bytes are between it and the variable, and the variables since.
        let (mut mark, mut after) = (0, 0);
        let mut variables: Vec<(u8, Shape, Literal)> = Vec::new();
        for (index, part) in format.parts.iter().enumerate() {
            let literal = part.literal.as_slice();
            let is_last = part.variable.is_none();
            let quote = literal.iter().position(|it| *it == b'"');
            // Where the literal begins, seen from the mark of its first quote or of an end of the line.
            match quote {
                Some(at) => splitter.expect(mark + 1, -(at as i32) - 1, literal),
                None if index == 0 => splitter.expect(0, 0, literal),
                None if is_last => splitter.expect(mark + 1, -(literal.len() as i32) - 1, literal),
                None => {}
            }
            if index == 0 {
                splitter.head = quote.map(|at| at as u32);
            } else {
                let (field, shape) = (fields[index - 1], format.parts[index - 1].shape);
                match quote.or(is_last.then_some(literal.len())) {
                    Some(before) => splitter.gap(mark, after, before as u32, field, &mut variables),
                    None => variables.push((field, shape, Literal::new(literal))),
                }
            }
            if let Some(at) = literal.iter().rposition(|it| *it == b'"') {
                mark += literal.iter().filter(|it| **it == b'"').count() as u8;
                after = (literal.len() - at - 1) as u32;
                splitter.tail = is_last.then_some(after);
            } else if index == 0 {
                after = literal.len() as u32;
            }
        }
        Some(splitter)
    }

    /// A place for each variable of the format.
    fn places(&mut self, format: &Format, asked: &[&str], own: usize) -> Option<Vec<u8>> {
        let (mut places, mut further) = (Vec::new(), 0);
        for (index, part) in format.parts.iter().enumerate() {
            let Some(name) = part.variable.as_deref() else { break };
            let is_first = format.variables().position(|it| it == name) == Some(index);
            let place = match asked.iter().position(|it| *it == name).filter(|_| is_first) {
                Some(place) => place as u8,
                None if part.shape == Shape::Any => NOWHERE,
                None => {
                    further += 1;
                    (asked.len() + further - 1) as u8
                }
            };
            if place > NOWHERE {
                return None;
            }
            if usize::from(place) >= own && part.shape != Shape::Any {
                self.shapes.push((place, part.shape));
            }
            places.push(place);
        }
        Some(places)
    }

    fn expect(&mut self, mark: u8, offset: i32, literal: &[u8]) {
        for (index, bytes) in literal.chunks(8).enumerate() {
            let (mask, value) = masked(bytes);
            self.pieces.push(Piece { mark, offset: offset + index as i32 * 8, mask, value });
        }
    }

    fn gap(
        &mut self,
        mark: u8,
        after: u32,
        before: u32,
        field: u8,
        variables: &mut Vec<(u8, Shape, Literal)>,
    ) {
        if variables.is_empty() {
            self.simple.push(Simple { field, mark, after, before });
        } else {
            let variables = std::mem::take(variables);
            self.runs.push(Run { mark, after, before, variables, last: field });
        }
    }

    /// Hands out each line of the block: the rest of the block, where the line stands in it without its line feed, and its fields,
    /// or none if `parse` must be asked. It must be asked as well if one of the caller's own fields does not fit its variable.
    /// Says how many lines there were.
    #[inline(always)]
    pub fn each_line<'b>(
        &self,
        bytes: &'b [u8],
        scratch: &mut Scratch,
        mut take: impl FnMut(&'b [u8], Span, Option<&Fields>),
    ) -> u64 {
        let marked = match self.escape {
            Escape::Json => Marked::Bytes(b'"', b'\\'),
            Escape::Default | Escape::None => Marked::Bytes(b'"', b'"'),
        };
        let mut fields = Fields::default();
        let mut lines = 0;
        let mut offset = 0;
        while offset < bytes.len() {
            let rest = &bytes[offset..];
            let window = window(rest);
            offset += window.len();
            if window.len() > LONGEST_BYTES {
                lines += 1;
                let end = window.strip_suffix(b"\n").unwrap_or(window).len() as u32;
                take(rest, Span { start: 0, end }, None);
                continue;
            }
            // Behind the mark of the window's beginning.
            if scratch.marks.is_empty() {
                scratch.marks.push(0);
            }
            scratch.marks[0] = 0;
            let mut count = mark(window, marked, &mut scratch.marks, 1);
            if window.last() != Some(&b'\n') {
                scratch.marks[count] = window.len() as u32 + 1;
                count += 1;
            }
            // Behind the last line there must be as many as a line can have.
            if scratch.marks.len() < count + 256 {
                scratch.marks.resize(count + 256, 0);
            }
            let mut at = 0;
            while at + 1 < count {
                lines += 1;
                let Some(marks) = scratch.marks[at..].first_chunk::<256>() else { break };
                let start = marks[0];
                let end = marks[self.quotes + 1];
                let ends_there = at + self.quotes + 1 < count
                    && is_end(window, end)
                    && (self.tail.is_some() || window.get((end as usize).wrapping_sub(2)) != Some(&b'\r'));
                let is_split = ends_there && self.split(rest, marks, &mut fields);
                let (end, is_split) = match is_split {
                    true => {
                        at += self.quotes + 1;
                        (end, true)
                    }
                    false => {
                        let marks = &scratch.marks[at..count];
                        let length = 1 + marks[1..].iter().take_while(|it| !is_end(window, **it)).count();
                        at += length;
                        let marks = &marks[..=length];
                        (marks[length], self.split_odd(rest, marks, &mut fields))
                    }
                };
                let whole = Span { start, end: end - 1 };
                if !is_split {
                    take(rest, whole, None);
                    continue;
                }
                take(rest, whole, Some(&fields));
            }
        }
        lines
    }

    /// Finds the fields between the marks, which are those of quotes, but for the line's beginning and end.
    #[inline(always)]
    fn split(&self, bytes: &[u8], marks: &Marks, fields: &mut Fields) -> bool {
        let mut wrong = 0;
        for piece in &self.pieces {
            let at = marks[usize::from(piece.mark)].wrapping_add_signed(piece.offset);
            wrong |= (load(bytes, at) & piece.mask) ^ piece.value;
        }
        let end = marks[self.quotes + 1];
        if let Some(tail) = self.tail {
            wrong |= u64::from(end.wrapping_sub(marks[self.quotes]) ^ (tail + 1));
        }
        if let Some(head) = self.head {
            wrong |= u64::from(marks[1].wrapping_sub(marks[0]) ^ (head + 1));
        }
        if wrong != 0 {
            return false;
        }
        let mut is_split = true;
        for it in &self.simple {
            let mark = usize::from(it.mark);
            let start = marks[mark] + it.after;
            let end = marks[(mark + 1) & 255].wrapping_sub(1 + it.before);
            is_split &= start <= end;
            fields.set(usize::from(it.field), Span { start, end });
        }
        for run in &self.runs {
            is_split &= run.split(bytes, marks, fields);
        }
        for (field, shape) in &self.shapes {
            is_split &= fits(*shape, bytes, fields.get(usize::from(*field)));
        }
        is_split
    }

    /// Lines with escaped quotes, a carriage return, or no line feed.
    #[cold]
    fn split_odd(&self, bytes: &[u8], marks: &[u32], fields: &mut Fields) -> bool {
        let mut clean: Marks = [0; 256];
        let (mut count, mut escaped) = (0, 0);
        for (index, mark) in marks.iter().enumerate() {
            let is_end = index == 0 || index + 1 == marks.len();
            let byte = bytes.get((*mark as usize).wrapping_sub(1)).copied();
            if !is_end && *mark == escaped {
                continue;
            }
            if !is_end && byte == Some(b'\\') && self.escape == Escape::Json {
                // What follows is no quote that ends anything.
                escaped = mark + 1;
                continue;
            }
            if count == self.quotes + 2 {
                return false;
            }
            clean[count] = *mark;
            count += 1;
        }
        if count != self.quotes + 2 {
            return false;
        }
        let start = clean[0];
        let end = &mut clean[count - 1];
        if *end >= 2 && bytes.get(*end as usize - 2) == Some(&b'\r') && *end - 1 > start {
            *end -= 1;
        }
        self.split(bytes, &clean, fields)
    }
}

/// As [`Splitter::each_line`], for lines that cannot be split.
pub fn each_line<'b>(bytes: &'b [u8], mut take: impl FnMut(&'b [u8], Span, Option<&Fields>)) -> u64 {
    let (mut rest, mut lines) = (bytes, 0);
    while !rest.is_empty() {
        let (end, next) = memchr::memchr(b'\n', rest).map_or((rest.len(), rest.len()), |at| (at, at + 1));
        take(rest, Span { start: 0, end: end as u32 }, None);
        rest = &rest[next..];
        lines += 1;
    }
    lines
}

/// Whether the mark is that of a line's end.
#[inline(always)]
fn is_end(window: &[u8], mark: u32) -> bool {
    window.get((mark as usize).wrapping_sub(1)).is_none_or(|it| *it == b'\n')
}

/// Some whole lines that are not too many bytes, or one long line.
pub(crate) fn window(rest: &[u8]) -> &[u8] {
    if rest.len() <= WINDOW_BYTES {
        return rest;
    }
    match memchr::memrchr(b'\n', &rest[..WINDOW_BYTES]) {
        Some(end) => &rest[..=end],
        None => memchr::memchr(b'\n', rest).map_or(rest, |end| &rest[..=end]),
    }
}

impl Run {
    #[inline(always)]
    fn split(&self, bytes: &[u8], marks: &Marks, fields: &mut Fields) -> bool {
        let mark = usize::from(self.mark);
        let mut start = marks[mark] + self.after;
        let to = marks[(mark + 1) & 255].wrapping_sub(1 + self.before);
        for (field, shape, literal) in &self.variables {
            let Some(end) = literal.find(bytes, start, to, *shape) else { return false };
            fields.set(usize::from(*field), Span { start, end });
            start = end + literal.bytes.len() as u32;
        }
        fields.set(usize::from(self.last), Span { start, end: to });
        start <= to
    }
}

/// What separates the groups of a list.
const GROUPS: u64 = u64::from_le_bytes(*b" : \0\0\0\0\0");

impl Literal {
    fn new(bytes: &[u8]) -> Literal {
        let (mask, value) = masked(&bytes[..bytes.len().min(8)]);
        Literal { bytes: bytes.to_vec(), mask, value }
    }

    /// The first place between `from` and `to` where it stands. Where the variable before it cannot hold its first byte,
    /// the first of those bytes must be its beginning.
    #[inline(always)]
    fn find(&self, bytes: &[u8], mut from: u32, to: u32, shape: Shape) -> Option<u32> {
        let Some(first) = self.bytes.first() else { return (from <= to).then_some(from) };
        loop {
            let at = find_byte(bytes, from, to, *first)?;
            let word = load(bytes, at);
            if word & self.mask == self.value && self.rest_is(bytes, at) {
                // A list may go on with another group.
                let is_list = matches!(shape, Shape::NumberList | Shape::AddressList);
                return (!is_list || word & 0xff_ffff != GROUPS).then_some(at);
            }
            if !matches!(shape, Shape::Any | Shape::TimeLocal) {
                return None;
            }
            from = at + 1;
        }
    }

    #[inline(always)]
    fn rest_is(&self, bytes: &[u8], at: u32) -> bool {
        self.bytes.len() <= 8 || bytes.get(at as usize..).is_some_and(|it| it.starts_with(&self.bytes))
    }
}

#[inline(always)]
fn find_byte(bytes: &[u8], mut from: u32, to: u32, byte: u8) -> Option<u32> {
    let pattern = u64::from_ne_bytes([byte; 8]);
    while from < to {
        let word = load(bytes, from) ^ pattern;
        let zero = word.wrapping_sub(0x0101_0101_0101_0101) & !word & 0x8080_8080_8080_8080;
        if zero != 0 {
            let at = from + zero.trailing_zeros() / 8;
            return (at < to).then_some(at);
        }
        from += 8;
    }
    None
}

/// Whether the field fits the variable, as `Shape::fits` says; most are short and can be told at once.
#[inline(always)]
fn fits(shape: Shape, bytes: &[u8], field: Span) -> bool {
    let length = field.len();
    match shape {
        Shape::Number | Shape::NumberList if length <= 8 => {
            let word = load_short(bytes, field);
            // Only digits and dots, or nothing.
            is_decimal(word, length) || word == u64::from(b'-') || shape.fits(field.of(bytes))
        }
        Shape::Word => find_byte(bytes, field.start, field.end, b' ').is_none(),
        _ => shape.fits(field.of(bytes)),
    }
}

/// Whether each of the lowest bytes is a digit or a dot.
#[inline(always)]
fn is_decimal(word: u64, length: usize) -> bool {
    // What is not the field's counts as good.
    let word = word | 0x3030_3030_3030_3030_u64.checked_shl(8 * length as u32).unwrap_or(0);
    let ascii = word & 0x7f7f_7f7f_7f7f_7f7f;
    // The highest bit of each byte that is at least `0`, of each that is beyond `9`, and of each that is no dot.
    let from_0 = ascii.wrapping_add(0x5050_5050_5050_5050);
    let beyond_9 = ascii.wrapping_add(0x4646_4646_4646_4646);
    let not_dot = (ascii ^ 0x2e2e_2e2e_2e2e_2e2e).wrapping_add(0x7f7f_7f7f_7f7f_7f7f);
    ((from_0 & !beyond_9) | !not_dot) & !word & 0x8080_8080_8080_8080 == 0x8080_8080_8080_8080
}

/// Eight bytes, zeros behind the end.
#[inline(always)]
pub fn load(bytes: &[u8], at: u32) -> u64 {
    match bytes.get(at as usize..).and_then(|it| it.first_chunk::<8>()) {
        Some(it) => u64::from_le_bytes(*it),
        None => load_end(bytes, at),
    }
}

#[cold]
fn load_end(bytes: &[u8], at: u32) -> u64 {
    let rest = bytes.get(at as usize..).unwrap_or_default();
    let mut word = [0; 8];
    word[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(word)
}

/// A field of at most eight bytes, zeros behind it.
#[inline(always)]
pub fn load_short(bytes: &[u8], field: Span) -> u64 {
    match field.len() {
        0 => 0,
        length => {
            let shift = 64 - 8 * length.min(8) as u32;
            load(bytes, field.start) << shift >> shift
        }
    }
}

fn masked(bytes: &[u8]) -> (u64, u64) {
    let mut value = [0; 8];
    let mut mask = [0; 8];
    value[..bytes.len()].copy_from_slice(bytes);
    mask[..bytes.len()].fill(0xff);
    (u64::from_le_bytes(mask), u64::from_le_bytes(value))
}
