//! Where the lines of a log really go: a path may be a link to standard output, and the file that nginx holds open may
//! have been deleted or renamed since.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nginx_conf::Files;
use nginx_logs::Stream;

use super::decoded::Carrier;
use crate::host::files::FsFiles;
use crate::nginx::Instance;

/// Where lines are.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// A file below nginx's root.
    File(PathBuf),
    /// A file that nginx holds open and that is not where the configuration says any more.
    Held {
        /// The descriptor in /proc.
        open: PathBuf,
        /// What the descriptor leads to.
        shown: String,
    },
    /// What the container's engine keeps of standard output and error.
    Container(Carrier),
    /// Standard error and syslog end in the journal, where systemd runs.
    Journal,
    /// Nowhere that can be read, and why.
    Nowhere {
        /// As it is configured.
        written: String,
        /// What stands in the way.
        why: String,
    },
}

/// What the master holds open.
pub struct Descriptors {
    folder: Option<PathBuf>,
    files: Vec<Held>,
}

struct Held {
    open: PathBuf,
    target: String,
    identity: (u64, u64),
}

impl Descriptors {
    /// Those of a running master; none of one that does not run, or whose descriptors may not be seen.
    pub fn of(instance: &Instance) -> Descriptors {
        let folder = instance.nginx.master.as_ref().map(|it| PathBuf::from(format!("/proc/{}/fd", it.pid)));
        let entries = folder.as_ref().and_then(|it| fs::read_dir(it).ok());
        let held = |open: PathBuf| {
            let target = fs::read_link(&open).ok()?.to_str()?.to_owned();
            let metadata = fs::metadata(&open).ok().filter(|it| target.starts_with('/') && it.is_file())?;
            Some(Held { open, target, identity: (metadata.dev(), metadata.ino()) })
        };
        let files = entries.into_iter().flatten().flatten().filter_map(|it| held(it.path())).collect();
        Descriptors { folder, files }
    }

    /// The file that was at `path` when nginx opened it, if that is another one by now: logrotate or an operator moved it
    /// away or deleted it, and nobody told nginx to open its logs again.
    fn moved(&self, path: &Path, root: &Path) -> Option<Place> {
        let below = root.join(path.strip_prefix("/").unwrap_or(path));
        let now = fs::metadata(below).ok().map(|it| (it.dev(), it.ino()));
        if self.files.iter().any(|it| Some(it.identity) == now) {
            return None;
        }
        let once = |it: &&Held| {
            let rest = it.target.strip_prefix(path.to_str().unwrap_or("\0"));
            rest.is_some_and(|rest| rest.starts_with([' ', '.', '-', '_', '~']))
        };
        let held = self.files.iter().find(once)?;
        Some(Place::Held { open: held.open.clone(), shown: held.target.clone() })
    }
}

/// The places of a log that is configured as a path.
pub fn of_path(path: &Path, instance: &Instance, descriptors: &Descriptors) -> Vec<Place> {
    if let Some(stream) = stream_of(path, &instance.root) {
        return of_stream(stream, instance, descriptors);
    }
    std::iter::once(Place::File(path.to_path_buf())).chain(descriptors.moved(path, &instance.root)).collect()
}

/// Official images link their logs to standard output and error.
fn stream_of(path: &Path, root: &Path) -> Option<Stream> {
    let named = |path: &Path| match path.to_str()? {
        "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => Some(Stream::Output),
        "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" => Some(Stream::Error),
        _ => None,
    };
    let link = || fs::read_link(root.join(path.strip_prefix("/").unwrap_or(path))).ok();
    named(path).or_else(|| named(&link()?))
}

/// The places of a log that goes to a standard stream of the master.
pub fn of_stream(stream: Stream, instance: &Instance, descriptors: &Descriptors) -> Vec<Place> {
    let number = if stream == Stream::Output { "1" } else { "2" };
    let open = descriptors.folder.as_ref().map(|it| it.join(number));
    let target = open.as_ref().and_then(|it| Some(fs::read_link(it).ok()?.to_string_lossy().into_owned()));
    let written = if stream == Stream::Output { "standard output" } else { "standard error" };
    let nowhere = |why: String| vec![Place::Nowhere { written: format!("nginx's {written}"), why }];
    match (open, target.as_deref()) {
        (_, Some("/dev/null")) => Vec::new(),
        (_, Some(terminal)) if terminal.starts_with("/dev/") => {
            nowhere(format!("it goes to a terminal ({terminal})"))
        }
        (Some(open), Some(file)) if file.starts_with('/') => {
            vec![Place::Held { open, shown: file.to_owned() }]
        }
        _ => match Carrier::of(instance, stream) {
            Some(carrier) => vec![Place::Container(carrier)],
            None if instance.nginx.unit.is_some() || target.is_none() => vec![Place::Journal],
            None => nowhere("it goes to another program through a pipe".to_owned()),
        },
    }
}

/// The files that a path with variables stands for: anything can stand in place of a variable.
pub fn of_pattern(written: &str, instance: &Instance, most: usize) -> Vec<Place> {
    let mut pattern = String::new();
    let mut rest = written;
    while let Some(at) = rest.find('$') {
        pattern.push_str(&rest[..at]);
        pattern.push('*');
        let after = &rest[at + 1..];
        rest = match after.strip_prefix('{').and_then(|it| it.split_once('}')) {
            Some((_, rest)) => rest,
            None => after.trim_start_matches(|it: char| it.is_ascii_alphanumeric() || it == '_'),
        };
    }
    pattern.push_str(rest);
    let pattern = Path::new(&instance.nginx.prefix).join(pattern);
    let files = FsFiles::new(&instance.root);
    let found = pattern.to_str().map(|it| files.glob(it).unwrap_or_default()).unwrap_or_default();
    if found.is_empty() {
        let why = "the path of this log has variables".to_owned();
        return vec![Place::Nowhere { written: written.to_owned(), why }];
    }
    found.into_iter().take(most).map(Place::File).collect()
}

/// Whether a syslog server is this machine's own: the daemon behind its socket hands on to the journal.
pub fn is_local_syslog(written: &str) -> bool {
    let server = written.split(',').find_map(|it| it.strip_prefix("server=")).unwrap_or_default();
    server.starts_with("unix:")
}
