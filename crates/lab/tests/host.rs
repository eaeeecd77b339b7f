//! What a host promises, on a machine that can boot one. Ignored by default, for they need root and wait for the lock:
//! `cargo xtask test` runs them where it can.

use lab::Host;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(10);

#[track_caller]
fn stdout(host: &Host, script: &str, user: &str) -> String {
    let output = host.run(script, LIMIT, user).unwrap();
    assert!(output.status.success(), "{script}: {}", output.stderr);
    output.stdout.trim().to_owned()
}

/// The folders that the host's processes are grouped in, as the machine sees them. The next host may already have
/// folders of the same names; their inodes differ.
fn cgroups() -> BTreeSet<(PathBuf, u64)> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let tops =
        mounts.lines().filter(|line| line.contains(" cgroup")).filter_map(|line| line.split(' ').nth(1));
    let folders = tops.map(|top| Path::new(top).join("why502-lab"));
    folders.filter_map(|it| fs::metadata(&it).ok().map(|metadata| (it, metadata.ino()))).collect()
}

#[test]
#[ignore = "needs root"]
fn a_host_leaves_nothing_behind() {
    let host = Host::boot().unwrap();
    let script =
        "echo mine > /etc/motd; ip link add wire0 type dummy; setsid sleep 1000 < /dev/null &> /dev/null &";
    stdout(&host, script, "root");
    let used = cgroups();
    assert!(!used.is_empty());
    drop(host);

    assert!(used.is_disjoint(&cgroups()));
    assert!(!fs::read_to_string("/proc/mounts").unwrap().contains("lab /mnt"));
    assert_ne!(fs::read_to_string("/etc/motd").unwrap_or_default(), "mine\n");
    assert!(!Path::new("/sys/class/net/wire0").exists());
}

#[test]
#[ignore = "needs root"]
fn systemd_runs_the_host_and_nothing_else_has_started() {
    let host = Host::boot().unwrap();
    assert_eq!(stdout(&host, "cat /proc/1/comm; hostname", "root"), "systemd\nlab");
    let services = "systemctl list-units --type=service --state=running --plain --no-legend | cut -d' ' -f1";
    let running = stdout(&host, services, "root");
    let expected = ["dbus.service", "systemd-journald.service"];
    assert!(running.lines().all(|unit| expected.contains(&unit)), "{running}");
}

#[test]
#[ignore = "needs root"]
fn a_script_runs_as_the_user_it_is_given() {
    let host = Host::boot().unwrap();
    assert_eq!(stdout(&host, "id -un; id -gn", "www-data"), "www-data\nwww-data");
}

#[test]
#[ignore = "needs root"]
fn a_script_that_does_not_end_is_killed_in_time() {
    let host = Host::boot().unwrap();
    let begun = Instant::now();
    let error = host.run("echo begun; sleep 600", Duration::from_millis(300), "root").unwrap_err();
    assert!(error.to_string().contains("begun"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(60));
}
