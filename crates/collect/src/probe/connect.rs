//! A connection as nginx would make it: one attempt, never blocking, the kernel's errno kept.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt};
use snapshot::ConnectOutcome;

/// Where to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Tcp(SocketAddr),
    /// The socket's file, as it is opened from here.
    Unix(PathBuf),
}

/// `sockaddr_un` has room for 108 bytes, the last of them zero (unix(7)).
const LONGEST_UNIX_PATH_BYTES: usize = 107;

/// Connects, and leaves the stream open when that worked.
pub(crate) fn attempt(target: &Target, timeout: Duration) -> (ConnectOutcome, Option<OwnedFd>) {
    let started = Instant::now();
    let stream = match begin(target) {
        Ok(Attempt::Done(stream)) => stream,
        Ok(Attempt::Pending(stream)) => match finish(&stream, started + timeout) {
            Ok(true) => stream,
            Ok(false) => {
                return (ConnectOutcome::TimedOut { after_millis: timeout.as_millis() as u64 }, None);
            }
            Err(errno) => return (ConnectOutcome::Failed { errno: errno.raw_os_error() }, None),
        },
        Err(errno) => return (ConnectOutcome::Failed { errno: errno.raw_os_error() }, None),
    };
    (ConnectOutcome::Connected { micros: started.elapsed().as_micros() as u64 }, Some(stream))
}

enum Attempt {
    Done(OwnedFd),
    Pending(OwnedFd),
}

fn begin(target: &Target) -> Result<Attempt, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (family, outcome);
    let stream;
    match target {
        Target::Tcp(address) => {
            family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            stream = socket_with(family, SocketType::STREAM, flags, None)?;
            outcome = connect(&stream, address);
        }
        Target::Unix(path) => {
            stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            outcome = connect_unix(&stream, path);
        }
    }
    match outcome {
        Ok(()) => Ok(Attempt::Done(stream)),
        Err(Errno::INPROGRESS) => Ok(Attempt::Pending(stream)),
        Err(errno) => Err(errno),
    }
}

/// A path that is too long for the address (below `/proc/PID/root`, say) is dialled through its directory's descriptor.
fn connect_unix(stream: &OwnedFd, path: &Path) -> Result<(), Errno> {
    if path.as_os_str().len() <= LONGEST_UNIX_PATH_BYTES {
        return connect(stream, &SocketAddrUnix::new(path)?);
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::NAMETOOLONG);
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory, flags, Mode::empty())?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    connect(stream, &SocketAddrUnix::new(&short)?)
}

/// Whether it was established before the deadline.
fn finish(stream: &OwnedFd, deadline: Instant) -> Result<bool, Errno> {
    loop {
        let mut waiting = [PollFd::new(stream, PollFlags::OUT)];
        match poll(&mut waiting, Some(&until(deadline))) {
            Ok(0) => return Ok(false),
            // A refused connection gives ECONNREFUSED; a reset one had been made, and was thrown away at once.
            Ok(_) => match sockopt::socket_error(stream)? {
                Ok(()) | Err(Errno::CONNRESET) => return Ok(true),
                Err(errno) => return Err(errno),
            },
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// The time left, as poll wants it.
pub(crate) fn until(deadline: Instant) -> Timespec {
    let left = deadline.saturating_duration_since(Instant::now());
    Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(300);

    #[test]
    fn a_listener_is_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (outcome, stream) = attempt(&Target::Tcp(listener.local_addr().unwrap()), TIMEOUT);
        assert!(matches!(outcome, ConnectOutcome::Connected { .. }), "{outcome:?}");
        assert!(stream.is_some());
    }

    #[test]
    fn a_closed_port_gives_the_kernels_errno() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert_eq!(attempt(&Target::Tcp(address), TIMEOUT).0, ConnectOutcome::Failed { errno: 111 });
    }

    #[test]
    fn a_missing_unix_socket_gives_the_kernels_errno() {
        let outcome = attempt(&Target::Unix("/nonexistent/app.sock".into()), TIMEOUT).0;
        assert_eq!(outcome, ConnectOutcome::Failed { errno: 2 });
    }

    #[test]
    fn a_path_too_long_for_the_address_is_still_dialled() {
        let folder = std::env::temp_dir().join(format!("{}-{}", "long".repeat(30), std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("app.sock");
        // bind(2) has the same limit, so the listener takes the short way as well.
        let short = std::env::temp_dir().join(format!("short-{}", std::process::id()));
        let _ = std::fs::remove_file(&short);
        std::os::unix::fs::symlink(&folder, &short).unwrap();
        let _listener = UnixListener::bind(short.join("app.sock")).unwrap();
        let (outcome, _) = attempt(&Target::Unix(path), TIMEOUT);
        std::fs::remove_file(&short).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(outcome, ConnectOutcome::Connected { .. }), "{outcome:?}");
    }

    #[test]
    fn a_full_unix_backlog_is_eagain_and_does_not_block() {
        let path = std::env::temp_dir().join(format!("full-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        rustix::net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let target = Target::Unix(path.clone());
        let (_, first) = attempt(&target, TIMEOUT);
        let (second, _) = attempt(&target, TIMEOUT);
        std::fs::remove_file(&path).unwrap();
        assert!(first.is_some());
        assert_eq!(second, ConnectOutcome::Failed { errno: 11 });
    }
}
