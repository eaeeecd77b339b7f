//! Numbers of a line, without a branch for each digit.

use nginx_logs::split::{Span, load, load_short};

const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The value of eight digits.
#[inline(always)]
fn eight_digits(word: u64) -> Option<u64> {
    let digits = word.wrapping_sub(ZEROS);
    // A byte that is no digit is too large, or becomes so.
    if (digits | digits.wrapping_add(0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let low = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let high = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    Some(low.wrapping_add(high) >> 32)
}

/// At most eight bytes with zeros in front of them, as digits are written.
#[inline(always)]
fn padded(bytes: &[u8], span: Span) -> u64 {
    let shift = 64 - 8 * (span.len() as u32);
    load(bytes, span.start) << shift | ZEROS.checked_shr(64 - shift).unwrap_or(0)
}

/// Digits and nothing else.
#[inline(always)]
pub fn number(bytes: &[u8], span: Span) -> Option<u64> {
    match span.len() {
        0 => None,
        1..=8 => eight_digits(padded(bytes, span)),
        _ => long_number(span.of(bytes)),
    }
}

#[cold]
fn long_number(text: &[u8]) -> Option<u64> {
    text.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// Seconds with a fraction, as milliseconds; further digits are cut.
#[inline(always)]
pub fn millis(bytes: &[u8], span: Span) -> Option<u64> {
    let length = span.len();
    // nginx writes three digits behind the point, and most often few before it.
    if (5..=8).contains(&length) {
        let word = load(bytes, span.start) << (64 - 8 * length as u32);
        if word >> 32 & 0xff == u64::from(b'.') {
            let whole = word & 0xffff_ffff | ZEROS.checked_shr(8 * length as u32).unwrap_or(0);
            let digits = u64::from(b'0') | whole << 8 | word >> 40 << 40;
            return eight_digits(digits);
        }
    }
    if is_undefined(bytes, span) { None } else { any_millis(span.of(bytes)) }
}

#[cold]
fn any_millis(text: &[u8]) -> Option<u64> {
    let (whole, fraction) = match memchr::memchr(b'.', text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[][..]),
    };
    let is_number = (!whole.is_empty() || !fraction.is_empty())
        && [whole, fraction].concat().iter().all(u8::is_ascii_digit);
    if !is_number {
        return None;
    }
    let digit = |byte: &u8| u64::from(byte - b'0');
    let seconds = whole.iter().try_fold(0_u64, |value, it| value.checked_mul(10)?.checked_add(digit(it)))?;
    let millis = (0..3).fold(0, |value, at| value * 10 + fraction.get(at).map_or(0, digit));
    seconds.checked_mul(1_000)?.checked_add(millis)
}

/// Whether a value is undefined.
#[inline(always)]
pub fn is_undefined(bytes: &[u8], span: Span) -> bool {
    span.is_empty() || span.len() == 1 && load_short(bytes, span) == u64::from(b'-')
}

/// A status: three digits, or what else may be written as one.
#[inline(always)]
pub fn status(bytes: &[u8], span: Span) -> Option<u16> {
    number(bytes, span).and_then(|it| u16::try_from(it).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(text: &[u8]) -> Span {
        Span { start: 0, end: text.len() as u32 }
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_the_library_reads_them(text in "[0-9]{1,20}|[0-9./:x-]{0,10}") {
            let is_number = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
            let expected = if is_number { text.parse::<u64>().ok() } else { None };
            prop_assert_eq!(number(text.as_bytes(), whole(text.as_bytes())), expected);
        }

        #[test]
        fn durations_are_read_to_the_millisecond(text in "[0-9]{0,6}\\.[0-9]{0,3}|[0-9./:x-]{0,10}") {
            let is_decimal = text.bytes().all(|it| it.is_ascii_digit() || it == b'.');
            let expected = if is_decimal { text.parse::<f64>().ok() } else { None };
            let digits = text.split_once('.').map_or(0, |it| it.1.len());
            prop_assume!(digits <= 3 || expected.is_none());
            let expected = expected.map(|it| (it * 1e3).round() as u64);
            prop_assert_eq!(millis(text.as_bytes(), whole(text.as_bytes())), expected);
        }

        #[test]
        fn any_bytes_are_no_number_unless_digits(text in proptest::collection::vec(any::<u8>(), 1..9)) {
            let is_number = text.iter().all(u8::is_ascii_digit);
            prop_assert_eq!(number(&text, whole(&text)).is_some(), is_number);
        }
    }
}
