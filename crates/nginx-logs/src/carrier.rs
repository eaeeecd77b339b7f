//! What syslog, the journal and containers put before a line or around it.
//!
//! A carrier is found from the first lines of a log and then taken off line by line. Carriers stand inside of others: a
//! container writes syslog lines, `docker compose logs --timestamps` puts a time behind the service. [`Carrier::open`] takes
//! off what stands there, so that the text is what the program wrote.
//!
//! Sources: RFC 3164, RFC 5424, RFC 6587; ngx_syslog_add_header(); rsyslog's built-in templates; Docker's json-file driver
//! (`jsonlog`), docker compose's `formatter`; the Kubernetes CRI logging format; systemd's logs-show.c.

mod container;
mod journal;
mod syslog;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use memchr::{memchr, memmem};

use crate::error::looks_like_start;
use crate::times;

/// What wraps the lines of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Carrier {
    #[default]
    None,
    /// RFC 3164, as nginx and rsyslog write it; also what `journalctl` prints in its short forms.
    Syslog,
    /// RFC 5424.
    Rfc5424,
    /// `{"log":"…\n","stream":"stderr","time":"…"}`, what Docker keeps on disk.
    DockerJson,
    /// `web_1  | `, what `docker compose logs` prints.
    Compose,
    /// `2026-05-02T12:00:00.5Z stderr F `, what containerd and CRI-O keep on disk.
    Cri,
    /// `[pod/web-0/nginx] ` and the like, with or without a time, or the time alone: what `kubectl logs` and `docker logs
    /// --timestamps` print.
    Kubectl,
    /// `journalctl -o json`, one object a line.
    JournalJson,
    /// `journalctl -o export`: a field a line. Only the text is taken, since a line does not tell its entry's other fields.
    JournalExport,
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
    /// When the carrier took it, where that is said in full.
    pub at: Option<Timestamp>,
    /// The carrier's time as it stands there, where it lacks a year or a zone; else empty. See [`Carried::taken_at`].
    pub local_time: &'a [u8],
    /// Who wrote it: a container, a pod, a unit.
    pub source: Option<Cow<'a, str>>,
    /// A syslog tag or identifier.
    pub program: Option<Cow<'a, str>>,
    pub pid: Option<u32>,
    pub stream: Option<Stream>,
    /// The line goes on in the carrier's next line of that source.
    pub continues: bool,
}

/// Lines that are looked at to find the carrier.
const SAMPLE_LINES: usize = 500;

impl Carrier {
    pub const ALL: [Carrier; 9] = [
        Carrier::None,
        Carrier::Syslog,
        Carrier::Rfc5424,
        Carrier::DockerJson,
        Carrier::Compose,
        Carrier::Cri,
        Carrier::Kubectl,
        Carrier::JournalJson,
        Carrier::JournalExport,
    ];

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
            Carrier::JournalExport => "journal-export",
        }
    }

    /// The carrier that most of the lines have, of those that have any. Lines without it may be many: what a program writes
    /// over several lines, syslog hands on with one header.
    pub fn detect<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Carrier {
        let mut counts = [0_usize; Carrier::ALL.len()];
        let (mut entries, mut total) = (0, 0);
        for line in lines.into_iter().take(SAMPLE_LINES) {
            let line = tidy(line);
            if line.is_empty() {
                continue;
            }
            total += 1;
            entries += usize::from(looks_like_start(line));
            counts[Carrier::of(line) as usize] += 1;
        }
        let found = Carrier::ALL.into_iter().skip(1).max_by_key(|it| counts[*it as usize]);
        found
            .filter(|it| counts[*it as usize] * 4 >= total.max(1) && counts[*it as usize] > entries)
            .unwrap_or_default()
    }

    /// The carrier of one line, seen without any other. What an application may write itself does not count: a mere time with
    /// a zone, a word and a bar.
    pub fn of(line: &[u8]) -> Carrier {
        let line = tidy(line);
        let candidates: &[Carrier] = match line.first() {
            Some(b'{') => &[Carrier::DockerJson, Carrier::JournalJson],
            Some(b'[') => &[Carrier::Kubectl],
            Some(b'<') => &[Carrier::Rfc5424, Carrier::Syslog],
            Some(b'0'..=b'9') if looks_like_start(line) => &[],
            Some(b'0'..=b'9') => {
                &[Carrier::Cri, Carrier::Kubectl, Carrier::Rfc5424, Carrier::Syslog, Carrier::Compose]
            }
            Some(b'_' | b'M') if journal::opens_export(line) => &[Carrier::JournalExport],
            Some(_) => &[Carrier::Syslog, Carrier::Compose],
            None => &[],
        };
        candidates.iter().copied().find(|it| it.certainly_carries(line)).unwrap_or_default()
    }

    fn certainly_carries(self, line: &[u8]) -> bool {
        match self {
            Carrier::Compose => container::is_certainly_compose(line),
            it => it.take_off(line).is_some(),
        }
    }

    /// Takes the carrier off a line; `None`: the line does not have it, and should be read as it is (but see [`tidy`]).
    pub fn open(self, line: &[u8]) -> Option<Carried<'_>> {
        let carried = self.take_off(tidy(line))?;
        let of_container =
            matches!(self, Carrier::DockerJson | Carrier::Compose | Carrier::Cri | Carrier::Kubectl);
        Some(if of_container { open_inner(carried) } else { carried })
    }

    fn take_off(self, line: &[u8]) -> Option<Carried<'_>> {
        match self {
            Carrier::None => Some(Carried::plain(line)),
            Carrier::Syslog => syslog::open(line),
            Carrier::Rfc5424 => syslog::open_5424(line),
            Carrier::DockerJson => container::open_docker_json(line),
            Carrier::Compose => container::open_compose(line),
            Carrier::Cri => container::open_cri(line),
            Carrier::Kubectl => container::open_kubectl(line),
            Carrier::JournalJson => journal::open_json(line),
            Carrier::JournalExport => journal::open_export(line),
        }
    }
}

