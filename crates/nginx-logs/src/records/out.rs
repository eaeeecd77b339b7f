//! Writes fields: as members of a JSON object, or as cells of a row.

use super::Form;
use super::csv::Cells;
use crate::access::{Escape, unescape_into};
use crate::backend::Field;

/// Names are copied as a whole number of machine words; longer ones are rare.
const SHORT: usize = 32;

/// The name of a field.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// `,"name":"`, and zeros behind it; of a long name the first bytes.
    start: [u8; SHORT],
    length: usize,
    /// The same of a long name as a whole.
    long: Option<Box<[u8]>>,
    pub column: Option<usize>,
}

/// Declares the names of fields that do not depend on a log.
macro_rules! keys {
    ($($key:ident = $name:literal;)+) => {
        $(static $key: $crate::records::out::Key =
            $crate::records::out::Key::fixed($name, concat!(",\"", $name, "\":\""));)+
    };
}
pub(super) use keys;

impl Key {
    pub const fn fixed(name: &str, json: &str) -> Key {
        let json = json.as_bytes();
        let mut start = [0; SHORT];
        let mut at = 0;
        while at < json.len() {
            start[at] = json[at];
            at += 1;
        }
        Key { start, length: json.len(), long: None, column: super::csv::column(name) }
    }

    /// A name that comes from a log's format: it can hold anything.
    pub fn new(name: &str) -> Key {
        let mut json = b",\"".to_vec();
        push_json(&mut json, name.as_bytes());
        json.extend_from_slice(b"\":\"");
        let mut start = [0; SHORT];
        let short = json.len().min(SHORT);
        start[..short].copy_from_slice(&json[..short]);
        let length = json.len();
        Key { start, length, long: (length > SHORT).then(|| json.into()), column: super::csv::column(name) }
    }

    /// `,"name":`, and a quote where a text follows.
    #[inline(always)]
    fn push(&self, to: &mut Vec<u8>, before_text: bool) {
        let end = to.len() + self.length - usize::from(!before_text);
        match &self.long {
            None => to.extend_from_slice(&self.start),
            Some(long) => to.extend_from_slice(long),
        }
        to.truncate(end);
    }
}

pub(super) struct Out<'a> {
    pub bytes: &'a mut Vec<u8>,
    cells: &'a mut Cells,
    form: Form,
}

