//! Limits and events of cgroups. Source: cgroups(7), the kernel's admin-guide/cgroup-v2.rst; of version 1 what corresponds.
//!
//! A limit of a parent (a slice, a container) holds for all below it, so parents are read as well.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use snapshot::{Cgroup, Process, Reading, Reason, ThrottledNow};

use super::{number, text};

/// cgroups that are read at most.
const MAX_CGROUPS: usize = 1_000;

/// A memory limit of version 1 above this means "none": the kernel shows the largest multiple of a page.
const NO_LIMIT_BYTES: u64 = 1 << 60;

/// A mounted hierarchy.
#[derive(Debug, Clone)]
pub struct Cgroups {
    root: PathBuf,
}

impl Cgroups {
    /// The host's.
    pub fn host() -> Cgroups {
        Cgroups::at("/sys/fs/cgroup")
    }

    /// One at another place.
    pub fn at(root: impl Into<PathBuf>) -> Cgroups {
        Cgroups { root: root.into() }
    }

    /// The cgroups of these processes and everything above them.
    pub fn read(&self, processes: &[Process], at: Timestamp) -> Reading<Vec<Cgroup>> {
        let source = self.root.display().to_string();
        let read: fn(&Path, &str) -> Cgroup = if self.root.join("cgroup.controllers").exists() {
            read_unified
        } else if self.root.join("memory").exists() || self.root.join("cpu").exists() {
            read_version_1
        } else {
            return Reading::unread(Reason::Unsupported, source, "no cgroup hierarchy is mounted there");
        };
        let mut paths: BTreeSet<&str> = BTreeSet::from(["/"]);
        for process in processes {
            let mut path = process.cgroup.as_str();
            while path.len() > 1 && !path.contains("..") && paths.insert(path) {
                path = path.rsplit_once('/').map_or("", |it| it.0);
            }
        }
        let cgroups = paths.into_iter().take(MAX_CGROUPS).map(|path| read(&self.root, path)).collect();
        Reading::seen(cgroups, source, at)
    }

    /// The second reading: how many of the periods since the first were throttled.
    pub fn second_reading(&self, cgroups: &mut [Cgroup]) {
        for cgroup in cgroups.iter_mut().filter(|it| it.cpu_quota_pct.is_some()) {
            let now = read_cpu_stat(&self.cpu_stat(&cgroup.path));
            if let (Some(periods), Some(throttled), Some(before), Some(throttled_before)) =
                (now.0, now.1, cgroup.periods_total, cgroup.throttled_periods_total)
            {
                cgroup.throttled_now = Some(ThrottledNow {
                    periods: periods.saturating_sub(before),
                    throttled: throttled.saturating_sub(throttled_before),
                });
            }
        }
    }

    fn cpu_stat(&self, path: &str) -> PathBuf {
        let unified = below(&self.root, path).join("cpu.stat");
        if unified.exists() { unified } else { below(&self.root.join("cpu"), path).join("cpu.stat") }
    }
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn read_unified(root: &Path, path: &str) -> Cgroup {
    let folder = below(root, path);
    let (periods_total, throttled_periods_total) = read_cpu_stat(&folder.join("cpu.stat"));
    Cgroup {
        path: path.to_owned(),
        memory_max_bytes: number(folder.join("memory.max")),
        memory_current_bytes: number(folder.join("memory.current")),
        memory_peak_bytes: number(folder.join("memory.peak")),
        oom_kills_total: text(folder.join("memory.events")).and_then(|it| value_of(&it, "oom_kill")),
        cpu_quota_pct: text(folder.join("cpu.max")).and_then(|it| quota(&it)),
        periods_total,
        throttled_periods_total,
        throttled_now: None,
        pids_max: number(folder.join("pids.max")),
        pids_current: number(folder.join("pids.current")),
    }
}

fn read_version_1(root: &Path, path: &str) -> Cgroup {
    let of = |controller: &str| below(&root.join(controller), path);
    let (memory, cpu, pids) = (of("memory"), of("cpu"), of("pids"));
    let (periods_total, throttled_periods_total) = read_cpu_stat(&cpu.join("cpu.stat"));
    let quota_micros = text(cpu.join("cpu.cfs_quota_us")).unwrap_or_default();
    let period_micros = text(cpu.join("cpu.cfs_period_us")).unwrap_or_default();
    Cgroup {
        path: path.to_owned(),
        memory_max_bytes: number(memory.join("memory.limit_in_bytes")).filter(|it| *it < NO_LIMIT_BYTES),
        memory_current_bytes: number(memory.join("memory.usage_in_bytes")),
        memory_peak_bytes: number(memory.join("memory.max_usage_in_bytes")),
        oom_kills_total: text(memory.join("memory.oom_control")).and_then(|it| value_of(&it, "oom_kill")),
        // -1 means no quota, and is no number here.
        cpu_quota_pct: quota(&format!("{quota_micros} {period_micros}")),
        periods_total,
        throttled_periods_total,
        throttled_now: None,
        pids_max: number(pids.join("pids.max")),
        pids_current: number(pids.join("pids.current")),
    }
}

/// `50000 100000` is half a CPU; `max 100000` is no quota.
fn quota(text: &str) -> Option<f64> {
    let (quota, period) = text.split_once(' ')?;
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.trim().parse().ok()?);
    (period > 0).then(|| quota as f64 / period as f64 * 100.0)
}

