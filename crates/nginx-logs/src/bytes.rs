//! Small searches over bytes that more than one grammar needs.

use memchr::{memchr, memmem, memrchr};

/// The text of bytes that are digits and nothing else; `None` also when it does not fit.
pub(crate) fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Takes a number off the front: its value and what follows its last digit.
pub(crate) fn leading_number<T: std::str::FromStr>(text: &[u8]) -> Option<(T, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    Some((number(&text[..end])?, &text[end..]))
}

/// What stands before and after the first `separator`.
pub(crate) fn split_once<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memmem::find(text, separator)?;
    Some((&text[..at], &text[at + separator.len()..]))
}

/// What stands before and after the last `separator`.
pub(crate) fn rsplit_once<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memmem::rfind(text, separator)?;
    Some((&text[..at], &text[at + separator.len()..]))
}

/// What stands before and after the first `byte`.
pub(crate) fn split_byte(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr(byte, text)?;
    Some((&text[..at], &text[at + 1..]))
}

/// What stands before and after the last `byte`.
pub(crate) fn rsplit_byte(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = memrchr(byte, text)?;
    Some((&text[..at], &text[at + 1..]))
}

pub(crate) fn contains(text: &[u8], part: &[u8]) -> bool {
    memmem::find(text, part).is_some()
}
