//! Which log files of application servers to read: what PHP-FPM's files name, what a command line names, what a server
//! holds open; and the error logs of other nginx instances.

use std::path::{Path, PathBuf};

use nginx_conf::LogDestination;
use snapshot::{PhpFpm, Process};

use crate::host::processes::{Proc, is_server};
use crate::logs::Source;
use crate::nginx::Instance;

/// Options whose value is a log file, of gunicorn, uWSGI, Puma and others.
const OPTIONS: &[&str] =
    &["--error-logfile", "--log-file", "--logto", "--logto2", "--daemonize", "--logfile", "--log-path", "-d"];

/// Everything that may hold what a backend said.
pub fn sources(
    instances: &[Instance],
    php_fpm: &[PhpFpm],
    processes: &[Process],
    open_logs: &[(u32, PathBuf)],
    proc: &Proc,
) -> Vec<Source> {
    let mut sources = Vec::new();
    for instance in instances.iter().skip(1) {
        for log in instance.view().error_logs() {
            if let LogDestination::File(path) = &log.to {
                sources.push(Source {
                    path: path.clone(),
                    server: "nginx".to_owned(),
                    owner: instance.nginx.unit.clone().unwrap_or_else(|| instance.nginx.binary.clone()),
                    root: instance.nginx.root.clone().map(PathBuf::from),
                });
            }
        }
    }
    for fpm in php_fpm {
        let owner = fpm.unit.clone().unwrap_or_else(|| "php-fpm".to_owned());
        let mut add = |path: &str, owner: &str| {
            // "syslog" is a destination, and "$pool" stands for its name.
            let path = path.replace("$pool", owner);
            if path.starts_with('/') {
                let (server, owner) = ("php-fpm".to_owned(), owner.to_owned());
                sources.push(Source { path: path.into(), server, owner, root: None });
            }
        };
        add(&fpm.error_log, &owner);
        for pool in &fpm.pools {
            for setting in ["slowlog", "php_admin_value[error_log]", "php_value[error_log]"] {
                add(pool.setting(setting).unwrap_or_default(), &pool.name);
            }
        }
    }
    let known = |sources: &[Source], path: &Path| sources.iter().any(|it| it.path == path);
    for process in processes.iter().filter(|it| is_server(it) && !is_web_or_php(it)) {
        let named = named_logs(process);
        let held = open_logs.iter().filter(|it| it.0 == process.pid).map(|it| it.1.clone());
        for path in named.into_iter().chain(held) {
            if !known(&sources, &path) {
                sources.push(Source {
                    path,
                    server: server_name(process),
                    owner: process.unit.clone().unwrap_or_else(|| process.name.clone()),
                    root: other_root(process.pid, proc),
                });
            }
        }
    }
    sources
}

/// nginx's own logs are read by its configuration, PHP-FPM's by its files.
fn is_web_or_php(process: &Process) -> bool {
    ["nginx", "openresty", "angie", "php-fpm"].iter().any(|it| process.name.starts_with(it))
}

/// Log files that a command line names.
fn named_logs(process: &Process) -> Vec<PathBuf> {
    let folder = process.working_directory.as_deref().unwrap_or("/");
    let mut arguments = process.arguments.iter().skip(1).peekable();
    let mut paths = Vec::new();
    // `-d FILE` makes a daemon of uWSGI; elsewhere it means other things.
    let uwsgi = process.name.starts_with("uwsgi");
    while let Some(argument) = arguments.next() {
        let (option, value) = match argument.split_once('=') {
            Some((option, value)) => (option, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        if !OPTIONS.contains(&option) || option == "-d" && !uwsgi {
            continue;
        }
        let value = value.or_else(|| arguments.peek().map(|it| (*it).clone())).unwrap_or_default();
        if !value.is_empty() && !value.starts_with('-') {
            paths.push(Path::new(folder).join(value));
        }
    }
    paths
}

/// The program by which its log is read: an interpreter is known by what it runs.
fn server_name(process: &Process) -> String {
    let known = ["gunicorn", "uwsgi", "uvicorn", "puma", "unicorn", "hypercorn", "daphne"];
    let runs = |name: &&str| {
        process.name.starts_with(*name)
            || process
                .arguments
                .iter()
                .take(3)
                .any(|it| it.rsplit('/').next().is_some_and(|it| it.starts_with(*name)))
    };
    known.iter().find(|it| runs(it)).map_or_else(|| "app".to_owned(), |it| (*it).to_owned())
}

fn other_root(pid: u32, proc: &Proc) -> Option<PathBuf> {
    match (proc.mounts_of(&pid.to_string()), proc.mounts_of("self")) {
        (Some(theirs), Some(ours)) if theirs != ours => Some(PathBuf::from(format!("/proc/{pid}/root"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(name: &str, arguments: &[&str]) -> Process {
        Process {
            pid: 7,
            name: name.into(),
            arguments: arguments.iter().map(|it| (*it).to_owned()).collect(),
            working_directory: Some("/srv/shop".into()),
            ..Process::default()
        }
    }

    #[test]
    fn a_command_line_names_its_log() {
        let gunicorn = process(
            "gunicorn",
            &["/usr/bin/python3", "/usr/bin/gunicorn", "--error-logfile", "log/e.log", "a:b"],
        );
        assert_eq!(named_logs(&gunicorn), [PathBuf::from("/srv/shop/log/e.log")]);
        assert_eq!(
            named_logs(&process("uwsgi", &["uwsgi", "-d", "/var/log/u.log"])),
            [PathBuf::from("/var/log/u.log")]
        );
        assert!(named_logs(&process("php", &["php", "-d", "x=y", "--error-logfile", "-"])).is_empty());
        assert_eq!(server_name(&gunicorn), "gunicorn");
    }

    #[test]
    fn a_pool_names_its_logs() {
        let pool = snapshot::PhpPool {
            name: "www".into(),
            settings: vec![("slowlog".into(), "/var/log/$pool.slow".into(), 3)],
            ..snapshot::PhpPool::default()
        };
        let fpm = PhpFpm {
            master_pid: None,
            started_at: None,
            version: String::new(),
            config_path: String::new(),
            unit: None,
            error_log: "syslog".into(),
            pools: vec![pool],
            problems: Vec::new(),
        };
        let sources = sources(&[], &[fpm], &[], &[], &Proc::at("/nowhere"));
        assert_eq!(sources.len(), 1);
        assert_eq!(
            (sources[0].path.as_path(), sources[0].owner.as_str()),
            (Path::new("/var/log/www.slow"), "www")
        );
    }
}
