//! Bytes to words, exactly as nginx cuts them, and a way on after what nginx would refuse.
//!
//! Source of the rules: nginx `ngx_conf_read_token`. A word may begin with a quote, but a quote inside a word is an
//! ordinary character; `${` keeps its brace; a backslash takes any next character along. Which words make a
//! directive is decided in [`crate::parser`].

use compact_str::CompactString;

use crate::parser::MOST_PROBLEMS;
use crate::tree::{FileId, Span};

/// One token; words carry their decoded text.
#[derive(Debug)]
pub(crate) enum Token {
    Word(Word),
    Semicolon { at: usize },
    Open { at: usize },
    Close(Place),
    End,
}

/// A word with its decoded text, and where its raw text (quotes included) stands.
#[derive(Debug)]
pub(crate) struct Word {
    pub text: CompactString,
    pub span: Span,
    pub quoted: bool,
    /// Whether only blanks stand before it on its line.
    pub first_on_line: bool,
}

/// A closing brace, with what recovery needs to know about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub span: Span,
    pub first_on_line: bool,
}

/// What nginx would have refused while cutting words.
#[derive(Debug)]
pub(crate) struct Complaint {
    pub span: Span,
    pub message: String,
    pub advice: &'static str,
}

/// Longest raw word that fits nginx's read buffer. Source: nginx `NGX_CONF_BUFFER`.
const LONGEST_WORD_BYTES: usize = 4096;

pub(crate) struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    file: FileId,
    line: u32,
    line_start: usize,
    /// Set when only blanks were seen since the line began.
    line_is_fresh: bool,
    /// Columns count characters; in a pure ASCII file that is a subtraction.
    is_ascii: bool,
    /// The last column computed on a line with other characters, so that a long line is walked once.
    column_memo: (usize, u32),
    /// A search for this closing quote already ran into the end of the file, so another would as well.
    hopeless_quotes: [bool; 2],
    lua_is_hopeless: bool,
    /// Nor is there a brace that could end a Lua block by its indentation.
    lua_never_ends: bool,
    pub complaints: Vec<Complaint>,
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Whether a byte ends the fast walk through an unquoted word.
const STOPS_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let stops = b" \t\r\n;{\\$";
    let mut index = 0;
    while index < stops.len() {
        table[stops[index] as usize] = true;
        index += 1;
    }
    table
};

impl<'t> Lexer<'t> {
    pub fn new(text: &'t [u8], file: FileId) -> Self {
        let mut lexer = Lexer {
            text,
            at: 0,
            file,
            line: 1,
            line_start: 0,
            line_is_fresh: true,
            is_ascii: text.is_ascii(),
            column_memo: (0, 1),
            hopeless_quotes: [false; 2],
            lua_is_hopeless: false,
            lua_never_ends: false,
            complaints: Vec::new(),
        };
        if text.starts_with(b"\xef\xbb\xbf") {
            let span = lexer.span(0, 3);
            lexer.complain(span, "the file begins with a byte order mark".into(), "save it without one");
            lexer.at = 3;
        }
        lexer
    }

    pub fn next_token(&mut self) -> Token {
        self.skip_blanks_and_comments();
        let start = self.at;
        let first_on_line = std::mem::replace(&mut self.line_is_fresh, false);
        let Some(&byte) = self.text.get(start) else { return Token::End };
        match byte {
            b';' => {
                self.at += 1;
                Token::Semicolon { at: start }
            }
            b'{' => {
                self.at += 1;
                Token::Open { at: start }
            }
            b'}' => {
                self.at += 1;
                Token::Close(Place { span: self.span(start, start + 1), first_on_line })
            }
            b'"' | b'\'' => Token::Word(self.quoted_word(start, byte, first_on_line)),
            _ => {
                let end = self.end_of_bare_word(start);
                Token::Word(self.word(start, end, start..end, false, first_on_line))
            }
        }
    }

    /// A span on the current line, or one that begins there.
    pub fn span(&mut self, start: usize, end: usize) -> Span {
        Span { file: self.file, line: self.line, column: self.column(start), start, end }
    }

    fn column(&mut self, at: usize) -> u32 {
        if self.is_ascii {
            return u32::try_from(at - self.line_start + 1).unwrap_or(u32::MAX);
        }
        let (from, column) = if (self.line_start..=at).contains(&self.column_memo.0) {
            self.column_memo
        } else {
            (self.line_start, 1)
        };
        // UTF-8 continuation bytes do not begin a character.
        let characters = self.text[from..at].iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        let column = column.saturating_add(u32::try_from(characters).unwrap_or(u32::MAX));
        self.column_memo = (at, column);
        column
    }

    fn complain(&mut self, span: Span, message: String, advice: &'static str) {
        if self.complaints.len() < MOST_PROBLEMS {
            self.complaints.push(Complaint { span, message, advice });
        }
    }

