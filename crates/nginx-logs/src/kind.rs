//! What a log is, found from its lines: which carrier wrapped them, and which program wrote them.
//!
//! A stream can hold the lines of several programs, so the line decides. What a program puts before each of its lines tells
//! it from all others ([`signature`]); a line of an access log is one that fits its format; what is left belongs to an
//! application.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::access::{Escape, Format, recognise};
use crate::backend::{self, KernelTime};
use crate::carrier::{Carried, Carrier, tidy};
use crate::error::looks_like_start;
use crate::signature::signature;
use crate::{error, times};

/// Programs whose logs join those of nginx. The names are those of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Program {
    PhpFpm,
    Kernel,
    Journal,
    Gunicorn,
    Uwsgi,
    Tomcat,
    Haproxy,
    Audit,
    App,
}

impl Program {
    /// The `kind` of its records.
    pub fn name(self) -> &'static str {
        match self {
            Program::PhpFpm => "php-fpm",
            Program::Kernel => "kernel",
            Program::Journal => "journal",
            Program::Gunicorn => "gunicorn",
            Program::Uwsgi => "uwsgi",
            Program::Tomcat => "tomcat",
            Program::Haproxy => "haproxy",
            Program::Audit => "audit",
            Program::App => "app",
        }
    }

    /// Whether its lines are the system's own: those of the kernel, of the service manager and of what it starts.
    pub fn is_of_system(self) -> bool {
        matches!(self, Program::Kernel | Program::Journal | Program::Audit)
    }

    fn kind(self) -> &'static Kind {
        // In the order of the enum.
        static KINDS: [Kind; 9] = [
            Kind::Program(Program::PhpFpm),
            Kind::Program(Program::Kernel),
            Kind::Program(Program::Journal),
            Kind::Program(Program::Gunicorn),
            Kind::Program(Program::Uwsgi),
            Kind::Program(Program::Tomcat),
            Kind::Program(Program::Haproxy),
            Kind::Program(Program::Audit),
            Kind::Program(Program::App),
        ];
        &KINDS[self as usize]
    }
}

/// What the lines of a log are, once the carrier is taken off.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// nginx's access log of that format.
    Access(Format),
    /// nginx's error log, and what nginx says on its standard error before it runs.
    Error,
    /// The log of another program.
    Program(Program),
}

static ERROR: Kind = Kind::Error;

/// Formats that a line is tried for when those found at the beginning of its log do not fit: a stream can go on for long
/// before the first request comes.
static USUAL: LazyLock<[Kind; 2]> = LazyLock::new(|| {
    let common = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent $rest";
    [Format::combined(), Format::compile(common, Escape::Default)].map(Kind::Access)
});

impl Kind {
    /// The `kind` of its records.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Access(_) => "access",
            Kind::Error => "error",
            Kind::Program(it) => it.name(),
        }
    }

    /// When a line was written, the carrier taken off. A time without a zone is in `zone`, one without a year is the latest
    /// that is not after `now`. `None` where it has none: a continuation, or the kernel's time since it was started.
    pub fn time_of(&self, line: &[u8], zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        match self {
            Kind::Access(format) => format.parse(line)?.time(),
            Kind::Error => zone.to_timestamp(error::time_of_line(line)?).ok(),
            Kind::Program(Program::Kernel) => {
                let head = String::from_utf8_lossy(&line[..line.len().min(128)]);
                match backend::time_of_kernel_line(&head) {
                    Some(KernelTime::Local(time)) => zone.to_timestamp(time).ok(),
                    Some(KernelTime::SinceBoot(_)) => None,
                    None => times::time_of(line, zone, now),
                }
            }
            Kind::Program(_) => times::time_of(line, zone, now),
        }
    }
}

/// What a log turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    pub carrier: Carrier,
    /// Most logs are of one kind; the output of several containers, or of one that logs to both standard streams, is of
    /// several. The most frequent first; empty where no line was understood.
    pub kinds: Vec<Kind>,
}

/// Lines that are looked at.
const SAMPLE_LINES: usize = 2000;
/// Formats of access logs that one log can mix.
const MOST_FORMATS: usize = 4;

