//! The way to a unix socket, step by step, with the permissions that the worker's user meets on it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use snapshot::{NodeKind, PathNode, WorkerUser};

use crate::host::users::Users;

/// As many symbolic links as the kernel follows (path_resolution(7)).
const MOST_LINKS: u32 = 40;

/// A path that was walked.
pub(crate) struct Walk {
    /// The steps that exist, from `/` down.
    pub(crate) nodes: Vec<PathNode>,
    /// Where the path leads once its links are resolved, as it is opened from here; it need not exist.
    pub(crate) end: PathBuf,
}

/// A step that could not be looked at.
pub(crate) struct Obstacle {
    pub(crate) step: PathBuf,
    pub(crate) error: io::Error,
}

/// Walks to `path` below `root`. Links are resolved by hand, because an absolute one below `/proc/PID/root` would
/// otherwise lead back into the collector's own root.
pub(crate) fn walk(root: &Path, path: &str, user: Option<&WorkerUser>) -> Result<Walk, Obstacle> {
    let users = Users::at(root);
    let mut steps = parts(Path::new(path));
    let mut nodes: Vec<PathNode> = Vec::new();
    let mut here = PathBuf::from("/");
    let mut links = 0;
    let mut missing = false;
    let note = |path: &Path, nodes: &mut Vec<PathNode>, metadata: &fs::Metadata| {
        if !nodes.iter().any(|it| Path::new(&it.path) == path) {
            nodes.push(node(&users, root, path, metadata, user));
        }
    };
    match fs::metadata(root) {
        Ok(metadata) => note(&here, &mut nodes, &metadata),
        Err(error) => return Err(Obstacle { step: root.to_owned(), error }),
    }
    while let Some(step) = steps.pop_front() {
        if step == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&step);
        if missing {
            here = next;
            continue;
        }
        match fs::symlink_metadata(below(root, &next)) {
            Ok(metadata) if metadata.is_symlink() => {
                links += 1;
                let target = fs::read_link(below(root, &next));
                let target = target.and_then(|it| match links > MOST_LINKS {
                    true => Err(rustix::io::Errno::LOOP.into()),
                    false => Ok(it),
                });
                match target {
                    Ok(target) => {
                        if target.is_absolute() {
                            here = PathBuf::from("/");
                        }
                        for part in parts(&target).into_iter().rev() {
                            steps.push_front(part);
                        }
                    }
                    Err(error) => return Err(Obstacle { step: next, error }),
                }
            }
            Ok(metadata) => {
                note(&next, &mut nodes, &metadata);
                here = next;
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                missing = true;
                here = next;
            }
            Err(error) => return Err(Obstacle { step: next, error }),
        }
    }
    Ok(Walk { nodes, end: below(root, &here) })
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|it| match it {
            Component::Normal(part) => Some(part.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

/// `path`, which begins with `/`, as it is opened from here.
pub(crate) fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn node(
    users: &Users,
    root: &Path,
    path: &Path,
    metadata: &fs::Metadata,
    user: Option<&WorkerUser>,
) -> PathNode {
    let kind = match metadata.file_type() {
        it if it.is_dir() => NodeKind::Directory,
        it if it.is_socket() => NodeKind::Socket,
        _ => NodeKind::Other,
    };
    // A directory has to be searched, a socket to be written: connect(2) needs nothing else (unix(7)).
    let wanted = if kind == NodeKind::Directory { 1 } else { 2 };
    let owner = Owner { mode: metadata.mode() & 0o7777, uid: metadata.uid(), gid: metadata.gid() };
    let acl = access_list(&below(root, path));
    PathNode {
        path: path.to_string_lossy().into_owned(),
        mode: owner.mode,
        uid: owner.uid,
        gid: owner.gid,
        owner: users.name(owner.uid),
        group: users.group_name(owner.gid),
        kind,
        allows_worker: user.map(|user| allows(&owner, &acl, user, wanted)),
    }
}

struct Owner {
    mode: u32,
    uid: u32,
    gid: u32,
}

/// An entry of a POSIX access list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct AclEntry {
    tag: u16,
    permissions: u32,
    id: u32,
}

/// Tags of linux/posix_acl_xattr.h.
const ACL_USER: u16 = 0x02;
const ACL_GROUP_OWNER: u16 = 0x04;
const ACL_GROUP: u16 = 0x08;
const ACL_MASK: u16 = 0x10;

/// The access list of a file; empty when it has none or it cannot be read, and then the mode bits decide.
fn access_list(path: &Path) -> Vec<AclEntry> {
    let mut buffer = [0; 4096];
    match rustix::fs::getxattr(path, "system.posix_acl_access", &mut buffer[..]) {
        Ok(bytes) => parse_access_list(&buffer[..bytes]),
        Err(_) => Vec::new(),
    }
}

/// Version 2 of the attribute: four bytes, then entries of eight, all little-endian.
fn parse_access_list(bytes: &[u8]) -> Vec<AclEntry> {
    let Some(entries) = bytes.strip_prefix(&[2, 0, 0, 0]) else { return Vec::new() };
    let entry = |it: &[u8]| {
        let [a, b, c, d, e, f, g, h] = it.try_into().ok()?;
        Some(AclEntry {
            tag: u16::from_le_bytes([a, b]),
            permissions: u32::from(u16::from_le_bytes([c, d])),
            id: u32::from_le_bytes([e, f, g, h]),
        })
    };
    entries.chunks_exact(8).filter_map(entry).collect()
}

/// The kernel's order (acl(5), "access check algorithm"): owner, named user, groups, everybody else.
fn allows(owner: &Owner, acl: &[AclEntry], user: &WorkerUser, wanted: u32) -> bool {
    // CAP_DAC_OVERRIDE passes every check of a write and, on directories, of a search.
    if user.uid == 0 {
        return true;
    }
    if user.uid == owner.uid {
        return owner.mode >> 6 & wanted == wanted;
    }
    let mask = acl.iter().find(|it| it.tag == ACL_MASK).map_or(7, |it| it.permissions);
    if let Some(named) = acl.iter().find(|it| it.tag == ACL_USER && it.id == user.uid) {
        return named.permissions & mask & wanted == wanted;
    }
    let member = |gid| user.gid == gid || user.groups.contains(&gid);
    // With a mask, the mode's group bits show the mask; the owning group's own bits are in the list.
    let owning =
        acl.iter().find(|it| it.tag == ACL_GROUP_OWNER).map_or(owner.mode >> 3 & 7, |it| it.permissions);
    let named = acl.iter().filter(|it| it.tag == ACL_GROUP && member(it.id)).map(|it| it.permissions);
    let groups: Vec<u32> = member(owner.gid).then_some(owning).into_iter().chain(named).collect();
    if groups.is_empty() {
        return owner.mode & wanted == wanted;
    }
    groups.iter().any(|it| it & mask & wanted == wanted)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn www_data() -> WorkerUser {
        WorkerUser { uid: 33, gid: 33, groups: vec![33, 50], name: "www-data".into() }
    }

    /// Whether www-data may use a node of that mode, owner and group.
    #[track_caller]
    fn permits(mode: u32, uid: u32, gid: u32, acl: &[AclEntry], wanted: u32, expected: bool) {
        let owner = Owner { mode, uid, gid };
        assert_eq!(allows(&owner, acl, &www_data(), wanted), expected);
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        permits(0o660, 0, 33, &[], 2, true);
        permits(0o660, 0, 50, &[], 2, true);
        permits(0o660, 0, 0, &[], 2, false);
        permits(0o666, 0, 0, &[], 2, true);
        permits(0o066, 33, 0, &[], 2, false);
        permits(0o606, 0, 33, &[], 2, false);
        permits(0o750, 1000, 1000, &[], 1, false);
    }

    #[test]
    fn an_access_list_opens_what_the_mode_closes_but_not_beyond_its_mask() {
        let named = AclEntry { tag: ACL_USER, permissions: 7, id: 33 };
        let open = AclEntry { tag: ACL_MASK, permissions: 7, id: u32::MAX };
        let closed = AclEntry { tag: ACL_MASK, permissions: 4, id: u32::MAX };
        permits(0o770, 1000, 1000, &[named, open], 1, true);
        permits(0o740, 1000, 1000, &[named, closed], 1, false);
    }

    #[test]
    fn root_passes_everywhere() {
        let root = WorkerUser { uid: 0, gid: 0, groups: vec![], name: "root".into() };
        assert!(allows(&Owner { mode: 0, uid: 1000, gid: 1000 }, &[], &root, 2));
    }

    #[test]
    fn every_prefix_of_an_access_list_is_survived() {
        // `setfacl -m u:33:rwx` on a directory of mode 750.
        let bytes =
            b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x07\0\x21\0\0\0\x04\0\x05\0\xff\xff\xff\xff\
            \x10\0\x07\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
        assert_eq!(parse_access_list(bytes).len(), 5);
        for end in 0..bytes.len() {
            parse_access_list(&bytes[..end]);
        }
    }

    #[test]
    fn links_are_resolved_below_the_root_and_each_step_is_told_once() {
        let root = std::env::temp_dir().join(format!("walk-{}", std::process::id()));
        fs::create_dir_all(root.join("run/app")).unwrap();
        fs::create_dir_all(root.join("var")).unwrap();
        symlink("/run", root.join("var/run")).unwrap();
        fs::set_permissions(root.join("run/app"), fs::Permissions::from_mode(0o700)).unwrap();
        let _listener = UnixListener::bind(root.join("run/app/a.sock")).unwrap();

        let there = walk(&root, "/var/run/app/a.sock", Some(&www_data())).ok().unwrap();
        let gone = walk(&root, "/run/app/other/b.sock", None).ok().unwrap();
        fs::remove_dir_all(&root).unwrap();

        let steps: Vec<&str> = there.nodes.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(steps, ["/", "/var", "/run", "/run/app", "/run/app/a.sock"]);
        assert_eq!(there.nodes[3].allows_worker, Some(false));
        assert_eq!(there.nodes[4].kind, NodeKind::Socket);
        assert_eq!(there.end, root.join("run/app/a.sock"));
        assert_eq!(gone.nodes.last().unwrap().path, "/run/app");
        assert_eq!(gone.end, root.join("run/app/other/b.sock"));
    }

    #[test]
    fn a_circle_of_links_ends() {
        let root = std::env::temp_dir().join(format!("circle-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        symlink("/a", root.join("b")).unwrap();
        symlink("/b", root.join("a")).unwrap();
        let circle = walk(&root, "/a/app.sock", None).err().unwrap();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(circle.error.raw_os_error(), Some(40));
    }
}