fn read_cpu_stat(path: &Path) -> (Option<u64>, Option<u64>) {
    let Some(stat) = text(path) else { return (None, None) };
    (value_of(&stat, "nr_periods"), value_of(&stat, "nr_throttled"))
}

fn value_of(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    fn process(cgroup: &str) -> Process {
        Process { cgroup: cgroup.into(), ..Process::default() }
    }

    #[test]
    fn a_service_is_read_with_its_slices() {
        let folder = Folder::new()
            .file("cgroup.controllers", "cpu memory\n")
            .file("system.slice/memory.max", "max\n")
            .file("system.slice/shop.service/memory.max", "268435456\n")
            .file("system.slice/shop.service/memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 0\n")
            .file("system.slice/shop.service/cpu.max", "20000 100000\n")
            .file("system.slice/shop.service/cpu.stat", "usage_usec 1\nnr_periods 10\nnr_throttled 4\n");
        let cgroups = Cgroups::at(folder.path());
        let reading = cgroups.read(&[process("/system.slice/shop.service")], Timestamp::UNIX_EPOCH);
        let mut read = reading.value().unwrap().clone();
        let paths: Vec<_> = read.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(paths, ["/", "/system.slice", "/system.slice/shop.service"]);
        assert_eq!((read[1].memory_max_bytes, read[2].memory_max_bytes), (None, Some(256 << 20)));
        assert_eq!((read[2].oom_kills_total, read[2].cpu_quota_pct), (Some(2), Some(20.0)));
        let folder = folder.file("system.slice/shop.service/cpu.stat", "nr_periods 12\nnr_throttled 6\n");
        cgroups.second_reading(&mut read);
        assert_eq!(read[2].throttled_now, Some(ThrottledNow { periods: 2, throttled: 2 }));
        drop(folder);
    }

    #[test]
    fn version_1_has_its_limits_in_other_files() {
        let folder = Folder::new()
            .file("memory/docker/1/memory.limit_in_bytes", "9223372036854771712\n")
            .file("cpu/docker/1/cpu.cfs_quota_us", "-1\n")
            .file("cpu/docker/1/cpu.cfs_period_us", "100000\n")
            .file("pids/docker/1/pids.max", "100\n");
        let reading = Cgroups::at(folder.path()).read(&[process("/docker/1")], Timestamp::UNIX_EPOCH);
        let one = reading.value().unwrap().last().unwrap();
        assert_eq!((one.memory_max_bytes, one.cpu_quota_pct, one.pids_max), (None, None, Some(100)));
    }

    #[test]
    fn no_hierarchy_is_said_so() {
        let folder = Folder::new();
        let reading = Cgroups::at(folder.path()).read(&[], Timestamp::UNIX_EPOCH);
        assert_eq!(reading.obstacle().unwrap().reason, Reason::Unsupported);
    }
}
