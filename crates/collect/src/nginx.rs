//! nginx instances: running masters from /proc, and an installed nginx that does not run.
//!
//! The binary is never started: its version and built-in paths stand in it as text, and reading them works in other mount
//! namespaces and with replaced binaries as well.

mod binary;
mod command_line;

use std::io::Read;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nginx_conf::{BuiltIn, Config, Directive, LogDestination, Version, View};
use snapshot::{Master, Nginx, Process, Reading, Reason, Unit, Worker};

use crate::host::clock::Clock;
use crate::host::disks::Used;
use crate::host::files::{FsFiles, open};
use crate::host::obstacle;
use crate::host::processes::Proc;
use crate::host::users::Users;
use command_line::CommandLine;

/// Files of time zones are a few kilobytes.
const MAX_ZONE_BYTES: u64 = 1 << 20;

/// Directories that are asked about.
const MAX_DIRECTORIES: usize = 100;

/// Where packages and builds put the binary.
const BINARIES: &[&str] = &[
    "/usr/sbin/nginx",
    "/usr/local/nginx/sbin/nginx",
    "/usr/local/sbin/nginx",
    "/usr/local/openresty/nginx/sbin/nginx",
    "/usr/sbin/angie",
    "/opt/nginx/sbin/nginx",
];

/// An instance with what later readers need of it.
#[derive(Debug)]
pub struct Instance {
    /// As it goes into the snapshot.
    pub nginx: Nginx,
    /// Its configuration, parsed; empty when it could not be read.
    pub config: Config,
    /// What is compiled in, or given by `-p` and `-e`.
    pub built_in: BuiltIn,
    /// Compiled-in directories for temporary files, by directive.
    pub temp_paths: Vec<(String, PathBuf)>,
    /// Its root directory: `/`, or `/proc/PID/root`.
    pub root: PathBuf,
    /// The zone of its error log: a container has its own.
    pub zone: TimeZone,
    /// The cgroup of the master, which tells whose container it is; empty when none runs.
    pub cgroup: String,
}

impl Instance {
    /// When the configuration that runs was loaded: the start of the newest workers. None when nothing runs.
    pub fn loaded_at(&self) -> Option<Timestamp> {
        Some(self.nginx.master.as_ref()?.workers.last()?.started_at)
    }

    /// The effective configuration.
    pub fn view(&self) -> View<'_> {
        let version = Version::parse(&self.nginx.version).unwrap_or_default();
        View::with_built_in(&self.config, version, self.built_in.clone())
    }
}

/// What the user asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// This master.
    pub pid: Option<u32>,
    /// This main configuration file.
    pub config: Option<PathBuf>,
    /// This prefix.
    pub prefix: Option<PathBuf>,
}

/// What the search looks at.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    /// All processes.
    pub processes: &'a [Process],
    /// The /proc they came from.
    pub proc: &'a Proc,
    /// The clocks.
    pub clock: &'a Clock,
    /// The host's users.
    pub users: &'a Users,
}

/// The running instances, in no particular order.
pub fn running(host: Host, wanted: &Wanted) -> Vec<Instance> {
    let masters = host.processes.iter().filter(|it| is_master(it));
    let masters = masters.filter_map(|it| from_master(it, master_title(it)?.to_owned(), host, wanted));
    let alone = host.processes.iter().filter(|it| may_be_alone(it, host.processes));
    let alone = alone.filter_map(|it| from_master(it, it.arguments.first()?.clone(), host, wanted));
    masters.chain(alone.filter(serves_alone)).collect()
}

/// Whether a running instance is the distribution's own: then nothing has to be looked for among the stopped ones.
pub fn is_main(instance: &Instance) -> bool {
    instance.nginx.master.is_some() && instance.nginx.unit.as_deref() == Some("nginx.service")
}

/// Instances that are installed and do not run: those of units, else of well-known places.
pub fn stopped(units: &[Unit], running: &[Instance], host: Host, wanted: &Wanted) -> Vec<Instance> {
    let mut found: Vec<Instance> = units
        .iter()
        .filter(|unit| unit.name.ends_with(".service") && unit.load_state != "masked")
        .filter(|unit| running.iter().all(|it| it.nginx.unit.as_deref() != Some(unit.name.as_str())))
        .filter_map(|unit| {
            let line = command_line::parse(&unit.exec_start);
            let name = Path::new(&line.binary).file_name()?.to_str()?.to_owned();
            let installed = is_nginx_name(&name) && Path::new(&line.binary).exists();
            installed.then(|| from_binary(&line, Some(unit), host, wanted))
        })
        .collect();
    if found.is_empty() && running.is_empty() {
        let binary = BINARIES.iter().find(|it| Path::new(it).exists());
        found.extend(binary.map(|binary| {
            let line = CommandLine { binary: (*binary).to_owned(), ..CommandLine::default() };
            from_binary(&line, None, host, wanted)
        }));
    }
    found
}

