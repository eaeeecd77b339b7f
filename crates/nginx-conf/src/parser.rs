//! One file's words to a tree of directives.
//!
//! What nginx would refuse becomes a [`Problem`], and reading goes on with the most plausible meaning: half a
//! configuration is still evidence. Files are not opened here, see [`crate::include`].

use compact_str::CompactString;

use crate::config::Problem;
use crate::keywords;
use crate::lexer::{Lexer, Place, Token, Word};
use crate::tree::{Arg, Directive, FileId, Span};

/// Blocks deeper than this are flattened: no real configuration comes near, and a tree without bound would
/// overflow the stack of whoever walks it.
pub(crate) const DEEPEST_BLOCK: usize = 100;

/// How many problems are told of one file, once for its words and once for their order.
pub(crate) const MOST_PROBLEMS: usize = 50;

/// What one file says.
pub(crate) struct Parsed {
    pub directives: Vec<Directive>,
    pub problems: Vec<Problem>,
}

/// Reads a file. Where its braces do not balance it is read once more, then with indentation as a witness for
/// where the missing or surplus brace is.
pub(crate) fn parse(text: &[u8], file: FileId) -> Parsed {
    let plain = Parser::new(text, file, false).run();
    if plain.unbalanced { Parser::new(text, file, true).run().parsed } else { plain.parsed }
}

struct Outcome {
    parsed: Parsed,
    unbalanced: bool,
}

/// A block that is open.
struct Frame {
    directive: Directive,
    children: Vec<Directive>,
    /// The frame whose block takes its children: itself, or one around it for braces that are without a name or
    /// too deep; `None` is the main level.
    home: Option<usize>,
    first_on_line: bool,
    has_children: bool,
    /// The column of its first child, when that began a line.
    child_column: Option<u32>,
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    /// Whether indentation decides about braces.
    by_indentation: bool,
    frames: Vec<Frame>,
    /// How many of `frames` become blocks.
    depth: usize,
    roots: Vec<Directive>,
    /// The directive whose words are being read, and whether it began a line.
    current: Option<(Directive, bool)>,
    problems: Vec<Problem>,
    unbalanced: bool,
    text_len: usize,
}

impl<'t> Parser<'t> {
    fn new(text: &'t [u8], file: FileId, by_indentation: bool) -> Self {
        Parser {
            lexer: Lexer::new(text, file),
            by_indentation,
            frames: Vec::new(),
            depth: 0,
            roots: Vec::new(),
            current: None,
            problems: Vec::new(),
            unbalanced: false,
            text_len: text.len(),
        }
    }

    fn run(mut self) -> Outcome {
        loop {
            match self.lexer.next_token() {
                Token::Word(word) => self.word(word),
                Token::Semicolon { at } => self.semicolon(at),
                Token::Open { at } => self.open(at),
                Token::Close(place) => self.close(place),
                Token::End => break,
            }
        }
        if let Some((directive, _)) = &self.current {
            let message = format!("the file ends inside \"{}\", a \";\" is missing", directive.name);
            self.problem(directive.span, message, "end the directive with \";\"");
            self.finish_current(self.text_len);
        }
        self.unbalanced |= !self.frames.is_empty();
        while let Some(frame) = self.frames.last() {
            let span = frame.directive.span;
            let message = format!("\"{}\" is never closed, a \"}}\" is missing", heading(&frame.directive));
            self.problem(span, message, "close the block with \"}\"");
            self.pop(self.text_len);
        }
        let complaints = std::mem::take(&mut self.lexer.complaints);
        self.problems.extend(complaints.into_iter().map(|it| Problem::new(it.span, it.message, it.advice)));
        self.problems.sort_by_key(|problem| problem.span.start);
        Outcome {
            parsed: Parsed { directives: self.roots, problems: self.problems },
            unbalanced: self.unbalanced,
        }
    }

