//! One throw-away host: booted from this machine's own files, with systemd as its PID 1, in namespaces of its own.
//!
//! All the work is in two scripts: `host/keeper.sh` holds the machine-wide lock and the host's life, `host/init.sh`
//! builds the host from within. This side holds the keeper's standard input: when that pipe closes, be it by `Drop` or
//! because this process was killed, the keeper ends the host and what belonged to it.

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{FlockOperation, MemfdFlags, flock};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const KEEPER: &str = include_str!("../host/keeper.sh");
const INIT: &str = include_str!("../host/init.sh");

/// Held by the keeper for as long as its host lives: hosts share the kernel log and would disturb each other's timing.
const LOCK: &str = "/tmp/lab.lock";

/// How long a boot may take once the lock is held; an idle machine needs well under a second.
const BOOT_LIMIT: Duration = Duration::from_secs(20);

/// Whether a host runs on this machine, so that the next one must wait for its end.
pub fn is_busy() -> bool {
    let locked = |lock: File| flock(lock, FlockOperation::NonBlockingLockShared).is_err();
    File::open(LOCK).is_ok_and(locked)
}

/// A running throw-away host. Dropping it ends it.
pub struct Host {
    keeper: Child,
    console: File,
    /// The host's PID 1, in this machine's numbers. 0 until it is known.
    init_pid: u32,
}

/// What a script in the host came to.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output; invalid UTF-8 is replaced.
    pub stdout: String,
    /// Its standard error, the same way.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl Host {
    /// Waits for the lock and boots a host.
    ///
    /// # Errors
    /// When the kernel, the rights or the packages for it are missing: [`crate::missing_requirements`] says which.
    pub fn boot() -> Result<Self> {
        let console = memory_file()?;
        let mut keeper = Command::new("bash")
            .args(["-c", KEEPER, "keeper", LOCK, INIT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(console.try_clone()?)
            .process_group(0)
            .spawn()
            .context("cannot start bash")?;
        let from_keeper = keeper.stdout.take().context("the keeper's output is piped")?;
        let mut host = Self { keeper, console, init_pid: 0 };

        // Blocks for as long as another host holds the lock, and ends at once when the boot fails.
        let mut line = String::new();
        BufReader::new(from_keeper).read_line(&mut line)?;
        host.init_pid = match line.trim().parse() {
            Ok(pid) => pid,
            Err(_) => bail!("the host did not boot: {}", host.console_text()),
        };

        let begun = Instant::now();
        while !host.is_up() {
            ensure!(begun.elapsed() < BOOT_LIMIT, "the host did not come up: {}", host.console_text());
            sleep(Duration::from_millis(20));
        }
        Ok(host)
    }

    fn is_up(&self) -> bool {
        // Before it is systemd, PID 1 is a shell that still builds the host's root.
        let name = std::fs::read_to_string(format!("/proc/{}/comm", self.init_pid)).unwrap_or_default();
        let state = || self.run("systemctl is-system-running", Duration::from_secs(5), "root");
        name.trim() == "systemd"
            && state().is_ok_and(|it| ["running", "degraded"].contains(&it.stdout.trim()))
    }

    /// Where a file of the host is found from outside.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        format!("/proc/{}/root/{}", self.init_pid, inside.trim_start_matches('/')).into()
    }

    /// Runs a bash script in the host as `user`, with a clean environment and without input.
    ///
    /// # Errors
    /// When it could not be started or did not end in time (it is killed then). How it ended is no error.
    pub fn run(&self, script: &str, limit: Duration, user: &str) -> Result<Output> {
        // Files instead of pipes: what a script leaves running in the background may keep them open.
        let (mut stdout, mut stderr) = (memory_file()?, memory_file()?);
        let mut command = self.enter(user);
        command.args(["bash", "-c", script]).stdin(Stdio::null());
        command.stdout(stdout.try_clone()?).stderr(stderr.try_clone()?).process_group(0);

        let begun = Instant::now();
        let mut child = command.spawn().context("cannot start nsenter")?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if begun.elapsed() > limit {
                if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
                    kill_process_group(group, Signal::KILL)?;
                }
                child.wait()?;
                bail!("no end after {limit:?}: {}{}", text(&mut stdout), text(&mut stderr));
            }
            sleep(Duration::from_millis(2));
        };
        Ok(Output { status, stdout: text(&mut stdout), stderr: text(&mut stderr), took: begun.elapsed() })
    }

    /// The beginning of a command line that runs what follows inside the host.
    pub(crate) fn enter(&self, user: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init_pid.to_string(), "--mount", "--pid", "--uts", "--ipc", "--net"]);
        command.args(["--cgroup", "--", "env", "-i", "HOME=/root", "TERM=dumb", "LC_ALL=C.UTF-8"]);
        command.arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        if user != "root" {
            let become_user =
                r#"exec setpriv --reuid "$0" --regid "$(id -g "$0")" --init-groups -- env HOME=/ "$@""#;
            command.args(["bash", "-c", become_user, user]);
        }
        command
    }

    fn console_text(&mut self) -> String {
        text(&mut self.console)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // The keeper's own end: the lock is free and nothing is left. There is nobody to tell if waiting fails.
        let _ = self.keeper.wait();
    }
}

fn memory_file() -> Result<File> {
    Ok(rustix::fs::memfd_create("lab", MemfdFlags::CLOEXEC).context("cannot make a file in memory")?.into())
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    // Such a file cannot fail to be read; whatever was read until then is worth showing.
    let _ = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}
