//! Running another program, for the few things that no file and no system call tells.
//!
//! There is no shell, the arguments are ours, the environment is empty but for a path and a plain locale, standard
//! input is /dev/null, and whoever does not finish in time is killed. Output beyond the cap is thrown away.

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use snapshot::{Reason, Unread};

/// More than any program we run says on an ordinary host.
const MAX_OUTPUT_BYTES: u64 = 64 << 20;

/// What a program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Whether it ended with status 0.
    pub success: bool,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: String,
}

/// Runs `program` with `arguments` until it ends or the deadline comes. `shown` is what a report calls it.
pub fn run(program: &str, arguments: &[&str], deadline: Instant, shown: &str) -> Result<Output, Unread> {
    let unread = |reason, detail: String| Unread { reason, source: shown.to_owned(), detail };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => unread(Reason::Unsupported, format!("{program} is not installed")),
        io::ErrorKind::PermissionDenied => unread(Reason::Denied, error.to_string()),
        _ => unread(Reason::Unsupported, error.to_string()),
    };
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let remaining = || deadline.saturating_duration_since(Instant::now());
    let texts = stdout
        .recv_timeout(remaining())
        .and_then(|stdout| stderr.recv_timeout(remaining()).map(|stderr| (stdout, stderr)));
    let Ok((stdout, stderr)) = texts else {
        kill(child);
        return Err(unread(Reason::TimedOut, "it was stopped at the deadline".to_owned()));
    };
    // Both pipes are closed; a program that closes them and then lingers is not waited for.
    let success = wait_until(&mut child, deadline);
    if success.is_none() {
        kill(child);
    }
    Ok(Output {
        success: success.unwrap_or(false),
        stdout,
        stderr: String::from_utf8_lossy(&stderr).trim_end().to_owned(),
    })
}

/// Reads a pipe to its end on a thread of its own, so that neither pipe can fill up while the other is read.
fn drain(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut pipe) = pipe {
            // A read error ends the text like an end of file; what came so far is still worth parsing.
            let _ = pipe.by_ref().take(MAX_OUTPUT_BYTES).read_to_end(&mut text);
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        let _ = sender.send(text);
    });
    receiver
}

/// Whether the program ended well; none when it has not ended by the deadline.
fn wait_until(child: &mut Child, deadline: Instant) -> Option<bool> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) if Instant::now() < deadline => thread::sleep(std::time::Duration::from_micros(300)),
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Ends a program of ours. It is reaped on a thread, because one in uninterruptible sleep does not go away at once.
fn kill(mut child: Child) {
    let _ = child.kill();
    thread::spawn(move || child.wait());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn a_program_gets_an_empty_environment_and_no_input() {
        let output = run("env", &[], soon(), "env").unwrap();
        let mut lines: Vec<_> =
            output.stdout.split(|byte| *byte == b'\n').filter(|it| !it.is_empty()).collect();
        lines.sort();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(run("cat", &[], soon(), "cat").unwrap().stdout.is_empty());
    }

    #[test]
    fn a_program_that_does_not_end_is_stopped() {
        let started = Instant::now();
        let unread = run("sleep", &["60"], started + Duration::from_millis(50), "sleep").unwrap_err();
        assert_eq!(unread.reason, Reason::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_missing_program_is_said_to_be_missing() {
        let unread = run("no-such-program-anywhere", &[], soon(), "it").unwrap_err();
        assert_eq!(unread.reason, Reason::Unsupported);
    }
}
