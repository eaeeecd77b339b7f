//! How long a command takes, and how much memory: the kernel's own accounting of the finished process and of those that it
//! waited for.

use std::mem::MaybeUninit;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    pub wall: Duration,
    /// User and system time together.
    pub cpu: Duration,
    /// The largest resident size of one process.
    pub peak_bytes: u64,
}

/// Runs a command of the shell, its output thrown away. `cores` keeps it on the first ones.
pub fn run(command: &str, cores: usize) -> Result<Run> {
    let started = Instant::now();
    let child = Command::new("taskset")
        .args(["-c", &format!("0-{}", cores - 1), "bash", "-o", "pipefail", "-c", command])
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start taskset and bash")?;
    let (status, usage) = wait(child.id())?;
    let wall = started.elapsed();
    // why502 ends with 1 where it found a cause, and with 3 where it found none.
    ensure!(matches!(status, Some(0 | 1 | 3)), "it ended with {status:?}: {command}");
    let time =
        |it: libc::timeval| Duration::from_secs(it.tv_sec as u64) + Duration::from_micros(it.tv_usec as u64);
    let cpu = time(usage.ru_utime) + time(usage.ru_stime);
    Ok(Run { wall, cpu, peak_bytes: usage.ru_maxrss as u64 * 1024 })
}

/// Waits for a child and takes its accounts, which the standard library does not hand out.
fn wait(pid: u32) -> Result<(Option<i32>, libc::rusage)> {
    let mut status = 0;
    let mut usage = MaybeUninit::uninit();
    #[expect(unsafe_code, reason = "wait4 has no safe counterpart")]
    // SAFETY: both pointers are valid for the call, and `usage` is only read where the kernel has filled it in.
    let usage = unsafe {
        let reaped = libc::wait4(pid as libc::pid_t, &mut status, 0, usage.as_mut_ptr());
        ensure!(reaped > 0, "cannot wait for {pid}: {}", std::io::Error::last_os_error());
        usage.assume_init()
    };
    Ok((libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)), usage))
}

/// The middle one.
pub fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all.get(all.len() / 2).copied().unwrap_or_default()
}
