//! Processes, from /proc. Source: proc_pid_stat(5), proc_pid_status(5), proc_pid_cgroup(5), proc_pid_limits(5).
//!
//! What is cheap is read of every process; what costs (descriptors, environment, threads, proportional memory) is read
//! of application servers first, then of the others until the reader's own deadline.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use snapshot::{Process, Reason, Unread};

use super::clock::Clock;
use super::users::Users;
use super::{obstacle, text};

/// Threads whose state is read of one process; the first ones tell what a server does.
const MAX_THREADS: usize = 128;

/// Descriptors that are followed to their sockets, of one process. All are counted.
const MAX_DESCRIPTORS: u64 = 20_000;

/// Processes whose proportional memory is read: the kernel walks all their mappings for it.
const MAX_PROPORTIONAL: usize = 64;

/// A value of the environment longer than this is no address.
const MAX_ENVIRONMENT_VALUE_BYTES: usize = 200;

/// Programs that commonly stand behind nginx, as their `comm` begins.
const SERVERS: &[&str] = &[
    "nginx",
    "php-fpm",
    "gunicorn",
    "uwsgi",
    "uvicorn",
    "hypercorn",
    "daphne",
    "waitress",
    "python",
    "pypy",
    "node",
    "deno",
    "bun",
    "PM2",
    "ruby",
    "puma",
    "unicorn",
    "passenger",
    "java",
    "dotnet",
    "beam.smp",
    "perl",
    "starman",
    "haproxy",
    "apache2",
    "httpd",
    "varnishd",
    "envoy",
    "caddy",
    "traefik",
    "openresty",
    "angie",
    "docker-proxy",
    "stunnel",
    "socat",
];

/// A /proc.
#[derive(Debug, Clone)]
pub struct Proc {
    root: PathBuf,
    ticks_per_second: u64,
    page_bytes: u64,
}

/// What a pass over /proc gave.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// Every process, by pid.
    pub processes: Vec<Process>,
    /// Pids that hold a socket, by its inode; the oldest first.
    pub socket_owners: HashMap<u64, Vec<u32>>,
    /// Files that a server writes to and that look like its logs, with its pid.
    pub logs: Vec<(u32, PathBuf)>,
}

/// The fields of /proc/PID/stat that are used.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stat {
    name: String,
    state: char,
    ppid: u32,
    cpu_ticks: u64,
    start_ticks: u64,
    resident_pages: u64,
}

impl Proc {
    /// The host's own.
    pub fn host() -> Proc {
        Proc::at("/proc")
    }

    /// One at another place.
    pub fn at(root: impl Into<PathBuf>) -> Proc {
        Proc {
            root: root.into(),
            ticks_per_second: rustix::param::clock_ticks_per_second(),
            page_bytes: rustix::param::page_size() as u64,
        }
    }

    fn of(&self, pid: u32) -> PathBuf {
        self.root.join(pid.to_string())
    }

    /// Every process with what is cheap to read.
    pub fn list(&self, clock: &Clock, users: &Users) -> Result<Vec<Process>, Unread> {
        let source = self.root.display().to_string();
        let entries = fs::read_dir(&self.root).map_err(|error| obstacle(source.clone(), &error))?;
        let mut processes: Vec<Process> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(|pid| self.read(pid, clock, users))
            .collect();
        processes.sort_by_key(|it| it.pid);
        // We and the programs that we run are no part of what is diagnosed.
        let own = std::process::id();
        processes.retain(|it| it.pid != own && it.ppid != own);
        // With hidepid one sees only oneself; "no nginx" must not be concluded from that.
        if !processes.iter().any(|it| it.pid == 1) {
            return Err(Unread {
                reason: Reason::Denied,
                source,
                detail: "processes of other users are hidden (hidepid)".to_owned(),
            });
        }
        Ok(processes)
    }

