//! What can be read once: standard input, named pipes, and what a program prints.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The largest pipe that an ordinary user may have. Source: /proc/sys/fs/pipe-max-size, pipe(7).
const PIPE_BYTES: usize = 1 << 20;
/// How long one look at an idle pipe takes.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A pipe, what was read of it already, and the program at its other end if we started that.
#[derive(Debug)]
pub struct Pipe {
    head: Cursor<Vec<u8>>,
    file: File,
    child: Option<Running>,
}

impl Pipe {
    pub fn new(file: impl Into<OwnedFd>) -> Pipe {
        let file = file.into();
        // A hint; what is no pipe or has a limit stays as it is.
        let _ = rustix::pipe::fcntl_setpipe_size(&file, PIPE_BYTES);
        Pipe { head: Cursor::default(), file: file.into(), child: None }
    }

    /// What a program prints.
    pub fn of(program: &str, arguments: &[String]) -> io::Result<Pipe> {
        let mut child = Command::new(program)
            .args(arguments)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().expect("it was asked for");
        Ok(Pipe { child: Some(Running(child)), ..Pipe::new(OwnedFd::from(output)) })
    }

    /// The first bytes, which are read again later. Waits for `least` of them, and for the others no longer than they come at
    /// once. Asked again, it gives more.
    pub fn sample(&mut self, least: usize, most: usize) -> io::Result<&[u8]> {
        let mut head = std::mem::take(&mut self.head).into_inner();
        let mut length = head.len();
        head.resize(most.max(length), 0);
        while length < most && (length < least || self.is_ready(&PATIENCE)?) {
            match self.file.read(&mut head[length..]) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        head.truncate(length);
        if length == 0 {
            self.finish()?;
        }
        self.head = Cursor::new(head);
        Ok(self.head.get_ref())
    }

    /// The same for reading, which ends when `stop` is set. A patient reader waits for whoever writes; one that is not says
    /// that nothing came for a moment, which not everybody who unpacks can take.
    pub fn until(self, stop: &AtomicBool, patient: bool) -> UntilStopped<'_> {
        UntilStopped { pipe: self, stop, patient }
    }

    fn is_ready(&self, time: &Timespec) -> io::Result<bool> {
        match poll(&mut [PollFd::from_borrowed_fd(self.file.as_fd(), PollFlags::IN)], Some(time)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What the program says at its end, if it failed.
    fn finish(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let mut said = String::new();
        if let Some(errors) = child.0.stderr.take() {
            let _ = errors.take(4096).read_to_string(&mut said);
        }
        match child.0.wait()?.success() {
            true => Ok(()),
            false => Err(io::Error::other(said.trim().lines().next_back().unwrap_or("it failed").to_owned())),
        }
    }
}

/// A program that does not outlive us.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads a pipe; [`io::ErrorKind::WouldBlock`] means that nothing came for a moment.
pub struct UntilStopped<'a> {
    pipe: Pipe,
    stop: &'a AtomicBool,
    patient: bool,
}

impl Read for UntilStopped<'_> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        let length = self.pipe.head.read(output)?;
        if length > 0 {
            return Ok(length);
        }
        while !self.pipe.is_ready(&PATIENCE)? {
            if !self.patient {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::Error::new(io::ErrorKind::BrokenPipe, "it was stopped"));
            }
        }
        let length = self.pipe.file.read(output)?;
        if length == 0 {
            self.pipe.finish()?;
        }
        Ok(length)
    }
}
