//! Text from logs, requests and files is data: what could move a cursor, change a title or hide itself is spelled out.

use std::borrow::Cow;
use std::fmt::Write;

/// The same text with every control character spelled out, as `\x1b`, `\n` or `\u{202e}`. A tab stays a tab.
pub fn visible(text: &str) -> Cow<'_, str> {
    spelled_out(text, |it| it != '\t' && is_hostile(it))
}

/// Likewise for text that has lines of its own, such as a change of a file: line feeds stay as well.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    spelled_out(text, |it| it != '\t' && it != '\n' && is_hostile(it))
}

/// C0 and C1 controls drive a terminal; the bidirectional controls reorder what stands around them (CVE-2021-42574);
/// the zero-width ones make two texts look like one.
fn is_hostile(it: char) -> bool {
    it.is_control()
        || matches!(it, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn spelled_out(text: &str, hostile: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&hostile) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for it in text.chars() {
        match it {
            _ if !hostile(it) => out.push(it),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            _ if (it as u32) < 0x100 => {
                write!(out, "\\x{:02x}", it as u32).expect("a String takes everything")
            }
            _ => write!(out, "\\u{{{:x}}}", it as u32).expect("a String takes everything"),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_a_terminal_are_spelled_out() {
        assert_eq!(visible("\x1b]0;owned\x07 \u{9b}2J\0"), r"\x1b]0;owned\x07 \x9b2J\x00");
    }

    #[test]
    fn lines_do_not_break_out_of_a_sentence() {
        assert_eq!(visible("a\r\nFix: rm"), r"a\r\nFix: rm");
        assert_eq!(visible_lines("a\n\tb\x1b"), "a\n\tb\\x1b");
    }

    #[test]
    fn text_that_reorders_itself_is_spelled_out() {
        assert_eq!(visible("a\u{202e}b"), r"a\u{202e}b");
    }

    #[test]
    fn plain_text_of_any_language_is_left_alone() {
        assert!(matches!(visible("größer ✓ 日本"), Cow::Borrowed(_)));
    }
}