    /// Notes a problem. Of a file that is no configuration at all the first ones say enough.
    fn problem(&mut self, span: Span, message: String, advice: &'static str) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(Problem::new(span, message, advice));
        }
    }

    fn word(&mut self, word: Word) {
        if let Some((directive, _)) = &self.current
            && word.first_on_line
            && !word.quoted
            && keywords::begins_new_directive(&directive.name, directive.args.len(), &word.text)
        {
            let message = format!("a \";\" is missing after \"{}\"", heading(directive));
            let (span, end) = (directive.span, last_word_end(directive));
            self.problem(span, message, "end the directive with \";\"");
            self.finish_current(end);
        }
        match &mut self.current {
            Some((directive, _)) => {
                if directive.args.is_empty() {
                    // Most directives have one or two arguments; a vector's own first step is four.
                    directive.args.reserve_exact(2);
                }
                directive.args.push(Arg { text: word.text, span: word.span, quoted: word.quoted });
            }
            None => {
                if self.by_indentation && word.first_on_line {
                    self.close_by_indentation(&word);
                }
                if let Some(frame) = self.frames.last_mut()
                    && !std::mem::replace(&mut frame.has_children, true)
                    && word.first_on_line
                {
                    frame.child_column = Some(word.span.column);
                }
                let directive = Directive { name: word.text, args: Vec::new(), block: None, span: word.span };
                self.current = Some((directive, word.first_on_line));
            }
        }
    }

    /// Closes the blocks that a directive at this column cannot be inside of, if their bodies are indented.
    fn close_by_indentation(&mut self, word: &Word) {
        while let Some(frame) = self.frames.last() {
            let column = frame.directive.span.column;
            let is_indented = frame.child_column.is_some_and(|child| child > column);
            let outside = frame.first_on_line && is_indented && word.span.column <= column;
            if !outside && !keywords::cannot_be_inside(&word.text, &frame.directive.name) {
                return;
            }
            let span = frame.directive.span;
            let message = format!("\"{}\" is not closed, a \"}}\" is missing", heading(&frame.directive));
            self.problem(span, message, "close the block with \"}\"");
            self.pop(word.span.start);
        }
    }

    fn semicolon(&mut self, at: usize) {
        if self.current.is_some() {
            self.finish_current(at + 1);
        } else {
            let span = self.lexer.span(at, at + 1);
            self.problem(span, "unexpected \";\"".into(), "remove it, or write the directive before it");
        }
    }

    fn open(&mut self, at: usize) {
        let (directive, first_on_line) = match self.current.take() {
            Some(current) => current,
            None => {
                let span = self.lexer.span(at, at + 1);
                self.problem(span, "unexpected \"{\"".into(), "write the name of the block before it");
                (Directive { name: CompactString::default(), args: Vec::new(), block: None, span }, false)
            }
        };
        if directive.name.ends_with("_by_lua_block") {
            self.lua(directive);
            return;
        }
        let mut home = self.frames.last().and_then(|frame| frame.home);
        if directive.name.is_empty() {
            // What stands inside belongs to the block around it.
        } else if self.depth >= DEEPEST_BLOCK {
            let message = format!("\"{}\" is nested deeper than {DEEPEST_BLOCK} blocks", heading(&directive));
            self.problem(directive.span, message, "remove the surplus blocks");
            let span = Span { end: at + 1, ..directive.span };
            self.attach(Directive { block: Some(Vec::new()), span, ..directive.clone() });
        } else {
            self.depth += 1;
            home = Some(self.frames.len());
        }
        self.frames.push(Frame {
            directive,
            children: Vec::new(),
            home,
            first_on_line,
            has_children: false,
            child_column: None,
        });
    }

    fn lua(&mut self, mut directive: Directive) {
        match self.lexer.lua_block(directive.span.column, self.by_indentation) {
            Some(span) => {
                let text = self.lexer.raw(span);
                directive.args.push(Arg { text, span, quoted: true });
                directive.span.end = span.end + 1;
            }
            None => {
                self.lexer.skip_line();
                directive.span.end = last_word_end(&directive);
            }
        }
        self.attach(directive);
    }

    fn close(&mut self, place: Place) {
        if let Some((directive, _)) = &self.current {
            let message = format!("a \";\" is missing after \"{}\"", heading(directive));
            let (span, end) = (directive.span, last_word_end(directive));
            self.problem(span, message, "end the directive with \";\"");
            self.finish_current(end);
        }
        if self.by_indentation && place.first_on_line && !self.close_belongs_to_innermost(place) {
            return;
        }
        if self.frames.is_empty() {
            self.unbalanced = true;
            self.problem(
                place.span,
                "unexpected \"}\"".into(),
                "remove it, or open the block that it closes",
            );
            return;
        }
        self.pop(place.span.end);
    }

    /// With indentation as the witness: a brace under the beginning of an outer block closes that one, and one
    /// that stands under no block at all is surplus.
    fn close_belongs_to_innermost(&mut self, place: Place) -> bool {
        let column = place.span.column;
        let begins_at = |frame: &Frame| frame.first_on_line && frame.directive.span.column == column;
        let Some(innermost) = self.frames.last() else { return true };
        let innermost_column = innermost.directive.span.column;
        if !innermost.first_on_line || innermost_column == column {
            return true;
        }
        if column > innermost_column {
            let is_indented = innermost.child_column.is_some_and(|child| child == column);
            if is_indented {
                self.problem(place.span, "unexpected \"}\"".into(), "remove it, it closes nothing");
            }
            return !is_indented;
        }
        if self.frames.iter().rev().take(DEEPEST_BLOCK).any(begins_at) {
            while let Some(frame) = self.frames.last()
                && !begins_at(frame)
            {
                let span = frame.directive.span;
                let message = format!("\"{}\" is not closed, a \"}}\" is missing", heading(&frame.directive));
                self.problem(span, message, "close the block with \"}\"");
                self.pop(place.span.start);
            }
        }
        true
    }

    fn finish_current(&mut self, end: usize) {
        if let Some((mut directive, _)) = self.current.take() {
            directive.span.end = end;
            self.attach(directive);
        }
    }

    fn attach(&mut self, directive: Directive) {
        match self.frames.last().and_then(|frame| frame.home) {
            Some(home) => self.frames[home].children.push(directive),
            None => self.roots.push(directive),
        }
    }

    fn pop(&mut self, end: usize) {
        let Some(mut frame) = self.frames.pop() else { return };
        if frame.home == Some(self.frames.len()) {
            self.depth -= 1;
            frame.directive.span.end = end;
            frame.directive.block = Some(frame.children);
            self.attach(frame.directive);
        }
    }
}

fn last_word_end(directive: &Directive) -> usize {
    directive.args.last().map_or(directive.span.end, |arg| arg.span.end)
}

/// A directive as a person would point at it: its name and first arguments, without control characters and short.
fn heading(directive: &Directive) -> String {
    let mut text = directive.name.to_string();
    for arg in directive.args.iter().take(2) {
        text.push(' ');
        text.push_str(&arg.text);
    }
    let short: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    short
}