/// Puts the instance under diagnosis first.
pub fn order(instances: &mut [Instance], units: &[Unit], wanted: &Wanted) {
    instances.sort_by_cached_key(|it| std::cmp::Reverse(weight(it, units, wanted)));
}

/// The one asked for; else the distribution's when it runs; else one that serves the usual ports; else one that tried
/// to run; else one that runs. Among equals the older one, by its lower pid.
fn weight(instance: &Instance, units: &[Unit], wanted: &Wanted) -> (u32, std::cmp::Reverse<u32>) {
    let nginx = &instance.nginx;
    let pid = nginx.master.as_ref().map_or(u32::MAX, |it| it.pid);
    let serves_web = || {
        let view = instance.view();
        let listens = view.servers().iter().flat_map(|server| &server.listens);
        listens.into_iter().any(|listen| matches!(listen.port, Some(80 | 443)))
    };
    let unit = units.iter().find(|it| Some(&it.name) == nginx.unit.as_ref());
    let main = nginx.unit.as_deref() == Some("nginx.service");
    let asked = wanted.pid.is_some_and(|it| it == pid)
        || wanted.config.as_ref().is_some_and(|it| *it == Path::new(&nginx.config_path));
    let weight = match (&nginx.master, unit.map(|it| it.active_state.as_str())) {
        _ if asked => 200,
        (Some(_), _) if main => 100,
        (Some(_), _) if serves_web() => 80,
        (None, Some("failed" | "activating")) if main => 70,
        (Some(_), _) => 50,
        // Merely enabled: on many hosts the distribution's own was never wanted beside the one that runs.
        (None, _) if main && unit.is_some_and(|it| it.file_state.starts_with("enabled")) => 45,
        (None, Some("failed" | "activating")) => 40,
        (None, _) => 10,
    };
    // Someone in a container is meant only when nobody on the host itself serves.
    let outside = u32::from(nginx.root.is_none() || nginx.unit.is_some());
    (weight * 2 + outside, std::cmp::Reverse(pid))
}

fn is_nginx_name(name: &str) -> bool {
    ["nginx", "openresty", "angie", "tengine", "freenginx"].contains(&name)
}

/// The title that nginx gives its master: `nginx: master process /usr/sbin/nginx -g daemon on;`.
fn master_title(process: &Process) -> Option<&str> {
    let title = process.arguments.first()?;
    let (program, rest) = title.split_once(": master process ")?;
    is_nginx_name(program).then_some(rest)
}

fn is_master(process: &Process) -> bool {
    // PHP-FPM and others have "master process" too, but not behind nginx's name.
    master_title(process).is_some() && process.state != 'Z'
}

/// With `master_process off` there is one process, which keeps its command line as its title.
fn may_be_alone(process: &Process, all: &[Process]) -> bool {
    let called = process.arguments.first().and_then(|it| it.rsplit('/').next()).unwrap_or_default();
    let of_nginx = |it: &Process| it.pid == process.ppid && is_nginx_name(&it.name);
    is_nginx_name(called)
        && is_nginx_name(&process.name)
        && process.state != 'Z'
        && !command_line::is_errand(&process.arguments)
        && !all.iter().any(of_nginx)
}

fn serves_alone(instance: &Instance) -> bool {
    let directives = &instance.config.root;
    directives.iter().any(|it| it.name == "master_process" && it.arg(0) == Some("off"))
}

