//! The filesystem that nginx could not write to.

use snapshot::Disk;

use crate::scene::Scene;

/// The path in "open() \"/var/lib/nginx/body/0000000001\" failed"; none where the message names none.
pub fn path_in(message: &str) -> Option<&str> {
    message.split('"').nth(1).filter(|it| it.starts_with('/'))
}

/// The directory among those looked at that a path lies in: the innermost one.
pub fn disk_of<'a>(scene: &Scene<'a>, path: &str) -> Option<&'a Disk> {
    let disks = scene.snapshot.disks.value()?;
    let inside = |it: &&Disk| {
        let directory = it.path.trim_end_matches('/');
        path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    disks.iter().filter(inside).max_by_key(|it| it.path.len())
}
