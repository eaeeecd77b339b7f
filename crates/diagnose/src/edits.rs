//! Changed lines of the configuration for a fix. Several changes may meet on one line.

use nginx_conf::{Setting, Span};

use crate::report::Fix;
use crate::scene::Scene;

/// Changes in the making.
pub struct Edits<'s, 'a> {
    scene: &'s Scene<'a>,
    lines: Vec<Line>,
}

struct Line {
    file: String,
    number: u32,
    old: String,
    new: String,
}

impl<'s, 'a> Edits<'s, 'a> {
    /// None yet.
    pub fn new(scene: &'s Scene<'a>) -> Self {
        Edits { scene, lines: Vec::new() }
    }

    /// Replaces the directive at `span`. None when it stands on several lines or is not there as text.
    pub fn replace(&mut self, span: Span, new: &str) -> Option<()> {
        let written = std::str::from_utf8(self.scene.config.text(span)).ok()?.to_owned();
        self.change(span, |line| line.contains(&written).then(|| line.replacen(&written, new, 1)))
    }

    /// Puts a directive right behind the one at `span`.
    pub fn append(&mut self, span: Span, new: &str) -> Option<()> {
        let written = std::str::from_utf8(self.scene.config.text(span)).ok()?.to_owned();
        self.change(span, |line| {
            line.contains(&written).then(|| line.replacen(&written, &format!("{written} {new}"), 1))
        })
    }

    /// Gives a directive another value where it is set; where it has its default, sets it behind the directive at `span`.
    pub fn set<T>(&mut self, setting: &Setting<T>, directive: &str, span: Span) -> Option<()> {
        match setting.from {
            Some(from) => self.replace(from, directive),
            None => self.append(span, directive),
        }
    }

    fn change(&mut self, span: Span, change: impl Fn(&str) -> Option<String>) -> Option<()> {
        let (file, number, text) = self.scene.line_at(span)?;
        let index = match self.lines.iter().position(|it| it.file == file && it.number == number) {
            Some(index) => index,
            None => {
                let old = text.trim().to_owned();
                self.lines.push(Line { file, number, new: old.clone(), old });
                self.lines.len() - 1
            }
        };
        let line = &mut self.lines[index];
        line.new = change(&line.new)?;
        Some(())
    }

    /// The fix with these changes, checked and taken over by nginx; none when nothing changes.
    pub fn into_fix(self, fix: Fix) -> Option<Fix> {
        let lines = self.lines.into_iter().filter(|it| it.old != it.new);
        let fix = lines.fold(fix, |fix, it| fix.edit(it.file, it.number, it.old, it.new));
        if fix.edits.is_empty() {
            return None;
        }
        let fix = fix.run("nginx -t && nginx -s reload");
        Some(fix.risk("reloads nginx; requests in flight are not interrupted"))
    }
}
