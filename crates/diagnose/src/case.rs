//! What a rule is asked about: one group of failures on the scene.

use snapshot::{Peer, PeerSight, Reading, Seen};

use crate::failure::{Access, Failure};
use crate::groups::FailureGroup;
use crate::scene::Scene;
use crate::service::Backend;
use crate::sums;
use crate::verdict::Fact;

/// One group of failures, with the scene around it and the backend that it concerns.
pub struct Case<'s, 'a> {
    /// The host.
    pub scene: &'s Scene<'a>,
    /// The failures.
    pub group: &'s FailureGroup,
    /// Who serves, or should serve, the dialled address; blind when that could not be seen.
    pub backend: &'s Result<Backend<'a>, Blind>,
}

/// A reading that a rule needs and that is not there. Rules return it with `?`; the engine turns it into a blind spot,
/// so that nobody can take "not read" for "none".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blind {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
    /// What would settle it.
    pub remedy: String,
}

impl Blind {
    /// The value, or the blind spot.
    pub fn of<'a, T>(what: &str, reading: &'a Reading<T>) -> Result<&'a Seen<T>, Blind> {
        reading.require().map_err(|unread| Blind::from_unread(what, unread))
    }

    /// The blind spot of something unread.
    pub fn from_unread(what: &str, unread: &snapshot::Unread) -> Blind {
        use snapshot::Reason::*;
        // The system's words often say the same as ours.
        let same = unread.detail.to_ascii_lowercase().starts_with(unread.reason.words());
        let detail =
            if unread.detail.is_empty() || same { String::new() } else { format!(" ({})", unread.detail) };
        let remedy = match unread.reason {
            Denied => "run as root".to_owned(),
            TimedOut => "run again with a longer --timeout".to_owned(),
            Unsupported => format!("look by hand: {}", unread.source),
            Malformed => "please report it, with the text that was not understood".to_owned(),
            NotAsked => "run with --probe full".to_owned(),
        };
        Blind { what: what.to_owned(), why: format!("{}{detail}", unread.reason.words()), remedy }
    }
}

impl<'s, 'a> Case<'s, 'a> {
    /// The dialled peer.
    pub fn peer(&self) -> Option<&'s Peer> {
        self.group.peer.as_ref()
    }

    /// Its name in sentences.
    pub fn peer_name(&self) -> String {
        self.peer().map_or_else(|| "the backend".to_owned(), Peer::to_string)
    }

    /// What was looked up for it.
    pub fn sight(&self) -> Option<&'a PeerSight> {
        self.scene.sight(self.peer()?)
    }

    /// The backend behind it.
    pub fn backend(&self) -> Result<&'s Backend<'a>, Blind> {
        self.backend.as_ref().map_err(Blind::clone)
    }

    /// The error-log entries of the group.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &'s Failure> {
        self.group.entries.iter().map(|it| &self.scene.failures.entries[*it])
    }

    /// The requests of the group.
    pub fn accesses(&self) -> impl DoubleEndedIterator<Item = &'s Access> {
        self.group.accesses.iter().map(|it| &self.scene.failures.accesses[*it])
    }

    /// The failures themselves as a fact: how many, what, where.
    pub fn failures_fact(&self) -> Fact {
        match (self.entries().next_back(), self.accesses().next_back()) {
            (Some(entry), _) => {
                let words = |it: i32| {
                    nginx_logs::errno::errno(it).map_or_else(String::new, |errno| format!(": {}", errno.text))
                };
                let errno = entry.errno.map(|it| format!(" ({it}{})", words(it))).unwrap_or_default();
                let action =
                    if entry.action.is_empty() { String::new() } else { format!(" while {}", entry.action) };
                let count = sums::logged(self.scene.snapshot, self.group).max(self.group.count);
                let says = format!("{}{errno}{action}, {}", entry.message, times(count));
                Fact::new("error-log", says).reference(entry.reference.clone()).at(entry.at)
            }
            (None, Some(access)) if access.trial => {
                Fact::new("probe", access.line.clone()).reference(access.reference.clone()).at(access.at)
            }
            (None, Some(access)) => {
                let says =
                    format!("status {} for {}, {}", access.status, access.path, times(self.group.count));
                Fact::new("access-log", says).reference(access.reference.clone()).at(access.at)
            }
            (None, None) => Fact::new("probe", "our own connection attempt failed the same way"),
        }
    }

    /// The backend's name in sentences; the address where nobody here serves it.
    pub fn backend_name(&self) -> String {
        match self.backend {
            Ok(backend)
                if backend.pool.is_some() || !backend.processes.is_empty() || backend.meant.is_some() =>
            {
                backend.name(self.scene)
            }
            _ => self.peer_name(),
        }
    }

    /// The failed paths in a sentence: `/a`, `/a and /b`, `/a and 7 other paths`; none when none is known.
    pub fn paths(&self) -> Option<String> {
        match self.group.paths.as_slice() {
            [] => None,
            // A stream session asks for nothing.
            [(path, _)] if path.is_empty() => None,
            [(path, _)] => Some(path.clone()),
            [(first, _), (second, _)] => Some(format!("{first} and {second}")),
            [(first, _), rest @ ..] => {
                Some(format!("{first} and {}", plural(rest.len() as u64, "other path")))
            }
        }
    }

    /// A command that asks nginx for what failed.
    pub fn verify_command(&self) -> String {
        let path = self.group.paths.first().map_or("/", |(path, _)| path.as_str());
        let safe = path.chars().all(|it| it.is_ascii_alphanumeric() || "/._-~%".contains(it));
        let path = if safe { path } else { "/" };
        let listen = self.scene.view_port(self.group);
        let entry = self.entries().next_back();
        let host = entry.map(|it| it.host.as_str()).filter(|it| !it.is_empty()).unwrap_or(&self.group.server);
        let plain =
            |it: &str| !it.is_empty() && it.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c));
        let host = if plain(host) && host != "_" { format!(" -H 'Host: {host}'") } else { String::new() };
        format!("curl -sS -o /dev/null -w '%{{http_code}}\\n'{host} http://127.0.0.1{listen}{path}")
    }
}

/// `once`, `twice`, `7 times`.
pub fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

/// `1 request`, `7 requests`.
pub fn plural(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}
