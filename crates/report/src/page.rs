//! A page of text, 80 columns wide: words are wrapped, but a path, an address or a command is never broken, because it
//! is there to be copied. Colour only repeats what the words say.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::visible::visible;

/// The width that every terminal, tmux pane and mail has.
pub const WIDTH: usize = 80;

/// Whether colour is wanted. The caller decides, for it knows where the page goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// With escape sequences.
    On,
    /// Bare text.
    Off,
}

pub(crate) const PLAIN: Style = Style::new();
pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const RED: Style = AnsiColor::Red.on_default();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();

pub(crate) struct Page {
    text: String,
    colour: Colour,
}

impl Page {
    pub(crate) fn new(colour: Colour) -> Page {
        Page { text: String::new(), colour }
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }

    /// An empty line, and then the heading.
    pub(crate) fn heading(&mut self, words: &str) {
        self.text.push('\n');
        self.put("", words, BOLD);
    }

    pub(crate) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A paragraph after a lead; its other lines are indented by the width of the lead.
    pub(crate) fn put(&mut self, lead: &str, words: &str, style: Style) {
        self.put_led((lead, PLAIN), words, style);
    }

    /// The same with a style for the lead.
    pub(crate) fn put_led(&mut self, lead: (&str, Style), words: &str, style: Style) {
        let indent = columns(lead.0);
        let lines = wrap(&visible(words), WIDTH.saturating_sub(indent));
        for (number, line) in lines.iter().enumerate() {
            if number == 0 {
                self.painted(lead.0, lead.1);
            } else {
                self.spaces(indent);
            }
            self.painted(line, style);
            self.end_line();
        }
    }

    /// A paragraph whose origin stands at the right end of its last line, or below it where there is no room.
    pub(crate) fn put_with_origin(&mut self, lead: (&str, Style), words: &str, origin: &str) {
        self.put_led(lead, words, PLAIN);
        if origin.is_empty() {
            return;
        }
        let origin = visible(origin);
        let last_line = self.text.trim_end_matches('\n').rsplit('\n').next().unwrap_or("");
        let used = columns(&bare(last_line));
        let needed = columns(&origin);
        if used + 2 + needed <= WIDTH {
            self.text.pop();
            self.spaces(WIDTH - used - needed);
        } else {
            self.spaces(columns(lead.0).max(4));
        }
        self.painted(&origin, DIM);
        self.end_line();
    }

    /// A line that is there to be copied: never wrapped.
    pub(crate) fn verbatim(&mut self, lead: &str, text: &str, style: Style) {
        self.painted(lead, style);
        self.painted(&visible(text), style);
        self.end_line();
    }

    /// A line of a chart: the bar starts where those of the other lines do, and so does what stands behind it.
    pub(crate) fn bar(&mut self, lead: &str, bar: &str, width: usize, words: &str) {
        self.painted(lead, PLAIN);
        self.spaces(2);
        self.painted(bar, RED);
        self.spaces(width.saturating_sub(columns(bar)) + 2);
        self.painted(&visible(words), DIM);
        self.end_line();
    }

    fn painted(&mut self, text: &str, style: Style) {
        if self.colour == Colour::On && style != PLAIN && !text.is_empty() {
            write!(self.text, "{style}{text}{style:#}").expect("a String takes everything");
        } else {
            self.text.push_str(text);
        }
    }

    fn spaces(&mut self, count: usize) {
        self.text.extend(std::iter::repeat_n(' ', count));
    }

    fn end_line(&mut self) {
        let length = self.text.trim_end_matches(' ').len();
        self.text.truncate(length);
        self.text.push('\n');
    }
}

/// Breaks at white space only. A word longer than the line has a line of its own. No words give one empty line.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_whitespace() {
        let length = columns(word);
        if used > 0 && used + 1 + length > width {
            lines.push(String::new());
            used = 0;
        }
        let line = lines.last_mut().expect("there is always one");
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += length;
    }
    lines
}

/// How many columns a text takes, near enough: characters of double width are rare here.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().count()
}

/// A line without the colours that this module gave it; host text cannot hold an escape here.
fn bare(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\x1b') {
        out.push_str(before);
        rest = after.split_once('m').map_or("", |(_, it)| it);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_and_paths_are_not_broken() {
        let path = "/etc/nginx/sites-enabled/a-very-long-name-that-does-not-fit-into-the-line.conf:12";
        let mut page = Page::new(Colour::Off);
        page.put("  - ", &format!("see {path} for it"), PLAIN);
        assert_eq!(page.finish(), format!("  - see\n    {path}\n    for it\n"));
    }

    #[test]
    fn an_origin_goes_to_the_right_or_below() {
        let mut page = Page::new(Colour::Off);
        page.put_with_origin(("  + ", PLAIN), "short", "/a:1");
        page.put_with_origin(("  + ", PLAIN), &"x".repeat(74), "/a:1");
        let text = page.finish();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0].len(), &lines[0][76..]), (80, "/a:1"));
        assert_eq!(lines[2], "    /a:1");
    }

    #[test]
    fn colour_changes_no_column() {
        let page_in = |colour| {
            let mut page = Page::new(colour);
            page.put_with_origin(("  ! ", RED), "it is broken", "/a:1");
            page.finish()
        };
        assert_eq!(bare(&page_in(Colour::On)), page_in(Colour::Off));
        assert_ne!(page_in(Colour::On), page_in(Colour::Off));
    }
}