fn from_master(process: &Process, mut title: String, host: Host, wanted: &Wanted) -> Option<Instance> {
    // The rest of the title is the command line; where the title was cut off into arguments, they follow.
    for argument in process.arguments.iter().skip(1) {
        title.push(' ');
        title.push_str(argument);
    }
    let mut line = command_line::parse(&title);
    let pid = process.pid.to_string();
    let folder = PathBuf::from("/proc").join(&pid);
    line.prefix = line.prefix.map(|it| match std::fs::read_link(folder.join("cwd")) {
        Ok(started_in) => started_in.join(it).components().collect::<PathBuf>().display().to_string(),
        Err(_) => it,
    });
    // Without rights the namespaces cannot be compared. In a container it is another one; that its files cannot be read is
    // then said where it is tried, instead of taking the host's files for its own.
    let same = |theirs: Option<String>, ours: Option<String>| match (theirs, ours) {
        (Some(theirs), Some(ours)) => theirs == ours,
        _ => !host.proc.is_contained(process.pid),
    };
    let same_mounts = same(host.proc.mounts_of(&pid), host.proc.mounts_of("self"));
    let root = (!same_mounts).then(|| folder.join("root"));
    let same_network = same(host.proc.network_of(&pid), host.proc.network_of("self"));
    let executable = process.executable.clone().unwrap_or_else(|| line.binary.clone());
    let binary = executable.trim_end_matches(" (deleted)").to_owned();
    let binary_deleted = executable.ends_with(" (deleted)");
    let build =
        binary::read(&folder.join("exe")).or_else(|| binary::read(Path::new(&binary))).unwrap_or_default();
    let users = root.as_deref().map(Users::at);
    let users = users.as_ref().unwrap_or(host.users);
    let mut instance = new_instance(binary, &build, &line, root, users, host.clock, wanted);
    instance.cgroup.clone_from(&process.cgroup);
    let nginx = &mut instance.nginx;
    let workers = workers(process.pid, host);
    if let Some(worker) = workers.last() {
        let source = format!("/proc/{}/status", worker.pid);
        nginx.worker_user = match host.proc.credentials(worker.pid) {
            Ok((uid, gid, groups)) => {
                let user = snapshot::WorkerUser { uid, gid, groups, name: users.name(uid) };
                Reading::seen(user, source, host.clock.now)
            }
            Err(error) => Reading::Unread(obstacle(source, &error)),
        };
    }
    nginx.unit = process.unit.clone().filter(|it| it.ends_with(".service"));
    nginx.same_network = same_network;
    nginx.master = Some(Master {
        pid: process.pid,
        started_at: process.started_at.unwrap_or(host.clock.booted_at),
        arguments: process.arguments.clone(),
        workers,
        binary_deleted,
    });
    Some(instance)
}

/// Workers, oldest first; without a master of its own the one process is both.
fn workers(master: u32, host: Host) -> Vec<Worker> {
    let mut workers: Vec<Worker> = host
        .processes
        .iter()
        .filter_map(|it| {
            let title = it.arguments.first()?;
            let works = it.ppid == master && title.contains(": worker process")
                || it.pid == master && master_title(it).is_none();
            works.then(|| Worker {
                pid: it.pid,
                started_at: it.started_at.unwrap_or(Timestamp::UNIX_EPOCH),
                shutting_down: title.contains("is shutting down"),
                open_files: it.open_files,
                open_files_limit: it.open_files_limit,
            })
        })
        .collect();
    workers.sort_by_key(|it| (it.started_at, it.pid));
    workers
}

/// Takes over what was counted later.
pub fn fill_in_workers(nginx: &mut Nginx, processes: &[Process]) {
    for worker in nginx.master.iter_mut().flat_map(|it| &mut it.workers) {
        if let Some(process) = processes.iter().find(|it| it.pid == worker.pid) {
            worker.open_files = process.open_files;
            worker.open_files_limit = process.open_files_limit;
        }
    }
}

/// The one that a configuration tells of, whatever runs or is installed here.
pub fn of_config(host: Host, wanted: &Wanted) -> Instance {
    from_binary(&CommandLine::default(), None, host, wanted)
}

fn from_binary(line: &CommandLine, unit: Option<&Unit>, host: Host, wanted: &Wanted) -> Instance {
    let build = binary::read(Path::new(&line.binary)).unwrap_or_default();
    let mut instance = new_instance(line.binary.clone(), &build, line, None, host.users, host.clock, wanted);
    instance.nginx.unit = unit.map(|it| it.name.clone());
    instance
}

