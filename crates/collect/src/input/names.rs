//! From what was asked for to the files: directories, rotated sets, the journal.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use nginx_logs::Shape;

use super::clock::{Clock, Span};
use super::packing::{self, BYTE_ORDER_MARK, Packing};
use super::pipe::Pipe;
use super::rotated::{self, Age, part_of};
use super::{Ask, From, Opened, SAMPLE_BYTES, Source, Unreadable, window};

/// How deep logs lie below a directory that is named.
const MOST_DEPTH: usize = 6;
/// Files that one name stands for.
const MOST_FILES: usize = 10_000;

/// What is looked at of a packed pipe: a block of bzip2, which has up to 900 kB and is unpacked as a whole.
const MOST_PACKED_SAMPLE_BYTES: usize = 1 << 20;

/// Something to read, before it is known what it is.
pub struct Name {
    /// As reports name it.
    pub shown: String,
    pub place: Place,
    pub found: Found,
}

/// Why something is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Named,
    /// It is an earlier part of a log that was named.
    Earlier,
    /// It lies in a directory that was named.
    InFolder,
}

pub enum Place {
    File(PathBuf),
    StandardInput,
    Journal(String),
}

/// What the names of `ask` stand for, each file once, the parts of a rotated log in the order of time.
pub fn find(ask: &Ask, unreadable: &mut Vec<Unreadable>) -> Vec<Name> {
    let mut finder = Finder { found: Vec::new(), seen: HashSet::new(), unreadable };
    for name in &ask.names {
        if name == "-" {
            finder.add(Name { shown: "-".to_owned(), place: Place::StandardInput, found: Found::Named });
        } else if let Some(unit) = name.strip_prefix("journal:") {
            finder.add(Name {
                shown: name.clone(),
                place: Place::Journal(unit.to_owned()),
                found: Found::Named,
            });
        } else {
            finder.file_or_folder(name);
        }
    }
    in_order_of_time(finder.found)
}

struct Finder<'a> {
    found: Vec<Name>,
    seen: HashSet<(u64, u64)>,
    unreadable: &'a mut Vec<Unreadable>,
}

impl Finder<'_> {
    fn add(&mut self, name: Name) {
        self.found.push(name);
    }

    fn file_or_folder(&mut self, name: &str) {
        let path = Path::new(name);
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                let before = (self.found.len(), self.unreadable.len());
                self.folder(path, MOST_DEPTH);
                if (self.found.len(), self.unreadable.len()) == before {
                    let error = io::Error::new(io::ErrorKind::NotFound, "no log lies in that directory");
                    self.unreadable.push(Unreadable { name: name.to_owned(), error, advice: None });
                }
            }
            Ok(metadata) => {
                self.earlier_parts(path);
                self.file(path, &metadata, Found::Named);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.earlier_parts(path) > 0 => {}
            Err(error) => self.unreadable.push(unreadable(name, error)),
        }
    }

    /// A file, unless it is there under another name.
    fn file(&mut self, path: &Path, metadata: &Metadata, found: Found) {
        if self.found.len() < MOST_FILES && self.seen.insert((metadata.dev(), metadata.ino())) {
            let place = Place::File(path.to_path_buf());
            self.add(Name { shown: path.display().to_string(), place, found });
        }
    }

    /// What a log was before it was rotated. Says how many parts there are.
    fn earlier_parts(&mut self, path: &Path) -> usize {
        let Some(log) = path.file_name().and_then(|it| it.to_str()) else { return 0 };
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
        let names = names_in(folder.unwrap_or(Path::new(".")));
        let parts = rotated::parts(log, names.iter().map(String::as_str));
        for part in &parts {
            let path = path.with_file_name(part);
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => self.file(&path, &metadata, Found::Earlier),
                Ok(_) => {}
                Err(error) => self.unreadable.push(unreadable(&path.display().to_string(), error)),
            }
        }
        parts.len()
    }

    /// The regular files below a directory.
    fn folder(&mut self, path: &Path, depth: usize) {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                self.unreadable.push(unreadable(&path.display().to_string(), error));
                return;
            }
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|it| it.path()).collect();
        paths.sort();
        for path in paths {
            let hidden = path.file_name().is_some_and(|it| it.to_string_lossy().starts_with('.'));
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if hidden {
            } else if metadata.is_file() && metadata.len() > 0 {
                self.file(&path, &metadata, Found::InFolder);
            } else if metadata.is_dir() && depth > 0 && self.seen.insert((metadata.dev(), metadata.ino())) {
                self.folder(&path, depth - 1);
            }
        }
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|it| it.file_name().into_string().ok()).collect()
}