    fn skip_blanks_and_comments(&mut self) {
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'\n' => {
                    self.at += 1;
                    self.start_line();
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'#' => {
                    let rest = &self.text[self.at..];
                    self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    fn start_line(&mut self) {
        self.line = self.line.saturating_add(1);
        self.line_start = self.at;
        self.line_is_fresh = true;
    }

    /// Moves over `self.at..end`, keeping count of lines.
    fn advance_to(&mut self, end: usize) {
        let skipped = &self.text[self.at..end];
        let mut lines = 0u32;
        let mut last = None;
        for newline in memchr::memchr_iter(b'\n', skipped) {
            lines = lines.saturating_add(1);
            last = Some(newline);
        }
        if let Some(newline) = last {
            self.line = self.line.saturating_add(lines);
            self.line_start = self.at + newline + 1;
        }
        self.at = end;
    }

    fn end_of_bare_word(&self, start: usize) -> usize {
        let text = self.text;
        let mut at = start;
        let mut after_dollar = false;
        while let Some(&byte) = text.get(at) {
            if !STOPS_WORD[byte as usize] {
                after_dollar = false;
                at += 1;
                continue;
            }
            match byte {
                b'\\' => {
                    after_dollar = false;
                    at = (at + 2).min(text.len());
                }
                b'$' => {
                    after_dollar = true;
                    at += 1;
                }
                b'{' if after_dollar => at += 1,
                _ => break,
            }
        }
        at
    }

    /// Where the quote that opened just before `from` closes.
    fn closing_quote(&self, from: usize, quote: u8) -> Option<usize> {
        let mut at = from;
        loop {
            at += memchr::memchr2(quote, b'\\', self.text.get(at..)?)?;
            if self.text[at] == quote {
                return Some(at);
            }
            at += 2;
        }
    }

    fn quoted_word(&mut self, start: usize, quote: u8, first_on_line: bool) -> Word {
        let hopeless = usize::from(quote == b'\'');
        let close = if self.hopeless_quotes[hopeless] { None } else { self.closing_quote(start + 1, quote) };
        let Some(close) = close else {
            self.hopeless_quotes[hopeless] = true;
            return self.unclosed_word(start, quote, first_on_line);
        };
        let followed_well =
            self.text.get(close + 1).is_none_or(|byte| is_blank(*byte) || matches!(byte, b';' | b'{' | b')'));
        let spans_lines = memchr::memchr(b'\n', &self.text[start..close]).is_some();
        // A text over several lines whose end runs into another word is a forgotten quote that paired up with the
        // next one of the file.
        if !followed_well && spans_lines {
            return self.unclosed_word(start, quote, first_on_line);
        }
        let word = self.word(start, close + 1, start + 1..close, true, first_on_line);
        if !followed_well {
            let span = self.span(close + 1, close + 2);
            let found = String::from_utf8_lossy(&self.text[close + 1..close + 2]).into_owned();
            self.complain(
                span,
                format!("unexpected \"{found}\" after a closing quote"),
                "put a blank or \";\" after the quote, or a backslash before it",
            );
        }
        word
    }

    /// Takes the rest of the line for the text of a quote that never closes.
    fn unclosed_word(&mut self, start: usize, quote: u8, first_on_line: bool) -> Word {
        let rest = &self.text[start + 1..];
        let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        let line = line.trim_ascii_end();
        let line = line.strip_suffix(b";").or(line.strip_suffix(b"{")).unwrap_or(line);
        let end = start + 1 + line.len();
        let span = self.span(start, end);
        self.complain(
            span,
            format!("the quote {} that opens here is not closed", char::from(quote)),
            "close the quote",
        );
        self.word(start, end, start + 1..end, true, first_on_line)
    }

    fn word(
        &mut self,
        start: usize,
        end: usize,
        inner: std::ops::Range<usize>,
        quoted: bool,
        first_on_line: bool,
    ) -> Word {
        let span = self.span(start, end);
        if inner.len() >= LONGEST_WORD_BYTES {
            self.complain(
                span,
                format!("a parameter of {} bytes is too long, nginx takes less than 4096", inner.len()),
                "shorten it, or look for a missing closing quote",
            );
        }
        let text = unescape(&self.text[inner]);
        self.advance_to(end);
        Word { text, span, quoted, first_on_line }
    }

    /// The Lua source of a `*_by_lua_block`, whose opening brace was just read: its end is found the way Lua reads
    /// strings, comments and long brackets. Returns where the source begins and ends; the closing brace is consumed.
    ///
    /// Where indentation is the witness, a brace further left than the directive is not the block's.
    pub fn lua_block(&mut self, column_of_directive: u32, by_indentation: bool) -> Option<Span> {
        let start = self.at;
        let start_span = self.span(start, start);
        if !self.lua_is_hopeless
            && let Some(end) = end_of_lua(self.text, start)
            && !(by_indentation
                && self.indent_before(end).is_some_and(|it| it + 1 < column_of_directive as usize))
        {
            self.advance_to(end);
            self.at += 1;
            return Some(Span { end, ..start_span });
        }
        self.lua_is_hopeless = true;
        self.complain(
            start_span,
            "the Lua block that opens here is not closed".into(),
            "add the missing \"}\"",
        );
        let end =
            if self.lua_never_ends { None } else { self.lua_end_by_indentation(start, column_of_directive) };
        self.lua_never_ends |= end.is_none();
        let end = end?;
        self.advance_to(end);
        self.at += 1;
        Some(Span { end, ..start_span })
    }

    /// The first line that begins with a brace no deeper than the directive itself.
    fn lua_end_by_indentation(&self, start: usize, column_of_directive: u32) -> Option<usize> {
        let mut line_start = start;
        loop {
            line_start += memchr::memchr(b'\n', &self.text[line_start..])? + 1;
            let line = &self.text[line_start..];
            let indent = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            if line.get(indent) == Some(&b'}') && indent < column_of_directive as usize {
                return Some(line_start + indent);
            }
        }
    }

    /// How many blanks stand before a byte that is the first of its line.
    fn indent_before(&self, at: usize) -> Option<usize> {
        let line_start = memchr::memrchr(b'\n', &self.text[..at]).map_or(0, |newline| newline + 1);
        let before = &self.text[line_start..at];
        before.iter().all(|byte| matches!(byte, b' ' | b'\t')).then_some(before.len())
    }

    /// The bytes of a span as text, undecoded.
    pub fn raw(&self, span: Span) -> CompactString {
        CompactString::from_utf8_lossy(&self.text[span.start..span.end])
    }

    /// Gives up a Lua block without a plausible end: the next line is read as configuration again.
    pub fn skip_line(&mut self) {
        let rest = &self.text[self.at..];
        self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    }
}

/// Where the Lua source that begins at `from` meets its closing brace.
fn end_of_lua(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    let mut depth = 0usize;
    loop {
        match *text.get(at)? {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            quote @ (b'"' | b'\'') => {
                at += 1;
                while *text.get(at)? != quote {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'-' if text.get(at + 1) == Some(&b'-') => {
                at = match long_bracket_end(text, at + 2) {
                    LongBracket::Ends(end) => end,
                    LongBracket::Open => return None,
                    LongBracket::None => at + memchr::memchr(b'\n', &text[at..])?,
                }
            }
            b'[' => match long_bracket_end(text, at) {
                LongBracket::Ends(end) => at = end,
                LongBracket::Open => return None,
                LongBracket::None => {}
            },
            _ => {}
        }
        at += 1;
    }
}

enum LongBracket {
    None,
    /// The index of its last byte.
    Ends(usize),
    Open,
}

/// `[[…]]`, `[=[…]=]` and so on, where `at` is the first bracket.
fn long_bracket_end(text: &[u8], at: usize) -> LongBracket {
    if text.get(at) != Some(&b'[') {
        return LongBracket::None;
    }
    let level = text[at + 1..].iter().take_while(|byte| **byte == b'=').count();
    if text.get(at + 1 + level) != Some(&b'[') {
        return LongBracket::None;
    }
    let mut search = at + 2 + level;
    while let Some(found) = text.get(search..).and_then(|rest| memchr::memchr(b']', rest)) {
        let close = search + found;
        let equals = text[close + 1..].iter().take_while(|byte| **byte == b'=').count();
        if equals == level && text.get(close + 1 + level) == Some(&b']') {
            return LongBracket::Ends(close + 1 + level);
        }
        search = close + 1 + equals;
    }
    LongBracket::Open
}

/// The text of a word: `\"`, `\'` and `\\` lose their backslash, `\t`, `\r` and `\n` become what they name, any
/// other backslash stays. Bytes that are not UTF-8 become replacement characters.
fn unescape(raw: &[u8]) -> CompactString {
    let Some(first) = memchr::memchr(b'\\', raw) else { return CompactString::from_utf8_lossy(raw) };
    let mut text = Vec::with_capacity(raw.len());
    text.extend_from_slice(&raw[..first]);
    let mut at = first;
    while at < raw.len() {
        let escaped = if raw[at] == b'\\' { raw.get(at + 1) } else { None };
        match escaped {
            Some(byte @ (b'"' | b'\'' | b'\\')) => text.push(*byte),
            Some(b't') => text.push(b'\t'),
            Some(b'r') => text.push(b'\r'),
            Some(b'n') => text.push(b'\n'),
            _ => {
                text.push(raw[at]);
                at += 1;
                continue;
            }
        }
        at += 2;
    }
    CompactString::from_utf8_lossy(&text)
}
