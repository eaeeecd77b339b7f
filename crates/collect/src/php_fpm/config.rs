//! PHP-FPM's configuration: what the files say, and what PHP-FPM would refuse in them.
//!
//! Source: php-fpm.conf.default and www.conf.default of PHP 8.2, and how `php-fpm -t` words its refusals.

use std::path::Path;

use nginx_conf::Files;
use snapshot::PhpPool;

use crate::host::files::FsFiles;

/// As many files as one configuration may include; a circle of includes ends here.
const MOST_FILES: usize = 200;

/// All files of one PHP-FPM.
#[derive(Debug, Default)]
pub(super) struct Config {
    /// Its `error_log`; empty when it is not set.
    pub(super) error_log: String,
    pub(super) pools: Vec<PhpPool>,
    /// `file:line: what`.
    pub(super) problems: Vec<String>,
}

/// What a directive takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Text,
    /// Digits alone.
    Number,
    /// `-1` as well.
    Integer,
    Switch,
    /// Seconds, or with a suffix of `s`, `m`, `h`, `d`.
    Time,
    OneOf(&'static [&'static str]),
}

const MANAGERS: &[&str] = &["static", "dynamic", "ondemand"];
const LEVELS: &[&str] = &["alert", "error", "warning", "notice", "debug"];

const GLOBAL: &[(&str, Value)] = &[
    ("pid", Value::Text),
    ("error_log", Value::Text),
    ("syslog.facility", Value::Text),
    ("syslog.ident", Value::Text),
    ("log_level", Value::OneOf(LEVELS)),
    ("log_limit", Value::Number),
    ("log_buffering", Value::Switch),
    ("emergency_restart_threshold", Value::Number),
    ("emergency_restart_interval", Value::Time),
    ("process_control_timeout", Value::Time),
    ("process.max", Value::Number),
    ("process.priority", Value::Integer),
    ("daemonize", Value::Switch),
    ("rlimit_files", Value::Number),
    ("rlimit_core", Value::Text),
    ("events.mechanism", Value::Text),
    ("systemd_interval", Value::Text),
];

const POOL: &[(&str, Value)] = &[
    ("prefix", Value::Text),
    ("user", Value::Text),
    ("group", Value::Text),
    ("listen", Value::Text),
    ("listen.backlog", Value::Integer),
    ("listen.owner", Value::Text),
    ("listen.group", Value::Text),
    ("listen.mode", Value::Text),
    ("listen.acl_users", Value::Text),
    ("listen.acl_groups", Value::Text),
    ("listen.allowed_clients", Value::Text),
    ("listen.setfib", Value::Integer),
    ("process.priority", Value::Integer),
    ("process.dumpable", Value::Switch),
    ("apparmor_hat", Value::Text),
    ("pm", Value::OneOf(MANAGERS)),
    ("pm.max_children", Value::Number),
    ("pm.start_servers", Value::Number),
    ("pm.min_spare_servers", Value::Number),
    ("pm.max_spare_servers", Value::Number),
    ("pm.max_spawn_rate", Value::Number),
    ("pm.process_idle_timeout", Value::Time),
    ("pm.max_requests", Value::Number),
    ("pm.status_path", Value::Text),
    ("pm.status_listen", Value::Text),
    ("ping.path", Value::Text),
    ("ping.response", Value::Text),
    ("access.log", Value::Text),
    ("access.format", Value::Text),
    ("slowlog", Value::Text),
    ("request_slowlog_timeout", Value::Time),
    ("request_slowlog_trace_depth", Value::Number),
    ("request_terminate_timeout", Value::Time),
    ("request_terminate_timeout_track_finished", Value::Switch),
    ("rlimit_files", Value::Number),
    ("rlimit_core", Value::Text),
    ("chroot", Value::Text),
    ("chdir", Value::Text),
    ("catch_workers_output", Value::Switch),
    ("decorate_workers_output", Value::Switch),
    ("clear_env", Value::Switch),
    ("security.limit_extensions", Value::Text),
];

/// Directives that take a key in brackets: `env[PATH] = …`.
const KEYED: [&str; 6] =
    ["env", "php_value", "php_flag", "php_admin_value", "php_admin_flag", "access.suppress_path"];

