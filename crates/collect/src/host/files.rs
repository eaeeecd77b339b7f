//! Files as nginx sees them: below its root directory, symbolic links resolved there as well.

use std::cell::RefCell;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nginx_conf::{Files, glob_matches};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use snapshot::{ConfigFile, ConfigFiles};

/// A configuration file larger than this is none.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// All of them together.
const MAX_TOTAL_BYTES: usize = 128 << 20;
/// Names that one pattern may match.
const MAX_MATCHES: usize = 10_000;

/// Opens a regular file below `root`. A pipe or a device is refused: opening one can wait for ever, and reading it can
/// take away what somebody else waits for.
pub fn open(root: &Path, path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = if root == Path::new("/") {
        File::from(rustix::fs::open(path, flags, Mode::empty())?)
    } else {
        // Absolute links inside another root would lead into ours.
        let folder = rustix::fs::openat(CWD, root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let relative = path.strip_prefix("/").unwrap_or(path);
        File::from(rustix::fs::openat2(folder, relative, flags, Mode::empty(), ResolveFlags::IN_ROOT)?)
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "it is not a regular file"));
    }
    Ok(file)
}

/// The files of a host, for the reader of configurations. What was read is kept as it was.
#[derive(Debug)]
pub struct FsFiles {
    root: PathBuf,
    read: RefCell<Vec<ConfigFile>>,
    bytes_left: RefCell<usize>,
}

impl FsFiles {
    /// The files below a root: `/`, or `/proc/PID/root`.
    pub fn new(root: impl Into<PathBuf>) -> FsFiles {
        FsFiles {
            root: root.into(),
            read: RefCell::new(Vec::new()),
            bytes_left: RefCell::new(MAX_TOTAL_BYTES),
        }
    }

    /// Everything that was asked for, in that order.
    pub fn into_read(self) -> ConfigFiles {
        ConfigFiles { files: self.read.into_inner() }
    }

    fn read_file(&self, path: &Path) -> io::Result<(Vec<u8>, Metadata)> {
        let file = open(&self.root, path)?;
        let metadata = file.metadata()?;
        let mut left = self.bytes_left.borrow_mut();
        if metadata.len() > MAX_FILE_BYTES || metadata.len() > *left as u64 {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "file too large for a configuration"));
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
        *left = left.saturating_sub(bytes.len());
        Ok((bytes, metadata))
    }

    /// Adds the paths that match the components from `at` on, below `folder`.
    fn expand(&self, components: &[&str], folder: &Path, found: &mut Vec<PathBuf>) {
        let Some((component, rest)) = components.split_first() else {
            found.push(folder.to_path_buf());
            return;
        };
        let here = self.root.join(folder.strip_prefix("/").unwrap_or(folder));
        if !component.contains(['*', '?', '[']) {
            let next = folder.join(component);
            if here.join(component).symlink_metadata().is_ok() {
                self.expand(rest, &next, found);
            }
            return;
        }
        let mut names: Vec<String> = fs::read_dir(here)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|it| it.file_name().into_string().ok())
            .filter(|name| glob_matches(component, name))
            .collect();
        // As glob(3) does; nginx relies on that order.
        names.sort();
        for name in names {
            if found.len() < MAX_MATCHES {
                self.expand(rest, &folder.join(name), found);
            }
        }
    }
}

impl Files for FsFiles {
    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let shown = path.display().to_string();
        match self.read_file(path) {
            Ok((bytes, metadata)) => {
                let at =
                    |seconds, nanoseconds| Timestamp::new(seconds, i32::try_from(nanoseconds).ok()?).ok();
                self.read.borrow_mut().push(ConfigFile {
                    path: shown,
                    text: String::from_utf8_lossy(&bytes).into_owned(),
                    modified_at: at(metadata.mtime(), metadata.mtime_nsec()),
                    changed_at: at(metadata.ctime(), metadata.ctime_nsec()),
                    unread: None,
                });
                Ok(bytes)
            }
            Err(error) => {
                let message = words(&error);
                self.read.borrow_mut().push(ConfigFile {
                    path: shown,
                    text: String::new(),
                    modified_at: None,
                    changed_at: None,
                    unread: Some(message.clone()),
                });
                Err(message)
            }
        }
    }

    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let components: Vec<&str> = pattern.split('/').filter(|it| !it.is_empty()).collect();
        let mut found = Vec::new();
        self.expand(&components, Path::new("/"), &mut found);
        Ok(found)
    }
}

/// The error's words without its number, in lower case as our messages are.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn a_link_inside_another_root_stays_there() {
        let folder = Folder::new()
            .file("etc/nginx/available/shop", "inside")
            .link("etc/nginx/enabled/shop", "/etc/nginx/available/shop");
        let files = FsFiles::new(folder.path());
        assert_eq!(files.read(Path::new("/etc/nginx/enabled/shop")).unwrap(), b"inside");
        assert!(files.read(Path::new("/etc/nginx/none")).unwrap_err().contains("no such file"));
        let read = files.into_read().files;
        assert_eq!((read[0].text.as_str(), read[0].modified_at.is_some()), ("inside", true));
        assert!(read[1].unread.is_some());
    }

    #[test]
    fn patterns_give_sorted_paths_without_the_root() {
        let folder = Folder::new().file("etc/b.conf", "").file("etc/a.conf", "").file("etc/.c.conf", "");
        let files = FsFiles::new(folder.path());
        let found = files.glob("/etc/*.conf").unwrap();
        assert_eq!(found, [PathBuf::from("/etc/a.conf"), PathBuf::from("/etc/b.conf")]);
        assert!(files.glob("/none/*/x").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let folder = Folder::new().file("x", "");
        assert!(open(Path::new("/"), folder.path()).is_err());
        assert!(open(Path::new("/"), Path::new("/dev/zero")).is_err());
    }
}
