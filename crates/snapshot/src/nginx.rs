//! nginx instances: what runs, what its files say.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Reading;

/// One nginx: a running master with its workers, or an installed one that does not run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nginx {
    /// The master process; none when it does not run.
    pub master: Option<Master>,
    /// The binary, as seen from the host: `/usr/sbin/nginx`.
    pub binary: String,
    /// Version such as `1.22.1`; empty when unknown.
    pub version: String,
    /// `nginx`, `openresty`, `angie`, `tengine`, `freenginx`.
    pub flavour: String,
    /// The prefix against which relative log and temp paths are resolved.
    pub prefix: String,
    /// Main configuration file.
    pub config_path: String,
    /// The compiled-in default error log.
    pub default_error_log: String,
    /// The compiled-in default access log.
    pub default_access_log: String,
    /// The user that workers run as: from the running workers, else from the configuration, else the build's default.
    pub worker_user: Reading<WorkerUser>,
    /// The systemd unit that runs it, if one does: `nginx.service`.
    pub unit: Option<String>,
    /// The configuration as the files are now.
    pub config: Reading<ConfigFiles>,
    /// `/proc/PID/root` when it lives in another mount namespace; paths above are as that namespace sees them.
    pub root: Option<String>,
    /// Whether its network namespace is the collector's own.
    pub same_network: bool,
}

/// A running master process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Master {
    /// Its pid, in the collector's pid namespace.
    pub pid: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its workers, oldest first.
    pub workers: Vec<Worker>,
    /// Whether its binary was replaced on disk since.
    pub binary_deleted: bool,
}

/// A worker process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// Its pid.
    pub pid: u32,
    /// When it started; the newest generation's start is the last successful (re)load.
    pub started_at: Timestamp,
    /// `worker process is shutting down`: it still runs an older configuration.
    pub shutting_down: bool,
    /// Open descriptors; none when they may not be counted.
    pub open_files: Option<u64>,
    /// Soft limit of open descriptors.
    pub open_files_limit: Option<u64>,
}

/// A user with its groups, as the kernel checks them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerUser {
    /// Effective uid.
    pub uid: u32,
    /// Effective gid.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The user's name; empty when unknown.
    pub name: String,
}

/// The configuration as files. The text is kept, not a tree: parsing it is pure, and a better parser helps old captures.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ConfigFiles {
    /// Every file that was read, the main one first.
    pub files: Vec<ConfigFile>,
}

/// One configuration file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigFile {
    /// Its path, as nginx names it.
    pub path: String,
    /// Its text; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Its modification time.
    pub modified_at: Option<Timestamp>,
    /// Its status change time: an edit that keeps the modification time (`cp -p`, `mv`) still shows here.
    pub changed_at: Option<Timestamp>,
    /// Why it could not be read, if so; then `text` is empty.
    pub unread: Option<String>,
}

impl Nginx {
    /// What configuration files alone say: whether it runs, and which version, nobody looked at.
    pub fn of_files(files: ConfigFiles, source: &str, at: Timestamp) -> Nginx {
        Nginx {
            master: None,
            binary: String::new(),
            version: String::new(),
            flavour: String::new(),
            prefix: String::new(),
            config_path: files.files.first().map(|it| it.path.clone()).unwrap_or_default(),
            default_error_log: String::new(),
            default_access_log: String::new(),
            worker_user: Reading::not_asked(),
            unit: None,
            config: Reading::seen(files, source, at),
            root: None,
            same_network: true,
        }
    }

    /// Debian's nginx 1.22.1, running for a day, with an empty configuration.
    pub fn quiet(now: Timestamp) -> Nginx {
        let started_at = now - jiff::SignedDuration::from_hours(24);
        let worker = Worker {
            pid: 101,
            started_at,
            shutting_down: false,
            open_files: Some(20),
            open_files_limit: Some(1024),
        };
        Nginx {
            master: Some(Master {
                pid: 100,
                started_at,
                arguments: vec!["/usr/sbin/nginx".into()],
                workers: vec![worker],
                binary_deleted: false,
            }),
            binary: "/usr/sbin/nginx".into(),
            version: "1.22.1".into(),
            flavour: "nginx".into(),
            prefix: "/usr/share/nginx".into(),
            config_path: "/etc/nginx/nginx.conf".into(),
            default_error_log: "/var/log/nginx/error.log".into(),
            default_access_log: "/var/log/nginx/access.log".into(),
            worker_user: Reading::seen(
                WorkerUser { uid: 33, gid: 33, groups: vec![33], name: "www-data".into() },
                "/proc/101/status",
                now,
            ),
            unit: Some("nginx.service".into()),
            config: Reading::seen(ConfigFiles::default(), "/etc/nginx/nginx.conf", now),
            root: None,
            same_network: true,
        }
    }
}
