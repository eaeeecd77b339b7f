//! From the main file to the whole configuration, following `include`.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use crate::config::{Config, Include, Problem};
use crate::files::Files;
use crate::parser::{self, DEEPEST_BLOCK};
use crate::tree::{Arg, Directive, FileId, SourceFile, Span};

/// Files that include each other deeper than this are a mistake; nginx itself would run out of descriptors.
const DEEPEST_INCLUDE: usize = 64;

/// How many bytes of files are taken again after their first `include`: a few small files that each include the next
/// one twice would otherwise unfold without end.
const MOST_REPEATED_BYTES: usize = 64 << 20;

/// Reads a configuration from its main file, following includes. Relative paths and patterns are taken from the
/// directory of the main file, as nginx does. Never fails: what could not be read is in [`Config::problems`].
pub fn load(files: &dyn Files, main: &Path) -> Config {
    load_with_globals(files, main, "")
}

/// Like [`load`], with the directives of nginx's `-g` option before the main file. They stand in a file of their
/// own, named `-g`.
pub fn load_with_globals(files: &dyn Files, main: &Path, globals: &str) -> Config {
    let mut loader = Loader {
        files,
        conf_prefix: main.parent().unwrap_or(Path::new("")).to_path_buf(),
        config: Config::default(),
        known: HashMap::new(),
        stack: Vec::new(),
        depth: 0,
        bytes_left: MOST_REPEATED_BYTES,
    };
    let main_id = FileId(0);
    loader.known.insert(normal(main), main_id);
    let whole_file = Span { file: main_id, line: 0, column: 0, start: 0, end: 0 };
    let text = loader.files.read(main).unwrap_or_else(|error| {
        let message = format!("cannot read {}: {error}", main.display());
        loader.config.problems.push(Problem::new(whole_file, message, "check the path and who may read it"));
        Vec::new()
    });
    loader.config.files.push(SourceFile { path: main.to_path_buf(), text });

    let mut root = Vec::new();
    if !globals.trim().is_empty() {
        let id = FileId(1);
        // nginx accepts `-g "daemon off"` without the last semicolon.
        let mut text = globals.trim().as_bytes().to_vec();
        if !text.ends_with(b";") && !text.ends_with(b"}") {
            text.push(b';');
        }
        loader.config.files.push(SourceFile { path: PathBuf::from("-g"), text });
        root = loader.parse(id, true);
    }
    root.extend(loader.parse(main_id, true));
    loader.config.root = root;
    loader.config
}

struct Loader<'f> {
    files: &'f dyn Files,
    conf_prefix: PathBuf,
    config: Config,
    /// Paths already read; `config.files` has their text.
    known: HashMap<PathBuf, FileId>,
    /// The files being read, outermost first.
    stack: Vec<FileId>,
    /// How many blocks are open around the directives being looked at, over all files.
    depth: usize,
    bytes_left: usize,
}

impl Loader<'_> {
    /// The directives of a file with its includes followed. Problems are told once, not once per `include`.
    fn parse(&mut self, id: FileId, tell_problems: bool) -> Vec<Directive> {
        let text = std::mem::take(&mut self.config.files[id.0 as usize].text);
        let parsed = parser::parse(&text, id);
        self.config.files[id.0 as usize].text = text;
        if tell_problems {
            self.config.problems.extend(parsed.problems);
        }
        let mut directives = parsed.directives;
        self.stack.push(id);
        self.expand(&mut directives);
        self.stack.pop();
        directives
    }

    fn expand(&mut self, directives: &mut Vec<Directive>) {
        for directive in directives.iter_mut() {
            if let Some(block) = &mut directive.block {
                self.depth += 1;
                self.expand(block);
                self.depth -= 1;
            }
        }
        if !directives.iter().any(is_include) {
            return;
        }
        let mut expanded = Vec::with_capacity(directives.len());
        for directive in directives.drain(..) {
            match directive.args.first() {
                Some(arg) if is_include(&directive) => self.include(&directive, arg, &mut expanded),
                _ => expanded.push(directive),
            }
        }
        *directives = expanded;
    }

    fn include(&mut self, directive: &Directive, arg: &Arg, into: &mut Vec<Directive>) {
        let pattern = self.conf_prefix.join(&arg.text);
        let mut include = Include { pattern: arg.text.to_string(), files: Vec::new(), span: directive.span };
        // Source: nginx ngx_conf_include; only a pattern may match nothing.
        let paths = if arg.text.contains(['*', '?', '[']) {
            match self.files.glob(&pattern.to_string_lossy()) {
                Ok(mut paths) => {
                    paths.sort();
                    paths
                }
                Err(error) => {
                    let message = format!("cannot list {}: {error}", pattern.display());
                    self.problem(arg.span, message, "check the directory and who may read it");
                    Vec::new()
                }
            }
        } else {
            vec![pattern]
        };
        for path in paths {
            if let Some((id, is_new)) = self.open(&path, arg.span) {
                include.files.push(id);
                into.extend(self.parse(id, is_new));
            }
        }
        self.config.includes.push(include);
    }

    fn problem(&mut self, span: Span, message: String, advice: &str) {
        self.config.problems.push(Problem::new(span, message, advice));
    }

    /// The file at a path, and whether it is read for the first time.
    fn open(&mut self, path: &Path, from: Span) -> Option<(FileId, bool)> {
        let key = normal(path);
        let known = self.known.get(&key).copied();
        if self.depth > DEEPEST_BLOCK {
            let message = format!("{} is included inside more than {DEEPEST_BLOCK} blocks", path.display());
            self.problem(from, message, "remove the surplus blocks");
            return None;
        }
        if let Some(id) = known
            && self.stack.contains(&id)
        {
            let message = format!("{} includes itself", path.display());
            self.problem(from, message, "remove this include");
            return None;
        }
        if self.stack.len() >= DEEPEST_INCLUDE {
            let message = format!("more than {DEEPEST_INCLUDE} files include one another");
            self.problem(from, message, "include the files from one place");
            return None;
        }
        let id = match known {
            Some(id) => id,
            None => {
                let text = match self.files.read(path) {
                    Ok(text) => text,
                    Err(error) => {
                        let message = format!("cannot read {}: {error}", path.display());
                        self.problem(from, message, "create the file, or remove this include");
                        return None;
                    }
                };
                let id = FileId(u32::try_from(self.config.files.len()).ok()?);
                self.config.files.push(SourceFile { path: path.to_path_buf(), text });
                self.known.insert(key, id);
                id
            }
        };
        let repeated = if known.is_some() { self.config.files[id.0 as usize].text.len() + 1 } else { 0 };
        let Some(left) = self.bytes_left.checked_sub(repeated) else {
            let message = format!("repeated includes add more than {} MiB", MOST_REPEATED_BYTES >> 20);
            self.problem(from, message, "include large files once only");
            return None;
        };
        self.bytes_left = left;
        Some((id, known.is_none()))
    }
}

fn is_include(directive: &Directive) -> bool {
    directive.name == "include" && directive.args.len() == 1 && directive.block.is_none()
}

/// A path without `.` and `..`, so that a loop is seen however it is spelled. Links are not followed.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}