impl Shape {
    /// Looks at the first lines of a log. `known` are the formats that a configuration or the operator named: they are
    /// tried before those that can be recognised.
    pub fn detect(sample: &[u8], known: &[Format]) -> Shape {
        let mut lines: Vec<&[u8]> = sample
            .split(|it| *it == b'\n')
            .map(tidy)
            .filter(|it| !it.trim_ascii().is_empty())
            .take(SAMPLE_LINES)
            .collect();
        // The last line of a sample is cut most often; half a line can look like a format of its own.
        if lines.len() > 4 && lines.len() < SAMPLE_LINES && !sample.ends_with(b"\n") {
            lines.pop();
        }
        let carrier = Carrier::detect(lines.iter().copied());
        let mut found = Found::default();
        let mut rest: Vec<Carried<'_>> = Vec::new();
        let mut in_block = 0;
        for line in lines {
            let carried = carrier.open(line).unwrap_or_else(|| Carried::plain(line));
            let text = &*carried.text;
            if text.trim_ascii().is_empty() {
                continue;
            }
            match signature(text) {
                _ if in_block > 0 && !looks_like_start(text) => {
                    in_block = if closes_block(text) { 0 } else { in_block - 1 };
                }
                Some(kind) => {
                    found.add(kind);
                    in_block = if opens_block(text) { 50 } else { 0 };
                }
                None => rest.push(carried),
            }
        }
        let total = found.total() + rest.len();
        let formats = take_formats(&mut rest, known, total);
        for carried in &rest {
            if let Some(program) = program_of(carried, carrier) {
                found.add(Signature::Program(program));
            } else if times::time_of(&carried.text, &TimeZone::UTC, Timestamp::UNIX_EPOCH).is_some() {
                found.add(Signature::Program(Program::App));
            }
        }
        if found.total() == 0 && formats.is_empty() && rest.iter().any(|it| tells_of_trouble(&it.text)) {
            found.add(Signature::Program(Program::App));
        }
        Shape { carrier, kinds: found.into_kinds(formats, total, carrier, known) }
    }

    /// The one kind of lines that stand there without a carrier: what can be read fastest.
    pub fn plain(&self) -> Option<&Kind> {
        match (self.carrier, self.kinds.as_slice()) {
            (Carrier::None, [only]) => Some(only),
            _ => None,
        }
    }

    /// Takes the carrier off a line, if it has it, and says what the line is.
    pub fn open<'a>(&self, line: &'a [u8]) -> (Carried<'a>, Option<&Kind>) {
        let carried = self.carrier.open(line).unwrap_or_else(|| Carried::plain(tidy(line)));
        let kind = match signature(&carried.text) {
            Some(it) => Some(it.kind()),
            None => self.kind_of_rest(&carried.text, program_of(&carried, self.carrier)),
        };
        (carried, kind)
    }

    /// What one line is, the carrier taken off; the guess of `detect` helps, but the line decides.
    pub fn kind_of(&self, line: &[u8]) -> Option<&Kind> {
        match signature(line) {
            Some(it) => Some(it.kind()),
            None => self.kind_of_rest(line, None),
        }
    }

    /// What a line without a signature is.
    fn kind_of_rest(&self, line: &[u8], program: Option<Program>) -> Option<&Kind> {
        let fits = |kind: &&Kind| matches!(kind, Kind::Access(format) if format.fits(line));
        if let Some(kind) = self.kinds.iter().find(fits) {
            return Some(kind);
        }
        if let Some(program) = program {
            return Some(program.kind());
        }
        let looks_like_access = line.last().is_some_and(|it| *it == b'"' || it.is_ascii_digit());
        if looks_like_access && let Some(kind) = USUAL.iter().find(fits) {
            return Some(kind);
        }
        // What is left is an application's own text. Without one, it goes on with what the only program says; beside lines of
        // nginx it can as well belong to one of its entries.
        let of_app = Program::App.kind();
        let of_nginx = self.kinds.iter().any(|it| !matches!(it, Kind::Program(_)));
        self.kinds.iter().find(|it| *it == of_app).or_else(|| self.kinds.first().filter(|_| !of_nginx))
    }
}

/// What a line's own header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signature {
    Error,
    Program(Program),
}

impl Signature {
    fn kind(self) -> &'static Kind {
        match self {
            Signature::Error => &ERROR,
            Signature::Program(it) => it.kind(),
        }
    }
}

/// How many lines of each kind there were.
#[derive(Default)]
struct Found {
    error: usize,
    programs: [usize; 9],
}

impl Found {
    fn add(&mut self, kind: Signature) {
        match kind {
            Signature::Error => self.error += 1,
            Signature::Program(it) => self.programs[it as usize] += 1,
        }
    }

    fn total(&self) -> usize {
        self.error + self.programs.iter().sum::<usize>()
    }