    fn read(&self, pid: u32, clock: &Clock, users: &Users) -> Option<Process> {
        let folder = self.of(pid);
        let stat = parse_stat(&text(folder.join("stat"))?)?;
        let status = text(folder.join("status")).unwrap_or_default();
        let uid = status_ids(&status, "Uid:").get(1).copied().unwrap_or(0);
        let mut process = Process {
            pid,
            ppid: stat.ppid,
            name: stat.name,
            arguments: arguments(&fs::read(folder.join("cmdline")).unwrap_or_default()),
            state: stat.state,
            started_at: clock.at_ticks(stat.start_ticks, self.ticks_per_second),
            uid,
            user: users.name(uid),
            resident_bytes: Some(stat.resident_pages * self.page_bytes),
            cpu_seconds: Some(stat.cpu_ticks as f64 / self.ticks_per_second as f64),
            same_network: true,
            ..Process::default()
        };
        // A kernel thread has neither arguments nor a cgroup of interest.
        if !process.arguments.is_empty() || pid == 1 {
            process.cgroup = parse_cgroup(&text(folder.join("cgroup")).unwrap_or_default());
            process.unit = unit_of(&process.cgroup);
            process.executable = link(&folder.join("exe"));
        }
        Some(process)
    }

    /// Adds what costs more, servers first, and whose sockets are whose. `network` is the network namespace of nginx,
    /// as its link in /proc reads.
    pub fn look_closer(&self, mut processes: Vec<Process>, network: Option<&str>, until: Instant) -> Scan {
        let mut order: Vec<usize> = (0..processes.len()).collect();
        order.sort_by_key(|at| !is_server(&processes[*at]));
        let mut owners: HashMap<u64, Vec<u32>> = HashMap::new();
        let mut logs = Vec::new();
        let mut proportional = 0;
        for at in order {
            if Instant::now() >= until {
                break;
            }
            let process = &mut processes[at];
            if process.arguments.is_empty() {
                continue;
            }
            let folder = self.of(process.pid);
            let (server, pid) = (is_server(process), process.pid);
            process.open_files = descriptors(&folder, |descriptor, target| {
                if let Some(inode) = socket_inode(target) {
                    owners.entry(inode).or_default().push(pid);
                } else if server && is_log(descriptor, target) {
                    logs.push((pid, PathBuf::from(target)));
                }
            });
            process.open_files_limit = text(folder.join("limits")).and_then(|it| open_files_limit(&it));
            process.wait_channel = text(folder.join("wchan")).filter(|it| it != "0").unwrap_or_default();
            process.thread_states = self.thread_states(process);
            process.working_directory = link(&folder.join("cwd"));
            process.environment = environment(&fs::read(folder.join("environ")).unwrap_or_default());
            if let (Some(ours), Some(theirs)) = (network, link(&folder.join("ns/net"))) {
                process.same_network = ours == theirs;
            }
            if proportional < MAX_PROPORTIONAL && server {
                proportional += 1;
                process.proportional_bytes = text(folder.join("smaps_rollup")).and_then(|it| pss(&it));
            }
        }
        let started: HashMap<u32, _> = processes.iter().map(|it| (it.pid, it.started_at)).collect();
        for pids in owners.values_mut() {
            pids.sort_by_key(|pid| (started.get(pid).copied().flatten(), *pid));
            pids.dedup();
        }
        Scan { processes, socket_owners: owners, logs }
    }

    /// States of the threads, the main one first.
    fn thread_states(&self, process: &Process) -> String {
        let folder = self.of(process.pid).join("task");
        let mut threads: Vec<u32> = fs::read_dir(&folder)
            .map(|entries| entries.flatten().filter_map(|it| it.file_name().to_str()?.parse().ok()).collect())
            .unwrap_or_default();
        threads.sort_unstable();
        if threads.len() < 2 {
            return process.state.to_string();
        }
        threads
            .iter()
            .take(MAX_THREADS)
            .filter_map(|thread| {
                Some(parse_stat(&text(folder.join(thread.to_string()).join("stat"))?)?.state)
            })
            .collect()
    }

