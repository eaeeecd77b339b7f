//! Statuses as people type them: `502`, `5xx`, `500-504`, `499,5xx`.

use traffic::StatusFilter;

/// Several with commas, for clap.
pub fn parse(text: &str) -> Result<StatusFilter, String> {
    text.split(',').map(|it| range(it.trim())).collect::<Option<Vec<_>>>().map(StatusFilter).ok_or_else(|| {
        "expected a status such as 502, a class such as 5xx, a range such as 500-504, or several with commas".to_owned()
    })
}

fn range(text: &str) -> Option<(u16, u16)> {
    if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
        let class: u16 = class.parse().ok().filter(|it| (1..=9).contains(it))?;
        return Some((class * 100, class * 100 + 99));
    }
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (status(from)?, status(to)?);
    (from <= to).then_some((from, to))
}

/// nginx writes three digits, `009` for an answer without any status line.
fn status(text: &str) -> Option<u16> {
    let text = text.trim();
    let digits = text.len() == 3 && text.bytes().all(|it| it.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, expected: &[(u16, u16)]) {
        assert_eq!(parse(text), Ok(StatusFilter(expected.to_vec())), "{text}");
    }

    #[test]
    fn statuses_classes_and_ranges_may_be_mixed() {
        reads("502", &[(502, 502)]);
        reads("5xx", &[(500, 599)]);
        reads("500-504", &[(500, 504)]);
        reads("499, 5xx,009", &[(499, 499), (500, 599), (9, 9)]);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "5", "5x", "xx", "0xx", "12xx", "504-500", "502,", "+50", "5000", "fast"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
