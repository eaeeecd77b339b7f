//! What the machine is and how loaded it is. Source: uname(2), os-release(5), proc_loadavg(5), proc_meminfo(5), the
//! kernel's accounting/psi.rst, /sys/fs/selinux.

use std::path::PathBuf;

use jiff::Timestamp;
use snapshot::Host;

use super::clock::Clock;
use super::users::Users;
use super::{number, text};

/// The files of one machine.
#[derive(Debug, Clone)]
pub struct Machine {
    root: PathBuf,
}

/// CPU time of all processors, in clock ticks. Source: proc_stat(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTime {
    busy: u64,
    total: u64,
}

impl Machine {
    /// This host.
    pub fn host() -> Machine {
        Machine::at("/")
    }

    /// The files of another one.
    pub fn at(root: impl Into<PathBuf>) -> Machine {
        Machine { root: root.into() }
    }

    fn text(&self, path: &str) -> Option<String> {
        text(self.root.join(path))
    }

    /// What the machine is.
    pub fn read(&self, clock: &Clock, users: &Users) -> Host {
        let uname = rustix::system::uname();
        let uid = rustix::process::geteuid().as_raw();
        let memory = self.text("proc/meminfo").unwrap_or_default();
        let container = self.is_container();
        Host {
            name: uname.nodename().to_string_lossy().into_owned(),
            kernel: uname.release().to_string_lossy().into_owned(),
            distribution: self.distribution(),
            container,
            utc_offset_seconds: clock.utc_offset_seconds(),
            time_zone: clock.zone.iana_name().map(str::to_owned),
            booted_at: Some(self.booted_at(clock, container)),
            uid,
            user: users.name(uid),
            cpus: self.text("sys/devices/system/cpu/online").map_or(1, |it| count_cpus(&it)),
            load_1m: self.text("proc/loadavg").and_then(|it| it.split(' ').next()?.parse().ok()),
            cpu_pressure_pct: self.text("proc/pressure/cpu").and_then(|it| pressure(&it)),
            cpu_busy_pct: None,
            memory_total_bytes: meminfo(&memory, "MemTotal:"),
            memory_available_bytes: meminfo(&memory, "MemAvailable:"),
            selinux_enforcing: number(self.root.join("sys/fs/selinux/enforce")).map(|it| it == 1),
            systemd: self.root.join("run/systemd/system").is_dir(),
        }
    }

    fn distribution(&self) -> String {
        let release =
            self.text("etc/os-release").or_else(|| self.text("usr/lib/os-release")).unwrap_or_default();
        let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        name.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
    }

    /// Source: systemd's container interface, and the marks that Docker and Podman leave.
    fn is_container(&self) -> bool {
        let marks = [".dockerenv", "run/.containerenv", "run/systemd/container"];
        marks.iter().any(|it| self.root.join(it).exists())
            || self
                .text("proc/1/environ")
                .is_some_and(|it| it.split('\0').any(|variable| variable.starts_with("container=")))
    }

    fn booted_at(&self, clock: &Clock, container: bool) -> Timestamp {
        let first_process = || {
            let stat = self.text("proc/1/stat")?;
            let ticks = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().nth(19)?.parse().ok()?;
            clock.at_ticks(ticks, rustix::param::clock_ticks_per_second())
        };
        container.then(first_process).flatten().unwrap_or(clock.booted_at)
    }

    /// The CPU time so far.
    pub fn cpu_time(&self) -> Option<CpuTime> {
        parse_cpu_time(&self.text("proc/stat")?)
    }
}

impl CpuTime {
    /// Share of the time since `before` that was not idle, per cent.
    pub fn busy_pct_since(self, before: CpuTime) -> Option<f64> {
        let total = self.total.checked_sub(before.total).filter(|it| *it > 0)?;
        let busy = self.busy.saturating_sub(before.busy);
        Some((busy as f64 / total as f64 * 1000.0).round() / 10.0)
    }
}

/// `cpu user nice system idle iowait irq softirq steal …`; guest time is already in user.
fn parse_cpu_time(stat: &str) -> Option<CpuTime> {
    let values: Vec<u64> = stat
        .lines()
        .next()?
        .strip_prefix("cpu ")?
        .split_ascii_whitespace()
        .take(8)
        .map(|it| it.parse().unwrap_or(0))
        .collect();
    let total = values.iter().sum();
    let idle: u64 = values.iter().skip(3).take(2).sum();
    Some(CpuTime { busy: total - idle, total })
}

/// `0-3,5` are five.
fn count_cpus(online: &str) -> u32 {
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.trim().parse::<u32>().ok()?.checked_sub(first.trim().parse().ok()?)? + 1)
    };
    online.split(',').filter_map(count).sum::<u32>().max(1)
}

/// `some avg10=1.23 avg60=… total=…`.
fn pressure(text: &str) -> Option<f64> {
    let line = text.lines().find(|it| it.starts_with("some "))?;
    line.split(' ').find_map(|it| it.strip_prefix("avg10="))?.parse().ok()
}

fn meminfo(text: &str, label: &str) -> Option<u64> {
    let line = text.lines().find_map(|it| it.strip_prefix(label))?;
    Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn a_machine_is_read_from_its_files() {
        let folder = Folder::new()
            .file("etc/os-release", "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n")
            .file("proc/loadavg", "1.50 0.20 0.10 1/100 4242\n")
            .file("proc/pressure/cpu", "some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=0.00\n")
            .file("proc/meminfo", "MemTotal:  1024 kB\nMemFree: 1 kB\nMemAvailable:   512 kB\n")
            .file("sys/devices/system/cpu/online", "0-3,5\n")
            .file("sys/fs/selinux/enforce", "1")
            .file("proc/1/environ", "PATH=/bin\0container=lxc\0")
            .file("proc/1/stat", "1 (init) S 0 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 6000 1 1 1");
        let host = Machine::at(folder.path()).read(&Clock::fixed("2026-05-02T13:00:00Z"), &Users::default());
        assert_eq!(host.distribution, "Debian GNU/Linux 12 (bookworm)");
        assert_eq!((host.load_1m, host.cpu_pressure_pct, host.cpus), (Some(1.5), Some(12.5), 5));
        assert_eq!((host.memory_total_bytes, host.memory_available_bytes), (Some(1 << 20), Some(512 << 10)));
        assert_eq!((host.selinux_enforcing, host.container, host.systemd), (Some(true), true, false));
        assert_eq!(host.booted_at, Some("2026-05-02T12:01:00Z".parse().unwrap()));
    }

    #[test]
    fn waiting_for_a_disk_is_idle_time() {
        let before = parse_cpu_time("cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1\n").unwrap();
        let after = parse_cpu_time("cpu  130 0 120 740 110 0 0 0 0 0\n").unwrap();
        assert_eq!(after.busy_pct_since(before), Some(50.0));
        assert_eq!(after.busy_pct_since(after), None);
    }
}