impl<'a> Carried<'a> {
    /// A line without any carrier.
    pub fn plain(text: &'a [u8]) -> Carried<'a> {
        Carried { text: Cow::Borrowed(text), ..Carried::default() }
    }

    /// When the carrier took it. A time without a zone is in `zone`, one without a year is the latest that is not after `now`.
    pub fn taken_at(&self, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        self.at.or_else(|| times::time_of(self.local_time, zone, now))
    }
}

/// What a container wrote may itself be a line of syslog.
fn open_inner(mut carried: Carried<'_>) -> Carried<'_> {
    let kept = match &carried.text {
        Cow::Borrowed(text) => {
            let Some(inner) = open_syslog(text) else { return carried };
            carried.at = inner.at.or(carried.at);
            (carried.program, carried.pid, carried.text) = (inner.program, inner.pid, inner.text);
            return carried;
        }
        Cow::Owned(text) => {
            let Some(inner) = open_syslog(text) else { return carried };
            let program = inner.program.map(|it| Cow::Owned(it.into_owned()));
            (inner.at, program, inner.pid, text.len() - inner.text.len())
        }
    };
    let (at, program, pid, start) = kept;
    carried.at = at.or(carried.at);
    (carried.program, carried.pid) = (program, pid);
    carried.text.to_mut().drain(..start);
    carried
}

fn open_syslog(text: &[u8]) -> Option<Carried<'_>> {
    // Most lines begin otherwise.
    if !matches!(text.first()?, b'<' | b'A' | b'D' | b'F' | b'J' | b'M' | b'N' | b'O' | b'S') {
        return None;
    }
    syslog::open_5424(text).or_else(|| syslog::open(text))
}

/// A line without what is no part of it: the line end, a byte-order mark, holes of NUL bytes.
///
/// After a crash, blocks of a file that were never written read as NUL bytes. The hole stands before the first line that was
/// written afterwards, or tears one apart: then what follows the hole is a whole line.
pub fn tidy(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut line = line.strip_suffix(b"\r").unwrap_or(line);
    if memchr(0, line).is_some() {
        line = behind_hole(line);
    }
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
}

/// nginx logs single NUL bytes that a client sent; a hole is longer.
const HOLE: &[u8] = &[0; 8];

fn behind_hole(line: &[u8]) -> &[u8] {
    let behind = memmem::rfind(line, HOLE).map_or(0, |at| at + HOLE.len());
    let line = if behind < line.len() {
        &line[behind..]
    } else {
        // Nothing was written behind the hole: what stands before it is all there is.
        &line[..memmem::find(line, HOLE).unwrap_or(line.len())]
    };
    let nul = line.iter().take_while(|it| **it == 0).count();
    &line[nul..]
}

/// Takes off what a carrier put before or around a line that stands alone; lines without a carrier come back as they are.
pub fn strip_carrier(line: &[u8]) -> Cow<'_, [u8]> {
    if looks_like_start(line) || line.starts_with(b"nginx: ") {
        return Cow::Borrowed(line);
    }
    Carrier::of(line).open(line).map_or(Cow::Borrowed(line), |it| it.text)
}
