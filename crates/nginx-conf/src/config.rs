//! A whole configuration: its files, the tree across them, and what was wrong.

use std::path::Path;

use crate::logs::LogFormat;
use crate::tree::{Directive, FileId, SourceFile, Span};

/// Everything that was read, starting from one main file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The main file first; a file that could not be read has no entry, except the main file (then empty).
    pub files: Vec<SourceFile>,
    /// The directives of the main level, included ones in place.
    pub root: Vec<Directive>,
    /// Whatever nginx would refuse or could not read, in the order of reading.
    pub problems: Vec<Problem>,
    /// Every `include` that was followed, in the order of reading.
    pub includes: Vec<Include>,
}

/// An `include` directive and what it brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    pub pattern: String,
    /// Empty when a pattern matched nothing or the file could not be read.
    pub files: Vec<FileId>,
    pub span: Span,
}

/// Something wrong with the configuration's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub span: Span,
    /// What is wrong: a lower-case fragment without the place.
    pub message: String,
    /// What to do about it.
    pub advice: String,
}

impl Problem {
    pub(crate) fn new(span: Span, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Problem { span, message: message.into(), advice: advice.into() }
    }
}

impl Config {
    /// `/etc/nginx/x.conf:12`, or the path alone for a file as a whole.
    pub fn place(&self, span: Span) -> String {
        let path = self.path(span.file).display();
        if span.line == 0 { path.to_string() } else { format!("{path}:{}", span.line) }
    }

    /// `/etc/nginx/x.conf:12:5`.
    pub fn exact_place(&self, span: Span) -> String {
        let place = self.place(span);
        if span.line == 0 { place } else { format!("{place}:{}", span.column) }
    }

    /// The path of a file; empty for an id of another configuration.
    pub fn path(&self, file: FileId) -> &Path {
        self.files.get(file.0 as usize).map_or(Path::new(""), |file| &file.path)
    }

    /// The raw bytes of a span; empty for a span of another configuration.
    pub fn text(&self, span: Span) -> &[u8] {
        self.files
            .get(span.file.0 as usize)
            .and_then(|file| file.text.get(span.start..span.end))
            .unwrap_or_default()
    }

    /// Every `log_format`, wherever it stands, with its name. `combined` is predefined and not among them.
    pub fn log_formats(&self) -> Vec<(&str, LogFormat)> {
        fn add<'c>(directives: &'c [Directive], found: &mut Vec<(&'c str, LogFormat)>) {
            for it in directives {
                found.extend((it.name == "log_format").then(|| LogFormat::parse(it)).flatten());
                add(it.children(), found);
            }
        }
        let mut found = Vec::new();
        add(&self.root, &mut found);
        found
    }

    /// Whether every file was read and understood, so that what is absent here is absent for nginx as well.
    pub fn is_complete(&self) -> bool {
        self.problems.is_empty()
    }
}