fn new_instance(
    binary: String,
    build: &binary::Build,
    line: &CommandLine,
    root: Option<PathBuf>,
    users: &Users,
    clock: &Clock,
    wanted: &Wanted,
) -> Instance {
    let option = |name: &str| build.option(name);
    let wanted_prefix = wanted.prefix.as_ref().map(|it| it.display().to_string());
    let prefix = wanted_prefix
        .or_else(|| line.prefix.clone())
        .or_else(|| option("--prefix"))
        .unwrap_or_else(|| "/usr/local/nginx".to_owned());
    let prefix = PathBuf::from(prefix);
    let config_path = wanted
        .config
        .clone()
        .or_else(|| line.config.clone().map(PathBuf::from))
        .or_else(|| option("--conf-path").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("conf/nginx.conf"));
    let config_path = prefix.join(config_path);
    let built_in = BuiltIn {
        prefix: prefix.clone(),
        error_log: line
            .error_log
            .clone()
            .or_else(|| option("--error-log-path"))
            .unwrap_or_else(|| "logs/error.log".to_owned()),
        access_log: option("--http-log-path").unwrap_or_else(|| "logs/access.log".to_owned()),
        pid: option("--pid-path").unwrap_or_else(|| "logs/nginx.pid".to_owned()),
        user: option("--user").unwrap_or_else(|| "nobody".to_owned()),
    };
    let temp_paths = ["client-body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| {
            let name = kind.replace('-', "_");
            let configured = option(&format!("--http-{kind}-temp-path"));
            (format!("{name}_temp_path"), prefix.join(configured.unwrap_or_else(|| format!("{name}_temp"))))
        })
        .collect();
    let folder = root.clone().unwrap_or_else(|| PathBuf::from("/"));
    let files = FsFiles::new(&folder);
    let config = nginx_conf::load_with_globals(&files, &config_path, &line.globals);
    let files = files.into_read();
    let source = config_path.display().to_string();
    let config_reading = match files.files.first().and_then(|it| it.unread.clone()) {
        Some(words) => {
            let reason = if words.contains("denied") { Reason::Denied } else { Reason::Unsupported };
            Reading::unread(reason, source, words)
        }
        None => Reading::seen(files, source, clock.now),
    };
    // Debian compiles standard error in.
    let absolute = |path: &str| match path {
        "stderr" => path.to_owned(),
        path => prefix.join(path).display().to_string(),
    };
    let mut instance = Instance {
        nginx: Nginx {
            master: None,
            binary,
            version: build.version.clone(),
            flavour: if build.flavour.is_empty() { "nginx".to_owned() } else { build.flavour.clone() },
            prefix: prefix.display().to_string(),
            config_path: config_path.display().to_string(),
            default_error_log: absolute(&built_in.error_log),
            default_access_log: absolute(&built_in.access_log),
            worker_user: Reading::not_asked(),
            unit: None,
            config: config_reading,
            root: root.map(|it| it.display().to_string()),
            same_network: true,
        },
        config,
        built_in,
        temp_paths,
        zone: if folder == Path::new("/") { clock.zone.clone() } else { zone_of(&folder) },
        root: folder,
        cgroup: String::new(),
    };
    instance.nginx.worker_user = configured_user(&instance, users, clock);
    instance
}

/// The zone below another root; without a file it is UTC, as tzset(3) says.
fn zone_of(root: &Path) -> TimeZone {
    let read = || {
        let mut bytes = Vec::new();
        open(root, Path::new("/etc/localtime")).ok()?.take(MAX_ZONE_BYTES).read_to_end(&mut bytes).ok()?;
        TimeZone::tzif("local", &bytes).ok()
    };
    read().unwrap_or(TimeZone::UTC)
}

/// The user that workers would get, by the configuration or the build.
fn configured_user(instance: &Instance, users: &Users, clock: &Clock) -> Reading<snapshot::WorkerUser> {
    let main = instance.view().main();
    let source = format!("user {} of {}", main.user.value, instance.nginx.config_path);
    match users.worker(&main.user.value, main.group.as_deref()) {
        Some(user) => Reading::seen(user, source, clock.now),
        None => Reading::unread(Reason::Unsupported, source, "that user is not in /etc/passwd"),
    }
}

