//! Where reading stands in a file, and how that file is known again; the state file that keeps it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// So many of the first bytes, and of those before the position, tell one file from another: they hold a time nearly
/// always.
pub const SAMPLE_BYTES: usize = 256;

/// A file on one machine, as long as it exists: a number can be given again to a later file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileId {
    pub device: u64,
    pub inode: u64,
}

impl FileId {
    pub fn of(metadata: &fs::Metadata) -> FileId {
        FileId { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// Where reading stands in a file: everything before `offset` was given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    pub id: FileId,
    /// In the unpacked text.
    pub offset: u64,
    /// The hash of the first bytes, as many as a sample has and as lie before `offset`.
    pub head: u64,
    /// The hash of the last ones before it.
    pub tail: u64,
    /// The position lies in a line that was cut, and whose rest is passed over.
    pub passing: bool,
    /// When the file was last written to, as far as it was read: nanoseconds since 1970.
    pub written_at: i64,
}

impl Position {
    /// The length of both samples.
    pub fn sample_length(&self) -> usize {
        SAMPLE_BYTES.min(usize::try_from(self.offset).unwrap_or(SAMPLE_BYTES))
    }
}

/// FNV-1a, moved so that nothing has the hash 0: it must give the same number in every version of the program.
pub fn hash(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    bytes.iter().fold(BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)) ^ BASIS
}

/// What is kept from one run to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// By path: the files that are being read, the oldest first. None of them: the path led nowhere.
    pub logs: Vec<(String, Vec<Position>)>,
    /// Files that were read to their end; should they turn up under another name, they are not read again.
    pub finished: Vec<Position>,
}

impl State {
    /// What the file holds; `None` where there is none, and where it is what a loss of power leaves of a file that was not
    /// on the disk yet.
    pub fn load(path: &Path) -> io::Result<Option<State>> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        if bytes.iter().all(|it| *it == 0) {
            return Ok(None);
        }
        let foreign = || io::Error::new(io::ErrorKind::InvalidData, "it is not a state that why502 kept");
        let value: Value = serde_json::from_slice(&bytes).map_err(|_| foreign())?;
        State::read(&value).map(Some).ok_or_else(foreign)
    }

    fn read(value: &Value) -> Option<State> {
        (value.get("why502_follow")?.as_u64()? == 1).then_some(())?;
        let positions = |it: &Value| it.as_array()?.iter().map(read_position).collect::<Option<Vec<_>>>();
        let logs = value.get("logs")?.as_array()?.iter();
        Some(State {
            logs: logs
                .map(|it| Some((it.get("path")?.as_str()?.to_owned(), positions(it.get("files")?)?)))
                .collect::<Option<Vec<_>>>()?,
            finished: positions(value.get("finished")?)?,
        })
    }

    fn write(&self) -> Value {
        let files = |it: &[Position]| it.iter().map(write_position).collect::<Vec<_>>();
        let logs = self.logs.iter().map(|(path, it)| json!({ "path": path, "files": files(it) }));
        json!({ "why502_follow": 1, "logs": logs.collect::<Vec<_>>(), "finished": files(&self.finished) })
    }

    /// Puts it in the place of the file, all of it or nothing. `sync` waits until it is on the disk.
    pub fn save(&self, path: &Path, sync: bool) -> io::Result<()> {
        let beside = beside(path);
        // Never through somebody else's link.
        let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let new = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(flags)
            .open(&beside);
        let mut file = new?;
        file.write_all(self.write().to_string().as_bytes())?;
        if sync {
            file.sync_data()?;
        }
        fs::rename(&beside, path)
    }
}

/// The name under which the next state is written.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn read_position(value: &Value) -> Option<Position> {
    let number = |name: &str| value.get(name)?.as_u64();
    Some(Position {
        id: FileId { device: number("device")?, inode: number("inode")? },
        offset: number("offset")?,
        head: number("head")?,
        tail: number("tail")?,
        passing: value.get("passing")?.as_bool()?,
        written_at: value.get("written_at")?.as_i64()?,
    })
}

fn write_position(it: &Position) -> Value {
    json!({
        "device": it.id.device,
        "inode": it.id.inode,
        "offset": it.offset,
        "head": it.head,
        "tail": it.tail,
        "passing": it.passing,
        "written_at": it.written_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    fn state() -> State {
        let id = FileId { device: 64769, inode: u64::MAX };
        let position = Position { id, offset: 7, head: u64::MAX, tail: 2, passing: true, written_at: -1 };
        State {
            logs: vec![("/var/log/a b.log".to_owned(), vec![position]), ("x".to_owned(), vec![])],
            finished: vec![position],
        }
    }

    #[test]
    fn a_state_reads_back_as_it_was_written() {
        let folder = Folder::new();
        let path = folder.path().join("state");
        assert_eq!(State::load(&path).unwrap(), None);
        state().save(&path, true).unwrap();
        State::default().save(&path, false).unwrap();
        state().save(&path, false).unwrap();
        assert_eq!(State::load(&path).unwrap(), Some(state()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_loss_of_power_leaves_is_no_state_and_a_foreign_file_is_refused() {
        let folder = Folder::new()
            .file("empty", "")
            .file("nuls", [0; 99])
            .file("foreign", "{}")
            .file("text", "server {");
        assert_eq!(State::load(&folder.path().join("empty")).unwrap(), None);
        assert_eq!(State::load(&folder.path().join("nuls")).unwrap(), None);
        assert!(State::load(&folder.path().join("foreign")).is_err());
        assert!(State::load(&folder.path().join("text")).is_err());
    }
}
