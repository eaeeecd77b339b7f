//! The configuration as a tree of directives, each with its place.

use std::path::PathBuf;

use compact_str::CompactString;

/// Which of [`crate::Config::files`] something stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A stretch of one file. `line` and `column` are those of its first byte and begin at 1; columns count characters.
/// Line 0 means the file as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    pub file: FileId,
    pub line: u32,
    pub column: u32,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A file that was read, with its exact bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    pub path: PathBuf,
    pub text: Vec<u8>,
}

/// An argument: its decoded text, and its raw text's place (with quotes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    pub text: CompactString,
    pub span: Span,
    /// Whether it was written in quotes; a quoted word is never a keyword for recovery, but means the same to nginx.
    pub quoted: bool,
}

/// A directive with all it holds. An included file's directives stand in place of the `include`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    pub name: CompactString,
    /// For `*_by_lua_block`, the last argument is the Lua source between the braces, and there is no `block`.
    pub args: Vec<Arg>,
    /// `Some` for everything written with braces, even empty ones.
    pub block: Option<Vec<Directive>>,
    /// From the first byte of the name through `;` or `}`. The raw text may differ from `name` by quotes and
    /// backslashes.
    pub span: Span,
}

impl Directive {
    /// The text of an argument, the first one being 0.
    pub fn arg(&self, index: usize) -> Option<&str> {
        self.args.get(index).map(|arg| arg.text.as_str())
    }

    /// The directives inside the braces; none where there are no braces.
    pub fn children(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }

    /// All arguments, joined by blanks.
    pub fn args_joined(&self) -> String {
        self.args.iter().map(|arg| arg.text.as_str()).collect::<Vec<_>>().join(" ")
    }
}
