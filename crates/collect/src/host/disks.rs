//! Filesystems that nginx or a backend writes to. Source: statvfs(3), stat(2).

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::StatVfsMountFlags;
use snapshot::{Disk, NodeKind, PathNode, Reading, WorkerUser};

use super::obstacle;
use super::users::Users;
use crate::peer::path::walk;

/// A directory that somebody writes to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Used {
    /// As nginx names it.
    pub path: PathBuf,
    /// What for.
    pub what: String,
}

/// Asks about each directory. One that does not exist is answered by the nearest one above it that does, which is where
/// its bytes would go; `node` is none then.
pub fn read(
    root: &Path,
    used: &[Used],
    worker: Option<&WorkerUser>,
    users: &Users,
    at: Timestamp,
) -> Reading<Vec<Disk>> {
    // A container's root is closed to ordinary users: then nothing was asked, and "no disks" would be wrong.
    if let Err(error) = fs::metadata(root.join(".")) {
        return Reading::Unread(obstacle(root.display().to_string(), &error));
    }
    Reading::seen(used.iter().filter_map(|it| disk(root, it, worker, users)).collect(), "statvfs", at)
}

fn disk(root: &Path, used: &Used, worker: Option<&WorkerUser>, users: &Users) -> Option<Disk> {
    let path = root.join(used.path.strip_prefix("/").unwrap_or(&used.path));
    let statvfs =
        path.ancestors().take_while(|it| it.starts_with(root)).find_map(|it| rustix::fs::statvfs(it).ok())?;
    let node = node(&path, &used.path, worker, users);
    let closed_by = worker.and_then(|it| closed_by(root, &used.path, it));
    let inodes = statvfs.f_files > 0;
    Some(Disk {
        path: used.path.display().to_string(),
        used_for: used.what.clone(),
        // Blocks that only root may use are not there for nginx's workers.
        total_bytes: (statvfs.f_blocks - statvfs.f_bfree.min(statvfs.f_blocks) + statvfs.f_bavail)
            .saturating_mul(statvfs.f_frsize),
        available_bytes: statvfs.f_bavail.saturating_mul(statvfs.f_frsize),
        total_inodes: inodes.then_some(statvfs.f_files),
        available_inodes: inodes.then_some(statvfs.f_favail),
        read_only: statvfs.f_flag.contains(StatVfsMountFlags::RDONLY),
        worker_may_write: node.as_ref().and_then(|it| it.allows_worker).map(|it| it && closed_by.is_none()),
        node,
        closed_by,
    })
}

/// The directory itself, and whether the worker may make files in it.
fn node(path: &Path, shown: &Path, worker: Option<&WorkerUser>, users: &Users) -> Option<PathNode> {
    let metadata = fs::metadata(path).ok()?;
    let mode = metadata.mode() & 0o7777;
    let kind = if metadata.is_dir() {
        NodeKind::Directory
    } else if metadata.file_type().is_socket() {
        NodeKind::Socket
    } else {
        NodeKind::Other
    };
    Some(PathNode {
        path: shown.display().to_string(),
        mode,
        uid: metadata.uid(),
        gid: metadata.gid(),
        owner: users.name(metadata.uid()),
        group: users.group_name(metadata.gid()),
        kind,
        allows_worker: worker.map(|it| may_write(it, mode, metadata.uid(), metadata.gid())),
    })
}

/// The first directory on the way there that the worker may not pass through.
fn closed_by(root: &Path, shown: &Path, worker: &WorkerUser) -> Option<PathNode> {
    let mut steps = walk(root, shown.to_str()?, Some(worker)).ok()?.nodes;
    // The last step, unless it is missing, is the directory itself, which has to be writable as well.
    if steps.last().is_some_and(|it| Path::new(&it.path) == shown) {
        steps.pop();
    }
    steps.into_iter().find(|it| it.kind == NodeKind::Directory && it.allows_worker == Some(false))
}

/// By mode bits: the first class that fits decides, as path_resolution(7) says. Making a file needs write and search.
fn may_write(worker: &WorkerUser, mode: u32, uid: u32, gid: u32) -> bool {
    if worker.uid == 0 {
        return true;
    }
    let shift = if worker.uid == uid {
        6
    } else if worker.gid == gid || worker.groups.contains(&gid) {
        3
    } else {
        0
    };
    mode >> shift & 0o3 == 0o3
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::testing::Folder;

    fn worker(uid: u32, groups: &[u32]) -> WorkerUser {
        WorkerUser { uid, gid: 33, groups: groups.to_vec(), name: "www-data".into() }
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        assert!(may_write(&worker(33, &[]), 0o700, 33, 0));
        assert!(!may_write(&worker(33, &[]), 0o077, 33, 0), "the owner has fewer rights than others");
        assert!(may_write(&worker(33, &[7]), 0o770, 0, 7));
        assert!(!may_write(&worker(33, &[7]), 0o755, 0, 0));
        assert!(may_write(&worker(0, &[]), 0o000, 5, 5));
    }

    #[test]
    fn a_closed_directory_above_is_named() {
        let folder = Folder::new().file("var/lib/nginx/body/x", "");
        let set = |path: &str, mode| {
            fs::set_permissions(folder.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
        };
        set("", 0o755);
        set("var/lib/nginx/body", 0o777);
        let used = [Used { path: "/var/lib/nginx/body".into(), what: "client_body_temp_path".into() }];
        let look = |uid: u32| {
            let worker = worker(uid, &[]);
            let reading = read(folder.path(), &used, Some(&worker), &Users::default(), Timestamp::UNIX_EPOCH);
            let disk = &reading.value().unwrap()[0];
            (disk.worker_may_write, disk.closed_by.as_ref().map(|it| it.path.clone()))
        };
        let stranger = rustix::process::getuid().as_raw() + 77;
        assert_eq!(look(stranger), (Some(true), None));
        set("var/lib/nginx", 0o700);
        assert_eq!(look(stranger), (Some(false), Some("/var/lib/nginx".to_owned())));
    }

    #[test]
    fn a_missing_directory_is_answered_by_the_one_above() {
        let folder = Folder::new().file("var/log/nginx/error.log", "");
        let used = |path: &str| Used { path: path.into(), what: "error_log".into() };
        let used = [used("/var/log/nginx"), used("/var/cache/none")];
        let reading = read(folder.path(), &used, None, &Users::default(), Timestamp::UNIX_EPOCH);
        let disks = reading.value().unwrap();
        assert_eq!(disks.len(), 2);
        assert!(disks[0].node.is_some() && disks[1].node.is_none());
        assert!(disks[0].total_bytes >= disks[0].available_bytes && disks[0].total_bytes > 0);
    }
}
