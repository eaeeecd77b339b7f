//! Where configuration files come from: the caller decides, this crate opens nothing itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The files that a configuration is read from.
pub trait Files {
    /// The whole content; the error is one lower-case line, such as `permission denied`.
    fn read(&self, path: &Path) -> Result<Vec<u8>, String>;

    /// The paths that match an absolute shell pattern (`*`, `?`, `[…]`), none being no error.
    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String>;
}

/// Files held in memory: a captured host, or a test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryFiles(pub BTreeMap<PathBuf, Vec<u8>>);

impl Files for MemoryFiles {
    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.0.get(path).cloned().ok_or_else(|| "no such file or directory".to_owned())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let matches = |path: &&PathBuf| path.to_str().is_some_and(|path| glob_matches(pattern, path));
        Ok(self.0.keys().filter(matches).cloned().collect())
    }
}

/// Whether a path matches a shell pattern as glob(3) sees it: wildcards stop at `/`, and a leading dot of a name
/// must be written out.
pub fn glob_matches(pattern: &str, path: &str) -> bool {
    let mut patterns = pattern.split('/').filter(|part| !part.is_empty());
    let mut names = path.split('/').filter(|part| !part.is_empty());
    loop {
        match (patterns.next(), names.next()) {
            (None, None) => return true,
            (Some(pattern), Some(name)) if name_matches(pattern.as_bytes(), name.as_bytes()) => {}
            _ => return false,
        }
    }
}

/// One path component. Only the last `*` is ever tried again, so the work is at most pattern × name.
fn name_matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    let (mut at_pattern, mut at_name) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at_name < name.len() {
        let step = match pattern.get(at_pattern) {
            Some(b'*') => {
                retry = Some((at_pattern + 1, at_name));
                at_pattern += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => match bracket(&pattern[at_pattern..], name[at_name]) {
                Some((true, length)) => Some(length),
                Some((false, _)) => None,
                None => (name[at_name] == b'[').then_some(1),
            },
            Some(b'\\') if pattern.len() > at_pattern + 1 => {
                (pattern[at_pattern + 1] == name[at_name]).then_some(2)
            }
            Some(byte) => (*byte == name[at_name]).then_some(1),
            None => None,
        };
        match (step, retry) {
            (Some(length), _) => {
                at_pattern += length;
                at_name += 1;
            }
            (None, Some((after_star, from))) => {
                retry = Some((after_star, from + 1));
                at_pattern = after_star;
                at_name = from + 1;
            }
            (None, None) => return false,
        }
    }
    pattern[at_pattern..].iter().all(|byte| *byte == b'*')
}

/// Whether the set at the start of `pattern` has `byte`, and the length of the set; `None` when it never closes.
fn bracket(pattern: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = if negated { 2 } else { 1 };
    let close = first + 1 + pattern.get(first + 1..)?.iter().position(|byte| *byte == b']')?;
    let set = &pattern[first..close];
    let mut found = false;
    let mut at = 0;
    while at < set.len() {
        if at + 2 < set.len() && set[at + 1] == b'-' {
            found |= (set[at]..=set[at + 2]).contains(&byte);
            at += 3;
        } else {
            found |= set[at] == byte;
            at += 1;
        }
    }
    Some((found != negated, close + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_a_shell_would() {
        for (pattern, path, expected) in [
            ("/etc/nginx/conf.d/*.conf", "/etc/nginx/conf.d/a.conf", true),
            ("/etc/nginx/conf.d/*.conf", "/etc/nginx/conf.d/a.conf.bak", false),
            ("/etc/nginx/*.conf", "/etc/nginx/conf.d/a.conf", false),
            ("/etc/nginx/*/x", "/etc/nginx/a/x", true),
            ("/a/*", "/a/.hidden", false),
            ("/a/.h*", "/a/.hidden", true),
            ("/a/?.conf", "/a/b.conf", true),
            ("/a/[a-c]?", "/a/bz", true),
            ("/a/[!a-c]?", "/a/bz", false),
            ("/a/[]x]", "/a/]", true),
            ("/a/[x", "/a/[x", true),
            ("/a/\\*", "/a/*", true),
            ("/a//b", "/a/b", true),
            ("/a/*a*a*a*b", "/a/aaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("/a/**", "/a/b", true),
        ] {
            assert_eq!(glob_matches(pattern, path), expected, "{pattern} {path}");
        }
    }
}
