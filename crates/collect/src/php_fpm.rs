//! PHP-FPM: masters, installed but stopped ones, their pools and children.
//!
//! Whether a child is busy is not asked of PHP-FPM, whose full pools answer nothing: the kernel tells it. A child holds its
//! pool's listening socket, and while it works on a request also the connection that it accepted there. That connection
//! has the listening socket's path (/proc/PID/net/unix) or port (/proc/PID/net/tcp), so that a connection to a database
//! is not mistaken for one.

mod config;
mod status;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use nginx_conf::Files;
use snapshot::{PhpChild, PhpFpm, PhpPool, Process, Reading};

use crate::host::files::FsFiles;

/// Where distributions and images keep the main file of a PHP-FPM.
const MAIN_FILES: [&str; 6] = [
    "/etc/php/*/fpm/php-fpm.conf",
    "/etc/php-fpm.conf",
    "/etc/php*/php-fpm.conf",
    "/etc/opt/remi/php*/php-fpm.conf",
    "/usr/local/etc/php-fpm.conf",
    "/opt/bitnami/php/etc/php-fpm.conf",
];

/// Where systemd looks for units.
const UNIT_FOLDERS: [&str; 3] = ["etc/systemd/system", "lib/systemd/system", "usr/lib/systemd/system"];

/// Every PHP-FPM of the host. `root` is where nginx's files are, when that is not `/`.
pub fn read(
    processes: &[Process],
    root: Option<&Path>,
    deadline: Instant,
    now: Timestamp,
) -> Reading<Vec<PhpFpm>> {
    let root = root.unwrap_or(Path::new("/"));
    let proc = Path::new("/proc");
    let mut found: Vec<PhpFpm> = Vec::new();
    for process in processes {
        if let Some(title) = master_title(process) {
            found.push(running(process, title, processes, proc, deadline, now));
        }
    }
    let files = FsFiles::new(root);
    for path in MAIN_FILES.iter().flat_map(|it| files.glob(it).unwrap_or_default()) {
        let path = path.to_string_lossy().into_owned();
        if !found.iter().any(|it| it.config_path == path) {
            found.push(stopped(path, root));
        }
    }
    Reading::seen(found, "/proc, php-fpm.conf", now)
}

/// The configuration file in `php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)`.
fn master_title(process: &Process) -> Option<&str> {
    let title = process.arguments.first()?;
    title.strip_prefix("php-fpm: master process (")?.trim_end().strip_suffix(')')
}

/// The pool in `php-fpm: pool www`.
fn child_pool(process: &Process) -> Option<&str> {
    Some(process.arguments.first()?.strip_prefix("php-fpm: pool ")?.trim_end())
}

fn running(
    master: &Process,
    title: &str,
    processes: &[Process],
    proc: &Path,
    deadline: Instant,
    now: Timestamp,
) -> PhpFpm {
    let of_master = proc.join(master.pid.to_string());
    // A title may be relative to the directory in which the master was started.
    let config_path = match (title.starts_with('/'), &master.working_directory) {
        (false, Some(folder)) => format!("{}/{title}", folder.trim_end_matches('/')),
        _ => title.to_owned(),
    };
    let root = root_of(proc, master.pid);
    let mut config = config::read(&root, &config_path);
    let connections = Connections::read(&of_master);
    for pool in &mut config.pools {
        pool.listen = config::peer_of(pool.setting("listen").unwrap_or_default(), &config_path);
    }
    for process in processes.iter().filter(|it| it.ppid == master.pid) {
        let Some(name) = child_pool(process) else { continue };
        let child = PhpChild {
            pid: process.pid,
            started_at: process.started_at,
            busy: connections.busy(&proc.join(process.pid.to_string())),
            state: process.state,
            proportional_bytes: process.proportional_bytes,
        };
        match config.pools.iter_mut().find(|it| it.name == name) {
            Some(pool) => pool.children.push(child),
            // The files have changed since the start, or may not be read.
            None => config.pools.push(PhpPool {
                name: name.to_owned(),
                children: vec![child],
                ..PhpPool::default()
            }),
        }
    }
    if master.same_network {
        for pool in &mut config.pools {
            pool.status = status::read(pool, &root, deadline, now);
        }
    }
    PhpFpm {
        master_pid: Some(master.pid),
        started_at: master.started_at,
        version: version(&config_path, master.executable.as_deref()),
        config_path,
        unit: master.unit.clone(),
        error_log: config.error_log,
        pools: config.pools,
        problems: config.problems,
    }
}