    /// The second reading: how much CPU each process used since the first, `elapsed` ago. A process found in
    /// uninterruptible sleep keeps that state only if it still is in it: everything that reads a disk is for moments.
    pub fn second_reading(&self, processes: &mut [Process], elapsed: Duration) {
        for process in processes.iter_mut().filter(|it| !it.arguments.is_empty()) {
            let Some(stat) = text(self.of(process.pid).join("stat")).and_then(|it| parse_stat(&it)) else {
                continue;
            };
            let seconds = stat.cpu_ticks as f64 / self.ticks_per_second as f64;
            if let Some(before) = process.cpu_seconds {
                let share = (seconds - before) / elapsed.as_secs_f64().max(0.001) * 100.0;
                process.cpu_now_pct = Some((share.max(0.0) * 10.0).round() / 10.0);
            }
            if process.state == 'D' && stat.state != 'D' {
                process.state = stat.state;
                process.thread_states = process.thread_states.replacen('D', &stat.state.to_string(), 1);
                process.wait_channel.clear();
            }
        }
    }

    /// The network namespace of a process, as its link reads: `net:[4026531840]`.
    pub fn network_of(&self, pid: &str) -> Option<String> {
        link(&self.root.join(pid).join("ns/net"))
    }

    /// The mount namespace of a process likewise.
    pub fn mounts_of(&self, pid: &str) -> Option<String> {
        link(&self.root.join(pid).join("ns/mnt"))
    }

    /// Whether a process lives in a pid namespace below ours, as those in containers do. Anybody may read that.
    pub fn is_contained(&self, pid: u32) -> bool {
        text(self.of(pid).join("status")).is_some_and(|it| status_ids(&it, "NSpid:").len() > 1)
    }

    /// The effective user and group, and the groups of a process.
    pub fn credentials(&self, pid: u32) -> io::Result<(u32, u32, Vec<u32>)> {
        let status = fs::read(self.of(pid).join("status"))?;
        let status = String::from_utf8_lossy(&status);
        let effective = |label| status_ids(&status, label).get(1).copied().unwrap_or(0);
        Ok((effective("Uid:"), effective("Gid:"), status_ids(&status, "Groups:")))
    }
}

/// Whether this is a program that commonly stands behind nginx.
pub fn is_server(process: &Process) -> bool {
    SERVERS.iter().any(|it| process.name.starts_with(it))
}

fn link(path: &Path) -> Option<String> {
    Some(fs::read_link(path).ok()?.to_string_lossy().into_owned())
}

/// The name stands in parentheses and may itself hold parentheses, blanks and line feeds: it ends at the last one.
fn parse_stat(stat: &str) -> Option<Stat> {
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let fields: Vec<&str> = stat.get(close + 1..)?.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat {
        name: stat.get(open + 1..close)?.to_owned(),
        state: fields.first()?.chars().next()?,
        ppid: u32::try_from(number(1)?).ok()?,
        cpu_ticks: number(11)? + number(12)?,
        start_ticks: number(19)?,
        resident_pages: number(21)?,
    })
}

/// The numbers after a label of /proc/PID/status.
fn status_ids(status: &str, label: &str) -> Vec<u32> {
    let line = status.lines().find_map(|it| it.strip_prefix(label)).unwrap_or_default();
    line.split_ascii_whitespace().filter_map(|it| it.parse().ok()).collect()
}

/// Arguments end in NUL. A program that renames itself (nginx, PHP-FPM) leaves one text and a tail of NULs.
fn arguments(cmdline: &[u8]) -> Vec<String> {
    let end = cmdline.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    if end == 0 {
        return Vec::new();
    }
    cmdline[..end].split(|byte| *byte == 0).map(|it| String::from_utf8_lossy(it).into_owned()).collect()
}

