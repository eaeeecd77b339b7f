//! Locations, and which of them a request meets.

use std::sync::OnceLock;

use fancy_regex::{Regex, RegexBuilder};

use crate::tree::{Directive, Span};

/// Index into [`crate::View::locations`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocationId(pub usize);

/// A `location` block.
#[derive(Debug, Clone)]
pub struct Location {
    /// Index into [`crate::View::servers`].
    pub server: usize,
    /// The location it is nested in.
    pub parent: Option<LocationId>,
    pub kind: LocationKind,
    /// The prefix, the regular expression, or the name with its `@`.
    pub path: String,
    pub children: Vec<LocationId>,
    /// Its own unconditional pass, as an index into [`crate::View::passes`].
    pub pass: Option<usize>,
    /// Passes inside its `if` and `limit_except` blocks.
    pub conditional_passes: Vec<usize>,
    /// The arguments of `try_files`.
    pub try_files: Vec<String>,
    pub internal: bool,
    pub span: Span,
    pub(crate) pattern: Pattern,
}

/// The modifier of a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LocationKind {
    /// `= /path`
    Exact,
    /// `/path`
    Prefix,
    /// `^~ /path`: no regular expression is tried after it.
    PrefixNoRegex,
    /// `~ expression`
    Regex,
    /// `~* expression`
    RegexIgnoreCase,
    /// `@name`
    Named,
}

impl Location {
    pub(crate) fn new(directive: &Directive, server: usize, parent: Option<LocationId>) -> Location {
        let (kind, path) = kind_and_path(directive);
        Location {
            server,
            parent,
            kind,
            path: path.to_owned(),
            children: Vec::new(),
            pass: None,
            conditional_passes: Vec::new(),
            try_files: Vec::new(),
            internal: false,
            span: directive.span,
            pattern: Pattern::default(),
        }
    }

    /// As it is written: `~* \.php$`, `/api/`, `= /x`.
    pub fn heading(&self) -> String {
        match self.kind {
            LocationKind::Exact => format!("= {}", self.path),
            LocationKind::PrefixNoRegex => format!("^~ {}", self.path),
            LocationKind::Regex => format!("~ {}", self.path),
            LocationKind::RegexIgnoreCase => format!("~* {}", self.path),
            LocationKind::Prefix | LocationKind::Named => self.path.clone(),
        }
    }

    fn is_regex(&self) -> bool {
        matches!(self.kind, LocationKind::Regex | LocationKind::RegexIgnoreCase)
    }
}

/// Source: nginx ngx_http_core_location; the modifier may stand right before the path.
fn kind_and_path(directive: &Directive) -> (LocationKind, &str) {
    let first = directive.arg(0).unwrap_or_default();
    if let Some(path) = directive.arg(1) {
        let kind = match first {
            "=" => LocationKind::Exact,
            "^~" => LocationKind::PrefixNoRegex,
            "~" => LocationKind::Regex,
            "~*" => LocationKind::RegexIgnoreCase,
            _ => LocationKind::Prefix,
        };
        return (kind, path);
    }
    if let Some(path) = first.strip_prefix('=') {
        (LocationKind::Exact, path)
    } else if let Some(path) = first.strip_prefix("^~") {
        (LocationKind::PrefixNoRegex, path)
    } else if let Some(path) = first.strip_prefix("~*") {
        (LocationKind::RegexIgnoreCase, path)
    } else if let Some(path) = first.strip_prefix('~') {
        (LocationKind::Regex, path)
    } else if first.starts_with('@') {
        (LocationKind::Named, first)
    } else {
        (LocationKind::Prefix, first)
    }
}

/// A regular expression of the configuration, compiled when it is first tried: most never are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pattern(OnceLock<Option<Regex>>);

/// How often a match may go back before it is given up; PCRE has such a limit as well.
const BACKTRACK_LIMIT: usize = 100_000;

impl Pattern {
    /// Whether the expression matches; `None` when it could not be compiled here or took too long.
    pub fn matches(&self, expression: &str, ignore_case: bool, text: &str) -> Option<bool> {
        let compile = || {
            RegexBuilder::new(expression)
                .case_insensitive(ignore_case)
                .backtrack_limit(BACKTRACK_LIMIT)
                .build()
                .ok()
        };
        self.0.get_or_init(compile).as_ref()?.is_match(text).ok()
    }
}