impl<'a> Out<'a> {
    pub fn new(bytes: &'a mut Vec<u8>, cells: &'a mut Cells, form: Form) -> Out<'a> {
        Out { bytes, cells, form }
    }

    pub fn is_json(&self) -> bool {
        self.form == Form::JsonLines
    }

    /// What follows the line number.
    pub fn begin(&mut self, offset: u64, time: Option<&[u8]>) {
        match self.form {
            Form::JsonLines => {
                self.bytes.extend_from_slice(b",\"offset\":");
                push_integer(self.bytes, offset);
                if let Some(time) = time {
                    self.bytes.extend_from_slice(b",\"time\":\"");
                    self.bytes.extend_from_slice(time);
                    self.bytes.push(b'"');
                }
            }
            Form::Csv => {
                self.bytes.push(b',');
                push_integer(self.bytes, offset);
                self.bytes.push(b',');
                self.bytes.extend_from_slice(time.unwrap_or_default());
                self.cells.clear();
            }
        }
    }

    pub fn end(&mut self) {
        match self.form {
            Form::JsonLines => self.bytes.extend_from_slice(b"}\n"),
            Form::Csv => self.cells.write_to(self.bytes),
        }
    }

    /// A text; an empty one is left out.
    pub fn text(&mut self, key: &Key, value: &[u8]) {
        if value.is_empty() {
            return;
        }
        match self.form {
            Form::JsonLines => {
                key.push(self.bytes, true);
                push_json(self.bytes, value);
                self.bytes.push(b'"');
            }
            Form::Csv => self.cells.set(key.column, value),
        }
    }

    /// A text as nginx escaped it; an empty one is left out.
    pub fn escaped(&mut self, key: &Key, value: &[u8], escape: Escape, scratch: &mut Vec<u8>) {
        if self.is_json() && !value.is_empty() {
            // Most values hold nothing that has to be escaped, neither by nginx nor here.
            let start = self.bytes.len();
            key.push(self.bytes, true);
            if push_plain(self.bytes, value) {
                return self.bytes.push(b'"');
            }
            self.bytes.truncate(start);
        }
        self.text(key, if unescape_into(value, escape, scratch) { scratch } else { value });
    }

    pub fn maybe(&mut self, key: &Key, value: Option<&[u8]>) {
        self.text(key, value.unwrap_or_default());
    }

    /// A decimal number as a log has it; what is none stays text.
    pub fn number(&mut self, key: &Key, value: &[u8]) {
        let Some(number) = json_number(value) else { return self.text(key, value) };
        match self.form {
            Form::JsonLines => {
                key.push(self.bytes, false);
                push_short(self.bytes, number);
            }
            Form::Csv => self.cells.set(key.column, number),
        }
    }

    pub fn integer(&mut self, key: &Key, value: u64) {
        match self.form {
            Form::JsonLines => {
                key.push(self.bytes, false);
                push_integer(self.bytes, value);
            }
            Form::Csv => {
                let mut digits = Vec::new();
                push_integer(&mut digits, value);
                self.cells.set(key.column, &digits);
            }
        }
    }

    /// What an event tells besides; rows have no columns for that.
    pub fn field(&mut self, name: &'static str, value: Field<'_>) {
        if !self.is_json() || matches!(value, Field::Text("") | Field::Texts([])) {
            return;
        }
        let to = &mut *self.bytes;
        to.extend_from_slice(b",\"");
        to.extend_from_slice(name.as_bytes());
        to.extend_from_slice(b"\":");
        let text = |to: &mut Vec<u8>, text: &str| {
            to.push(b'"');
            push_json(to, text.as_bytes());
            to.push(b'"');
        };
        match value {
            Field::Text(it) => text(to, it),
            Field::Texts(several) => {
                for (index, it) in several.iter().enumerate() {
                    to.push(if index == 0 { b'[' } else { b',' });
                    text(to, it);
                }
                to.push(b']');
            }
            Field::Whole(it) => to.extend_from_slice(it.to_string().as_bytes()),
            // JSON has no other numbers than finite ones.
            Field::Fraction(it) if it.is_finite() => to.extend_from_slice(it.to_string().as_bytes()),
            Field::Fraction(_) => to.extend_from_slice(b"null"),
            Field::Holds => to.extend_from_slice(b"true"),
        }
    }

    /// Something that holds; what does not hold is left out.
    pub fn flag(&mut self, key: &Key) {
        match self.form {
            Form::JsonLines => {
                key.push(self.bytes, false);
                self.bytes.extend_from_slice(b"true");
            }
            Form::Csv => self.cells.set(key.column, b"true"),
        }
    }
}

/// The number as JSON takes it: digits, perhaps with a fraction, without leading zeros.
#[inline(always)]
pub(super) fn json_number(value: &[u8]) -> Option<&[u8]> {
    let mut points = 0;
    for byte in value {
        match byte {
            b'0'..=b'9' => {}
            b'.' => points += 1,
            _ => return None,
        }
    }
    match value {
        [] | [b'.', ..] | [.., b'.'] => None,
        _ if points > 1 => None,
        [b'0', b'0'..=b'9', ..] => Some(without_zeros(value)),
        _ => Some(value),
    }
}

#[cold]
fn without_zeros(value: &[u8]) -> &[u8] {
    let whole = value.iter().position(|it| *it == b'.').unwrap_or(value.len());
    let zeros = value[..whole - 1].iter().take_while(|it| **it == b'0').count();
    &value[zeros..]
}

pub(super) fn push_integer(to: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[at..]);
}

/// Adds bytes that are few: copied in place, without the call that longer ones are worth.
#[inline(always)]
pub(super) fn push_short(to: &mut Vec<u8>, value: &[u8]) {
    let end = to.len() + value.len();
    match value.len() {
        8..=16 => push_ends::<8>(to, value, end),
        4..8 => push_ends::<4>(to, value, end),
        0..4 => value.iter().for_each(|it| to.push(*it)),
        17..=32 => push_ends::<16>(to, value, end),
        _ => to.extend_from_slice(value),
    }
}