/// The path in the unified hierarchy, else in systemd's own of version 1.
fn parse_cgroup(text: &str) -> String {
    let of = |prefix: &str| text.lines().find_map(|line| line.strip_prefix(prefix));
    let systemd = || text.lines().find_map(|line| Some(line.split_once(":name=systemd:")?.1));
    match of("0::") {
        Some("/") | None => systemd().or(of("0::")).unwrap_or_default().to_owned(),
        Some(path) => path.to_owned(),
    }
}

/// The innermost service of a cgroup path, else its scope.
fn unit_of(cgroup: &str) -> Option<String> {
    let ending = |suffix: &str| cgroup.rsplit('/').find(|it| it.ends_with(suffix));
    ending(".service").or_else(|| ending(".scope")).filter(|it| *it != "init.scope").map(str::to_owned)
}

/// How many descriptors a process has open; each is handed to `on_descriptor` with what it leads to. None when that may
/// not be seen.
fn descriptors(folder: &Path, mut on_descriptor: impl FnMut(&str, &str)) -> Option<u64> {
    let folder = folder.join("fd");
    let mut count = 0;
    for entry in fs::read_dir(&folder).ok()?.flatten() {
        count += 1;
        if count <= MAX_DESCRIPTORS
            && let Some(target) = link(&entry.path())
        {
            on_descriptor(&entry.file_name().to_string_lossy(), &target);
        }
    }
    Some(count)
}