/// What a search came to.
pub(crate) struct Found {
    pub location: Option<LocationId>,
    /// nginx answers with a redirect to the path with a slash at its end.
    pub redirects: bool,
    /// A regular expression that was tried before could not be judged here.
    pub unsure: Option<LocationId>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Declined,
    Prefix,
    Final,
    Redirect,
}

/// The location for a decoded path. Source: nginx ngx_http_core_find_location.
pub(crate) fn find(locations: &[Location], top: &[LocationId], path: &str) -> Found {
    let mut search = Search { locations, path, unsure: None };
    let (outcome, location) = search.among(top, None);
    Found { location, redirects: outcome == Outcome::Redirect, unsure: search.unsure }
}

struct Search<'v> {
    locations: &'v [Location],
    path: &'v str,
    unsure: Option<LocationId>,
}

impl Search<'_> {
    fn among(
        &mut self,
        siblings: &[LocationId],
        around: Option<LocationId>,
    ) -> (Outcome, Option<LocationId>) {
        let locations = self.locations;
        let (mut outcome, mut location) = self.among_static(siblings);
        let mut tries_regex = true;
        match location {
            Some(id) if outcome == Outcome::Prefix => {
                tries_regex = locations[id.0].kind != LocationKind::PrefixNoRegex;
                (outcome, location) = self.among(&locations[id.0].children, location);
            }
            Some(_) => return (outcome, location),
            None => location = around,
        }
        if matches!(outcome, Outcome::Final | Outcome::Redirect) || !tries_regex {
            return (outcome, location);
        }
        for id in siblings {
            let candidate = &locations[id.0];
            if !candidate.is_regex() {
                continue;
            }
            let ignore_case = candidate.kind == LocationKind::RegexIgnoreCase;
            match candidate.pattern.matches(&candidate.path, ignore_case, self.path) {
                Some(true) => {
                    let (_, inner) = self.among(&candidate.children, Some(*id));
                    return (Outcome::Final, inner);
                }
                Some(false) => {}
                None => self.unsure = self.unsure.or(Some(*id)),
            }
        }
        (outcome, location)
    }

    /// The exact location, else the longest prefix, else one that the path would reach with a slash at its end.
    fn among_static(&self, siblings: &[LocationId]) -> (Outcome, Option<LocationId>) {
        let mut longest: Option<LocationId> = None;
        let mut with_slash = None;
        for id in siblings {
            let candidate = &self.locations[id.0];
            match candidate.kind {
                LocationKind::Exact if candidate.path == self.path => return (Outcome::Final, Some(*id)),
                LocationKind::Prefix | LocationKind::PrefixNoRegex
                    if self.path.starts_with(&candidate.path)
                        && longest
                            .is_none_or(|best| self.locations[best.0].path.len() < candidate.path.len()) =>
                {
                    longest = Some(*id);
                }
                LocationKind::Exact | LocationKind::Prefix | LocationKind::PrefixNoRegex
                    if candidate.pass.is_some() && candidate.path.strip_suffix('/') == Some(self.path) =>
                {
                    with_slash = Some(*id);
                }
                _ => {}
            }
        }
        let is_whole = longest.is_some_and(|id| self.locations[id.0].path == self.path);
        match (with_slash, longest) {
            (Some(id), _) if !is_whole => (Outcome::Redirect, Some(id)),
            (_, Some(id)) => (Outcome::Prefix, Some(id)),
            _ => (Outcome::Declined, None),
        }
    }
}

/// The path as locations see it: without arguments, decoded, with single slashes and without dot segments.
/// Source: nginx ngx_http_parse_complex_uri.
pub(crate) fn normal_path(uri: &str) -> String {
    let raw = uri.split(['?', '#']).next().unwrap_or_default().as_bytes();
    let mut decoded = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        let hex = |byte: &u8| char::from(*byte).to_digit(16);
        let pair = raw.get(at + 1).and_then(hex).zip(raw.get(at + 2).and_then(hex));
        match pair {
            Some((high, low)) if raw[at] == b'%' => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                decoded.push(raw[at]);
                at += 1;
            }
        }
    }
    let decoded = String::from_utf8_lossy(&decoded);
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_with_slash = true;
    for segment in decoded.split('/') {
        ends_with_slash = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut path = String::with_capacity(decoded.len() + 1);
    for segment in &segments {
        path.push('/');
        path.push_str(segment);
    }
    if ends_with_slash || path.is_empty() {
        path.push('/');
    }
    path
}