fn stopped(config_path: String, root: &Path) -> PhpFpm {
    let mut config = config::read(root, &config_path);
    for pool in &mut config.pools {
        pool.listen = config::peer_of(pool.setting("listen").unwrap_or_default(), &config_path);
    }
    let version = version(&config_path, None);
    PhpFpm {
        master_pid: None,
        started_at: None,
        unit: unit(root, &version),
        version,
        config_path,
        error_log: config.error_log,
        pools: config.pools,
        problems: config.problems,
    }
}

/// `/` for processes of our own mount namespace: `/proc/PID/root` needs more rights than that.
fn root_of(proc: &Path, pid: u32) -> PathBuf {
    let namespace = |who: &str| fs::read_link(proc.join(who).join("ns/mnt")).ok();
    match (namespace("self"), namespace(&pid.to_string())) {
        (Some(ours), Some(theirs)) if ours != theirs => proc.join(pid.to_string()).join("root"),
        _ => "/".into(),
    }
}

/// From `/etc/php/8.2/…`, else from `/usr/sbin/php-fpm8.2`.
fn version(config_path: &str, executable: Option<&str>) -> String {
    let number = |text: &str| {
        let digits: String = text.chars().take_while(|it| it.is_ascii_digit() || *it == '.').collect();
        digits.contains('.').then_some(digits)
    };
    let in_path = config_path.strip_prefix("/etc/php/").and_then(number);
    let in_name = || executable?.rsplit_once("php-fpm").and_then(|(_, rest)| number(rest));
    in_path.or_else(in_name).unwrap_or_default()
}

/// The unit that would start it, if one is installed.
fn unit(root: &Path, version: &str) -> Option<String> {
    let names = [format!("php{version}-fpm.service"), "php-fpm.service".to_owned()];
    names.into_iter().find(|name| UNIT_FOLDERS.iter().any(|it| root.join(it).join(name).exists()))
}

/// What a socket is at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    Path(String),
    Port(String),
}

/// The stream sockets of a network namespace by inode.
#[derive(Debug, Default)]
struct Connections {
    listening: HashMap<u64, Place>,
    connected: HashMap<u64, Place>,
}

impl Connections {
    fn read(process: &Path) -> Connections {
        let text = |name| {
            let bytes = fs::read(process.join("net").join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let mut connections = Connections::default();
        connections.add_unix(&text("unix"));
        connections.add_tcp(&text("tcp"));
        connections.add_tcp(&text("tcp6"));
        connections
    }

    /// Rows of proc_net(5): `Num RefCount Protocol Flags Type St Inode Path`. An accepted socket bears its listener's path.
    fn add_unix(&mut self, text: &str) {
        for line in text.lines().skip(1) {
            let mut words = line.split_whitespace();
            let (Some(flags), Some(inode)) = (words.nth(3), words.nth(2)) else { continue };
            let path = words.next().unwrap_or_default();
            let Ok(inode) = inode.parse() else { continue };
            if path.is_empty() {
                continue;
            }
            // __SO_ACCEPTCON of linux/net.h.
            let listens = u32::from_str_radix(flags, 16).is_ok_and(|it| it & 0x10000 != 0);
            let sockets = if listens { &mut self.listening } else { &mut self.connected };
            sockets.insert(inode, Place::Path(path.to_owned()));
        }
    }

    /// Rows of proc_net(5): `sl local_address rem_address st … inode`, the ports in hexadecimal.
    fn add_tcp(&mut self, text: &str) {
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(state), Some(Ok(inode))) =
                (words.get(1), words.get(3), words.get(9).map(|it| it.parse::<u64>()))
            else {
                continue;
            };
            let Some((_, port)) = local.rsplit_once(':') else { continue };
            // TCP_LISTEN of net/tcp_states.h; a socket without inode belongs to no process any more.
            let sockets = if *state == "0A" { &mut self.listening } else { &mut self.connected };
            if inode != 0 {
                sockets.insert(inode, Place::Port(port.to_owned()));
            }
        }
    }