fn socket_inode(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Standard output and error in a file, or a name that says so.
fn is_log(descriptor: &str, target: &str) -> bool {
    let path = target.starts_with('/') && !target.starts_with("/dev/") && !target.ends_with(" (deleted)");
    path && (["1", "2"].contains(&descriptor) || target.ends_with(".log"))
}

fn open_files_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|it| it.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn pss(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|it| it.strip_prefix("Pss:"))?;
    Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// The variables whose name says that they hold a port, an address or a socket path. All others may be secrets.
fn environment(environ: &[u8]) -> Vec<(String, String)> {
    const WORDS: &[&str] =
        &["PORT", "HOST", "HOSTNAME", "LISTEN", "BIND", "ADDR", "ADDRESS", "SOCK", "SOCKET", "LISTEN_FDS"];
    const WHOLE: &[&str] =
        &["GUNICORN_CMD_ARGS", "ASPNETCORE_URLS", "ASPNETCORE_HTTP_PORTS", "UWSGI_HTTP_SOCKET"];
    const NOISE: &[&str] = &["NOTIFY_SOCKET", "SSH_AUTH_SOCK"];
    let addresses = |name: &str| {
        let ends = |word: &str| {
            name.strip_suffix(word).is_some_and(|before| before.is_empty() || before.ends_with('_'))
        };
        !NOISE.contains(&name) && (WHOLE.contains(&name) || WORDS.iter().any(|word| ends(word)))
    };
    environ
        .split(|byte| *byte == 0)
        .filter_map(|it| {
            let (name, value) = std::str::from_utf8(it).ok()?.split_once('=')?;
            let upper = name.to_ascii_uppercase();
            let keep =
                addresses(&upper) && value.len() <= MAX_ENVIRONMENT_VALUE_BYTES && !value.contains('@');
            keep.then(|| (name.to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    const STAT: &str = "42 (a) (b) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1 0 6000 1000000 256 18446744073709551615";

    fn one_process() -> Folder {
        Folder::new()
            .file("1/stat", "1 (systemd) S 0 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 5 1 1 1")
            .file("1/status", "Uid:\t0\t0\t0\t0\n")
            .file("42/stat", STAT)
            .file("42/status", "Name:\tx\nUid:\t33\t34\t33\t33\nGroups:\t33 1001 \n")
            .file("42/cmdline", "/usr/bin/python3\0app.py\0\0\0")
            .file("42/cgroup", "0::/system.slice/system-shop.slice/shop@1.service\n")
            .file(
                "42/limits",
                "Max open files            1024                 524288               files     \n",
            )
            .file("42/wchan", "do_epoll_wait")
            .file("42/environ", "PORT=3000\0SECRET_KEY=x\0DATABASE_URL=y\0APP_HOST=0.0.0.0\0EXPORT=1\0")
            .link("42/fd/0", "/dev/null")
            .link("42/fd/3", "socket:[777]")
            .link("42/ns/net", "net:[2]")
    }

    #[test]
    fn a_process_is_read_from_its_folder() {
        let folder = one_process();
        let proc = Proc::at(folder.path());
        let clock = Clock::fixed("2026-05-02T13:00:00Z");
        let processes = proc.list(&clock, &Users::default()).unwrap();
        let scan = proc.look_closer(processes, Some("net:[1]"), Instant::now() + Duration::from_secs(60));
        let it = &scan.processes[1];
        assert_eq!((it.pid, it.ppid, it.name.as_str(), it.state, it.uid), (42, 1, "a) (b", 'S', 34));
        assert_eq!(it.arguments, ["/usr/bin/python3", "app.py"]);
        assert_eq!(it.unit.as_deref(), Some("shop@1.service"));
        assert_eq!(it.started_at, Some("2026-05-02T12:01:00Z".parse().unwrap()));
        assert_eq!((it.cpu_seconds, it.open_files, it.open_files_limit), (Some(2.0), Some(2), Some(1024)));
        assert_eq!(it.environment, [("PORT".into(), "3000".into()), ("APP_HOST".into(), "0.0.0.0".into())]);
        assert_eq!((it.wait_channel.as_str(), it.same_network), ("do_epoll_wait", false));
        assert_eq!(scan.socket_owners[&777], [42]);
    }

    #[test]
    fn hidden_processes_are_a_denial_and_not_an_empty_host() {
        let folder = Folder::new().file("42/stat", STAT);
        let unread = Proc::at(folder.path()).list(&Clock::fixed("2026-05-02T13:00:00Z"), &Users::default());
        assert_eq!(unread.unwrap_err().reason, Reason::Denied);
    }

    #[test]
    fn the_second_reading_gives_the_share_of_one_cpu() {
        let folder = one_process();
        let proc = Proc::at(folder.path());
        let mut processes = proc.list(&Clock::fixed("2026-05-02T13:00:00Z"), &Users::default()).unwrap();
        let folder = folder.file("42/stat", STAT.replace(" 150 50 ", " 158 52 "));
        proc.second_reading(&mut processes, Duration::from_millis(200));
        assert_eq!(processes[1].cpu_now_pct, Some(50.0));
        drop(folder);
    }

    #[test]
    fn a_process_with_a_second_pid_is_in_a_container() {
        let folder = Folder::new().file("7/status", "NSpid:\t7\t1\n").file("8/status", "NSpid:\t8\n");
        let proc = Proc::at(folder.path());
        assert_eq!([7, 8, 9].map(|pid| proc.is_contained(pid)), [true, false, false]);
    }

    #[test]
    fn every_beginning_of_a_stat_line_is_harmless() {
        for end in 0..STAT.len() {
            let _ = parse_stat(&STAT[..end]);
        }
    }

    #[test]
    fn a_user_service_is_the_innermost_one_and_a_container_is_its_scope() {
        let unit = |it: &str| unit_of(it).unwrap_or_default();
        assert_eq!(unit("/user.slice/user-1.slice/user@1.service/app.slice/shop.service"), "shop.service");
        assert_eq!(unit("/system.slice/docker-0a1b.scope"), "docker-0a1b.scope");
        assert_eq!(unit("/init.scope"), "");
        assert_eq!(
            parse_cgroup("2:cpu:/x\n1:name=systemd:/system.slice/a.service\n0::/\n"),
            "/system.slice/a.service"
        );
    }
}