/// The first and the last `N` bytes of a value that has no others.
#[inline(always)]
fn push_ends<const N: usize>(to: &mut Vec<u8>, value: &[u8], end: usize) {
    if let (Some(first), Some(last)) = (value.first_chunk::<N>(), value.last_chunk::<N>()) {
        to.extend_from_slice(first);
        to.truncate(end - N);
        to.extend_from_slice(last);
    }
}

/// Adds the value if JSON can take it as it is.
#[inline(always)]
fn push_plain(to: &mut Vec<u8>, value: &[u8]) -> bool {
    let is_plain = match value.len() {
        0..8 => !value.iter().any(is_special),
        8..16 => !has_special::<8>(value),
        16..32 => !has_special::<16>(value),
        _ => !has_special::<32>(value),
    };
    if is_plain {
        push_short(to, value);
    }
    is_plain
}

/// A byte that JSON cannot take as it is: a quote, a backslash, a control character, or what must be checked to be UTF-8.
#[inline(always)]
fn is_special(byte: &u8) -> bool {
    // No short circuits: these are compared many at once.
    (*byte < 0x20) | (*byte > 0x7f) | (*byte == b'"') | (*byte == b'\\')
}

/// Whether there is one in a value of at least `N` bytes.
#[inline(always)]
fn has_special<const N: usize>(value: &[u8]) -> bool {
    let any = |chunk: &[u8; N]| chunk.iter().fold(0, |any, it| any | u8::from(is_special(it))) != 0;
    let (chunks, _) = value.as_chunks::<N>();
    chunks.iter().any(any) || value.last_chunk::<N>().is_some_and(any)
}

/// The inside of a JSON string. Bytes that are not UTF-8 become U+FFFD.
pub(super) fn push_json(to: &mut Vec<u8>, value: &[u8]) {
    if push_plain(to, value) {
        return;
    }
    let mut rest = value;
    while let Some(plain) = rest.iter().position(is_special) {
        to.extend_from_slice(&rest[..plain]);
        let special = rest[plain];
        let mut length = 1;
        match special {
            b'"' => to.extend_from_slice(b"\\\""),
            b'\\' => to.extend_from_slice(b"\\\\"),
            b'\n' => to.extend_from_slice(b"\\n"),
            b'\r' => to.extend_from_slice(b"\\r"),
            b'\t' => to.extend_from_slice(b"\\t"),
            0..0x20 => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let hex = |it: u8| HEX[usize::from(it & 15)];
                to.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(special >> 4), hex(special)]);
            }
            _ => {
                let text = &rest[plain..];
                length = text.iter().position(u8::is_ascii).unwrap_or(text.len());
                for chunk in text[..length].utf8_chunks() {
                    to.extend_from_slice(chunk.valid().as_bytes());
                    if !chunk.invalid().is_empty() {
                        to.extend_from_slice("\u{fffd}".as_bytes());
                    }
                }
            }
        }
        rest = &rest[plain + length..];
    }
    to.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_a_json_string_of_it() {
        for byte in 0..=255_u8 {
            for before in 0..20 {
                let mut text = vec![b'a'; before];
                text.extend([byte, b'b', byte, 0xc3, 0xa9, byte]);
                let mut json = b"\"".to_vec();
                push_json(&mut json, &text);
                json.push(b'"');
                let read: String = serde_json::from_slice(&json).unwrap();
                assert_eq!(read, String::from_utf8_lossy(&text));
            }
        }
    }

    #[test]
    fn numbers_are_those_that_json_takes() {
        let number = |it: &str| json_number(it.as_bytes()).map(|it| String::from_utf8_lossy(it).into_owned());
        let some = |it: &str| Some(it.to_owned());
        assert_eq!(number("009"), some("9"));
        assert_eq!(number("000"), some("0"));
        assert_eq!(number("0.022"), some("0.022"));
        assert_eq!(number("00.5"), some("0.5"));
        for none in ["", "-", ".5", "5.", "1.2.3", "1e5", "-1"] {
            assert_eq!(number(none), None, "{none}");
        }
    }
}
