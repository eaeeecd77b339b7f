//! What is read from the host, one file for each source.
//!
//! A reader takes the root that it reads from, so that a test hands in a temporary folder. It never fails the
//! collection: what cannot be read is an [`snapshot::Unread`] with the reason. Nothing here changes the host.

pub mod cgroups;
pub mod changes;
pub mod clock;
pub mod command;
pub mod disks;
pub mod files;
pub mod journal;
pub mod kernel;
pub mod machine;
pub mod net;
pub mod netlink;
pub mod processes;
pub mod sockets;
pub mod units;
pub mod users;

use std::fs;
use std::io;
use std::path::Path;

use snapshot::{Reason, Unread};

/// What stood in the way of reading a file.
pub fn obstacle(source: impl Into<String>, error: &io::Error) -> Unread {
    let reason = match error.kind() {
        io::ErrorKind::PermissionDenied => Reason::Denied,
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Reason::TimedOut,
        _ => Reason::Unsupported,
    };
    Unread { reason, source: source.into(), detail: error.to_string() }
}

/// A small file of /proc or /sys as text without the last line feed; none when it is absent or may not be read.
pub fn text(path: impl AsRef<Path>) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// A file that holds one number; none also for "max".
pub fn number(path: impl AsRef<Path>) -> Option<u64> {
    text(path)?.parse().ok()
}