    fn into_kinds(
        self,
        formats: Vec<(Format, usize)>,
        total: usize,
        carrier: Carrier,
        known: &[Format],
    ) -> Vec<Kind> {
        let mut kinds: Vec<(Kind, usize)> =
            formats.into_iter().map(|(format, count)| (Kind::Access(format), count)).collect();
        if self.error > 0 {
            kinds.push((Kind::Error, self.error));
        }
        let of_nginx: usize = kinds.iter().map(|it| it.1).sum();
        for kind in [
            Program::PhpFpm,
            Program::Kernel,
            Program::Journal,
            Program::Gunicorn,
            Program::Uwsgi,
            Program::Tomcat,
            Program::Haproxy,
            Program::Audit,
            Program::App,
        ] {
            let count = self.programs[kind as usize];
            // A torn line in a log of nginx's own makes no stream of several programs of it.
            let torn = count == 1 && of_nginx >= 8 || kind == Program::App && count * 50 < of_nginx;
            if count > 0 && !torn {
                kinds.push((Kind::Program(kind), count));
            }
        }
        kinds.sort_by_key(|it| std::cmp::Reverse(it.1));
        let mixed = kinds.len() > 1 || carrier != Carrier::None && total > 0;
        let mut kinds: Vec<Kind> = kinds.into_iter().map(|it| it.0).collect();
        // In a stream of several programs a format can come late.
        for format in known.iter().filter(|_| mixed).take(MOST_FORMATS) {
            if !kinds.iter().any(|it| matches!(it, Kind::Access(seen) if seen == format)) {
                kinds.push(Kind::Access(format.clone()));
            }
        }
        kinds
    }
}

/// The formats that lines have, with their number, and those lines taken out.
fn take_formats(lines: &mut Vec<Carried<'_>>, known: &[Format], total: usize) -> Vec<(Format, usize)> {
    let mut formats: Vec<(Format, usize)> = Vec::new();
    let count_of =
        |format: &Format, lines: &[Carried<'_>]| lines.iter().filter(|it| format.fits(&it.text)).count();
    while formats.len() < MOST_FORMATS && !lines.is_empty() {
        let best_known = known
            .iter()
            .map(|it| (it, count_of(it, lines)))
            .filter(|it| it.1 > 0)
            // Of several that fit as many lines the first.
            .reduce(|best, it| if it.1 > best.1 { it } else { best });
        let format = match best_known {
            Some((format, _)) => format.clone(),
            None => match recognise(lines.iter().map(|it| &*it.text)) {
                Some(format) => format,
                None => break,
            },
        };
        let before = lines.len();
        lines.retain(|it| !format.fits(&it.text));
        let count = before - lines.len();
        // Beside other lines of nginx a torn one does not make a format of its own.
        let least = if total > 4 && !formats.is_empty() { 2 } else { 1 };
        if count >= least || best_known.is_some() {
            formats.push((format, count));
        } else if count == 0 {
            break;
        }
    }
    formats
}

/// The program that a carrier names.
fn program_of(carried: &Carried<'_>, carrier: Carrier) -> Option<Program> {
    let name = carried.program.as_deref()?;
    let base = name.rsplit('/').next().unwrap_or(name).trim_matches(['(', ')']);
    Some(match base {
        "kernel" => Program::Kernel,
        "audit" | "auditd" | "audispd" => Program::Audit,
        "gunicorn" => Program::Gunicorn,
        "uwsgi" => Program::Uwsgi,
        "haproxy" => Program::Haproxy,
        "catalina.sh" | "tomcat" | "tomcat9" | "tomcat10" => Program::Tomcat,
        _ if base.starts_with("php-fpm") => Program::PhpFpm,
        _ if base.starts_with("uwsgi") => Program::Uwsgi,
        "nginx" | "openresty" | "angie" | "tengine" => return None,
        "systemd" => Program::Journal,
        // The journal and syslog carry what applications write, and the words of the system's own services.
        _ if matches!(carrier, Carrier::Syslog | Carrier::JournalJson) => Program::Journal,
        _ => return None,
    })
}

/// Whether an entry with a backend's own text goes on in the next line.
fn opens_block(line: &[u8]) -> bool {
    looks_like_start(line)
        && crate::bytes::contains(&line[..line.len().min(120)], crate::entries::STDERR)
        && !closes_block(line)
}

fn closes_block(line: &[u8]) -> bool {
    crate::bytes::split_once(line, b"\" while ")
        .is_some_and(|(_, tail)| crate::bytes::contains(tail, b", client: "))
}

/// Whether a line without a time is an application's for certain.
fn tells_of_trouble(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    text.starts_with("Traceback (most recent call last)") || backend::event(&text).is_some()
}
