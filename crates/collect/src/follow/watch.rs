//! inotify: wakes up when a file is written to or a name in a folder changes. It is a hint only, since there are file
//! systems and namespaces in which it says nothing: whoever uses it looks from time to time as well.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

/// Kernel file systems that live on this machine alone, where inotify tells of every change. Source: statfs(2),
/// linux/magic.h.
const LOCAL: [u64; 8] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0x0102_1994, // tmpfs
    0xf2f5_2010, // f2fs
    0x2fc1_2fc1, // zfs
    0xca45_1a4e, // bcachefs
    0x8584_58f6, // ramfs
];

/// Who wants to know, by an index; with a name, only of that name in the folder.
type Wish = (usize, Option<OsString>);

#[derive(Debug)]
pub struct Watcher {
    /// None where the kernel grants no more of them.
    inotify: Option<OwnedFd>,
    wishes: HashMap<i32, Vec<Wish>>,
}

impl Watcher {
    pub fn new() -> Watcher {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok();
        Watcher { inotify, wishes: HashMap::new() }
    }

    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// Watches the very file that is open, whatever its name is by now.
    pub fn file(&mut self, file: &File, who: usize) -> Option<i32> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = WatchFlags::MODIFY | WatchFlags::ATTRIB | WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF;
        self.add(Path::new(&path), flags, (who, None))
    }

    /// Watches a folder for a name, or for all of them.
    pub fn folder(&mut self, path: &Path, who: usize, name: Option<OsString>) -> Option<i32> {
        let flags = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::DELETE
            | WatchFlags::ATTRIB
            | WatchFlags::MOVE_SELF
            | WatchFlags::DELETE_SELF
            | WatchFlags::ONLYDIR;
        self.add(path, flags, (who, name))
    }

    fn add(&mut self, path: &Path, flags: WatchFlags, wish: Wish) -> Option<i32> {
        let watch = inotify::add_watch(self.inotify.as_ref()?, path, flags | WatchFlags::MASK_ADD).ok()?;
        let wishes = self.wishes.entry(watch).or_default();
        if !wishes.contains(&wish) {
            wishes.push(wish);
        }
        Some(watch)
    }

    /// Whether the kernel still keeps that watch.
    pub fn keeps(&self, watch: i32) -> bool {
        self.wishes.contains_key(&watch)
    }

    /// Somebody does not want to know any more.
    pub fn forget(&mut self, watch: i32, who: usize) {
        let Some(wishes) = self.wishes.get_mut(&watch) else { return };
        wishes.retain(|it| it.0 != who);
        if wishes.is_empty() {
            self.wishes.remove(&watch);
            if let Some(inotify) = &self.inotify {
                let _ = inotify::remove_watch(inotify, watch);
            }
        }
    }

    /// Takes what has happened, and says for whom; false when the kernel dropped some of it, so that all must look.
    pub fn drain(&mut self, mut wake: impl FnMut(usize)) -> bool {
        let Some(inotify) = &self.inotify else { return true };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(inotify, &mut buffer);
        let mut complete = true;
        while let Ok(event) = reader.next() {
            complete &= !event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            let name = event.file_name().map(|it| std::ffi::OsStr::from_bytes(it.to_bytes()));
            for (who, wanted) in self.wishes.get(&event.wd()).into_iter().flatten() {
                if wanted.is_none() || name.is_none() || wanted.as_deref() == name {
                    wake(*who);
                }
            }
            if event.events().contains(ReadFlags::IGNORED) {
                self.wishes.remove(&event.wd());
            }
        }
        complete
    }
}

/// Whether inotify tells of every change of a folder's files: it is on a local file system, and no link leads there, whose
/// change would not be told.
pub fn is_told(folder: &Path, path: &Path) -> bool {
    let local = rustix::fs::statfs(folder).is_ok_and(|it| LOCAL.contains(&(it.f_type as u64 & 0xffff_ffff)));
    let direct = || match path.canonicalize() {
        Ok(it) => it == path,
        // Not there yet.
        Err(_) => folder.canonicalize().is_ok_and(|it| it == folder) && path.symlink_metadata().is_err(),
    };
    local && direct()
}