    /// Whether a child holds a connection that was accepted on its listening socket; none when its descriptors may not be
    /// seen, or when none of them listens.
    fn busy(&self, child: &Path) -> Option<bool> {
        let mut inodes = Vec::new();
        for entry in fs::read_dir(child.join("fd")).ok()?.flatten() {
            let Ok(target) = fs::read_link(entry.path()) else { continue };
            let target = target.to_string_lossy();
            let inode = target.strip_prefix("socket:[").and_then(|it| it.strip_suffix(']'));
            inodes.extend(inode.and_then(|it| it.parse::<u64>().ok()));
        }
        let listening: HashSet<&Place> = inodes.iter().filter_map(|it| self.listening.get(it)).collect();
        if listening.is_empty() {
            return None;
        }
        Some(inodes.iter().filter_map(|it| self.connected.get(it)).any(|it| listening.contains(it)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Rows as Linux 6.1 prints them: PHP-FPM's listener, one accepted connection of it, and one to a database.
    const UNIX: &str = "Num       RefCount Protocol Flags    Type St Inode Path\n\
        0000000000000000: 00000002 00000000 00010000 0001 01 188255 /run/php/www.sock\n\
        0000000000000000: 00000003 00000000 00000000 0001 03 188300 /run/php/www.sock\n\
        0000000000000000: 00000003 00000000 00000000 0001 03 188301\n\
        0000000000000000: 00000003 00000000 00000000 0001 03 188302 /run/mysqld/mysqld.sock\n";
    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        \x20  0: 0100007F:4A38 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 188254 1\n\
        \x20  1: 0100007F:4A38 0100007F:C001 01 00000000:00000000 00:00000000 00000000    33        0 188310 1\n\
        \x20  2: 0100007F:C002 0100007F:0CEA 01 00000000:00000000 00:00000000 00000000    33        0 188311 1\n";

    /// Whether a child with these sockets is busy.
    #[track_caller]
    fn child_with(inodes: &[u64], expected: Option<bool>) {
        let mut connections = Connections::default();
        connections.add_unix(UNIX);
        connections.add_tcp(TCP);
        let key = inodes.iter().map(u64::to_string).collect::<Vec<_>>().join("-");
        let child = std::env::temp_dir().join(format!("fpm-child-{}-{key}", std::process::id()));
        fs::create_dir_all(child.join("fd")).unwrap();
        for (number, inode) in inodes.iter().enumerate() {
            symlink(format!("socket:[{inode}]"), child.join("fd").join(number.to_string())).unwrap();
        }
        let busy = connections.busy(&child);
        fs::remove_dir_all(&child).unwrap();
        assert_eq!(busy, expected);
    }

    #[test]
    fn a_child_with_an_accepted_connection_is_busy() {
        child_with(&[188255, 188300], Some(true));
        child_with(&[188254, 188310], Some(true));
    }

    #[test]
    fn a_connection_to_a_database_is_no_request() {
        child_with(&[188255], Some(false));
        child_with(&[188255, 188302], Some(false));
        child_with(&[188254, 188311], Some(false));
    }

    #[test]
    fn a_child_whose_listener_is_not_seen_is_not_judged() {
        child_with(&[188300], None);
        assert_eq!(Connections::default().busy(Path::new("/nonexistent")), None);
    }

    #[test]
    fn every_prefix_of_the_tables_is_survived() {
        for end in 0..UNIX.len() {
            Connections::default().add_unix(&UNIX[..end]);
        }
        for end in 0..TCP.len() {
            Connections::default().add_tcp(&TCP[..end]);
        }
    }

    #[test]
    fn titles_name_the_file_and_the_pool() {
        let titled = |title: &str| Process { arguments: vec![title.into()], ..Process::default() };
        let master = titled("php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)");
        assert_eq!(master_title(&master), Some("/etc/php/8.2/fpm/php-fpm.conf"));
        assert_eq!(child_pool(&titled("php-fpm: pool www")), Some("www"));
        assert_eq!(child_pool(&master), None);
    }

    #[test]
    fn the_version_is_in_the_path_or_in_the_programs_name() {
        assert_eq!(version("/etc/php/8.2/fpm/php-fpm.conf", None), "8.2");
        assert_eq!(version("/etc/php-fpm.conf", Some("/usr/sbin/php-fpm7.4")), "7.4");
        assert_eq!(version("/usr/local/etc/php-fpm.conf", Some("/usr/local/sbin/php-fpm")), "");
    }
}