/// The parts of each log stand where the first of them was named, the oldest first.
fn in_order_of_time(found: Vec<Name>) -> Vec<Name> {
    let mut groups: HashMap<(PathBuf, String), usize> = HashMap::new();
    let mut keyed: Vec<(usize, Age, Name)> = Vec::new();
    for (index, name) in found.into_iter().enumerate() {
        let (group, age) = match &name.place {
            Place::File(path) => {
                let (log, age) = part_of(&path.file_name().unwrap_or_default().to_string_lossy());
                let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
                (*groups.entry((folder, log)).or_insert(index), age)
            }
            _ => (index, Age::Current),
        };
        keyed.push((group, age, name));
    }
    keyed.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
    keyed.into_iter().map(|it| it.2).collect()
}

/// Why a file is not read. Times in it can be some hours off where it names no zone.
const TOO_OLD: &str = "it was last written before the time in question";
const TOO_NEW: &str = "it begins after the time in question";
const OUTSIDE: &str = "no line of it is of the time in question";
const UNKNOWN: &str = "no line of it is of a kind that is known";
const NO_TEXT: &str = "it is no text";
const COPY: &str = "it is a packed copy of the file beside it, which is read";
/// Between the zones of the host that wrote a log and of the one that it is taken for.
const MOST_ZONES: SignedDuration = SignedDuration::from_hours(26);

impl Name {
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            _ => None,
        }
    }

    /// Finds out what it is, and whether it has to be read at all.
    /// `others` are all files that are read.
    pub fn open(&self, ask: &Ask, span: &Span, others: &HashSet<PathBuf>) -> io::Result<Opened> {
        let source = match &self.place {
            Place::File(path) => match unpacked_beside(path).filter(|it| others.contains(it)) {
                Some(plain) if begin_alike(path, &plain) => Ok(Opened::PassedOver(COPY)),
                _ => self.open_file(path, ask, span),
            },
            Place::StandardInput => {
                let input = io::stdin();
                if input.is_terminal() {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a terminal"));
                }
                let file = File::from(rustix::io::dup(&input)?);
                // A file that was redirected can be read like one, if nobody has read of it.
                let is_file = file.metadata().is_ok_and(|it| it.is_file() && it.len() > 0);
                if is_file && rustix::fs::tell(&file)? == 0 {
                    self.open_file(Path::new("/dev/stdin"), ask, span)
                } else {
                    self.open_pipe(Pipe::new(file), ask)
                }
            }
            Place::Journal(unit) => self.open_pipe(Pipe::of("journalctl", &journal(unit, ask))?, ask),
        };
        match source {
            Ok(Opened::Source(source)) if self.found == Found::InFolder && source.shape.kinds.is_empty() => {
                Ok(Opened::PassedOver(UNKNOWN))
            }
            Err(error) if self.found == Found::InFolder && error.kind() == io::ErrorKind::InvalidData => {
                Ok(Opened::PassedOver(NO_TEXT))
            }
            other => other,
        }
    }

    fn open_file(&self, path: &Path, ask: &Ask, span: &Span) -> io::Result<Opened> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        let kind = metadata.file_type();
        if kind.is_fifo() || kind.is_char_device() {
            return self.open_pipe(Pipe::new(file), ask);
        }
        // Copying can make a file look younger, and nothing makes it look older.
        let written = metadata.modified().ok().and_then(|it| Timestamp::try_from(it).ok());
        let is_older = |than: SignedDuration| {
            self.found != Found::Named
                && span.since.zip(written).is_some_and(|(since, at)| at.duration_until(since) > than)
        };
        if is_older(MOST_ZONES) {
            return Ok(Opened::PassedOver(TOO_OLD));
        }
        let mut head = Vec::new();
        file.by_ref().take(SAMPLE_BYTES).read_to_end(&mut head)?;
        // Files of /proc have a length of 0, whatever is in them.
        if metadata.len() == 0 && !head.is_empty() {
            return self.open_pipe(Pipe::new(File::open(path)?), ask);
        }
        let packing = Packing::of(&head);
        let sample = if packing == Packing::Plain {
            head.strip_prefix(&BYTE_ORDER_MARK).unwrap_or(&head).to_vec()
        } else {
            sample_of(packing::text_of(File::open(path)?, None)?.1)?
        };
        let shape = shape_of(&sample, ask)?;
        let clock = Clock { shape: &shape, span };
        if self.found != Found::Named {
            if clock.names_zone() && is_older(SignedDuration::from_mins(1)) {
                return Ok(Opened::PassedOver(TOO_OLD));
            }
            if clock.range_of(&sample).is_some_and(|it| clock.is_behind(it.0)) {
                return Ok(Opened::PassedOver(TOO_NEW));
            }
        }
        let path = path.to_path_buf();
        let from = if packing == Packing::Plain {
            let start = (head.len() - sample.len()) as u64;
            let (start, end) = match (span.since, span.until) {
                (None, None) => (start, metadata.len()),
                _ => window::narrow(&file, start, metadata.len(), clock)?,
            };
            if start == end && self.found != Found::Named {
                return Ok(Opened::PassedOver(OUTSIDE));
            }
            From::Plain { path, start, end }
        } else {
            From::Packed { path, length: metadata.len() }
        };
        Ok(self.source(packing, shape, from))
    }

    fn open_pipe(&self, mut pipe: Pipe, ask: &Ask) -> io::Result<Opened> {
        let (mut least, mut most) = (1, SAMPLE_BYTES as usize);
        let (packing, sample) = loop {
            let head = pipe.sample(least, most)?;
            // What the first bytes of something packed unpack to is cut in the middle, and that is no error.
            match packing::text_of(head, None).and_then(|it| Ok((it.0, sample_of(it.1)?))) {
                // Nothing of it can be unpacked before more has come; unless that was all.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && head.len() >= least => {
                    if head.len() >= MOST_PACKED_SAMPLE_BYTES {
                        return Err(error);
                    }
                    (least, most) = (head.len() + 1, MOST_PACKED_SAMPLE_BYTES);
                }
                other => break other?,
            }
        };
        let shape = shape_of(&sample, ask)?;
        Ok(self.source(packing, shape, From::Pipe(Mutex::new(Some(pipe)))))
    }

    fn source(&self, packing: Packing, shape: Shape, from: From) -> Opened {
        Opened::Source(Source { name: self.shown.clone(), packing: packing.name(), shape, from })
    }
}