/// Reads a configuration with everything that it includes. Paths are as PHP-FPM sees them, below `root` for us.
pub(super) fn read(root: &Path, config_path: &str) -> Config {
    let prefix = prefix_of(config_path);
    let mut reader =
        Reader { files: FsFiles::new(root), prefix: &prefix, config: Config::default(), pool: None, read: 0 };
    reader.file(config_path);
    let mut config = reader.config;
    if !config.error_log.is_empty() && !config.error_log.starts_with('/') && config.error_log != "syslog" {
        // PHP-FPM takes it relative to the local state directory of its build.
        config.error_log = match prefix.as_str() {
            "/usr" => format!("/var/{}", config.error_log),
            other => format!("{other}/var/{}", config.error_log),
        };
    }
    if config.pools.is_empty() && !config.problems.iter().any(|it| it.contains("cannot be read")) {
        config.problems.push(format!("{config_path}:1: no pool is defined"));
    }
    for index in 0..config.pools.len() {
        let found = refusals(&config.pools[index]);
        config.problems.extend(found);
    }
    config
}

/// The installation's prefix, against which relative paths are meant: `/usr` for /etc, `/usr/local` for /usr/local/etc.
fn prefix_of(config_path: &str) -> String {
    match config_path.find("/etc/") {
        Some(0) | None => "/usr".into(),
        Some(end) => config_path[..end].to_owned(),
    }
}

struct Reader<'a> {
    files: FsFiles,
    prefix: &'a str,
    config: Config,
    /// The section at hand; none for `[global]` and before any.
    pool: Option<usize>,
    read: usize,
}

impl Reader<'_> {
    fn file(&mut self, path: &str) {
        self.read += 1;
        if self.read > MOST_FILES {
            return;
        }
        let bytes = match self.files.read(Path::new(path)) {
            Ok(bytes) => bytes,
            Err(words) => {
                self.config.problems.push(format!("{path}:1: cannot be read: {words}"));
                return;
            }
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for (number, line) in (1..).zip(text.lines()) {
            self.line(path, number, line);
        }
    }

    fn line(&mut self, file: &str, number: u32, line: &str) {
        let line = without_comment(line).trim();
        if line.is_empty() {
            return;
        }
        if let Some(section) = line.strip_prefix('[').and_then(|it| it.split(']').next()) {
            return self.section(file, section.trim());
        }
        let mut problem = |what: String| self.config.problems.push(format!("{file}:{number}: {what}"));
        let Some((name, value)) = line.split_once('=') else {
            return problem(format!("'{line}' has no value"));
        };
        let (name, value) = (name.trim(), unquoted(value.trim()));
        if name == "include" {
            return self.include(value);
        }
        let table = if self.pool.is_some() { POOL } else { GLOBAL };
        let kind = match name.split_once('[') {
            Some((base, _)) if self.pool.is_some() && KEYED.contains(&base) => Value::Text,
            _ => match table.iter().find(|(it, _)| *it == name) {
                Some((_, kind)) => *kind,
                None => return problem(format!("unknown directive '{name}'")),
            },
        };
        if let Some(what) = refusal(kind, value) {
            problem(format!("{name} = {value} is {what}"));
        }
        match self.pool {
            Some(pool) => {
                let pool = &mut self.config.pools[pool];
                let value = value.replace("$pool", &pool.name);
                pool.settings.push((name.to_owned(), value, number));
            }
            None if name == "error_log" => self.config.error_log = value.to_owned(),
            None => {}
        }
    }

    fn section(&mut self, file: &str, name: &str) {
        if name.eq_ignore_ascii_case("global") {
            self.pool = None;
            return;
        }
        let pools = &mut self.config.pools;
        let index = pools.iter().position(|it| it.name == name).unwrap_or_else(|| {
            pools.push(PhpPool { name: name.to_owned(), file: file.to_owned(), ..PhpPool::default() });
            pools.len() - 1
        });
        self.pool = Some(index);
    }

    /// A pattern with `*` and `?`; what it matches is read in the order of the names, as glob(3) sorts.
    fn include(&mut self, pattern: &str) {
        let pattern = match pattern.starts_with('/') {
            true => pattern.to_owned(),
            false => format!("{}/{pattern}", self.prefix),
        };
        for path in self.files.glob(&pattern).unwrap_or_default() {
            self.file(&path.to_string_lossy());
        }
    }
}

