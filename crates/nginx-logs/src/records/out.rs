//! Writes fields: as members of a JSON object, or as cells of a row.

use super::Form;
use super::csv::Cells;

/// The name of a field.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// `,"name":`
    pub json: std::borrow::Cow<'static, str>,
    pub column: Option<usize>,
}

/// Declares the names of fields that do not depend on a log.
macro_rules! keys {
    ($($key:ident = $name:literal;)+) => {
        $(const $key: Key = Key {
            json: std::borrow::Cow::Borrowed(concat!(",\"", $name, "\":")),
            column: $crate::records::csv::column($name),
        };)+
    };
}
pub(super) use keys;

impl Key {
    /// A name that comes from a log's format: it can hold anything.
    pub fn new(name: &str) -> Key {
        let mut json = b",\"".to_vec();
        push_json(&mut json, name.as_bytes());
        json.extend_from_slice(b"\":");
        let json = String::from_utf8(json).expect("JSON of a text is text");
        Key { json: json.into(), column: super::csv::column(name) }
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
                self.bytes.extend_from_slice(key.json.as_bytes());
                self.bytes.push(b'"');
                push_json(self.bytes, value);
                self.bytes.push(b'"');
            }
            Form::Csv => self.cells.set(key.column, value),
        }
    }

    pub fn maybe(&mut self, key: &Key, value: Option<&[u8]>) {
        self.text(key, value.unwrap_or_default());
    }

    /// A decimal number as a log has it; what is none stays text.
    pub fn number(&mut self, key: &Key, value: &[u8]) {
        let Some(number) = json_number(value) else { return self.text(key, value) };
        match self.form {
            Form::JsonLines => {
                self.bytes.extend_from_slice(key.json.as_bytes());
                self.bytes.extend_from_slice(number);
            }
            Form::Csv => self.cells.set(key.column, number),
        }
    }

    pub fn integer(&mut self, key: &Key, value: u64) {
        match self.form {
            Form::JsonLines => {
                self.bytes.extend_from_slice(key.json.as_bytes());
                push_integer(self.bytes, value);
            }
            Form::Csv => {
                let mut digits = Vec::new();
                push_integer(&mut digits, value);
                self.cells.set(key.column, &digits);
            }
        }
    }

    /// Something that holds; what does not hold is left out.
    pub fn flag(&mut self, key: &Key) {
        match self.form {
            Form::JsonLines => {
                self.bytes.extend_from_slice(key.json.as_bytes());
                self.bytes.extend_from_slice(b"true");
            }
            Form::Csv => self.cells.set(key.column, b"true"),
        }
    }
}

/// The number as JSON takes it: digits, perhaps with a fraction, without leading zeros.
pub(super) fn json_number(value: &[u8]) -> Option<&[u8]> {
    let whole = value.iter().position(|it| !it.is_ascii_digit()).unwrap_or(value.len());
    let fraction_fits = match &value[whole..] {
        [] => true,
        [b'.', fraction @ ..] => !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if whole == 0 || !fraction_fits {
        return None;
    }
    let zeros = value[..whole - 1].iter().take_while(|it| **it == b'0').count();
    Some(&value[zeros..])
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

/// The inside of a JSON string. Bytes that are not UTF-8 become U+FFFD.
pub(super) fn push_json(to: &mut Vec<u8>, value: &[u8]) {
    let mut rest = value;
    loop {
        let plain = plain_length(rest);
        to.extend_from_slice(&rest[..plain]);
        let Some(special) = rest.get(plain) else { return };
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
                to.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(special >> 4), hex(*special)]);
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
}

/// How many bytes stand before the first one that JSON cannot take as it is: a quote, a backslash, a control character, or
/// what must be checked to be UTF-8.
fn plain_length(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    let mut chunks = text.chunks_exact(8);
    let mut length = 0;
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
        // A byte's highest bit is set where it is special. What the subtractions borrow reaches only bytes behind a
        // special one, so the first is exact.
        let control = word.wrapping_sub(ONES * 0x20);
        let quote = (word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
        let backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
        let special = (word | control | quote | backslash) & (ONES * 0x80);
        if special != 0 {
            return length + special.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let is_special = |it: &u8| !matches!(it, 0x20..0x80) || matches!(it, b'"' | b'\\');
    length + chunks.remainder().iter().position(is_special).unwrap_or(chunks.remainder().len())
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
