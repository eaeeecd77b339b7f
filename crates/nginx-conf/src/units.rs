//! nginx's ways to write sizes, times and switches.

use std::time::Duration;

/// A size such as `512`, `4k`, `8M` or `1g`, in bytes. Source: nginx `ngx_parse_size` and `ngx_parse_offset`; the
/// unit `g` is accepted everywhere here, though nginx takes it for file sizes only.
pub fn size_bytes(text: &str) -> Option<u64> {
    let (digits, scale) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1 << 10),
        b'm' | b'M' => (&text[..text.len() - 1], 1 << 20),
        b'g' | b'G' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    number(digits)?.checked_mul(scale)
}

/// A time such as `60`, `500ms`, `1m30s` or `1d 12h`; a bare number means seconds. Source: nginx `ngx_parse_time`:
/// units go from large to small, each at most once.
pub fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 8] = [
        ("y", 365 * 86_400_000),
        ("M", 30 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("ms", 1),
        ("m", 60_000),
        ("s", 1_000),
    ];
    let mut rest = text.trim_end_matches(' ');
    if rest.is_empty() {
        return None;
    }
    let mut total_ms = 0u64;
    let mut smallest_seen = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let value = number(&rest[..digits])?;
        rest = &rest[digits..];
        let (unit, scale_ms) = if rest.is_empty() {
            ("", 1_000)
        } else if rest.starts_with(' ') {
            (" ", 1_000)
        } else {
            *UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?
        };
        // `1m30` is a minute and 30 seconds, but `1s2m` and `1s2` are refused.
        if scale_ms >= smallest_seen {
            return None;
        }
        smallest_seen = scale_ms;
        total_ms = total_ms.checked_add(value.checked_mul(scale_ms)?)?;
        rest = rest[unit.len()..].trim_start_matches(' ');
    }
    Some(Duration::from_millis(total_ms))
}

/// `on` or `off`, in any case, as nginx takes them.
pub fn switch(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("on") {
        Some(true)
    } else if text.eq_ignore_ascii_case("off") {
        Some(false)
    } else {
        None
    }
}

/// A number of nothing but decimal digits: `u64::from_str` would take a plus sign, which nginx does not.
pub fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_k_m_and_g_in_either_case() {
        for (text, expected) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("8k", Some(8192)),
            ("1M", Some(1 << 20)),
            ("2g", Some(2 << 30)),
            ("k", None),
            ("", None),
            ("+1", None),
            ("1kb", None),
            ("99999999999999999999", None),
            ("18446744073709551615g", None),
        ] {
            assert_eq!(size_bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn times_combine_units_from_large_to_small() {
        for (text, expected_ms) in [
            ("60", Some(60_000)),
            ("60s", Some(60_000)),
            ("500ms", Some(500)),
            ("1m30s", Some(90_000)),
            ("1m30", Some(90_000)),
            ("1h 30m", Some(5_400_000)),
            ("1d", Some(86_400_000)),
            ("1M", Some(30 * 86_400_000)),
            ("1y", Some(365 * 86_400_000)),
            ("30s1m", None),
            ("1s2", None),
            ("s", None),
            ("", None),
            ("1x", None),
            ("1m1m", None),
            ("18446744073709551615y", None),
        ] {
            assert_eq!(duration(text), expected_ms.map(Duration::from_millis), "{text}");
        }
    }
}