/// Everything before a `;` that is outside quotes.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b';' if !quoted => return &line[..at],
            _ => {}
        }
    }
    line
}

fn unquoted(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote).and_then(|it| it.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

/// What is wrong with a value, in words that follow "is".
fn refusal(kind: Value, value: &str) -> Option<&'static str> {
    let digits = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
    match kind {
        Value::Text => None,
        Value::Number => (!digits(value)).then_some("no number"),
        Value::Integer => (!digits(value.strip_prefix('-').unwrap_or(value))).then_some("no number"),
        Value::Switch => {
            const KNOWN: [&str; 10] = ["", "0", "1", "yes", "no", "on", "off", "true", "false", "none"];
            (!KNOWN.contains(&value.to_ascii_lowercase().as_str())).then_some("neither yes nor no")
        }
        Value::Time => {
            (!digits(value.strip_suffix(['s', 'm', 'h', 'd']).unwrap_or(value))).then_some("no time")
        }
        Value::OneOf(known) => {
            let known = known.iter().any(|it| it.eq_ignore_ascii_case(value));
            (!known).then_some("none of the values that it may have")
        }
    }
}

/// What PHP-FPM refuses once all files are read (fpm_conf_process_all_pools in its fpm_conf.c).
fn refusals(pool: &PhpPool) -> Vec<String> {
    let mut found = Vec::new();
    let number = |name| pool.setting(name).map_or(Some(0), |it| it.parse::<u32>().ok());
    let mut refuse = |name: &str, what: &str| {
        let line = pool.line_of(name).unwrap_or(1);
        found.push(format!("{}:{line}: pool {}: {what}", pool.file, pool.name));
    };
    if pool.setting("listen").is_none_or(str::is_empty) {
        refuse("listen", "listen is not set");
    }
    let Some(manager) = pool.setting("pm") else {
        refuse("pm", "pm is not set");
        return found;
    };
    // A value that is no number was named already.
    let Some(most) = number("pm.max_children") else { return found };
    if most == 0 {
        refuse("pm.max_children", "pm.max_children has to be positive");
    }
    if manager.eq_ignore_ascii_case("dynamic") {
        let spare =
            (number("pm.min_spare_servers"), number("pm.max_spare_servers"), number("pm.start_servers"));
        let (Some(fewest), Some(spare), Some(start)) = spare else { return found };
        if fewest == 0 {
            refuse("pm.min_spare_servers", "pm.min_spare_servers has to be positive");
        } else if spare < fewest {
            refuse("pm.max_spare_servers", "pm.max_spare_servers is below pm.min_spare_servers");
        } else if spare > most {
            refuse("pm.max_spare_servers", "pm.max_spare_servers is above pm.max_children");
        } else if pool.setting("pm.start_servers").is_some() && !(fewest..=spare).contains(&start) {
            let what = "pm.start_servers is not between pm.min_spare_servers and pm.max_spare_servers";
            refuse("pm.start_servers", what);
        }
    }
    found
}