/// The directories that it writes to, each with what for.
pub fn directories(instance: &Instance) -> Vec<Used> {
    let view = instance.view();
    let mut used = Vec::new();
    let mut add = |path: PathBuf, what: &str| {
        let known = |it: &Used| it.path == path;
        if path.is_absolute() && !used.iter().any(known) {
            used.push(Used { path, what: what.to_owned() });
        }
    };
    let parent = |path: &Path| path.parent().unwrap_or(path).to_path_buf();
    for (logs, what) in [(view.error_logs(), "error_log"), (view.access_logs(), "access_log")] {
        for log in logs {
            if let LogDestination::File(path) = &log.to {
                add(parent(path), what);
            }
        }
    }
    let main = view.main();
    for (directive, path) in main.temp_paths.iter() {
        add(path.clone(), directive);
    }
    for (directive, path) in &instance.temp_paths {
        if !main.temp_paths.iter().any(|(it, _)| it == directive) {
            add(path.clone(), directive);
        }
    }
    for path in cache_paths(&instance.config.root) {
        add(instance.built_in.prefix.join(path), "proxy_cache_path");
    }
    add(parent(&main.pid.value), "pid");
    for pass in view.passes() {
        for address in pass.addresses(&view) {
            if let Some(path) = address.address.strip_prefix("unix:").filter(|it| it.starts_with('/')) {
                add(parent(Path::new(path)), "unix sockets");
            }
        }
    }
    used.truncate(MAX_DIRECTORIES);
    // What backends write to most.
    for (path, what) in
        [("/", "root"), ("/tmp", "temporary files"), ("/var/lib/php/sessions", "PHP sessions")]
    {
        let path = PathBuf::from(path);
        if instance.root.join(path.strip_prefix("/").unwrap_or(&path)).is_dir()
            && used.iter().all(|it| it.path != path)
        {
            used.push(Used { path, what: what.to_owned() });
        }
    }
    used
}

/// The first argument of every `*_cache_path`.
fn cache_paths(directives: &[Directive]) -> Vec<&str> {
    let mut paths = Vec::new();
    for directive in directives {
        if directive.name.ends_with("_cache_path") {
            paths.extend(directive.arg(0));
        }
        if directive.name == "http" {
            paths.extend(cache_paths(directive.children()));
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn a_stopped_service_is_known_by_its_unit() {
        let folder = Folder::new()
            .file("nginx", "nginx version: nginx/1.22.1\nconfigure arguments: --prefix=/opt/x\n");
        let unit = |name: &str, state: &str| Unit {
            name: name.into(),
            active_state: state.into(),
            file_state: "enabled".into(),
            exec_start: format!(
                "{}/nginx -g daemon on; master_process on; -c /none/{name}",
                folder.path().display()
            ),
            ..Unit::default()
        };
        let units = [unit("backend.service", "inactive"), unit("nginx.service", "failed")];
        let (proc, clock, users) =
            (Proc::at("/nowhere"), Clock::fixed("2026-05-02T13:00:00Z"), Users::default());
        let host = Host { processes: &[], proc: &proc, clock: &clock, users: &users };
        let mut found = stopped(&units, &[], host, &Wanted::default());
        order(&mut found, &units, &Wanted::default());
        let names: Vec<_> = found.iter().map(|it| it.nginx.unit.as_deref().unwrap()).collect();
        assert_eq!(names, ["nginx.service", "backend.service"]);
        assert_eq!((found[0].nginx.version.as_str(), found[0].nginx.prefix.as_str()), ("1.22.1", "/opt/x"));
        assert_eq!(found[0].nginx.config_path, "/none/nginx.service");
        assert!(found[0].nginx.config.value().is_none());
    }

    #[test]
    fn one_process_may_be_all_of_nginx() {
        let process = |pid: u32, ppid: u32, line: &str| Process {
            pid,
            ppid,
            name: "nginx".into(),
            arguments: line.split('|').map(str::to_owned).collect(),
            ..Process::default()
        };
        let all = [
            process(7, 1, "nginx|-g|daemon off; master_process off;"),
            process(8, 1, "nginx|-t"),
            process(9, 1, "nginx: master process nginx"),
            process(10, 9, "nginx: worker process"),
            process(11, 9, "nginx|-c|x"),
        ];
        let alone: Vec<u32> = all.iter().filter(|it| may_be_alone(it, &all)).map(|it| it.pid).collect();
        assert_eq!(alone, [7]);
        let (proc, clock, users) =
            (Proc::at("/nowhere"), Clock::fixed("2026-05-02T13:00:00Z"), Users::default());
        let host = Host { processes: &all, proc: &proc, clock: &clock, users: &users };
        let of = |master: u32| workers(master, host).iter().map(|it| it.pid).collect::<Vec<_>>();
        assert_eq!((of(7), of(9)), (vec![7], vec![10]));
    }

    #[test]
    fn only_nginx_is_a_master() {
        let titled = |title: &str| Process { arguments: vec![title.into()], ..Process::default() };
        assert!(is_master(&titled("nginx: master process /usr/sbin/nginx")));
        assert!(is_master(&titled("angie: master process angie -c /etc/angie.conf")));
        assert!(!is_master(&titled("nginx: worker process")));
        assert!(!is_master(&titled("php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)")));
    }
}
