//! Small searches over bytes that more than one grammar needs.

//!
//! The texts searched are short and the parts begin with a byte that is rare in them, so that looking for
//! this byte is faster than preparing a search for the part.

use memchr::{memchr, memchr_iter, memrchr, memrchr_iter};

/// The text of bytes that are digits and nothing else; `None` also when it does not fit.
pub(crate) fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The same for numbers of a status's size, where lines are many.
#[inline(always)]
pub(crate) fn small_number(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 4 {
        return None;
    }
    let mut value = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u16::from(digit);
    }
    Some(value)
}

/// Takes a number off the front: its value and what follows its last digit.
pub(crate) fn leading_number<T: std::str::FromStr>(text: &[u8]) -> Option<(T, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    Some((number(&text[..end])?, &text[end..]))
}

/// The offset of the first `part`, which is not empty.
pub(crate) fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    memchr_iter(part[0], text).find(|at| text[*at..].starts_with(part))
}

/// The offset of the last `part`, which is not empty.
pub(crate) fn rfind(text: &[u8], part: &[u8]) -> Option<usize> {
    memrchr_iter(part[0], text).find(|at| text[*at..].starts_with(part))
}

/// What stands before and after the first `separator`.
pub(crate) fn split_once<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = find(text, separator)?;
    Some((&text[..at], &text[at + separator.len()..]))
}

/// What stands before and after the last `separator`.
pub(crate) fn rsplit_once<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = rfind(text, separator)?;
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
    find(text, part).is_some()
}