/// `listen` as nginx would dial it; a relative path is meant from the prefix.
pub(super) fn peer_of(listen: &str, config_path: &str) -> String {
    if listen.is_empty() {
        return String::new();
    }
    if listen.starts_with('/') {
        return format!("unix:{listen}");
    }
    // A port alone is bound on every address of both families.
    if listen.bytes().all(|byte| byte.is_ascii_digit()) {
        return format!("[::]:{listen}");
    }
    match listen.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => match host {
            "*" => format!("0.0.0.0:{port}"),
            _ => listen.to_owned(),
        },
        _ => format!("unix:{}/{listen}", prefix_of(config_path)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The configuration of /etc/php/8.2/fpm/php-fpm.conf with one pool file of that text.
    fn with_pool(text: &str) -> Config {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("fpm-config-{}-{number}", std::process::id()));
        let folder = root.join("etc/php/8.2/fpm/pool.d");
        fs::create_dir_all(&folder).unwrap();
        let main = "; a comment\n[global]\nerror_log = /var/log/php8.2-fpm.log\n\
            include=/etc/php/8.2/fpm/pool.d/*.conf\n";
        fs::write(root.join("etc/php/8.2/fpm/php-fpm.conf"), main).unwrap();
        fs::write(folder.join("www.conf"), text).unwrap();
        let config = read(&root, "/etc/php/8.2/fpm/php-fpm.conf");
        fs::remove_dir_all(&root).unwrap();
        config
    }

    /// The problems found in a pool file, without its path.
    #[track_caller]
    fn refused(text: &str, expected: &[&str]) {
        let config = with_pool(text);
        let problems: Vec<&str> = config
            .problems
            .iter()
            .map(|it| it.trim_start_matches("/etc/php/8.2/fpm/pool.d/www.conf:"))
            .collect();
        assert_eq!(problems, expected);
    }

    const GOOD: &str = "[www]\nuser = www-data\nlisten = /run/php/$pool.sock ; here\npm = static\npm.max_children = 5\n\
        php_admin_value[memory_limit] = \"128M\"\nrequest_terminate_timeout = 30s\n";

    #[test]
    fn a_pool_is_read_with_its_lines() {
        let config = with_pool(GOOD);
        assert!(config.problems.is_empty(), "{:?}", config.problems);
        assert_eq!(config.error_log, "/var/log/php8.2-fpm.log");
        let pool = &config.pools[0];
        assert_eq!((pool.name.as_str(), pool.file.as_str()), ("www", "/etc/php/8.2/fpm/pool.d/www.conf"));
        assert_eq!(pool.setting("listen"), Some("/run/php/www.sock"));
        assert_eq!(pool.line_of("pm.max_children"), Some(5));
        assert_eq!(pool.setting("php_admin_value[memory_limit]"), Some("128M"));
    }

    #[test]
    fn the_last_value_wins() {
        let config = with_pool(&format!("{GOOD}pm.max_children = 7\n"));
        assert_eq!(config.pools[0].max_children(), Some(7));
        assert_eq!(config.pools[0].line_of("pm.max_children"), Some(8));
    }

    #[test]
    fn what_php_fpm_refuses_is_told_with_its_line() {
        refused(&format!("{GOOD}pm.max_children = thirty\n"), &["8: pm.max_children = thirty is no number"]);
        refused(&format!("{GOOD}lisen = 9000\n"), &["8: unknown directive 'lisen'"]);
        refused(&format!("{GOOD}clear_env = maybe\n"), &["8: clear_env = maybe is neither yes nor no"]);
        refused(
            &format!("{GOOD}request_terminate_timeout = 3x\n"),
            &["8: request_terminate_timeout = 3x is no time"],
        );
        refused(&format!("{GOOD}# old comment\n"), &["8: '# old comment' has no value"]);
        refused(&format!("{GOOD}pm = statc\n"), &["8: pm = statc is none of the values that it may have"]);
    }

    #[test]
    fn pools_that_cannot_start_are_told() {
        refused(&format!("{GOOD}pm = dynamic\n"), &["1: pool www: pm.min_spare_servers has to be positive"]);
        refused(
            &format!("{GOOD}pm.max_children = 0\n"),
            &["8: pool www: pm.max_children has to be positive"],
        );
        refused("[www]\npm = ondemand\npm.max_children = 3\n", &["1: pool www: listen is not set"]);
        let config = with_pool("; nothing\n");
        assert_eq!(config.problems, ["/etc/php/8.2/fpm/php-fpm.conf:1: no pool is defined"]);
    }

    #[test]
    fn any_prefix_of_a_file_is_survived() {
        for end in 0..GOOD.len() {
            with_pool(&GOOD[..end]);
        }
    }

    #[test]
    fn listen_becomes_what_nginx_would_dial() {
        let peer = |listen| peer_of(listen, "/usr/local/etc/php-fpm.conf");
        assert_eq!(peer("/run/php/www.sock"), "unix:/run/php/www.sock");
        assert_eq!(peer("9000"), "[::]:9000");
        assert_eq!(peer("127.0.0.1:9000"), "127.0.0.1:9000");
        assert_eq!(peer("*:9000"), "0.0.0.0:9000");
        assert_eq!(peer("var/www.sock"), "unix:/usr/local/var/www.sock");
    }

    #[test]
    fn relative_paths_are_meant_from_the_prefix() {
        assert_eq!(prefix_of("/usr/local/etc/php-fpm.conf"), "/usr/local");
        assert_eq!(prefix_of("/etc/php/8.2/fpm/php-fpm.conf"), "/usr");
    }
}