/// Where a packed file lay before it was packed, or where `gzip -k` left it.
fn unpacked_beside(path: &Path) -> Option<PathBuf> {
    Some(path.with_file_name(rotated::unpacked(path.file_name()?.to_str()?)?))
}

/// Whether a packed file and a plain one begin with the same text, as far as both go.
fn begin_alike(packed: &Path, plain: &Path) -> bool {
    let text = |path: &Path| sample_of(packing::text_of(File::open(path)?, None)?.1);
    let (Ok(packed), Ok(plain)) = (text(packed), text(plain)) else { return false };
    let length = packed.len().min(plain.len());
    length > 0 && packed[..length] == plain[..length]
}

pub fn shape_of(sample: &[u8], ask: &Ask) -> io::Result<Shape> {
    if is_binary(sample) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is a binary file, not a log"));
    }
    // The last line may have been cut by the sample's end.
    let whole = memchr::memrchr(b'\n', sample).map_or(sample, |at| &sample[..at]);
    Ok(Shape::detect(whole, &ask.formats))
}

/// The beginning of a text, as far as it can be read.
fn sample_of(text: impl Read) -> io::Result<Vec<u8>> {
    let mut sample = Vec::new();
    match text.take(SAMPLE_BYTES).read_to_end(&mut sample) {
        Err(error) if sample.is_empty() => Err(error),
        _ => Ok(sample),
    }
}

/// Text has hardly any control characters. Zeros do not count: a crash leaves them in logs.
fn is_binary(sample: &[u8]) -> bool {
    let control = |it: &&u8| matches!(it, 1..=8 | 14..=26 | 28..=31 | 127);
    sample.iter().filter(control).count() * 20 > sample.len()
}

/// The arguments of journalctl.
fn journal(unit: &str, ask: &Ask) -> Vec<String> {
    let mut arguments = vec!["--output=json".to_owned(), "--no-pager".to_owned(), "--quiet".to_owned()];
    match unit {
        "" => {}
        "-k" => arguments.push("--dmesg".to_owned()),
        unit => arguments.push(format!("--unit={unit}")),
    }
    // journalctl takes whole seconds.
    arguments.extend(ask.since.map(|it| format!("--since=@{}", it.as_second())));
    arguments.extend(ask.until.map(|it| format!("--until=@{}", it.as_second() + 1)));
    arguments
}

/// An error with what may help.
pub fn unreadable(name: &str, error: io::Error) -> Unreadable {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied if name.starts_with("journal:") => {
            Some("run it as root, or join the group systemd-journal")
        }
        io::ErrorKind::PermissionDenied => {
            Some("run it as root, or join the group that may read logs: adm on Debian and Ubuntu")
        }
        io::ErrorKind::NotFound if name.starts_with("journal:") => {
            Some("journalctl is not installed here; name the log's file instead")
        }
        io::ErrorKind::NotFound => Some("nginx -T | grep _log, which shows where nginx writes its logs"),
        io::ErrorKind::OutOfMemory => {
            Some("unpack it outside: zstd -dc --long=31 FILE | why502 logs -, xz -dc FILE | …")
        }
        io::ErrorKind::InvalidInput if name == "-" => {
            Some("name a log, or send one into it: zcat x.gz | why502 logs -")
        }
        io::ErrorKind::InvalidData if name.ends_with(".journal") => Some(
            "journal:UNIT reads the journal of this host; of another one: journalctl --file … -o json | why502 logs -",
        ),
        _ => None,
    };
    Unreadable { name: name.to_owned(), error, advice: advice.map(str::to_owned) }
}
