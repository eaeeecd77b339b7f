//! What syslog and the journal put before an entry.

use std::borrow::Cow;

use jiff::Timestamp;
use memchr::memmem;

use crate::bytes::{leading_number, split_byte};
use crate::error::looks_like_start;

/// What wraps the lines of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Carrier {
    #[default]
    None,
    /// RFC 3164, as nginx, rsyslog and `journalctl -o short` write it.
    Syslog,
    /// RFC 5424.
    Rfc5424,
    /// `{"log":"…\n","stream":"stderr","time":"…"}`, what Docker keeps on disk.
    DockerJson,
    /// `web_1  | `, what `docker compose logs` prints.
    Compose,
    /// `2026-05-02T12:00:00.5Z stderr F `, what containerd and CRI-O keep on disk.
    Cri,
    /// `[pod/web-0/nginx] ` and the like, with or without a time: what `kubectl logs` prints.
    Kubectl,
    /// `journalctl -o json`, one object a line.
    JournalJson,
}

/// The standard stream that a container's line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Output,
    Error,
}

/// A line without its carrier, and what the carrier says of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Carried<'a> {
    pub text: Cow<'a, [u8]>,
    /// When the carrier took it.
    pub at: Option<Timestamp>,
    /// Who wrote it: a container, a pod, a unit.
    pub source: Option<Cow<'a, str>>,
    /// A syslog tag or identifier.
    pub program: Option<Cow<'a, str>>,
    pub pid: Option<u32>,
    pub stream: Option<Stream>,
    /// The line goes on in the carrier's next line of that source.
    pub continues: bool,
}

impl Carrier {
    /// As reports name it.
    pub fn name(self) -> &'static str {
        match self {
            Carrier::None => "",
            Carrier::Syslog => "syslog",
            Carrier::Rfc5424 => "rfc5424",
            Carrier::DockerJson => "docker-json",
            Carrier::Compose => "docker-compose",
            Carrier::Cri => "cri",
            Carrier::Kubectl => "kubectl",
            Carrier::JournalJson => "journal-json",
        }
    }

    /// The carrier of most of the lines.
    pub fn detect<'a>(_lines: impl IntoIterator<Item = &'a [u8]>) -> Carrier {
        Carrier::None
    }

    /// Takes the carrier off a line; `None`: the line does not have it.
    pub fn open(self, line: &[u8]) -> Option<Carried<'_>> {
        Some(Carried { text: Cow::Borrowed(line), ..Carried::default() })
    }
}

/// Takes off what a carrier put before an nginx entry; lines without a carrier come back as they are.
///
/// Known: RFC 3164 as nginx and rsyslog write it (`<187>Nov 20 15:00:00 host nginx: `, also without priority,
/// and with `nginx[123]: `), RFC 5424, and `journalctl`'s short form.
pub fn strip_carrier(line: &[u8]) -> &[u8] {
    if looks_like_start(line) || line.starts_with(b"nginx: ") {
        return line;
    }
    let rest = match line.strip_prefix(b"<").and_then(leading_number::<u16>) {
        Some((_, rest)) => rest.strip_prefix(b">").unwrap_or(line),
        None => line,
    };
    if let Some(entry) = strip_rfc_5424(rest) {
        return entry;
    }
    // Everything up to the tag's end is short and holds no free text.
    let head = &rest[..rest.len().min(300)];
    for at in memmem::find_iter(head, b": ") {
        let entry = &rest[at + 2..];
        let tag = &rest[..at];
        if looks_like_start(entry) || entry.starts_with(b"nginx: ") {
            return entry;
        }
        // `nginx[123]: signal process started` has no entry of its own: leave such lines alone.
        if tag.contains(&b'"') {
            return line;
        }
    }
    line
}

/// `1 2026-11-20T15:00:00+01:00 host nginx 123 - - ` and the entry.
fn strip_rfc_5424(rest: &[u8]) -> Option<&[u8]> {
    let mut rest = rest.strip_prefix(b"1 ")?;
    for _ in 0..5 {
        rest = split_byte(rest, b' ')?.1;
    }
    let at = rest.windows(21).take(200).position(looks_like_start)?;
    Some(&rest[at..])
}
